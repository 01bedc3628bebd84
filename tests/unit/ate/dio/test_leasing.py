"""One holder at a time; and of a holder that was overtaken nothing lands, whatever the clocks."""

from __future__ import annotations

import asyncio

import pytest

import ate
from ate.dio.bell import Bell
from ate.dio.leasing import Beat, NamedLease, Turn
from ate.errors import Fenced, LimitExceeded, TimedOut, UsageError, WrongType
from ate.event.access import Access, Any, Only
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member

#: Holders of these tests renew by hand only.
TTL_S = 30


async def work(chain: ate.Chain, lease: NamedLease | None, n: int, **options: object) -> None:
    dio = chain.dio(lease.session if lease else None)
    dio.store({"n": n})
    await dio.commit(lease=lease, **options)


async def done(chain: ate.Chain) -> list[int]:
    return [dao.value["n"] async for dao in chain.dio().roots(dict) if "n" in dao.value]


async def test_one_holds_it_and_the_next_when_it_is_given_back() -> None:
    clock = SimClock()
    async with ate.open("l", memory=True, clock=clock) as chain:
        async with NamedLease(chain, "nightly") as first:
            assert first.until.timestamp() * 1e6 == chain._ledger.now_us() + 30e6
            await work(chain, first, 1)
            with pytest.raises(TimedOut, match="'nightly' was not free within 0 s"):
                async with NamedLease(chain, "nightly", wait_s=0):
                    pass
            async with NamedLease(chain, "another", wait_s=0) as other:
                await work(chain, other, 2)
            assert not first.lost.is_set()
        async with NamedLease(chain, "nightly", wait_s=0) as second:
            assert second.number > first.number > 0
            await work(chain, second, 3)
        assert await done(chain) == [1, 2, 3]


async def test_who_waits_gets_it_as_soon_as_it_is_given_back() -> None:
    async with ate.open("l", memory=True, clock=SimClock()) as chain:
        order: list[str] = []

        async def hold(name: str) -> None:
            async with NamedLease(chain, "one") as lease:
                order.append(name)
                await work(chain, lease, len(order))
                await asyncio.sleep(0)
                order.append(name)

        await asyncio.gather(*(hold(name) for name in "abcdefgh"))
        assert len(order) == 16
        assert order[::2] == order[1::2], "nobody came between a holder's two marks"


async def test_a_paused_holder_is_fenced_and_nothing_of_it_lands() -> None:
    clock = SimClock()
    alice, bob = member("alice"), member("bob")
    both = Access(Only(alice.public, bob.public), Any(alice.public, bob.public))
    async with ate.open("l", memory=True, clock=clock, session=alice, access=both) as chain:
        first = await NamedLease(chain, "job", ttl_s=TTL_S).__aenter__()
        await work(chain, first, 1)
        clock.jump(TTL_S + 1)
        second = await NamedLease(chain, "job", session=bob, wait_s=0).__aenter__()
        assert second.number > first.number
        await work(chain, second, 2)
        head = chain.head
        dio = chain.dio()
        dio.store({"n": 3})
        for options in ({}, {"on_conflict": "last"}, {"on_conflict": "merge"}):
            with pytest.raises(Fenced):
                await dio.commit(lease=first, **options)
        assert (chain.head, dio.has_changes) == (head, True)
        assert not first.lost.is_set(), "only its next renewal finds out"
        with pytest.raises(Fenced):
            await first.renew()
        assert first.lost.is_set()
        with pytest.raises(Fenced, match="not held any more"):
            await dio.commit(lease=first)
        await first.release()
        await work(chain, second, 4)
        await second.release()
        assert await done(chain) == [1, 2, 4]


async def test_a_commit_on_its_way_when_the_lease_goes_over_is_fenced() -> None:
    """Handed in at the same moment, the takeover first."""
    clock = SimClock()
    async with ate.open("l", memory=True, clock=clock) as chain:
        first = await NamedLease(chain, "job").__aenter__()
        clock.jump(TTL_S + 1)
        second = NamedLease(chain, "job", wait_s=0)
        _, late = await asyncio.gather(
            second.__aenter__(), work(chain, first, 1), return_exceptions=True
        )
        landed = await done(chain)
        assert (landed, type(late)) in (([], Fenced), ([1], type(None)))
        with pytest.raises(Fenced):
            await work(chain, first, 2)
        await asyncio.gather(first.release(), second.release())


async def test_late_is_not_too_late_while_nobody_took_it() -> None:
    clock = SimClock()
    async with (
        ate.open("l", memory=True, clock=clock) as chain,
        NamedLease(chain, "job") as lease,
    ):
        clock.jump(5 * TTL_S)
        await work(chain, lease, 1)
        await lease.renew()
        with pytest.raises(TimedOut):
            await NamedLease(chain, "job", wait_s=0).__aenter__()


async def test_of_a_renewal_and_a_takeover_exactly_one_succeeds() -> None:
    for order in (1, -1):
        clock = SimClock()
        async with ate.open("l", memory=True, clock=clock) as chain:
            first = await NamedLease(chain, "job").__aenter__()
            await first.renew()
            clock.jump(TTL_S + 1)
            second = NamedLease(chain, "job")
            racers = [first.renew(), second._try()][::order]
            results = [*await asyncio.gather(*racers, return_exceptions=True)][::order]
            took = second._turn is not None
            assert isinstance(results[0], Fenced) == took
            assert first.lost.is_set() == took
            await asyncio.gather(first.release(), second.release())


async def test_two_who_try_at_once_do_not_both_get_it() -> None:
    async with ate.open("l", memory=True, clock=SimClock()) as chain:
        takers = [NamedLease(chain, "job") for _ in range(5)]
        rests = await asyncio.gather(*(one._try() for one in takers))
        assert [bool(one._turn) for one in takers] == [rest == 0 for rest in rests]
        assert rests.count(0) == 1
        await asyncio.gather(*(one.release() for one in takers))


async def test_it_renews_itself_and_renewals_do_not_disturb_the_work() -> None:
    async with ate.open("l", memory=True) as chain:
        async with NamedLease(chain, "job", ttl_s=0.6) as lease:
            start, count = lease.until, 0
            while (lease.until - start).total_seconds() < 0.75:
                count += 1
                await work(chain, lease, count)
                await asyncio.sleep(0)
            assert not lease.lost.is_set()
            with pytest.raises(TimedOut):
                await NamedLease(chain, "job", wait_s=0).__aenter__()
        assert len(await done(chain)) == count
        beats = [dao.value async for dao in chain.dio().all(Beat)]
        assert [beat.turn for beat in beats] == [lease.number]


async def test_who_waits_takes_it_when_it_runs_out() -> None:
    async with ate.open("l", memory=True) as chain:
        first = await NamedLease(chain, "job", ttl_s=0.05).__aenter__()
        assert first._keeper is not None
        first._keeper.cancel()  # a process that stopped
        async with NamedLease(chain, "job", wait_s=10) as second:
            assert second.number > first.number
        await first.release()


async def test_who_waits_takes_it_though_its_clock_stands_still() -> None:
    async with ate.open("l", memory=True, clock=SimClock()) as chain:
        first = await NamedLease(chain, "job", ttl_s=0.05).__aenter__()
        assert first._keeper is not None
        first._keeper.cancel()
        async with NamedLease(chain, "job", wait_s=10):
            with pytest.raises(Fenced):
                await work(chain, first, 1)
        await first.release()


async def test_the_number_grows_even_when_the_objects_were_deleted() -> None:
    async with ate.open("l", memory=True, clock=SimClock()) as chain:
        async with NamedLease(chain, "job") as first:
            await first.renew()
            dio = chain.dio()
            dio.delete(first._turn_id)
            dio.delete(first._beat_id)
            await dio.commit()
            with pytest.raises(Fenced):
                await work(chain, first, 1)
            async with NamedLease(chain, "job", wait_s=0) as second:
                assert second.number > first.number
                await second.renew()
                await work(chain, second, 2)
        assert await done(chain) == [2]


async def test_a_lease_outlives_its_process_until_it_runs_out() -> None:
    disk, clock = SimDisk(), SimClock()
    chain = await ate.open("l", path="/c", disk=disk, clock=clock)
    lease = await NamedLease(chain, "job").__aenter__()
    number = lease.number
    assert lease._keeper is not None
    lease._keeper.cancel()
    await chain.close()
    async with ate.open("l", path="/c", disk=disk, clock=clock) as chain:
        with pytest.raises(TimedOut):
            await NamedLease(chain, "job", wait_s=0).__aenter__()
        clock.jump(TTL_S)
        async with NamedLease(chain, "job", wait_s=0) as lease:
            assert lease.number > number


async def test_the_block_that_fails_gives_it_back() -> None:
    async with ate.open("l", memory=True, clock=SimClock()) as chain:
        lease = NamedLease(chain, "job")
        with pytest.raises(ValueError, match="mine"):
            async with lease:
                raise ValueError("mine")
        assert repr(lease).endswith(", over)")
        with pytest.raises(Fenced):
            await work(chain, lease, 1)
        with pytest.raises(Fenced):
            await lease.renew()
        async with lease, asyncio.timeout(10):  # the same object, taken again
            await work(chain, lease, 2)
            with pytest.raises(UsageError, match="held already"):
                await lease.__aenter__()


async def test_who_is_cancelled_while_taking_it_holds_nothing() -> None:
    for rounds in range(6):
        async with ate.open("l", memory=True, clock=SimClock()) as chain:
            task = asyncio.create_task(NamedLease(chain, "job").__aenter__())
            for _ in range(rounds):
                await asyncio.sleep(0)
            if task.done():
                await (await task).release()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with NamedLease(chain, "job", wait_s=0) as lease:
                await work(chain, lease, 1)


async def test_a_closed_chain_ends_the_wait_and_the_lease() -> None:
    async with ate.open("l", memory=True) as chain:
        holder = NamedLease(chain, "job", ttl_s=1)
        async with holder:
            waiter = asyncio.create_task(NamedLease(chain, "job", ttl_s=60).__aenter__())
            with Bell(chain) as bell:
                await bell.rest(0.001)
            await chain.close()
            with pytest.raises(UsageError, match="closed"):
                await waiter
            async with asyncio.timeout(10):
                await holder.lost.wait()


async def test_an_object_in_its_place_is_not_overwritten() -> None:
    async with ate.open("l", memory=True) as chain:
        lease = NamedLease(chain, "job")
        dio = chain.dio()
        dio.store({"n": 1}, id=lease._turn_id)
        await dio.commit()
        with pytest.raises(WrongType):
            await lease.__aenter__()
        held = await NamedLease(chain, "other", ttl_s=0.03).__aenter__()
        dio.store({"n": 2}, id=held._beat_id)
        await dio.commit()
        async with asyncio.timeout(10):
            await held.lost.wait()
        await held.release()
        assert await done(chain) == [1, 2]


async def test_people_can_see_whose_turn_it_is() -> None:
    async with ate.open("l", memory=True) as chain, NamedLease(chain, "job"):
        assert [dao.value.name async for dao in chain.dio().all(Turn)] == ["job"]
        assert await done(chain) == []


async def test_what_makes_no_lease_is_refused() -> None:
    async with ate.open("l", memory=True) as chain:
        for options in ({"ttl_s": 0}, {"ttl_s": 86_401}, {"wait_s": -1}, {"ttl_s": float("nan")}):
            with pytest.raises(UsageError, match="ttl_s"):
                NamedLease(chain, "job", **options)
        with pytest.raises(UsageError, match="name"):
            NamedLease(chain, "")
        with pytest.raises(LimitExceeded):
            NamedLease(chain, "x" * 257)
