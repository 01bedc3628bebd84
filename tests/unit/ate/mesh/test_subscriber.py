"""`ate.mesh.subscriber`: from any position, in order, without gaps, as fast as credit allows."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.ate.mesh.served import CREDIT, Envoy, Scribe, rooted

from ate import limits
from ate.errors import CorruptLog
from ate.event.commit import Record
from ate.event.row import PLACE_ABSENT
from ate.log.local import LocalLog
from ate.mesh import subscriber as module
from ate.mesh.root import Root
from ate.mesh.subscriber import Subscriber
from ate.testing.simdisk import SimDisk
from ate.wire.message import Accepted, Failed, Lagged, Submit


async def written(count: int, size: int = 16) -> tuple[Root, Scribe]:
    root, scribe = await rooted()
    await write(root, scribe.notes(count, size))
    return root, scribe


async def write(root: Root, notes: list[bytes]) -> None:
    envoy = Envoy()
    for note in notes:
        await root.submit(envoy, Submit(1, note))
    await envoy.until(Accepted, len(notes))


def follow(root: Root, start: int, credit: int = CREDIT, sparse: int = 0) -> Envoy:
    envoy = Envoy()
    one = Subscriber(root, envoy, 1, start, credit=credit, sparse=sparse)
    root.subscribers[one] = None
    one.start()
    return envoy


@pytest.mark.parametrize("start", [0, 1, 7, 20, 21])
async def test_from_any_position_all_comes_in_order(start: int) -> None:
    root, scribe = await written(20)
    envoy = follow(root, start)
    await envoy.until_frames(21 - start)
    await write(root, scribe.notes(3))
    await envoy.until_frames(24 - start)
    assert envoy.indexes == list(range(start, 24))
    await root.close()


async def test_who_does_not_read_gets_no_more_than_its_credit() -> None:
    """What it has not got waits in the log, and everybody else goes on."""
    root, scribe = await written(0)
    slow, quick = follow(root, 1, credit=3000), follow(root, 1)
    for _ in range(20):
        await write(root, scribe.notes(10, 400))
    await quick.until_frames(200)
    assert 0 < sum(map(len, slow.frames)) < 3000 + module.BATCH_BYTES
    held = len(slow.frames)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(slow.frames) == held
    (one,) = [one for one in root.subscribers if one.guest is slow]
    one.give(1 << 62)
    assert one._credit == limits.CREDIT_BYTES_MAX
    await slow.until_frames(200)
    assert slow.indexes == quick.indexes
    await asyncio.sleep(0)
    assert one.at_tail
    await root.close()


async def test_commits_of_others_have_their_turns_between_two_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One who catches up on much would else hold up each step of each of them by a batch."""
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    root, _ = await written(20)
    envoy, turns = follow(root, 0), 0
    while len(envoy.frames) < 21:
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 20 * 8
    await root.close()


async def test_credit_is_bounded_from_the_start() -> None:
    root, _ = await written(0)
    one = Subscriber(root, Envoy(), 1, 1, credit=1 << 62, sparse=0)
    assert one._credit == limits.CREDIT_BYTES_MAX
    await root.close()


async def test_who_is_far_behind_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAG_BYTES", 2000)
    root, scribe = await written(0)
    slow = follow(root, 1, credit=10)
    await write(root, scribe.notes(5, 400))
    for _ in range(5):
        await write(root, scribe.notes(5, 400))
    assert [one.head for one in slow.of(Lagged)] == [slow.of(Lagged)[0].head]
    await root.close()


async def test_long_bodies_are_left_out_of_a_sparse_stream() -> None:
    root, scribe = await written(0)
    envoy = follow(root, 0, sparse=100)
    short, long = scribe.note(b"s" * 100), scribe.note(b"l" * 101)
    await write(root, [short, long])
    frames = [Record(memoryview(one)) for one in await envoy.until_frames(3)]
    assert [int(one.table["place"][0]) == PLACE_ABSENT for one in frames] == [False, False, True]
    assert [one.leaf for one in frames] == [
        root.ledger.view.commits.leaf_at(root.ledger.view.commits.place_at(at)) for at in range(3)
    ]
    await root.close()


async def test_large_bodies_travel_inline_live_and_later() -> None:
    disk = SimDisk()
    root, scribe = await rooted(store=LocalLog.open("/c", disk=disk))
    live = follow(root, 1)
    body = bytes(range(256)) * (4 * limits.BODY_INLINE_BYTES_MAX // 256)
    await write(root, [scribe.note(body)])
    later = follow(root, 1)
    for envoy in (live, later):
        record = Record(memoryview((await envoy.until_frames(1))[0]))
        assert bytes(record.inline(record.row(0))) == body
    assert live.frames == later.frames
    assert body in disk.snapshot()["/c/000001/body.000001"]
    await root.close()


async def test_a_log_that_cannot_be_read_ends_the_channel() -> None:
    disk = SimDisk()
    root, scribe = await rooted(store=LocalLog.open("/c", disk=disk))
    await write(root, [scribe.note(b"large" * limits.BODY_INLINE_BYTES_MAX)])

    def damaged(place: int, length: int) -> memoryview:
        raise CorruptLog(f"there is no body of {length} bytes at {place:#x}")

    root.ledger.store.body = damaged  # type: ignore[method-assign]
    envoy = follow(root, 0)
    (failed,) = await envoy.until(Failed)
    assert failed.code == "corrupt_log"
    assert not root.subscribers
    await root.close()


async def test_who_has_left_gets_nothing_more() -> None:
    root, scribe = await written(0)
    envoy = follow(root, 1, credit=1)
    (one,) = root.subscribers
    await write(root, scribe.notes(2))
    root.leave(one)
    heard = len(envoy.heard)
    await write(root, scribe.notes(2))
    assert len(envoy.heard) == heard
    await root.close()
