from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

import ate
from ate.chain.ledger import Ledger
from ate.chain.retention import Retention
from ate.chain.snapshot import read_snapshot, write_snapshot
from ate.crypto.entropy import system_entropy
from ate.crypto.hash import keyed
from ate.errors import CorruptLog
from ate.event.access import Access, Everyone, Only
from ate.log.local import LocalLog
from ate.log.segment import HEADER_BYTES
from ate.session import Session
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member
from ate.testing.tamper import Tamperer

INDEX = "/chains/s/000001/index"


async def filled(disk: SimDisk, session: Session | None = None, rows: int = 100) -> bytes:
    """Make a chain with a bit of everything; return its root."""
    access = Access(read=Everyone) if session else None
    async with ate.open(
        "s", path="/chains", disk=disk, session=session, access=access, clock=SimClock(tick_us=1)
    ) as chain:
        async with chain.dio() as dio:
            top = dio.store({"n": 0})
            for number in range(rows):
                dio.store(number, parent=top)
            if session is not None:
                dio.store("mine", access=Access(read=Only(session.public)))
        top.update()
        async with chain.dio() as dio:
            dio.store(b"x").delete()
            dio.store(bytes(70_000))
        return chain.root


def ledger_on(disk: SimDisk, session: Session | None = None, *, readonly: bool = True) -> Ledger:
    store = LocalLog.open("/chains/s", disk=disk, readonly=readonly)
    return Ledger(store, session=session, clock=SimClock(), entropy=system_entropy)


async def replayed(disk: SimDisk, session: Session | None = None) -> Ledger:
    """Open by whatever the snapshot is worth; the rest is replayed."""
    ledger = ledger_on(disk, session)
    await ledger.replay()
    return ledger


def state(ledger: Ledger) -> tuple[object, ...]:
    view = ledger.view
    columns = [column.tolist() for column in (*view.index.columns(), *view.commits.columns())]
    trust = view.trust
    return (
        columns, view.head, view.time_us, view.link, view.frontier.root(), view.rules,
        view.bodies_end, view.index.live, view.origins.table, trust.chain_id, trust.genesis,
        trust.keys, trust.roles, sorted(trust.certified), view.root_access(),
    )  # fmt: skip


@pytest.mark.parametrize("who", [None, "alice"])
async def test_a_snapshot_gives_back_all_that_a_replay_finds(who: str | None) -> None:
    disk = SimDisk()
    session = member(who) if who else None
    root = await filled(disk, session)
    quick, slow = ledger_on(disk, session), ledger_on(disk, session)
    await quick.replay()
    await slow.replay(use_snapshot=False)
    assert quick.verified_commits == 0
    assert slow.verified_commits > 0
    assert state(quick) == state(slow)
    assert quick.view.frontier.root() == root
    assert quick.view.trust.certified.keys() == slow.view.trust.certified.keys()


async def test_an_untouched_view_when_there_is_no_snapshot() -> None:
    disk = SimDisk()
    root = await filled(disk)
    disk.remove(INDEX)
    ledger = ledger_on(disk)
    assert read_snapshot(ledger) == 0
    assert ledger.view.head == 0
    assert (await replayed(disk)).view.frontier.root() == root


@pytest.mark.parametrize("garbage", [b"", b"\0", b"ATEIDX1\n", bytes(5000), b"garbage" * 1000])
async def test_garbage_in_its_place_is_ignored(garbage: bytes) -> None:
    disk = SimDisk()
    root = await filled(disk)
    disk.put(INDEX, garbage)
    ledger = await replayed(disk)
    assert ledger.view.frontier.root() == root
    assert ledger.verified_commits > 0
    disk.put(INDEX, bytes(HEADER_BYTES) + garbage)
    assert (await replayed(disk)).view.frontier.root() == root


async def test_every_flipped_byte_makes_it_worthless_and_nothing_else() -> None:
    disk = SimDisk()
    root = await filled(disk, rows=5)
    whole = disk.snapshot()[INDEX]
    for at in range(0, len(whole), 37):
        disk.put(INDEX, whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert (await replayed(disk)).view.frontier.root() == root, at
    disk.put(INDEX, whole[: len(whole) // 2])
    assert (await replayed(disk)).view.frontier.root() == root


async def test_another_session_trusts_no_snapshot_that_is_not_its_own() -> None:
    disk = SimDisk()
    alice = member("alice")
    root = await filled(disk, alice)
    for who in (member("bob"), None):
        ledger = ledger_on(disk, who)
        assert read_snapshot(ledger) == 0
        assert ledger.view.head == 0
        assert (await replayed(disk, who)).view.frontier.root() == root
    assert read_snapshot(ledger_on(disk, alice)) > 0


async def test_without_a_key_it_is_worth_nothing_on_a_signed_chain() -> None:
    """Anybody can compute the guard of somebody without a session."""
    disk = SimDisk()
    alice = member("alice")
    await filled(disk, alice)
    nobody = ledger_on(disk)
    await nobody.replay()
    writer = ledger_on(disk, readonly=False)
    await writer.replay()
    write_snapshot(writer)
    writer.store.close()
    assert read_snapshot(ledger_on(disk)) == 0
    assert read_snapshot(ledger_on(disk, alice)) == 0, "nor to the one whose snapshot it replaced"


async def test_a_log_that_lost_what_the_snapshot_saw_is_reported() -> None:
    disk = SimDisk()
    alice = member("alice")
    await filled(disk, alice)
    tamperer = Tamperer(disk, "/chains/s")
    payloads = tamperer.payloads()
    for kept, message in ((payloads[:-1], "truncated"), (payloads[:1], "truncated")):
        tamperer.write(kept)
        with pytest.raises(CorruptLog, match=message) as caught:
            await replayed(disk, alice)
        assert "restore" in caught.value.hint
    last = payloads[-1]
    for altered in (last[:200] + b"\1" + last[201:], b"\1" + last[1:8] + bytes(8) + last[16:]):
        tamperer.write([*payloads[:-1], altered])
        with pytest.raises(CorruptLog, match="does not hold the commits it held before"):
            await replayed(disk, alice)


async def test_a_sound_guard_over_nonsense_is_ignored_too() -> None:
    disk = SimDisk()
    root = await filled(disk)
    whole = disk.snapshot()[INDEX]
    frame = bytearray(whole[:HEADER_BYTES])
    for content in (b"\xc1" * 64, msgspec.msgpack.encode({"head": 1}), b""):
        raw = content + bytes(16)
        guard = keyed(bytes(32), raw)
        size = len(content).to_bytes(4, "little")
        disk.put(INDEX, bytes(frame) + b"ATEIDX1\n\1\0\0\0" + size + guard + raw)
        assert (await replayed(disk)).view.frontier.root() == root


async def test_a_newer_form_of_snapshot_is_left_aside() -> None:
    disk = SimDisk()
    root = await filled(disk)
    whole = bytearray(disk.snapshot()[INDEX])
    whole[HEADER_BYTES + 8] = 9
    disk.put(INDEX, bytes(whole))
    assert (await replayed(disk)).view.frontier.root() == root


async def test_the_snapshot_of_an_empty_log() -> None:
    disk = SimDisk()
    store = LocalLog.open("/chains/s", disk=disk)
    ledger = Ledger(store, clock=SimClock(), entropy=system_entropy)
    write_snapshot(ledger)
    store.close()
    assert read_snapshot(ledger_on(disk)) == 0


async def test_a_snapshot_of_a_chain_whose_newest_commits_were_all_dropped(tmp_path: Path) -> None:
    """Of a chain without keys nothing needs to be left behind the cut."""
    async with ate.open("u", path=tmp_path) as chain:
        dio = chain.dio()
        gone = dio.store("gone")
        await dio.commit()
        dio.delete(gone.id)
        await dio.commit()
        await chain.compact(Retention(tombstones=timedelta()))
        head = chain.head
    for readonly in (False, True):
        async with ate.open("u", path=tmp_path, readonly=readonly) as chain:
            assert (chain.head, len(chain), chain._ledger.view.held) == (head, 0, 1)
            assert chain._ledger.verified_commits == 0  # the snapshot served
    async with ate.open("u", path=tmp_path) as chain, chain.dio() as dio:
        dio.store("goes on")
    async with ate.open("u", path=tmp_path) as chain:
        assert (chain.head, len(chain)) == (head + 1, 1)
