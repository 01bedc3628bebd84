"""A lease is one object for one job, and its bytes are what they are called."""

from __future__ import annotations

from math import inf

from tests.shared import Note, World, play, put

import ate
from ate.dio.lease import NEVER_US, Lease, Leases, Standing, lease_id_of, standing
from ate.dio.schema import schema_of
from ate.ids import ObjectId
from ate.testing.simclock import SimClock


def test_a_job_has_one_lease_and_every_job_another() -> None:
    one, two = ObjectId(bytes(16)), ObjectId(b"\x01" * 16)
    assert lease_id_of(one) == lease_id_of(bytes(one)) != lease_id_of(two)
    assert lease_id_of(one) != one


def test_it_comes_back_from_its_bytes() -> None:
    schema = schema_of(Lease)
    assert schema.name == "ate.Lease"
    lease = Lease(3, (1 << 64) - 1, 1 << 62)
    assert schema.decode(schema.encode(lease)) == lease


async def say(chain: ate.Chain, job: ObjectId, holder: int, seconds: float, ttl_s: int = 0) -> None:
    """Write a lease that lasts so long from now on by the chain's time; 0 gives the job back."""
    until_us = chain._ledger.now_us() + int(seconds * 1e6) if seconds else 0
    dio, lease = chain.dio(), Lease(1, holder, until_us, ttl_s * 1_000_000)
    if await dio.exists(lease_id_of(job)):
        (await dio.load(Lease, lease_id_of(job))).value = lease
    else:
        dio.store(lease, parent=job, id=lease_id_of(job))
    await dio.commit()


async def test_a_job_is_held_until_its_lease_ends_or_is_given_back() -> None:
    clock = SimClock(tick_us=1)
    async with ate.open("jobs", memory=True, clock=clock) as chain:
        dio = chain.dio()
        job = dio.store("job").id
        await dio.commit()
        leases = Leases(chain, chain.session, alone=True)
        me = chain._writer._session_number
        assert (leases.place(job), await leases.is_there(job), await leases.left_s(job)) == (
            0,
            0,
            0,
        )
        await say(chain, job, me, 30)
        assert (leases.place(job), await leases.is_there(job)) == (chain.head, inf)
        assert 29 < await leases.left_s(job) <= 30
        clock.advance(20)
        assert 9 < await leases.left_s(job) <= 10
        clock.advance(20)
        assert await leases.left_s(job) < 0
        assert await leases.is_there(job) == inf, "whatever it says"
        await say(chain, job, me, 30)
        assert await leases.left_s(job) > 29, "a new version was written"
        await say(chain, job, me, 0)
        assert await leases.left_s(job) == 0
        await say(chain, job, me + 1, 30)
        assert await leases.left_s(job) == 0, "who held it is no more, as nobody else can be alive"
        assert await Leases(chain, None, alone=False).left_s(job) > 29
        dio = chain.dio()
        dio.delete(lease_id_of(job))
        await dio.commit()
        leases.forget(job)
        assert (leases.place(job), await leases.left_s(job)) == (0, 0)


async def test_an_object_that_is_no_lease_makes_its_job_unavailable_and_no_other() -> None:
    async with ate.open("jobs", memory=True) as chain:
        dio = chain.dio()
        jobs = [dio.store(f"job {number}").id for number in range(3)]
        dio.store("not a lease", parent=jobs[0], id=lease_id_of(jobs[0]))
        dio.store(Lease(1, 1, 0), parent=jobs[2], id=lease_id_of(jobs[1]))
        await dio.commit()
        leases = Leases(chain, chain.session, alone=True)
        years = NEVER_US / 1e6 - chain._ledger.now_us() / 1e6 - 60
        assert await leases.left_s(jobs[0]) > years
        assert await leases.left_s(jobs[1]) > years, "it hangs below another job"
        assert await leases.left_s(jobs[2]) == 0


def test_who_has_seen_nothing_new_for_as_long_as_a_lease_lasts_may_take_the_job() -> None:
    """The chain's time stands still where nobody commits, or runs by a clock that is wrong."""

    async def main(world: World) -> None:
        chain = await world.device().open()
        job = (await put(chain, "job")).id
        await say(chain, job, 7, 3000, ttl_s=10)
        leases = Leases(chain, chain.session, alone=False)
        assert 9 < await leases.left_s(job) <= 10
        await world.loop.pause(6)
        assert 3 < await leases.left_s(job) < 5
        await world.loop.pause(6)
        assert await leases.left_s(job) < 0
        await say(chain, job, 7, 3000, ttl_s=10)
        assert 9 < await leases.left_s(job) <= 10
        await chain.close()

    play(main)


def test_a_commit_stands_on_the_lease_where_others_can_order_commits() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        job = (await put(chain, "job")).id
        dio = chain.dio()
        fresh = dio.store(Lease(1, 1, 0), parent=job, id=lease_id_of(job))
        guard = standing(dio, fresh)
        assert guard is not None
        assert tuple(guard.guards) == ((fresh.id, 0),), "there is none yet"
        await dio.commit()
        guard = standing(dio, fresh, Standing(((job, 2),)))
        assert guard is not None
        assert tuple(guard.guards) == ((fresh.id, fresh.seq), (job, 2))
        assert fresh.seq == chain.head
        await chain.close()
        async with ate.open("alone", memory=True) as alone:
            mine, other = alone.dio(), Standing(())
            lease = mine.store(Lease(1, 1, 0))
            assert standing(mine, lease) is None
            assert standing(mine, lease, other) is other
            assert mine.store(Note("x")).seq == 0

    play(main)
