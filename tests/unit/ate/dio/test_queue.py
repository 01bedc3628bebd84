"""Each job goes to one holder at a time and is done once, whoever stops, hurries or dies."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.shared import Note, World, play, put, texts

import ate
from ate.dio.bell import Bell
from ate.dio.job import Job
from ate.dio.lease import Lease, lease_id_of
from ate.dio.queue import Queue
from ate.errors import Fenced, ReadOnly
from ate.testing.simclock import SimClock


@dataclass(frozen=True)
class Task:
    name: str


@dataclass(frozen=True)
class Done:
    name: str


async def names(chain: ate.Chain, type: type[Task | Done] = Done) -> list[str]:
    return [dao.value.name async for dao in chain.dio().all(type)]


async def test_what_is_pushed_is_claimed_in_order_and_gone_when_done() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = Queue(chain, Task)
        for name in "abc":
            await queue.push(Task(name))
        assert len(queue) == await queue.count() == 3
        for name in "abc":
            async with queue.claim() as job:
                assert job.value == Task(name)
                job.dio.store(Done(name))
        assert await queue.count() == 0
        assert await names(chain) == ["a", "b", "c"]
        assert len(chain) == 3, "neither jobs nor leases are left"


async def test_a_push_inside_a_unit_of_work_is_part_of_it() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue, dio = Queue(chain, Task), chain.dio()
        await queue.push(Task("later"), dio=dio)
        assert await queue.count() == 0
        dio.store(Done("before"))
        await dio.commit()
        assert await queue.count() == 1


async def test_plain_objects_of_the_type_are_jobs_and_the_backlog_is_offered() -> None:
    async with ate.open("jobs", memory=True) as chain:
        dio = chain.dio()
        dio.store(Task("old"))
        other = dio.store(Done("parent"))
        dio.store(Task("elsewhere"), parent=other)
        await dio.commit()
        queue = Queue(chain, Task)
        assert await queue.count() == 1
        async with queue.claim() as job:
            assert job.value == Task("old")
        below = Queue(chain, Task, parent=other)
        async with below.claim() as job:
            assert job.value == Task("elsewhere")


async def test_a_claim_waits_for_a_job() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = Queue(chain, Task)
        waiting = asyncio.create_task(queue._claim())
        await asyncio.sleep(0)
        assert not waiting.done()
        await queue.push(Task("now"))
        job = await waiting
        assert job.value == Task("now")
        assert repr(job).startswith("Job(")
        assert repr(queue) == "Queue(Task, 1 jobs)"


async def test_several_consumers_never_get_one_job() -> None:
    async with ate.open("jobs", memory=True, session=ate.Session.new("boss")) as chain:
        queues = [Queue(chain, Task) for _ in range(2)]
        inside: set[str] = set()
        order: list[str] = []

        async def consume(queue: Queue[Task]) -> None:
            async for job in queue:
                async with job:
                    assert job.value.name not in inside
                    inside.add(job.value.name)
                    order.append(job.value.name)
                    await asyncio.sleep(0)
                    job.dio.store(Done(job.value.name))

        tasks = [asyncio.create_task(consume(queues[n % 2])) for n in range(6)]
        dio = chain.dio()
        for number in range(40):
            await queues[0].push(Task(str(number)), dio=dio)
        await dio.commit()
        await queues[0].join()
        assert sorted(await names(chain)) == sorted(order) == sorted(map(str, range(40)))
        await chain.close()
        await asyncio.gather(*tasks)


async def test_the_same_lease_is_won_by_one_of_two_queues() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queues = [Queue(chain, Task) for _ in range(4)]
        dao = await queues[0].push(Task("one"))
        tries = [queue._try(dao.id) for queue in queues]
        won = [job for job in await asyncio.gather(*tries) if job is not None]
        assert len(won) == 1
        async with won[0]:
            pass
        assert len(chain) == 0


async def test_an_exception_gives_the_job_back_and_drops_the_work() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = Queue(chain, Task)
        await queue.push(Task("a"))
        with pytest.raises(ZeroDivisionError):
            async with queue.claim() as job:
                job.dio.store(Done("half"))
                1 / 0  # noqa: B018 — what the work raises
        assert job.is_over
        async with queue.claim() as again:
            assert (again.value, again.fence) == (Task("a"), 2)
        assert await names(chain) == []


async def test_a_job_that_was_given_back_wakes_who_waits() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = Queue(chain, Task)
        await queue.push(Task("a"))
        first = await queue._claim()
        waiting = asyncio.create_task(Queue(chain, Task)._claim())
        await asyncio.sleep(0)
        await first.give_back()
        assert (await waiting).fence == 2


async def test_a_cancelled_holder_gives_the_job_back() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue, held = Queue(chain, Task), asyncio.Event()
        await queue.push(Task("a"))

        async def hold() -> None:
            async with queue.claim():
                held.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(hold())
        await held.wait()
        task.cancel()
        await asyncio.wait([task])
        async with queue.claim() as job:
            assert job.fence == 2


async def test_a_claim_that_is_cancelled_while_its_lease_lands_holds_nothing() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = Queue(chain, Task)
        await queue.push(Task("a"))
        claiming = asyncio.create_task(queue._claim())
        with Bell(chain) as bell:
            await bell.rest()
        claiming.cancel()
        await asyncio.wait([claiming])
        assert claiming.cancelled()
        async with queue.claim() as job:
            assert job.fence == 2


async def test_past_the_lease_the_job_is_offered_again_and_the_late_holder_is_fenced() -> None:
    clock = SimClock()
    async with ate.open("jobs", memory=True, clock=clock) as chain:
        queue = Queue(chain, Task, lease_s=10)
        await queue.push(Task("a"))
        late = await queue._claim()
        waiting = asyncio.create_task(queue._claim())
        clock.advance(9.9)
        await queue.push(Task("ring the bell"))
        async with await waiting as other:
            assert other.value == Task("ring the bell")

        clock.advance(0.2)
        async with queue.claim() as second:
            assert (second.id, second.fence) == (late.id, 2)
            late.dio.store(Done("late"))
            with pytest.raises(Fenced):
                await late.dio.commit()
            second.dio.store(Done("second"))
        with pytest.raises(Fenced):
            await late.dio.commit()
        assert await names(chain) == ["second"]


async def test_who_waits_is_woken_when_a_lease_runs_out() -> None:
    async with ate.open("jobs", memory=True) as chain:
        quick = Queue(chain, Task, lease_s=0.01)
        await quick.push(Task("a"))
        first = await quick._claim()
        second = await quick._claim()
        assert (second.id, second.fence) == (first.id, 2)


async def test_a_late_holder_may_finish_while_nobody_has_taken_over() -> None:
    clock = SimClock()
    async with ate.open("jobs", memory=True, clock=clock) as chain:
        queue = Queue(chain, Task, lease_s=10)
        await queue.push(Task("a"))
        async with queue.claim() as job:
            clock.advance(3600)
            job.dio.store(Done("a"))
        assert await names(chain) == ["a"]


async def test_leases_of_an_earlier_process_are_void_at_once(tmp_path: Path) -> None:
    clock = SimClock()
    async with ate.open("jobs", path=tmp_path, clock=clock) as chain:
        queue = Queue(chain, Task)
        await queue.push(Task("a"))
        dead = await queue._claim()
    async with ate.open("jobs", path=tmp_path, clock=clock) as chain:
        queue = Queue(chain, Task)
        async with queue.claim() as job:
            assert (job.id, job.fence) == (dead.id, 2)
        assert len(chain) == 0


async def test_where_others_may_be_alive_a_lease_holds_until_its_time(tmp_path: Path) -> None:
    clock = SimClock()
    async with ate.open("jobs", path=tmp_path, clock=clock) as chain:
        queue = Queue(chain, Task, lease_s=10)
        queue._leases.alone = False
        await queue.push(Task("a"))
        await queue._claim()
    async with ate.open("jobs", path=tmp_path, clock=clock) as chain:
        queue = Queue(chain, Task, lease_s=10)
        queue._leases.alone = False
        left_s = (await queue._look_for())[1]
        assert left_s is not None
        assert 9.9 < left_s <= 10, "the loop's own time goes on while it looks"
        clock.advance(10)
        async with queue.claim() as job:
            assert job.fence == 2


async def test_a_job_that_is_gone_when_its_lease_lands_is_not_worked_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = Queue(chain, Task)
        dao = await queue.push(Task("a"))
        hold = Job._hold

        async def end_it_first(self: Job[Task]) -> None:
            dio = chain.dio()
            (await dio.load(Task, dao.id)).delete()
            await dio.commit()
            await hold(self)

        monkeypatch.setattr(Job, "_hold", end_it_first)
        assert await queue._look_for() == ([], None)
        assert len(chain) == 0, "no lease stays behind"


async def test_several_jobs_are_taken_in_one_commit() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue, dio = Queue(chain, Task), chain.dio()
        for name in "abcde":
            dio.store(Task(name))
        await dio.commit()
        held, commits = await queue._claim(), chain.commits
        jobs = await queue._claim_some(3)
        assert [job.value.name for job in jobs] == ["b", "c", "d"]
        assert chain.commits == commits + 1
        rest = await queue._claim_some(64)
        assert [job.value.name for job in rest] == ["e"]
        assert held.id not in {job.id for job in (*jobs, *rest)}


async def test_jobs_that_were_taken_for_nobody_are_given_back() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue, dio = Queue(chain, Task), chain.dio()
        for name in "abc":
            dio.store(Task(name))
        await dio.commit()
        claiming = asyncio.create_task(queue._claim_some(3))
        with Bell(chain) as bell:
            await bell.rest()
        claiming.cancel()
        await asyncio.wait([claiming])
        jobs = await queue._claim_some(3)
        assert [(job.value.name, job.fence) for job in jobs] == [("a", 2), ("b", 2), ("c", 2)]


async def test_one_refusal_gives_the_others_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue, dio = Queue(chain, Task), chain.dio()
        for name in "ab":
            dio.store(Task(name))
        await dio.commit()
        hold = Job._hold

        async def refuse_b(self: Job[Task]) -> None:
            if self.value.name == "b" and self.fence == 1:
                raise ate.WriteDenied("not b")
            await hold(self)

        monkeypatch.setattr(Job, "_hold", refuse_b)
        with pytest.raises(ate.WriteDenied):
            await queue._claim_some(2)
        async with queue.claim() as job:
            assert (job.value.name, job.fence) == ("a", 2)


async def test_a_job_that_is_gone_before_its_lease_is_passed_over() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = Queue(chain, Task)
        dao = await queue.push(Task("a"))
        async with queue.claim():
            pass
        assert await queue._try(dao.id) is None
        assert len(chain) == 0


async def test_jobs_that_cannot_be_read_are_left_to_others() -> None:
    alice, bob = ate.Session.new("alice"), ate.Session.new("bob")
    access = ate.Access(write=ate.Everyone)
    async with ate.open("jobs", memory=True, session=alice, access=access) as chain:
        dio = chain.dio()
        dio.store(Task("secret"), access=ate.Access(read=ate.Only(alice.public)))
        dio.store(Task("open"), access=ate.Access(read=ate.Everyone))
        await dio.commit()
        bobs = Queue(chain, Task, session=bob)
        async with bobs.claim() as job:
            assert job.value == Task("open")
        assert (await bobs._look_for()) == ([], None)
        async with Queue(chain, Task).claim() as job:
            assert job.value == Task("secret")


async def test_who_may_not_write_cannot_take_a_job() -> None:
    alice, bob = ate.Session.new("alice"), ate.Session.new("bob")
    access = ate.Access(read=ate.Everyone)
    async with ate.open("jobs", memory=True, session=alice, access=access) as chain:
        await Queue(chain, Task).push(Task("a"))
        with pytest.raises(ate.WriteDenied):
            async with Queue(chain, Task, session=bob).claim():
                pass


async def test_another_object_in_place_of_the_lease_blocks_only_that_job() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue, dio = Queue(chain, Task), chain.dio()
        blocked = await queue.push(Task("blocked"))
        stray = await queue.push(Task("stray"))
        await queue.push(Task("free"))
        dio.store("squatter", id=lease_id_of(blocked.id))
        dio.store(Lease(1, 1, 0), id=lease_id_of(stray.id))
        await dio.commit()
        async with queue.claim() as job:
            assert job.value == Task("free")


async def test_a_moved_job_is_a_job_elsewhere() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue, dio = Queue(chain, Task), chain.dio()
        task = await queue.push(Task("a"))
        folder = dio.store("folder")
        await dio.commit()
        (await dio.load(Task, task.id)).move(folder)
        await dio.commit()
        assert await queue.count() == 0
        assert await Queue(chain, Task, parent=folder.id).count() == 1


async def test_a_job_that_was_not_entered_is_given_back() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = Queue(chain, Task)
        await queue.push(Task("a"))
        fences = []
        async for job in queue:
            fences.append(job.fence)
            if len(fences) == 3:
                async with job:
                    break
        assert fences == [1, 2, 3]


async def test_closing_the_chain_ends_the_loops_and_the_waits() -> None:
    chain = await ate.open("jobs", memory=True)
    queue = Queue(chain, Task)

    async def loop() -> int:
        return len([job async for job in queue])

    looping = asyncio.create_task(loop())
    claiming = asyncio.create_task(queue._claim())
    dio = chain.dio()
    dio.store(Task("elsewhere"), parent=dio.store(Done("folder")))
    await dio.commit()
    busy = Queue(chain, Task, parent=(await anext(chain.dio().all(Done))).id)
    joining = asyncio.create_task(busy.join())
    await asyncio.sleep(0)
    await chain.close()
    assert await looping == 0
    for ended in (claiming, joining):
        with pytest.raises(ate.UsageError, match="closed"):
            await ended


async def test_other_errors_are_not_taken_for_the_end_of_the_loop(tmp_path: Path) -> None:
    async with ate.open("jobs", path=tmp_path) as chain:
        await Queue(chain, Task).push(Task("a"))
        async with ate.open("jobs", path=tmp_path, readonly=True) as reader:
            queue = Queue(reader, Task)
            assert not queue._alone
            with pytest.raises(ReadOnly):
                async for _ in queue:
                    pass


def test_a_lease_must_last() -> None:
    with pytest.raises(ate.UsageError):
        Queue(None, Task, lease_s=0)  # type: ignore[arg-type]


async def test_handlers_work_several_at_a_time_until_the_chain_closes() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue, most, now = Queue(chain, Task), 0, 0
        for number in range(20):
            await queue.push(Task(f"{number:02}"))

        async def handle(job: Job[Task]) -> None:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            job.dio.store(Done(job.value.name))
            now -= 1

        working = asyncio.ensure_future(queue.work(handle, at_once=4))
        await queue.join()
        assert sorted(await names(chain)) == [f"{number:02}" for number in range(20)]
        assert most == 4
        assert not working.done(), "it waits for more"
    await working


async def test_a_handler_that_fails_ends_the_work_and_its_job_is_offered_again() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = Queue(chain, Task)
        await queue.push(Task("bad"))

        async def handle(job: Job[Task]) -> None:
            job.dio.store(Done("never"))
            raise ZeroDivisionError

        with pytest.raises(ExceptionGroup) as caught:
            await queue.work(handle, at_once=2)
        assert caught.group_contains(ZeroDivisionError)
        assert await names(chain) == []
        async with queue.claim() as job:
            assert job.value == Task("bad")


async def test_whoever_waits_for_the_last_job_hears_that_the_chain_was_closed() -> None:
    chain = await ate.open("jobs", memory=True)
    queue = Queue(chain, Task)
    await queue.push(Task("left"))
    waiting = asyncio.ensure_future(queue.join())
    await asyncio.sleep(0)
    await chain.close()
    with pytest.raises(ate.AteError, match="closed"):
        await waiting


async def test_a_queue_goes_on_over_a_compaction() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue = Queue(chain, Task)
        for name in "abc":
            await queue.push(Task(name))
        async with Queue(chain, Task).claim():
            pass
        await chain.compact()
        await queue.push(Task("d"))
        assert len(queue) == 3
        for name in "bcd":
            async with queue.claim() as job:
                assert job.value == Task(name)


def test_while_there_is_no_connection_whoever_claims_waits() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open(recovery="readonly-async")
        await put(chain, "a")
        queue = Queue(chain, Note)
        await world.stop()
        await world.loop.pause(5)

        async def one() -> str:
            async with queue.claim() as job:
                return str(job.value.text)

        claiming = asyncio.ensure_future(one())
        await world.loop.pause(60)
        assert not claiming.done()
        world.start()
        assert await claiming == "a"
        assert await texts(chain) == []
        await chain.close()
        with pytest.raises(ate.AteError, match="closed"):
            await one()

    play(main)


def test_machines_that_take_from_one_queue_do_each_job_once() -> None:
    async def main(world: World) -> None:
        chains = [await world.device(f"d{number}").open() for number in range(3)]
        dio = chains[0].dio()
        for number in range(30):
            dio.store(Note(f"{number:02}"))
        await dio.commit()
        for chain in chains:
            await chain.sync()
        done, spreads = list[str](), list[int]()

        async def work(chain: ate.Chain) -> None:
            queue = Queue(chain, Note)
            while len(queue):
                jobs, _ = await queue._look_for(2)
                spreads.append(queue._spread)
                for job in jobs:
                    async with job:
                        done.append(job.value.text)
                if not jobs:
                    await world.loop.pause(0.01)

        await asyncio.gather(*map(work, chains))
        assert sorted(done) == [f"{number:02}" for number in range(30)]
        assert max(spreads) > 1, "after a lost race each looks elsewhere"
        for chain in chains:
            await chain.sync()
            assert await texts(chain) == []
            await chain.close()

    play(main)
