"""Several leases in one commit: all of them or none, and nothing is left behind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from tests.shared import World, play, until

import ate
from ate.dio.lease import lease_id_of
from ate.dio.queue import Queue
from ate.dio.taking import offer_again, take


@dataclass(frozen=True)
class Task:
    number: int


async def filled(chain: ate.Chain, count: int) -> tuple[Queue[Task], list[bytes]]:
    dio = chain.dio()
    ids: list[bytes] = [dio.store(Task(number)).id for number in range(count)]
    await dio.commit()
    return Queue(chain, Task), ids


async def test_several_are_taken_in_one_commit() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue, ids = await filled(chain, 5)
        before = chain.commits
        jobs = await take(queue, ids)
        assert [job.id for job in jobs] == ids
        assert chain.commits == before + 1
        for job in jobs:
            async with job:
                pass
        assert len(chain) == 0


async def test_none_is_taken_when_one_is_gone_to_another() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue, ids = await filled(chain, 3)
        both = await asyncio.gather(take(queue, ids), take(Queue(chain, Task), ids[1:]))
        assert sorted(map(len, both)) in ([0, 2], [0, 3])


async def test_what_is_gone_or_cannot_be_read_is_left_out() -> None:
    alice, bob = ate.Session.new("alice"), ate.Session.new("bob")
    both = ate.Access(read=ate.Only(alice.public, bob.public), write=ate.Everyone)
    async with ate.open("jobs", memory=True, session=alice, access=both) as chain:
        _, ids = await filled(chain, 2)
        dio = chain.dio()
        dio.delete(ate.ObjectId(ids[0]))
        secret = dio.store(Task(9), access=ate.Access(read=ate.Only(alice.public)))
        await dio.commit()
        bobs = Queue(chain, Task, session=bob)
        jobs = await take(bobs, [*ids, secret.id])
        assert [job.id for job in jobs] == ids[1:]
        assert await take(bobs, [secret.id]) == []


async def test_one_that_ended_meanwhile_leaves_no_lease() -> None:
    async with ate.open("jobs", memory=True) as chain:
        queue, ids = await filled(chain, 1)
        (job,) = await take(queue, ids)
        async with job:
            pass
        assert await take(queue, ids) == []
        assert not await chain.dio().exists(lease_id_of(ids[0]))


async def test_a_cancelled_take_gives_back_what_has_landed() -> None:
    async with ate.open("jobs", memory=True, session=ate.Session.new("a")) as chain:
        queue, ids = await filled(chain, 3)
        for turns in range(12):
            task = asyncio.create_task(take(queue, ids))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            (found,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(found, list):
                await offer_again(found)
        assert len(await queue._claim_some(3)) == 3


async def test_a_job_that_ends_while_it_is_taken_is_not_held_and_leaves_no_lease() -> None:
    async with ate.open("jobs", memory=True, session=ate.Session.new("a")) as chain:
        taken = list[int]()
        for turns in range(16):
            queue, (one, other) = await filled(chain, 2)
            task = asyncio.create_task(take(queue, [one, other]))
            for _ in range(turns):
                await asyncio.sleep(0)
            dio = chain.dio()
            dio.delete(ate.ObjectId(one))
            await dio.commit()
            jobs = await task
            taken.append(len(jobs))
            for job in jobs:
                if job.id == other:
                    async with job:
                        pass
                else:  # it was held before it ended
                    with pytest.raises(ate.AteError):
                        async with job:
                            pass
            if not jobs:
                dio.delete(ate.ObjectId(other))
                await dio.commit()
            assert len(chain) == 0, "no lease outlives its job"
        assert 1 in taken


def test_a_lease_that_was_taken_when_the_server_was_lost_is_used() -> None:
    """Whether it had landed or not: nobody waits for the end of a lease of one's own."""

    async def main(world: World) -> None:
        world.net.shape(latency_s=(0.01, 0.01))
        chain = await world.device().open(recovery="readonly-async")
        dio = chain.dio()
        for number in range(4):
            dio.store(Task(number))
        await dio.commit()
        queue = Queue(chain, Task, lease_s=100_000)
        for after_s in (0.0, 0.004, 0.008):
            working = asyncio.ensure_future(claim_one(queue))
            await world.loop.pause(after_s)
            world.net.cut("server", "one", both=False)
            await world.loop.pause(0.02)
            await world.stop()
            await until(chain, lambda: not chain.status.online)
            await world.loop.pause(3)
            world.net.heal()
            world.start()
            await working
        assert len(queue) == 1
        assert world.loop.time() < 1000
        await chain.close()

    play(main)


async def claim_one(queue: Queue[Task]) -> None:
    async with queue.claim() as job:
        assert job.fence >= 1
