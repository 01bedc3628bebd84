from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any as Anything

import pytest

import ate
from ate.client import Chain
from ate.event.access import Access, Everyone, Only
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member


@dataclass
class Task:
    text: str


@dataclass
class Note:
    text: str


async def put(chain: Chain, *values: Anything) -> list[ate.Dao[Anything]]:
    dio = chain.dio()
    daos = [dio.store(value) for value in values]
    await dio.commit()
    return daos


async def take(events: AsyncIterator[Anything], count: int) -> list[Anything]:
    return [await anext(events) for _ in range(count)]


def values(events: list[Anything]) -> list[Anything]:
    return [event.value for event in events]


async def test_the_backlog_then_what_comes_in_order_each_once() -> None:
    async with ate.open("w", memory=True) as chain:
        await put(chain, 1, 2)
        events = chain.watch(since=0)
        assert values(await take(events, 2)) == [1, 2]
        waiting = asyncio.ensure_future(take(events, 3))
        await put(chain, 3)
        await put(chain, 4, 5)
        assert values(await waiting) == [3, 4, 5]


async def test_without_since_from_now_on_even_if_read_later() -> None:
    async with ate.open("w", memory=True) as chain:
        await put(chain, 1)
        events = chain.watch()
        await put(chain, 2)
        assert values(await take(events, 1)) == [2]
        later = chain.watch(since=2)
        assert [event.seq for event in await take(later, 1)] == [3]


async def test_new_updated_and_deleted_are_told_apart() -> None:
    async with ate.open("w", memory=True) as chain:
        events = chain.watch()
        (dao,) = await put(chain, Task("a"))
        dao.update(text="b")
        await dao._dio.commit()
        dao.delete()
        await dao._dio.commit()
        new, updated, deleted = await take(events, 3)
        assert (new.is_new, new.is_delete, new.value) == (True, False, {"text": "a"})
        assert (updated.is_new, updated.is_delete) == (False, False)
        assert (deleted.is_new, deleted.is_delete, deleted.value) == (False, True, None)
        assert {event.id for event in (new, updated, deleted)} == {dao.id}
        assert [repr(event)[6:14] for event in (new, updated, deleted)] == [
            "new " + dao.id.hex()[:4], "updated ", "deleted ",
        ]  # fmt: skip
        assert new.parent == dao.parent


async def test_only_one_type_or_the_children_of_one_object() -> None:
    async with ate.open("w", memory=True) as chain:
        dio = chain.dio()
        top = dio.store(Note("top"))
        await dio.commit()
        tasks, below = chain.watch(type=Task), chain.watch(parent=top.id)
        anything = chain.watch(type=dict)
        dio.store(Note("n"))
        dio.store(Task("t"))
        dio.store(Task("child"), parent=top)
        await dio.commit()
        assert values(await take(tasks, 2)) == [Task("t"), Task("child")]
        assert values(await take(below, 1)) == [{"text": "child"}]
        assert len(await take(anything, 3)) == 3


async def test_what_cannot_be_read_is_seen_without_its_value() -> None:
    alice = member("alice")
    async with ate.open("w", memory=True, session=alice, access=Access(read=Everyone)) as chain:
        stranger = chain.watch(session=member("bob"))
        owner = chain.watch()
        dio = chain.dio()
        dio.store("secret", access=Access(read=Only(alice.public)))
        dio.store("public")
        await dio.commit()
        assert values(await take(stranger, 2)) == [None, "public"]
        assert values(await take(owner, 2)) == ["secret", "public"]


async def test_closing_the_chain_ends_the_watch_after_what_is_there() -> None:
    async with ate.open("w", path="/c", disk=SimDisk()) as chain:
        events = chain.watch(since=0)
        await put(chain, 1)
        assert values(await take(events, 1)) == [1]
        rest = asyncio.ensure_future(take_all(events))
        await asyncio.sleep(0)
    assert await rest == []
    assert len(chain._ledger.feed) == 0
    assert not chain._watches
    with pytest.raises(ate.UsageError, match="closed"):
        chain.watch()


async def take_all(events: AsyncIterator[Anything]) -> list[Anything]:
    return [event async for event in events]


async def test_a_watcher_that_goes_away_is_forgotten() -> None:
    async with ate.open("w", memory=True) as chain:
        events: Anything = chain.watch(since=0)
        await put(chain, 1)
        await anext(events)
        assert len(chain._ledger.feed) == 1
        await events.aclose()
        assert len(chain._ledger.feed) == 0
        assert not chain._watches


async def test_a_watcher_that_stops_reading_holds_nobody_up_and_keeps_nothing() -> None:
    """The writer goes on, memory stays flat, and all is there when it reads again."""
    disk = SimDisk()
    async with ate.open("w", path="/c", disk=disk, clock=SimClock(), durability=ate.NONE) as chain:
        events = chain.watch()
        await put(chain, 0)
        assert values(await take(events, 1)) == [0]
        gc.collect()
        tracemalloc.start()
        await _written(chain, 1600)
        traced = tracemalloc.take_snapshot()
        tracemalloc.stop()
        kept = sum(
            line.size for line in traced.statistics("filename")
            if line.traceback[0].filename.endswith(("dio/watch.py", "chain/feed.py"))
        )  # fmt: skip
        assert kept < 4096
        assert len(chain._ledger.feed) == 1
        assert len(await take(events, 1600)) == 1600


async def _written(chain: Chain, count: int) -> int:
    for number in range(count):
        async with chain.dio() as dio:
            dio.store(number)
    return chain.head


async def test_a_reading_process_is_told_by_refresh() -> None:
    disk = SimDisk()
    async with (
        ate.open("w", path="/c", disk=disk) as writer,
        ate.open("w", path="/c", disk=disk, readonly=True) as reader,
    ):
        events = reader.watch()
        waiting = asyncio.ensure_future(take(events, 2))
        await put(writer, 1, 2)
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await reader.refresh() == 3
        assert values(await waiting) == [1, 2]


async def test_more_than_one_batch_of_backlog() -> None:
    async with ate.open("w", memory=True) as chain:
        await put(chain, *range(700))
        assert values(await take(chain.watch(since=0), 700)) == list(range(700))
