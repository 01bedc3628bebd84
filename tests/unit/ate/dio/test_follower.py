"""Projections see everything in order, workers what is new, once; neither holds a commit up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import ate
from ate.dio.schema import schema_of
from ate.trust.plugin import Change
from ate.trust.worker import OnChange

INT = schema_of(int).schema_id


class Total:
    """The sum of all ints of a chain, folded from its changes."""

    name = "total"

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.values: dict[bytes, int] = {}

    def apply(self, change: Change) -> None:
        self.seqs.append(change.seq)
        if change.is_delete:
            self.values.pop(change.row.id, None)
        elif change.row.schema == INT and change.plain is not None:
            if (value := schema_of(int).decode(change.plain, change.codec)) < 0:
                raise ValueError("no negative numbers")
            self.values[change.row.id] = value


async def add(chain: ate.Chain, *values: int) -> ate.Receipt:
    dio = chain.dio()
    for value in values:
        dio.store(value)
    return await dio.commit()


async def test_a_projection_sees_the_backlog_and_then_what_comes(tmp_path: Path) -> None:
    session = ate.Session.new("me")
    async with ate.open("sum", path=tmp_path, session=session) as chain:
        await add(chain, 1, 2)
    total = Total()
    async with ate.open("sum", path=tmp_path, session=session, plugins=[total]) as chain:
        assert sorted(total.values.values()) == [1, 2]
        receipt = await add(chain, 3)
        await chain.seen(total, receipt.seq)
        assert sum(total.values.values()) == 6
        dio = chain.dio()
        async for dao in dio.all(int):
            dao.value += 1
        await dio.commit()
        dio.delete(dao.id)
        await dio.commit()
        await chain.seen(total)
        live, replayed = total.values, Total()
    async with ate.open("sum", path=tmp_path, session=session, plugins=[replayed]) as chain:
        assert replayed.values == live, "the live view equals a replay of the log"
        assert replayed.seqs == total.seqs == sorted(set(total.seqs))


async def test_a_projection_of_a_reader_follows_its_refresh(tmp_path: Path) -> None:
    total = Total()
    async with (
        ate.open("sum", path=tmp_path) as writer,
        ate.open("sum", path=tmp_path, readonly=True, plugins=[total]) as reader,
    ):
        await add(writer, 4)
        await reader.refresh()
        await reader.seen(total)
        assert list(total.values.values()) == [4]


async def test_a_projection_that_fails_at_the_opening_is_heard(tmp_path: Path) -> None:
    async with ate.open("sum", path=tmp_path) as chain:
        await add(chain, -1)
    with pytest.raises(ValueError, match="negative"):
        await ate.open("sum", path=tmp_path, plugins=[Total()])
    async with ate.open("sum", path=tmp_path):
        pass  # the failed opening left no lock


async def test_a_projection_that_fails_stops_and_says_so() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    total = Total()
    async with ate.open("sum", memory=True, plugins=[total]) as chain:
        await add(chain, 1)
        await chain.seen(total)
        await add(chain, -1)
        with pytest.raises(ValueError, match="negative"):
            await chain.seen(total)
        await add(chain, 5)
        with pytest.raises(ValueError, match="negative"):
            await chain.seen(total)
        assert list(total.values.values()) == [1]
    assert "has stopped" in told[0]["message"]


async def test_a_worker_runs_once_for_each_new_change_of_its_types(tmp_path: Path) -> None:
    async with ate.open("work", path=tmp_path) as chain:
        await add(chain, 1)
    seen: list[int] = []
    worker = OnChange(frozenset([INT]), lambda change: seen.append(change.seq))
    async with ate.open("work", path=tmp_path, plugins=[worker]) as chain:
        start = chain.head
        dio = chain.dio()
        dio.store("not mine")
        await dio.commit()
        await add(chain, 2, 3)
        dio = chain.dio()
        two = await anext(dio.all(int))
        two.value = 7
        await dio.commit()
        two.delete()
        await dio.commit()
        await chain.seen(worker)
        assert seen == [start + 2, start + 3, start + 4, start + 5]


async def test_a_worker_may_be_async_and_outlives_its_errors() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    seen: list[int] = []

    async def work(change: Change) -> None:
        await asyncio.sleep(0)
        seen.append(change.seq)
        if len(seen) == 1:
            raise RuntimeError("once")

    callback: Callable[[Change], Awaitable[None]] = work
    worker = OnChange(frozenset([INT]), callback)
    async with ate.open("work", memory=True, plugins=[worker]) as chain:
        await add(chain, 1, 2)
    assert len(seen) == 2, "closing waits until the worker has seen all"
    assert "goes on" in told[0]["message"]


async def test_a_worker_never_holds_a_commit_up() -> None:
    go, seen = asyncio.Event(), []

    async def slow(change: Change) -> None:
        await go.wait()
        seen.append(change.seq)

    worker = OnChange(frozenset([INT]), slow)
    async with ate.open("work", memory=True, plugins=[worker]) as chain:
        for value in range(5):
            await add(chain, value)
        assert not seen
        waiting = asyncio.create_task(chain.seen(worker, chain.head))
        await asyncio.sleep(0)
        go.set()
        await waiting
        assert len(seen) == 5


async def test_a_worker_may_close_the_chain() -> None:
    closed = asyncio.Event()
    chain: ate.Chain

    async def last(change: Change) -> None:
        await chain.close()
        closed.set()

    worker = OnChange(frozenset([INT]), last)
    chain = await ate.open("work", memory=True, plugins=[worker])
    await add(chain, 1)
    await closed.wait()


async def test_waiting_for_the_wrong_thing_is_refused() -> None:
    total = Total()
    async with ate.open("sum", memory=True, plugins=[total]) as chain:
        with pytest.raises(ate.UsageError, match="no projection"):
            await chain.seen(Total())
        waiting = asyncio.create_task(chain.seen(total, 1000))
        await asyncio.sleep(0)
    with pytest.raises(ate.UsageError, match="closed before"):
        await waiting
