from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.shared import Note, World, play, put, texts, until
from tests.unit.ate.dio.test_forwarder import forwarder_of

import ate
from ate.errors import AteError, Conflict, Disconnected, Offline, UsageError
from ate.testing.stage import Stage

#: Seconds after which the connection is lost: before the commit is there, and after.
MOMENTS = [n / 1000 for n in (0, 2, 5, 8)]


async def part(world: World, after_s: float) -> None:
    """Lose the server; what was sent before it gets still, and its answers are lost."""
    await world.loop.pause(after_s)
    world.net.cut("server", "one", both=not after_s)
    await world.loop.pause(0.05)
    await world.stop()


async def lost(world: World, dio: Any, after_s: float) -> None:
    """Commit, and lose the server while that is on its way: nobody knows what became of it."""
    trying = asyncio.ensure_future(dio.commit())
    await part(world, after_s)
    with pytest.raises(Disconnected, match="may have landed"):
        await trying


async def online(chain: ate.Chain) -> None:
    await until(chain, lambda: chain.status.online)


async def back(world: World, chain: ate.Chain) -> None:
    world.net.heal()
    await chain.sync()


def test_a_retry_after_a_lost_answer_applies_nothing_twice() -> None:
    landed: list[bool] = []

    async def main(world: World) -> None:
        world.net.shape(latency_s=(0.01, 0.01))
        for after_s in MOMENTS:
            chain = await world.device().open(recovery="readonly-async")
            await chain.sync()
            dio, text = chain.dio(), f"at {after_s}"
            dao = dio.store(Note(text))
            trying = asyncio.ensure_future(dio.commit())
            await part(world, after_s)
            with pytest.raises(Disconnected, match="may have landed"):
                await trying
            with pytest.raises((Disconnected, Offline)):
                await dio.commit()
            commits = len(await world.log())
            world.net.heal()
            world.start()
            await online(chain)
            receipt = await dio.commit()
            landed.append(len(await world.log()) == commits)
            assert dao.seq == receipt.seq > 0
            assert (await texts(chain)).count(text) == 1
            with pytest.raises(UsageError, match="nothing to commit"):
                await dio.commit()
            dao.update(text=f"{text}, changed")
            await dio.commit()
            assert f"{text}, changed" in await texts(chain)
            await chain.close()

    play(main)
    assert set(landed) == {True, False}, "both were seen: it had landed, and it had not"


@pytest.mark.parametrize("after_s", MOMENTS[::3])
def test_what_is_changed_meanwhile_is_committed_on_top(after_s: float) -> None:
    async def main(world: World) -> None:
        world.net.shape(latency_s=(0.01, 0.01))
        chain = await world.device().open(recovery="readonly-async")
        old = await put(chain, "old")
        dio = chain.dio()
        dao = await dio.load(Note, old.id)
        dao.update(text="second")
        other = dio.store(Note("new"))
        await lost(world, dio, after_s)
        dao.update(text="third")
        world.start()
        await back(world, chain)
        receipt = await dio.commit()
        assert dao.seq > 0
        assert receipt.seq > 0
        assert await texts(chain) == ["new", "third"]
        dao.delete()
        other.update(text="newer")
        await dio.commit()
        assert await texts(chain) == ["newer"]
        await chain.close()

    play(main)


@pytest.mark.parametrize("after_s", MOMENTS[::3])
def test_a_deletion_in_doubt_is_made_once(after_s: float) -> None:
    async def main(world: World) -> None:
        world.net.shape(latency_s=(0.01, 0.01))
        chain = await world.device().open(recovery="readonly-async")
        old = await put(chain, "old")
        child = chain.dio()
        child.store(Note("below"), parent=old.id)
        await child.commit()
        dio = chain.dio()
        (await dio.load(Note, old.id)).delete()
        await lost(world, dio, after_s)
        world.start()
        await back(world, chain)
        assert (await dio.commit()).seq > 0
        assert await texts(chain) == []
        await chain.close()

    play(main)


def test_who_was_cancelled_may_try_again() -> None:
    landed: list[bool] = []

    async def main(world: World) -> None:
        world.net.shape(latency_s=(0.01, 0.01))
        chain = await world.device().open(recovery="readonly-async")
        await chain.sync()
        for after_s in MOMENTS:
            dio, text = chain.dio(), f"at {after_s}"
            dio.store(Note(text))
            trying = asyncio.ensure_future(dio.commit())
            await world.loop.pause(after_s)
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
            commits = forwarder_of(chain).landed_count
            await dio.commit()
            landed.append(forwarder_of(chain).landed_count == commits + 1)
            assert (await texts(chain)).count(text) == 1
        await chain.close()

    play(main)
    assert landed == [True] * len(MOMENTS)


def test_who_gives_the_changes_up_does_not_ask_what_became_of_them() -> None:
    async def main(world: World) -> None:
        world.net.shape(latency_s=(0.01, 0.01))
        chain = await world.device().open(recovery="readonly-async")
        await chain.sync()
        dio = chain.dio()
        dio.store(Note("sent"))
        await lost(world, dio, 0)
        dio.cancel()
        world.start()
        await back(world, chain)
        dio.store(Note("another"))
        await dio.commit()
        assert set(await texts(chain)) - {"sent"} == {"another"}
        await chain.close()

    play(main)


def test_what_is_refused_after_all_is_told_by_the_retry() -> None:
    async def main(world: World) -> None:
        world.net.shape(latency_s=(0.01, 0.01))
        device = world.device()
        chain = await device.open(recovery="readonly-async")
        note = await put(chain, "old")
        dio = chain.dio()
        (await dio.load(Note, note.id)).update(text="mine")
        await lost(world, dio, 0)
        world.start()
        other = await world.device("two").open(recovery="readonly-async")
        theirs = other.dio()
        (await theirs.load(Note, note.id)).update(text="theirs")
        await theirs.commit()
        await back(world, chain)
        with pytest.raises(Conflict, match="was changed"):
            await dio.commit()
        assert await texts(chain) == ["theirs"]
        await chain.close()
        await other.close()

    play(main)


async def test_a_local_chain_knows_at_once_what_became_of_a_commit() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        for turns in range(6):
            dio = chain.dio()
            dio.store(Note(f"{turns}"))
            trying = asyncio.ensure_future(dio.commit())
            for _ in range(turns):
                await asyncio.sleep(0)
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
            if dio.has_changes:
                await dio.commit()
        assert await texts(chain) == [f"{n}" for n in range(6)]


async def test_all_that_was_stored_and_deleted_again_is_nothing() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        dio = chain.dio()
        note = dio.store(Note("x"))
        note.delete()
        with pytest.raises(UsageError, match="nothing to commit"):
            await dio.commit()
        with pytest.raises(AteError):
            await dio.load(Note, note.id)
