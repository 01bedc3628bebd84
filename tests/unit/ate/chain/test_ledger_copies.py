"""`ate.chain.ledger`: the ledger that orders for others, and the copies that follow it."""

from __future__ import annotations

import pytest

from ate import limits
from ate.chain.ledger import Ledger
from ate.chain.ordering import consider
from ate.chain.transfer import pack
from ate.crypto.entropy import system_entropy
from ate.errors import Conflict, CorruptLog, OutOfSpace
from ate.event.commit import Record
from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.log.store import LogStore
from ate.session import Session
from ate.testing.office import UNORDERED, Office, draft
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import Note, Stage, member
from ate.testing.tamper import ordered
from ate.trust.sequence import Vouch

ALICE, BOB = member("alice"), member("bob")


def blank(store: LogStore, session: Session | None = None) -> Ledger:
    return Ledger(store, session=session, clock=SimClock(tick_us=1), entropy=system_entropy)


async def fed(store: LogStore, frames: list[bytes]) -> Ledger:
    ledger = blank(store)
    for frame in frames:
        await ledger.receive(memoryview(frame))
    return ledger


async def frames_of(ledger: Ledger) -> list[bytes]:
    return [bytes(pack(ledger.view, payload)) for _, payload in ledger.store.scan()]


async def told(*bodies: bytes) -> Office:
    """Return a server that has ordered a commit for each of these bodies."""
    office = await Office.of(ALICE, BOB)
    for body in bodies:
        await office.take(await office.made(BOB, draft(body)), BOB)
    return office


def same(one: Ledger, other: Ledger) -> bool:
    return (one.view.head, one.view.link, one.view.frontier.root()) == (
        other.view.head, other.view.link, other.view.frontier.root(),
    )  # fmt: skip


async def test_what_is_accepted_counts_at_once_and_nobody_is_told() -> None:
    office = await told()
    ledger, rung = office.ledger, list[int]()
    ledger.feed.subscribe(lambda: rung.append(ledger.view.head))
    before = ledger.view.head
    payload = memoryview(ordered(await office.made(BOB, draft()), UNORDERED))
    record, current = await consider(
        ledger, payload, Vouch(BOB.own.sign.public.raw, office.key.sign)
    )
    assert ledger.accept(record, current).first_seq == before + 1
    assert ledger.view.head == record.last_seq > before
    assert rung == []


async def test_what_is_received_is_visible_and_told_and_comes_back_after_a_restart() -> None:
    office = await told(b"one", bytes(range(256)) * 400, b"three")
    disk = SimDisk()
    copy, rung = blank(LocalLog.open("/chain", disk=disk)), list[int]()
    copy.feed.subscribe(lambda: rung.append(copy.view.head))
    for frame in office.frames:
        record = await copy.receive(memoryview(frame))
        assert record is not None
        assert rung[-1] == copy.view.head == record.last_seq
        assert len(record.payload) < limits.BODY_INLINE_BYTES_MAX, "large bodies lie beside it"
    assert len(rung) == len(office.frames)
    assert same(copy, office.ledger)
    copy.close()
    again = blank(LocalLog.open("/chain", disk=disk))
    await again.replay(use_snapshot=False)
    assert again.verified_commits == len(office.frames)
    assert same(again, office.ledger)
    assert await frames_of(again) == office.frames
    again.close()


async def test_what_does_not_follow_is_not_kept() -> None:
    office = await told(b"one", b"two")
    for wrong in (office.frames[2], office.frames[0], office.frames[1][:-8]):
        copy = await fed(MemoryLog(), office.frames[:1])
        end, head = copy.store.end, copy.view.head
        with pytest.raises(CorruptLog):
            await copy.receive(memoryview(wrong))
        assert (copy.store.end, copy.view.head) == (end, head)


async def test_a_full_disk_keeps_nothing_of_what_came_and_takes_it_later() -> None:
    office = await told(b"one")
    disk = SimDisk()
    copy = await fed(LocalLog.open("/chain", disk=disk), office.frames[:1])
    before = copy.view.head
    disk.fail("write", OutOfSpace("full"), name="head")
    with pytest.raises(OutOfSpace):
        await copy.receive(memoryview(office.frames[1]))
    assert copy.view.head == before
    await copy.receive(memoryview(office.frames[1]))
    assert same(copy, office.ledger)


async def test_my_own_commit_comes_back_as_it_was_ordered() -> None:
    office = await told(b"one")
    copy = await office.copy(BOB)
    frame = await office.take(await office.made(BOB, draft(b"mine")), BOB)
    record = await copy.receive(memoryview(frame), is_mine=True)
    assert record is not None
    assert bytes(record.payload) == frame
    assert same(copy, office.ledger)


async def compacted(stage: Stage, alice: Session) -> tuple[list[bytes], list[bytes]]:
    """Return the frames of a chain before its compaction and after it."""
    async with stage.open(alice) as chain:
        dio = chain.dio()
        notes = [dio.store(Note(str(n))) for n in range(20)]
        await dio.commit()
        for turn in range(4):
            notes[turn % 2].value = Note(f"changed {turn}")
            await dio.commit()
        before = await frames_of(chain._ledger)
        await chain.compact()
        dio = chain.dio()
        dio.store(Note("behind"))
        await dio.commit()
        return before, await frames_of(chain._ledger)


async def test_a_compacted_log_is_received_whole_or_called_corrupt() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    _, after = await compacted(stage, alice)
    copy = blank(MemoryLog())
    copy.end_past()  # nothing has come, nothing is missing
    results = [await copy.receive(memoryview(frame)) for frame in after]
    assert results[0] is None, "the prefix is no commit"
    copy.end_past()
    assert same(copy, await stage.ledger())
    kept = blank(copy.store)
    await kept.replay(use_snapshot=False)
    assert same(kept, copy)
    short = await fed(MemoryLog(), after[:-2])  # without the checkpoint that vouches
    with pytest.raises(CorruptLog, match="vouches"):
        short.end_past()


async def test_a_copy_is_made_anew_and_those_who_hold_it_see_the_new_one() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    before, after = await compacted(stage, alice)
    disk = SimDisk()
    copy = await fed(LocalLog.open("/chain", disk=disk), before)
    rung = list[int]()
    copy.feed.subscribe(lambda: rung.append(copy.view.head))
    view, old = copy.view, copy.view.head
    renewed = copy.renewal()
    with pytest.raises(Conflict, match="being copied anew"):
        copy.renewal()
    for frame in after:
        await renewed.receive(memoryview(frame))
    assert (copy.view.head, rung) == (old, []), "until then the old one is read"
    copy.succeed(renewed)
    assert copy.view is view
    assert rung == [copy.view.head]
    assert copy.view.head > old
    assert copy.store.generation == 2
    assert not disk.exists("/chain/000001/head.000001"), "the old generation was swept away"
    copy.close()
    again = blank(LocalLog.open("/chain", disk=disk))
    await again.replay(use_snapshot=False)
    assert same(again, await stage.ledger())
    again.renewal()
    again.close()


async def test_another_chain_cannot_take_the_place_of_a_copy() -> None:
    one, other = await told(b"one"), await told(b"other", b"longer")
    copy = await fed(MemoryLog(), one.frames)
    end = copy.store.end
    renewed = copy.renewal()
    for frame in other.frames:
        await renewed.receive(memoryview(frame))
    with pytest.raises(CorruptLog, match="does not go on"):
        copy.succeed(renewed)
    assert same(copy, one.ledger)
    assert (copy.store.end, copy.store.generation) == (end, 1)


async def test_who_joins_a_role_reads_with_it_as_soon_as_the_commit_has_come() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    copy = await fed(MemoryLog(), await frames_of(await stage.ledger()))
    carol = member("carol")
    copy.domains(carol)
    known = set(carol.opening_keys())
    async with stage.open(alice) as chain:
        await chain.set_role("Staff", [carol.public])
        frames = await frames_of(chain._ledger)
    for frame in frames[1:]:
        await copy.receive(memoryview(frame))
    assert set(carol.opening_keys()) > known


async def test_a_damaged_log_is_read_up_to_the_damage_when_that_is_asked_for() -> None:
    office = await told(b"one", b"two")
    log = MemoryLog()
    for frame in (*office.frames[:2], office.frames[1]):
        log.append([frame])
    ledger = blank(log)
    await ledger.replay(salvage=True)
    assert ledger.damage is not None
    assert ledger.view.head == Record(memoryview(office.frames[1])).last_seq
    nothing = MemoryLog()
    nothing.append([office.frames[1]])
    with pytest.raises(CorruptLog):
        await blank(nothing).replay(salvage=True)  # without a genesis nothing verifies


async def test_a_long_replay_lets_others_work_meanwhile() -> None:
    office = await told(*(b"x" * 60_000 for _ in range(20)))
    paused = list[int]()
    ledger = blank(office.ledger.store)

    async def pause() -> None:
        paused.append(ledger.view.head)

    await ledger.replay(pause=pause)
    assert same(ledger, office.ledger)
    assert paused
    assert paused == sorted(set(paused))
    assert paused[-1] <= ledger.view.head


async def test_a_clock_that_is_off_by_the_chains_time_is_told() -> None:
    office = await told(b"one")
    ledger = office.ledger
    assert ledger.skew_us() == 0
    office.clock.advance(-3600)
    assert ledger.skew_us() < -3000 * 1_000_000
    assert ledger.now_us() == ledger.now_us() >= ledger.view.time_us, (
        "time stands still until it catches up"
    )
