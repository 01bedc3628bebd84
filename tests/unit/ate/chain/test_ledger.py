from __future__ import annotations

import pytest

import ate
from ate import limits
from ate.chain.genesis import Founding, write_genesis
from ate.chain.ledger import Ledger, Pending
from ate.crypto.entropy import SeededEntropy
from ate.errors import CorruptLog, ReadOnly, StorageError
from ate.event.access import Access, Everyone, Only
from ate.event.commit import Origin
from ate.event.draft import Draft
from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.log.store import LogStore
from ate.session import Session
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member

EIO = StorageError("input/output error")


def local(disk: SimDisk, *, readonly: bool = False) -> LocalLog:
    return LocalLog.open("/chain", disk=disk, readonly=readonly)


def on(store: LogStore, session: Session | None = None) -> Ledger:
    entropy = SeededEntropy(b"ledger")
    return Ledger(store, session=session, clock=SimClock(tick_us=1), entropy=entropy)


async def founded(store: LogStore, session: Session | None = None) -> Ledger:
    ledger = on(store, session)
    await ledger.replay()
    roots = (session.public,) if session else ()
    await write_genesis(ledger, "l", Founding(roots), Origin(device(session), 1, 1, 0))
    return ledger


def device(session: Session | None) -> int:
    return session.device if session else 1


def draft(number: int, body: bytes = b"\xa1xbody") -> Draft:
    return Draft(1, number.to_bytes(16, "big"), bytes(16), 0, 0, 0, 0, 1, body)


async def append(ledger: Ledger, *drafts: Draft, lsn: int = 0) -> Pending:
    number = device(ledger.session)
    last = ledger.view.origins.last(number, 1)
    origin = Origin(number, 1, lsn or last + 1, last)
    preparer = ledger.preparer(ledger.session)
    commit, rows = await preparer.prepare(
        list(drafts), origin=origin, seen_seq=ledger.view.head, now_us=ledger.clock.now_us()
    )
    return await ledger.append(commit, rows)


async def commit(ledger: Ledger, *drafts: Draft) -> Pending:
    pending = await append(ledger, *drafts)
    ledger.store.flush()
    ledger.settle(pending)
    return pending


async def test_an_appended_commit_is_visible_when_it_is_settled() -> None:
    ledger = await founded(MemoryLog())
    rung: list[int] = []
    ledger.feed.subscribe(lambda: rung.append(ledger.view.head))
    pending = await append(ledger, draft(1), draft(2))
    assert (ledger.view.head, ledger.is_empty) == (1, True)
    record = ledger.settle(pending)
    assert (ledger.view.head, ledger.feed.head, rung) == (3, 3, [3])
    assert (ledger.view.head, ledger.is_empty) == (3, False)
    assert record.first_seq == 2
    assert pending.current == [0, 0]


async def test_replaying_gives_the_same_view_with_and_without_a_snapshot() -> None:
    disk = SimDisk()
    session = member("alice")
    ledger = await founded(local(disk), session)
    for number in range(1, 20):
        await commit(ledger, draft(number))
    assert ledger.verified_commits == 0
    ledger.close()
    for use_snapshot, replayed in ((True, 0), (False, 20)):
        again = on(local(disk, readonly=True), session)
        await again.replay(use_snapshot=use_snapshot)
        assert again.verified_commits == replayed
        assert (again.view.head, again.view.link) == (ledger.view.head, ledger.view.link)
        assert again.view.frontier.root() == ledger.view.frontier.root()
        assert again.view.index.all() == ledger.view.index.all()
        assert again.view.origins.table == ledger.view.origins.table
        again.close()


async def test_what_came_after_the_snapshot_is_replayed() -> None:
    disk = SimDisk()
    ledger = await founded(local(disk))
    await commit(ledger, draft(1))
    ledger.snapshot()
    await commit(ledger, draft(2))
    disk.locks.clear()  # the process died here
    again = on(local(disk))
    await again.replay()
    assert again.verified_commits == 1
    assert again.view.head == 3
    again.close()


async def test_a_reader_follows_the_writer() -> None:
    disk = SimDisk()
    ledger = await founded(local(disk))
    await commit(ledger, draft(1))
    reader = on(local(disk, readonly=True))
    await reader.replay()
    heads: list[int] = []
    reader.feed.subscribe(lambda: heads.append(reader.view.head))
    assert await reader.refresh() == 2
    await commit(ledger, draft(2))
    await commit(ledger, draft(3), draft(4))
    assert await reader.refresh() == 5
    assert await reader.refresh() == 5
    assert heads == [5], "watchers are told once, and only when something came"
    with pytest.raises(ReadOnly):
        await append(reader, draft(9))
    reader.snapshot()
    reader.close()
    assert not disk.exists("/chain/000001/index")


async def test_a_writer_has_nothing_to_refresh() -> None:
    """What it has appended and not flushed yet must not become visible through the back door."""
    ledger = await founded(local(SimDisk()))
    pending = await append(ledger, draft(1))
    assert await ledger.refresh() == 1
    ledger.settle(pending)
    assert ledger.view.head == 2
    assert ledger.view.index.live == 1


async def test_a_refused_commit_appends_nothing() -> None:
    ledger = await founded(MemoryLog(), member("alice"))
    end = ledger.store.end
    await commit(ledger, draft(1))
    assert ledger.store.end > end
    end = ledger.store.end
    other = ledger.preparer(member("bob"))
    made, rows = await ledger.preparer(ledger.session).prepare(
        [draft(2)],
        origin=Origin(member("alice").device, 1, 1, 0),
        seen_seq=2,
        now_us=ledger.clock.now_us(),
    )
    with pytest.raises(ate.AteError, match="replayed"):
        await ledger.append(made, rows)
    with pytest.raises(ate.AteError):
        await other.prepare(
            [draft(2)], origin=Origin(1, 1, 3, 2), seen_seq=2, now_us=ledger.clock.now_us()
        )
    assert ledger.store.end == end


async def test_large_bodies_go_to_the_body_file_and_come_back() -> None:
    disk = SimDisk()
    ledger = await founded(local(disk))
    body = bytes(range(256)) * 400
    await commit(ledger, draft(1), draft(2, body))
    record, at = ledger.view.find(3)
    row = record.row(at)
    assert row.place >> 63
    assert bytes(ledger.view.body(record, row)) == body
    assert len(record.payload) < limits.BODY_INLINE_BYTES_MAX
    ledger.close()
    again = on(local(disk))
    await again.replay()
    record, at = again.view.find(3)
    assert bytes(again.view.body(record, record.row(at))) == body
    again.close()


async def test_bodies_that_no_commit_names_are_dropped_at_the_next_opening() -> None:
    disk = SimDisk()
    ledger = await founded(local(disk))
    await commit(ledger, draft(1, bytes(70_000)))
    kept = disk.snapshot()["/chain/000001/body.000001"]
    ledger.store.write_body([bytes(90_000)])
    ledger.close()
    assert len(disk.snapshot()["/chain/000001/body.000001"]) > len(kept)
    again = on(local(disk))
    await again.replay()
    again.close()
    assert len(disk.snapshot()["/chain/000001/body.000001"]) == len(kept)


async def test_commits_that_are_not_admissible_are_corruption_when_they_are_old() -> None:
    ledger = await founded(MemoryLog())
    await commit(ledger, draft(1))
    payloads = [bytes(payload) for _, payload in ledger.store.scan(0)]
    for wrong in (payloads[1][:-8], payloads[1][:300], payloads[1] + payloads[1]):
        log = MemoryLog()
        log.append([payloads[0]])
        log.append([wrong])
        again = on(log)
        with pytest.raises(CorruptLog, match="commit 1"):
            await again.replay()
        assert again.view.head == 1, "what is before stays readable"


async def test_a_newer_commit_format_is_not_called_corrupt() -> None:
    ledger = await founded(MemoryLog())
    payload = next(bytes(payload) for _, payload in ledger.store.scan(0))
    log = MemoryLog()
    log.append([b"\x02" + payload[1:]])
    with pytest.raises(ate.errors.UnsupportedFormat, match="commit format 2"):
        await on(log).replay()


async def test_time_never_goes_back_and_is_never_ahead_of_its_order() -> None:
    ledger = await founded(MemoryLog())
    times = []
    for number in range(1, 5):
        assert isinstance(ledger.clock, SimClock)
        ledger.clock.advance(-100 if number % 2 else 50)
        pending = await commit(ledger, draft(number))
        times.append(pending.record.sequencer.time_us)
    assert times == sorted(times)


async def test_the_snapshot_is_written_when_there_is_something_new() -> None:
    disk = SimDisk()
    ledger = await founded(local(disk))
    ledger.snapshot()
    writes = len(disk.journal)
    ledger.snapshot()
    assert len(disk.journal) == writes
    await commit(ledger, draft(1))
    ledger.snapshot()
    assert len(disk.journal) > writes


async def test_a_failed_snapshot_is_told_and_loses_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = SimDisk()
    ledger = await founded(local(disk))
    await commit(ledger, draft(1))
    disk.fail("rename", EIO, name="index")
    ledger.close()
    assert "the next opening will read the whole log" in caplog.text
    again = on(local(disk))
    await again.replay()
    assert again.view.head == 2
    again.close()


async def test_a_new_grant_makes_the_old_keys_stale() -> None:
    alice, bob = member("alice"), member("bob")
    async with ate.open("l", memory=True, session=alice, access=Access(read=Everyone)) as chain:
        async with chain.dio() as dio:
            note = dio.store("one", access=Access(read=Only(alice.public)))
        reader = chain.dio(session=bob)
        with pytest.raises(ate.NoReadKey):
            await reader.load(str, note.id)
        note.access = Access(read=Only(alice.public, bob.public))
        note.value = "two"
        await dio.commit()
        assert (await reader.load(str, note.id)).value == "two"
        ledger = chain._ledger
        assert ledger.domains(alice) is ledger.domains(alice)
        assert ledger.domains(alice) is not ledger.domains(bob)


async def test_a_reader_follows_into_the_next_generation() -> None:
    disk, clock = SimDisk(), SimClock(tick_us=1)
    alice = member("alice")
    options = {"path": "/d", "disk": disk, "clock": clock, "session": alice}
    async with ate.open("l", **options) as chain, ate.open("l", readonly=True, **options) as reader:
        heard: list[int] = []
        ledger = reader._ledger
        ledger.feed.subscribe(lambda: heard.append(ledger.view.head))
        dio = chain.dio()
        one = dio.store({"n": 1})
        await dio.commit()
        await chain.compact()
        for turn in range(3):  # the replay table is that of the new generation
            one.value = {"n": turn}
            await dio.commit()
            assert await ledger.refresh() == chain.head
        assert ledger.store.generation == 2
        assert heard[-1] == chain.head
        assert (await reader.dio().load(dict, one.id)).value == {"n": 2}
        await chain.compact()
        path = "/d/l/000003/head.000001"
        raw = bytearray(disk.snapshot()[path])
        raw[300] ^= 1
        whole = disk.snapshot()[path]
        disk.put(path, bytes(raw))
        disk.remove("/d/l/000003/index")
        with pytest.raises(CorruptLog):
            await ledger.refresh()
        assert (await reader.dio().load(dict, one.id)).value == {"n": 2}, "it reads on where it was"
        disk.put(path, whole)
        await ledger.refresh()
        assert ledger.store.generation == 3
