"""Jobs held ahead: several at a time when they are quick, given back when nobody wants them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import ate
from ate.dio.queue import Queue
from ate.dio.stock import Stock
from ate.testing.simclock import SimClock


@dataclass(frozen=True)
class Task:
    number: int


async def filled(chain: ate.Chain, count: int, *, lease_s: float = 30) -> Queue[Task]:
    dio = chain.dio()
    for number in range(count):
        dio.store(Task(number))
    if count:
        await dio.commit()
    queue = Queue(chain, Task, lease_s=lease_s)
    queue._leases.alone = False
    return queue


async def test_alone_nothing_is_held_ahead() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = await filled(chain, 4)
        queue._leases.alone = True
        job = await queue._stock.take()
        assert len(queue._stock) == 0
        await job.give_back()


async def test_quick_jobs_are_taken_more_and_more_at_a_time() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue, before = await filled(chain, 64), chain.commits
        numbers, most = [], 0
        async for job in queue:
            async with job:
                numbers.append(job.value.number)
                most = max(most, len(queue._stock))
            if len(numbers) == 64:
                break
        assert sorted(numbers) == list(range(64))
        assert most > 1
        assert chain.commits - before < 2 * 64


async def test_what_a_loop_leaves_is_offered_again() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = await filled(chain, 8)
        queue._stock._most, queue._stock._filled_s = 4, 0.0
        loop = aiter(queue)
        job = await anext(loop)
        async with job:
            pass
        assert len(queue._stock) == 3
        await loop.aclose()  # type: ignore[attr-defined]
        other = await filled(chain, 0)
        found = 0
        async with asyncio.timeout(5):  # less than a lease lasts
            while found < 7:
                found += len(await other._claim_some(7))


async def test_what_is_held_when_the_chain_closes_is_given_back() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = await filled(chain, 4)
        queue._stock._most = 4
        with queue._stock:
            await queue._stock.take()
            assert queue._stock in chain._services
            head = chain.head
            await chain.close()
        assert chain.head > head
        assert len(queue._stock) == 0


async def test_a_job_whose_lease_is_nearly_over_is_not_begun() -> None:
    clock = SimClock()
    async with ate.open("jobs", memory=True, clock=clock) as chain:
        queue = await filled(chain, 4, lease_s=10)
        queue._stock._most = 4
        await queue._stock.take()
        assert len(queue._stock) == 3
        clock.jump(6)
        assert queue._stock.pop() is None
        assert queue._stock._most == 1


async def test_others_that_wait_get_what_is_held_ahead() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = await filled(chain, 0)
        waiting = [asyncio.create_task(queue._claim()) for _ in range(2)]
        await asyncio.sleep(0)
        assert isinstance(queue._stock, Stock)
        dio = chain.dio()
        for number in range(2):
            dio.store(Task(number))
        await dio.commit()
        found = await asyncio.gather(*waiting)
        assert sorted(job.value.number for job in found) == [0, 1]
