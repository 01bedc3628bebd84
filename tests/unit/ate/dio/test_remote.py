from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.shared import World, play, put, until

import ate
from ate.dio.remote import RECOVERY, Remote, Status
from ate.errors import Forked, Offline, TimedOut, UsageError


def remote_of(chain: ate.Chain) -> Remote:
    assert chain._remote is not None
    return chain._remote


def test_the_status_says_how_things_stand() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        await put(chain, "a")
        await chain.sync()
        assert chain.status == Status("ws://server:5000/", True, True, 0, 0, chain.head)
        await world.stop()
        await world.loop.pause(2)
        await put(chain, "b")
        status = chain.status
        assert (status.online, status.current, status.pending) == (False, False, 1)
        assert "refuses the connection" in status.trouble
        with pytest.raises(TimedOut, match=r"answer from ws://server:5000/ in 0\.5 s: .* refuses"):
            await chain.sync(0.5)
        world.start()
        assert (await chain.sync()).pending == 0
        await chain.close()

    play(main)


def test_only_known_modes() -> None:
    async def main(world: World) -> None:
        with pytest.raises(UsageError, match=", ".join(RECOVERY)):
            await world.device().open(recovery="later")

    play(main)


def test_every_change_is_yielded_once() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        seen: list[bool] = []

        async def look() -> None:
            async for status in chain.statuses():
                seen.extend([status.online])

        job = asyncio.ensure_future(look())
        await put(chain, "a")
        world.net.reset("one", "server")
        await until(chain, lambda: not chain.status.online)
        await chain.sync()
        await world.loop.pause(0)
        assert seen == [True, False, True]
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        assert not remote_of(chain)._bells
        await chain.close()

    play(main)


def test_waiting_ends_when_the_server_is_given_up() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open(recovery="sync")
        remote = remote_of(chain)
        remote.check_readable()
        waiting = asyncio.ensure_future(remote.wait(lambda: False, None))
        await world.loop.pause(0)
        link: Any = remote.link
        link.failure = Forked("a lie")
        remote.tell()
        with pytest.raises(Forked):
            await waiting
        with pytest.raises(Offline):
            remote.check_readable()
        with pytest.raises(Forked):
            await put(chain, "x")
        assert chain.status.trouble == "a lie"
        await chain.close()

    play(main)


def test_an_acknowledgement_is_waited_for() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        dio = chain.dio()
        dio.store("x")
        receipt = await dio.commit()
        dio = chain.dio()
        dio.store("y")
        newer = await dio.commit()
        assert await remote_of(chain).acknowledged(newer, 5)
        assert await remote_of(chain).acknowledged(receipt, 5)
        await chain.close()

    play(main, signs=True)
