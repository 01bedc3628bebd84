"""The first commit of a job's Dio is the end of the job; nothing gets around its lease."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import ate
from ate.dio.queue import Queue
from ate.errors import Fenced
from ate.testing.simclock import SimClock


@dataclass(frozen=True)
class Task:
    name: str


async def test_an_explicit_commit_ends_the_job_and_more_work_follows() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = Queue(chain, Task)
        await queue.push(Task("a"))
        async with queue.claim() as job:
            job.dio.store("first")
            receipt = await job.dio.commit()
            assert receipt.seq
            assert job.is_over
            assert await queue.count() == 0
            job.dio.store("second")
        assert [dao.value async for dao in chain.dio().all(str)] == ["first", "second"]


async def test_an_error_after_the_end_does_not_bring_the_job_back() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = Queue(chain, Task)
        await queue.push(Task("a"))
        with pytest.raises(ZeroDivisionError):
            async with queue.claim() as job:
                await job.dio.commit()
                1 / 0  # noqa: B018 — what the work raises
        assert await queue.count() == 0


async def test_cancelling_the_work_keeps_the_end() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = Queue(chain, Task)
        await queue.push(Task("a"))
        async with queue.claim() as job:
            job.dio.store("half")
            job.dio.cancel()
        assert len(chain) == 0


async def test_last_writer_wins_is_not_for_the_lease() -> None:
    clock = SimClock()
    async with ate.open("jobs", memory=True, clock=clock) as chain:
        queue = Queue(chain, Task, lease_s=1)
        await queue.push(Task("a"))
        late = await queue._claim()
        clock.advance(2)
        second = await queue._claim()
        late.dio.store("late")
        for how in ("last", "merge", "error"):
            with pytest.raises(Fenced):
                await late.dio.commit(on_conflict=how)
        async with second:
            second.dio.store("second")
        assert [dao.value async for dao in chain.dio().all(str)] == ["second"]


async def test_a_conflict_of_the_work_is_no_fence_and_gives_the_job_back() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue, dio = Queue(chain, Task), chain.dio()
        counter = dio.store(1)
        await dio.commit()
        await queue.push(Task("a"))
        with pytest.raises(ate.Conflict):
            async with queue.claim() as job:
                mine = await job.dio.load(int, counter.id)
                counter.value = 2
                await dio.commit()
                mine.value = 3
        async with queue.claim() as job:
            assert job.fence == 2
            (await job.dio.load(int, counter.id)).value = 3
        assert (await chain.dio().load(int, counter.id)).value == 3


async def test_renewing_keeps_the_job_past_its_first_lease() -> None:
    clock = SimClock()
    async with ate.open("jobs", memory=True, clock=clock) as chain:
        queue = Queue(chain, Task, lease_s=10)
        await queue.push(Task("a"))
        async with queue.claim() as job:
            clock.advance(9)
            await job.renew()
            clock.advance(9)
            assert (await queue._look_for())[0] == []
            job.dio.store("done")
        assert len(chain) == 1
        with pytest.raises(ate.UsageError):
            await job.renew()


async def test_renewing_a_job_that_went_to_another_is_refused() -> None:
    clock = SimClock()
    async with ate.open("jobs", memory=True, clock=clock) as chain:
        queue = Queue(chain, Task, lease_s=10)
        await queue.push(Task("a"))
        late = await queue._claim()
        clock.advance(11)
        second = await queue._claim()
        with pytest.raises(Fenced):
            await late.renew()
        await late.give_back()
        jobs, wait_s = await queue._look_for()
        assert not jobs, "the second still holds it"
        assert wait_s == pytest.approx(10)
        async with second:
            pass
        third = await queue.push(Task("b"))
        last = await queue._claim()
        assert last.id == third.id
        dio = chain.dio()
        (await dio.load(Task, third.id)).delete()
        await dio.commit()
        with pytest.raises(Fenced):
            await last.renew()
