"""`ate.mesh.compacting`: a served chain is compacted beside its commits, without a key of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.unit.ate.mesh.served import CREDIT, Envoy, Scribe, rooted

from ate.chain.compact import Compaction
from ate.chain.ledger import Ledger
from ate.chain.retention import Retention
from ate.crypto.entropy import system_entropy
from ate.errors import Conflict, Refused, StorageError, UsageError
from ate.event.prefix import is_commit
from ate.event.thinned import decode_record
from ate.ids import ObjectId
from ate.log.local import LocalLog
from ate.mesh import compacting
from ate.mesh.root import Root
from ate.mesh.subscriber import Subscriber
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import Stage
from ate.wire.message import Accepted, Failed, Submit

NOTE = bytes(ObjectId.random())


async def changed(root: Root, scribe: Scribe, times: int, base: int = 0) -> int:
    """Write versions of one object; returns the seq of the newest."""
    for number in range(times):
        envoy = Envoy()
        body = b"version %d" % number
        await root.submit(envoy, Submit(1, scribe.note(body, NOTE, base=base, created=base and 2)))
        (accepted,) = await envoy.until(Accepted)
        base = accepted.first_seq
    return base


def follow(root: Root, start: int, credit: int = CREDIT) -> Envoy:
    envoy = Envoy()
    one = Subscriber(root, envoy, 1, start, credit=credit, sparse=0)
    root.subscribers[one] = None
    one.start()
    return envoy


async def reread(disk: SimDisk) -> Ledger:
    store = LocalLog.open("/c", disk=disk, readonly=True)
    ledger = Ledger(store, clock=SimClock(), entropy=system_entropy)
    await ledger.replay(use_snapshot=False)
    return ledger


async def test_old_versions_go_and_the_chain_goes_on() -> None:
    disk = SimDisk()
    root, scribe = await rooted(store=LocalLog.open("/c", disk=disk))
    base = await changed(root, scribe, 30)
    tail = follow(root, root.durable)
    done = await root.compact()
    assert (done.rows_before, done.rows_after) == (31, 2)
    assert done.bytes_after < done.bytes_before
    await changed(root, scribe, 3, base)
    await tail.until_frames(3)
    assert tail.indexes == [31, 32, 33]
    head, leaves = root.ledger.view.head, root.ledger.view.frontier.root()
    await root.close()
    again = await reread(disk)
    assert (again.view.head, again.view.frontier.root()) == (head, leaves)
    again.store.close()


async def test_commits_are_taken_while_it_works() -> None:
    root, scribe = await rooted()
    base = await changed(root, scribe, 200)
    work = asyncio.ensure_future(root.compact())
    late = asyncio.ensure_future(root.compact())
    base = await changed(root, scribe, 20, base)
    done = await work
    assert (await late) is done
    assert done.generation == 2
    await changed(root, scribe, 2, base)
    assert root.durable == 223
    assert (await root.compact()).generation == 3
    await root.close()


async def test_who_comes_later_gets_what_is_left() -> None:
    root, scribe = await rooted()
    base = await changed(root, scribe, 30)
    await root.compact()
    await changed(root, scribe, 2, base)
    cut = root.ledger.view.cut
    envoy = follow(root, 0)
    frames = await envoy.until_frames(len(list(root.ledger.store.scan(0))))
    assert not is_commit(frames[0])
    indexes = [decode_record(memoryview(one)).sequencer.index for one in frames if is_commit(one)]
    assert indexes == sorted(indexes)
    assert indexes[-2:] == [31, 32]
    assert 0 < cut <= 31
    later = follow(root, cut)
    await later.until_frames(root.durable - cut)
    assert later.indexes == list(range(cut, root.durable))
    await root.close()


async def test_who_was_in_the_middle_starts_anew() -> None:
    root, scribe = await rooted()
    base = await changed(root, scribe, 30)
    slow, behind = follow(root, 0, credit=1), follow(root, 5, credit=1)
    await slow.until_frames(1)
    await behind.until_frames(1)
    for one in root.subscribers:
        one.next = 3 if one.guest is slow else 6
        one.at_tail = False
        one.start()
    await root.compact()
    for one in tuple(root.subscribers):
        one.give(CREDIT)
    for envoy in (slow, behind):
        (failed,) = await envoy.until(Failed)
        assert (failed.code, failed.retry_ms) == ("restart", 1)
    assert not root.subscribers
    await changed(root, scribe, 1, base)
    await root.close()


async def test_who_is_behind_the_cut_goes_on_in_the_new_log() -> None:
    root, scribe = await rooted()
    base = await changed(root, scribe, 30)
    envoy = follow(root, root.durable, credit=1)
    base = await changed(root, scribe, 1, base)
    await root.compact()
    base = await changed(root, scribe, 4, base)
    (one,) = root.subscribers
    one.next = root.ledger.view.cut
    one.give(CREDIT)
    await envoy.until_frames(5)
    assert not envoy.of(Failed)
    assert envoy.indexes[-1] == root.durable - 1
    await root.close()


async def test_retention_keeps_more() -> None:
    root, scribe = await rooted()
    base = await changed(root, scribe, 10)
    envoy = Envoy()
    await root.submit(envoy, Submit(1, scribe.deletion(NOTE, base)))
    await envoy.until(Accepted)
    done = await root.compact(Retention(versions=4))
    assert done.rows_after > 4
    done = await root.compact(Retention(tombstones=timedelta(0)))
    assert done.rows_after < 4
    await root.close()


async def test_it_is_given_up_after_too_many_conflicts(monkeypatch: pytest.MonkeyPatch) -> None:
    root, scribe = await rooted()
    await changed(root, scribe, 3)
    tries = []

    def always(*_: object) -> None:
        tries.append(1)
        raise Conflict("a commit changed what was about to go")

    monkeypatch.setattr(compacting, "fill", always)
    with pytest.raises(Conflict):
        await root.compact()
    assert len(tries) == 8
    monkeypatch.undo()
    assert (await root.compact()).rows_after == 2
    await root.close()


async def test_a_medium_that_fails_when_it_takes_over_ends_the_root(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which generation a power cut would leave is unknown then: the chain is opened anew."""
    disk, told = SimDisk(), list[object]()
    root, scribe = await rooted(
        store=LocalLog.open("/c", disk=disk), on_failure=lambda *failed: told.append(failed)
    )
    await changed(root, scribe, 5)

    def fails(_: object) -> None:
        raise StorageError("input/output error")

    monkeypatch.setattr(Compaction, "switch", fails)
    with pytest.raises(StorageError):
        await root.compact()
    assert told == [(root, root.failure)]
    await root.close()
    again = await reread(disk)
    assert again.view.head == 6
    again.store.close()


async def test_a_medium_that_fails_before_harms_nobody() -> None:
    disk, told = SimDisk(), list[object]()
    root, scribe = await rooted(
        store=LocalLog.open("/c", disk=disk), on_failure=lambda *failed: told.append(failed)
    )
    base = await changed(root, scribe, 5)
    disk.fail("sync", StorageError("input/output error"), name="/000002/")
    with pytest.raises(StorageError):
        await root.compact()
    assert not told
    base = await changed(root, scribe, 2, base)
    assert (await root.compact()).rows_after == 2
    await root.close()


async def test_a_hold_that_comes_meanwhile_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    root, scribe = await rooted()
    await changed(root, scribe, 5)
    asked = []

    def hold(_: object) -> None:
        asked.append(1)
        if len(asked) > 1:
            raise Refused("a legal hold forbids compaction")

    monkeypatch.setattr(compacting, "_check_hold", hold)
    with pytest.raises(Refused):
        await root.compact()
    assert root.ledger.store.generation == 1
    await root.close()


async def test_closing_ends_it() -> None:
    disk = SimDisk()
    root, scribe = await rooted(store=LocalLog.open("/c", disk=disk))
    await changed(root, scribe, 50)
    work = asyncio.ensure_future(root.compact())
    await asyncio.sleep(0)
    await root.close()
    with pytest.raises(asyncio.CancelledError):
        await work
    again = await reread(disk)
    assert again.view.head == 51
    again.store.close()


# --- signed chains ----------------------------------------------------------------------------


async def hosted(stage: Stage) -> Root:
    """Return a keyless root of the stage's chain."""
    store = LocalLog.open(stage.directory, disk=stage.disk)
    ledger = Ledger(store, clock=stage.clock, entropy=system_entropy)
    await ledger.replay()
    return Root("play", ledger)


async def test_a_checkpoint_of_a_root_vouches_for_a_keyless_host() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("one")
    for text in ("two", "three", "four"):
        await stage.as_(alice).change(note, text)
    root = await hosted(stage)
    with pytest.raises(UsageError, match="no checkpoint"):
        await root.compact()
    await root.close()
    async with stage.open(alice) as chain:
        await chain.checkpoint()
    await stage.as_(alice).change(note, "five")
    root = await hosted(stage)
    assert (await root.compact()).rows_after < 9
    await root.close()
    assert (await stage.verify()).ok
    assert await stage.as_(alice).load(note) == "five"


async def test_a_hold_and_a_write_once_chain_forbid_it() -> None:
    stage = Stage(policy={"worm": True})
    await stage.cast("alice")
    root = await hosted(stage)
    with pytest.raises(Refused, match="write-once"):
        await root.compact()
    await root.close()
    stage = Stage()
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store("evidence")
    async with stage.open(alice) as chain:
        await chain.checkpoint()
        await chain.set_hold("case 7")
    root = await hosted(stage)
    with pytest.raises(Refused, match="legal hold"):
        await root.compact()
    await root.close()
