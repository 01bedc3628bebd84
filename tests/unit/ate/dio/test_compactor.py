from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.shared import World, play

import ate
from ate.chain.flip import due
from ate.chain.retention import Retention
from ate.dio.policy import CompactPolicy
from ate.errors import AteError, ReadOnly, Refused, StorageError, UsageError
from ate.limits import MIB
from ate.testing.chance import Chance
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import Note, Stage
from ate.trust.condense import CondenseByHeader


class Here:
    """A chain on a simulated disk and clock."""

    def __init__(self) -> None:
        self.disk, self.clock = SimDisk(), SimClock(tick_us=1)

    def open(self, **options: Any) -> Any:
        return ate.open("c", path="/d", disk=self.disk, clock=self.clock, **options)


async def change(chain: ate.Chain, times: int = 1, size: int = 10) -> None:
    dio = chain.dio()
    known = [dao async for dao in dio.all(dict)]
    one = known[0] if known else dio.store({"n": 0})
    if not known:
        await dio.commit()
    for turn in range(times):
        one.value = {"n": turn, "pad": Chance(turn).bytes(size // 2).hex()}
        await dio.commit()


def generation(chain: ate.Chain) -> int:
    return chain._ledger.store.generation


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(100_000):
        if await asyncio.to_thread(condition):
            return
    raise AssertionError("it does not happen")


async def nudged(here: Here, chain: ate.Chain, number: int) -> None:
    """Let time pass and commits come until the timer has made this generation."""
    for _ in range(200):
        here.clock.advance(61)
        await change(chain)
        for _ in range(10_000):
            if generation(chain) == number:
                return
            await asyncio.sleep(0)
    raise AssertionError("it does not happen")


# --- when ----------------------------------------------------------------------------------------


async def test_never() -> None:
    here = Here()
    async with here.open() as chain:
        await change(chain, 5)
    async with here.open() as chain:
        assert generation(chain) == 1


async def test_modified_compacts_when_it_closes_and_not_again() -> None:
    here = Here()
    for _ in range(2):
        async with here.open(compact="modified") as chain:
            await change(chain, 5)
    async with here.open(compact="modified", readonly=True) as chain:
        now = generation(chain)
        assert now == 3
    async with here.open(compact="modified") as chain:
        assert len(chain) == 1
    async with here.open() as chain:
        assert generation(chain) == 3


@pytest.mark.parametrize("with_index", [True, False])
async def test_what_retention_keeps_is_no_reason_to_compact_again(with_index: bool) -> None:
    here = Here()
    policy = CompactPolicy("modified", retention=Retention(versions=9))
    async with here.open(compact=policy) as chain:
        await change(chain, 5)
    for _ in range(2):
        if not with_index:
            here.disk.remove("/d/c/000002/index")
        async with here.open(compact=policy) as chain:
            assert generation(chain) == 2


async def test_a_timer() -> None:
    here = Here()
    async with here.open(compact=CompactPolicy("timer", timer_s=60)) as chain:
        await change(chain, 5)
        assert generation(chain) == 1
        await nudged(here, chain, 2)
        await nudged(here, chain, 3)


@pytest.mark.parametrize("mode", ["factor", "size", "factor-or-timer", "size-or-timer"])
async def test_growth(mode: str) -> None:
    here = Here()
    policy = CompactPolicy(mode, size_bytes=1 * MIB)
    async with here.open(compact=policy) as chain:
        await change(chain, 3)
        await asyncio.sleep(0)
        assert generation(chain) == 1
        await change(chain, 5, size=600_000)
        await nudged(here, chain, 2)
        assert (await anext(aiter(chain.dio().all(dict)))).value["n"] == 0


async def test_a_failure_is_told_and_tried_again_later(caplog: pytest.LogCaptureFixture) -> None:
    here = Here()
    async with here.open(compact=CompactPolicy("timer", timer_s=60)) as chain:
        await change(chain, 5)
        here.disk.fail("mkdir", StorageError("no room"))
        here.clock.advance(61)
        await change(chain)
        await until(lambda: "could not be compacted" in caplog.text)
        assert generation(chain) == 1
        await nudged(here, chain, 2)


# --- what is refused -----------------------------------------------------------------------------


async def test_who_may_not() -> None:
    here = Here()
    async with here.open() as chain:
        await change(chain)
    async with here.open(readonly=True) as chain:
        with pytest.raises(ReadOnly):
            await chain.compact()
    async with ate.open("w", memory=True, policy={"worm": True}) as chain:
        with pytest.raises(Refused, match="write-once"):
            await chain.compact()
    with pytest.raises(UsageError, match="closed"):
        await chain.compact()


async def test_a_hold_and_a_policy() -> None:
    stage = Stage(policy={"retention": {"versions": 3}})
    (alice,) = await stage.cast("alice")
    one = await stage.as_(alice).store("0")
    for turn in range(1, 6):
        await stage.as_(alice).change(one, str(turn))
    async with stage.open(alice) as chain:
        await chain.set_hold("case 17")
        with pytest.raises(Refused, match="case 17"):
            await chain.compact()
        await chain.set_hold(None)
        await chain.compact()
        dio, found = chain.dio(), []
        for seq in range(1, chain.head + 1):
            try:
                found.append((await dio.load(Note, one, at_seq=seq)).value.text)
            except AteError:
                pass
        assert {"3", "4", "5"} <= set(found)
        assert not {"0", "1"} & set(found)


async def test_plug_ins_vote() -> None:
    """What they drop a root vouches for; without one, their votes to drop count for nothing."""
    drop = CondenseByHeader(lambda row, header: row.schema != 0 and row.base == 0)
    stage = Stage(plugins=[drop])
    (alice,) = await stage.cast("alice")
    one = await stage.as_(alice).store("stays, for it is changed")
    await stage.as_(alice).change(one, "changed")
    other = await stage.as_(alice).store("goes")
    async with stage.open(alice) as chain:
        await chain.checkpoint()
    async with stage.open(None) as chain:
        await chain.compact()
        assert len(chain) == 2
    async with stage.open(alice) as chain:
        await chain.compact()
        assert len(chain) == 1
    assert (await stage.verify()).ok
    assert await stage.as_(alice).load(one) == "changed"
    with pytest.raises(ate.NotFound):
        await stage.as_(alice).load(other)


async def test_a_large_body_that_comes_at_the_last_moment() -> None:
    """It is copied while no other commit is on its way."""
    for turns in range(0, 60, 3):
        here = Here()
        async with here.open() as chain:
            await change(chain, 5)
            task = asyncio.create_task(chain.compact())
            for _ in range(turns):
                await asyncio.sleep(0)
            dio = chain.dio()
            large = dio.store({"body": "x" * 80_000}).id
            await dio.commit()
            assert (await task).generation == 2
            assert len((await chain.dio().load(dict, large)).value["body"]) == 80_000


async def test_two_at_once_come_one_after_the_other() -> None:
    here = Here()
    async with here.open() as chain:
        await change(chain, 5)
        done = await asyncio.gather(chain.compact(), chain.compact())
        assert [one.generation for one in done] == [2, 3]


async def test_ids_that_come_back_while_their_tombstones_go() -> None:
    for turns in range(0, 40, 2):
        here = Here()
        async with here.open() as chain:
            dio = chain.dio()
            gone = [dio.store({"n": n}).id for n in range(5)]
            await dio.commit()
            for one in gone:
                dio.delete(one)
            await dio.commit()
            here.clock.advance(60)
            task = asyncio.create_task(
                chain.compact(Retention(versions=3, tombstones=timedelta(seconds=1)))
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            dio.store({"n": "back"}, id=gone[2])
            await dio.commit()
            await task
        here.disk.remove("/d/c/000002/index")
        async with here.open() as chain:
            assert len(chain) == 1
            assert (await chain.dio().load(dict, gone[2])).value == {"n": "back"}


# --- giving up -----------------------------------------------------------------------------------


async def test_cancelled_at_any_moment_it_leaves_one_whole_generation() -> None:
    seen = set()
    for turns in range(0, 4000, 11):
        here = Here()
        chain = await here.open()
        await change(chain, 5)
        task = asyncio.create_task(chain.compact())
        for _ in range(turns):
            await asyncio.sleep(0)
        is_over = task.done()
        task.cancel()
        await asyncio.wait([task])
        await change(chain)
        await chain.close()
        async with here.open() as chain:
            assert (await anext(aiter(chain.dio().all(dict)))).value["n"] == 0
            names = [name for name in here.disk.listdir("/d/c") if name.isdigit()]
            assert names == [f"{generation(chain):06d}"]
            seen.add(generation(chain))
        if is_over:
            break
    assert seen == {1, 2}


async def test_closed_while_it_compacts_by_itself() -> None:
    for turns in range(0, 60, 4):
        here = Here()
        chain = await here.open(compact=CompactPolicy("timer", timer_s=60))
        await change(chain, 5)
        here.clock.advance(61)
        await change(chain)
        for _ in range(turns):
            await asyncio.sleep(0)
        await chain.close()
        async with here.open() as chain:
            assert len(chain) == 1


# --- readers in between ------------------------------------------------------------------------


@pytest.mark.parametrize("follows", [False, True])
async def test_a_list_that_is_gone_through_meanwhile_is_whole(follows: bool) -> None:
    """What was changed since is found in its newest version; what was deleted is not found."""
    here = Here()
    async with here.open() as chain:
        dio = chain.dio()
        many = [dio.store({"n": n}) for n in range(1000)]
        await dio.commit()
        async with here.open(readonly=True) as reader:
            found = []
            async for dao in (reader if follows else chain).dio().all(dict):
                found.append(dao.value["n"])
                if len(found) in (3, 400):
                    many[1].value = {"n": "seen before"}
                    many[len(found) + 450].value = {"n": f"new at {len(found)}"}
                    dio.delete(many[len(found) + 500].id)
                    await dio.commit()
                    await chain.compact()
                    await reader.refresh()
            wanted: list[Any] = list(range(1000))
            wanted[453], wanted[850] = "new at 3", "new at 400"
            del wanted[900], wanted[503]
            assert found == wanted


# --- where others hold the chain too -------------------------------------------------------------


async def brought(world: World, *chains: ate.Chain) -> None:
    """Let all chains hear of each other's commits, and do what those say."""
    for _ in range(2):
        for chain in chains:
            await chain.sync()
    await world.loop.pause(5)


def test_all_who_hold_a_chain_compact_where_a_root_says_so() -> None:
    async def main(world: World) -> None:
        one = await world.device("one").open()
        two = await world.device("two").open()
        never = await world.device("three").open(compact="never")
        await change(one, 6)
        await brought(world, one, two, never)
        assert not one._compactor.wants_flip(), "its policy waits for a root's word"
        await one.checkpoint(compact=True)
        await brought(world, one, two, never)
        assert [generation(chain) for chain in (one, two, never)] == [2, 2, 1]
        assert one._ledger.view.cut == two._ledger.view.cut > never._ledger.view.cut == 0
        assert one.root == two.root == never.root
        await change(two)
        await brought(world, one, two, never)
        for chain in (one, two, never):
            assert (await anext(aiter(chain.dio().all(dict)))).value["n"] == 0
            await chain.close()

    play(main)


def test_the_timer_of_a_root_compacts_for_all() -> None:
    async def main(world: World) -> None:
        timer = CompactPolicy("timer", timer_s=60)
        one = await world.device("one").open(compact=timer)
        two = await world.device("two").open()
        await change(one, 6)
        await brought(world, one, two)
        assert not one._compactor.wants_flip()
        await world.loop.pause(61)
        await brought(world, one, two)
        assert (generation(one), generation(two)) == (2, 2)
        await one.set_hold("case 17")
        await change(one, 6)
        await world.loop.pause(120)
        await brought(world, one, two)
        assert (generation(one), generation(two)) == (2, 2), "a hold forbids it"
        await one.close()
        await two.close()

    play(main)


def test_a_hold_stops_the_copies_and_its_end_lets_them_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main(world: World) -> None:
        late = world.device("two")
        one, two = await world.device("one").open(), await late.open()
        await change(one, 6)
        await two.sync()
        await two.close()
        await one.checkpoint(compact=True)
        await one.set_hold("case 17")
        two = await late.open()
        await brought(world, one, two)
        assert generation(two) == 1
        assert due(two._ledger.view) is not None
        assert "case 17" in caplog.text
        await one.set_hold(None)
        await one.checkpoint()
        await brought(world, one, two)
        assert generation(two) == 2
        assert await two._compactor.flip() is None, "it is done"
        await one.close()
        await two.close()

    play(main)


def test_a_sparse_copy_is_not_compacted() -> None:
    async def main(world: World) -> None:
        one = await world.device("one").open()
        await change(one, 6, size=400)
        sparse = await world.device("two").open(sparse=100)
        with pytest.raises(UsageError, match="sparse"):
            await sparse.compact()
        await one.checkpoint(compact=True)
        await brought(world, one, sparse)
        assert generation(sparse) == 1
        assert await sparse._compactor.flip() is None
        await one.close()
        await sparse.close()

    play(main)


async def test_what_stays_at_a_flip() -> None:
    policy = CompactPolicy("heartbeat", retention=Retention(versions=2))
    here = Here()
    async with here.open(compact=policy) as chain:
        compactor = chain._compactor
        assert compactor.kept(False) is None
        assert compactor.kept(True) == Retention(versions=2)
        assert compactor.kept(Retention(versions=7)) == Retention(versions=7)
    async with here.open(readonly=True) as chain:
        assert chain._compactor.kept(False) is None
        with pytest.raises(ReadOnly):
            chain._compactor.kept(True)


async def test_what_is_erased_is_overwritten() -> None:
    here, secret = Here(), b"a secret that is to go"
    async with here.open() as chain:
        dio = chain.dio()
        dao = dio.store({"text": secret.decode()})
        await dio.commit()
        dao.value = {"text": "something else"}
        await dio.commit()
        assert any(secret in raw for raw in here.disk.snapshot().values())
        done = await chain.compact(erase=True)
        assert done.erased is not None
        assert not any(secret in raw for raw in here.disk.snapshot().values())


async def test_commits_that_come_all_the_time_are_not_held_up() -> None:
    here = Here()
    async with here.open() as chain:
        await change(chain, 30)
        compacting, landed = asyncio.create_task(chain.compact()), 0
        while not compacting.done():
            await change(chain)
            landed += 1
        assert (await compacting).generation == 2
        assert landed > 1
        assert (await anext(aiter(chain.dio().all(dict)))).value["n"] == 0
