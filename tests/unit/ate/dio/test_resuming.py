from __future__ import annotations

import asyncio

import pytest
from tests.shared import NAME, Note, World, play, put, texts
from tests.unit.ate.dio.test_forwarder import away, forwarder_of

import ate
from ate.errors import CannotOpen


def test_a_process_goes_on_with_what_waited_was_sent_and_was_refused() -> None:
    async def main(world: World) -> None:
        device, chain = await away(world)
        await world.loop.pause(2)
        await put(chain, "waits")
        dio = chain.dio()
        refused = dio.store(Note("refused"))
        await dio.commit()
        forwarder = forwarder_of(chain)
        waiting = forwarder.outbox.entries[-1].number
        forwarder.outbox.mark(waiting, "conflict", b"conflict\nno")
        forwarder.outbox.flush()
        await device.kill()
        chain = await device.open()
        assert chain.status.pending == 1
        (setback,) = chain.conflicts
        assert setback.changes[0].id == refused.id
        assert await texts(chain) == ["first", "waits"]
        world.start()
        await chain.sync()
        assert await texts(chain) == ["first", "waits"]
        await setback.overwrite(chain) if False else setback.drop()
        await chain.close()
        with pytest.raises(CannotOpen):
            dead = await away(World.now if False else world)  # type: ignore[attr-defined]
            await put(dead[1], "mine")
            await dead[1].close()
            await dead[0].open("bob")

    play(main)


@pytest.mark.parametrize("reached", [False, True])
def test_what_a_killed_process_had_sent_lands_once(reached: bool) -> None:
    """Nobody was told that it is safe; it was signed, and its bytes are in the outbox."""

    async def main(world: World) -> None:
        device = world.device()
        chain = await device.open(recovery="readonly-async")
        await put(chain, "first")
        if not reached:
            world.net.stall("one", "server", 30.0)
        tasks = [asyncio.ensure_future(put(chain, f"{n}")) for n in range(3)]
        await world.loop.pause(0.02 if reached else 0)
        await world.loop.pause(0)
        await device.kill()
        for task in tasks:
            task.cancel()
        world.net.heal()
        chain = await device.open(recovery="readonly-async")
        await chain.sync()
        assert await texts(chain) == ["0", "1", "2", "first"]
        assert len(forwarder_of(chain).outbox) == 0
        log = await world.log()
        assert len({record.author.origin[:3] for record in log}) == len(log)
        await chain.close()
        assert NAME

    play(main)


def test_what_was_never_promised_and_is_refused_is_nobodys(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main(world: World) -> None:
        one, two = world.device("one"), world.device("two")
        a, b = await one.open(), await two.open()
        dao = await put(a, "base")
        await b.sync()
        world.net.stall("one", "server", 30.0)
        dio = a.dio()
        loaded = await dio.load(Note, dao.id)
        loaded.value = Note("mine")
        lost = asyncio.ensure_future(dio.commit())
        other = asyncio.ensure_future(put(a, "behind"))
        await world.loop.pause(0.01)
        await one.kill()
        lost.cancel()
        other.cancel()
        dio = b.dio()
        loaded = await dio.load(Note, dao.id)
        loaded.value = Note("theirs")
        await dio.commit()
        world.net.heal()
        a = await one.open()
        await a.sync()
        assert a.conflicts == []
        assert len(forwarder_of(a).outbox) == 0
        assert "theirs" in await texts(a)
        assert "mine" not in await texts(a)
        await put(a, "after")
        await a.close()
        await b.close()

    play(main)
    assert "left without an answer" in caplog.text
    assert ate
