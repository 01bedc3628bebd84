from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.shared import World, play, put, texts

import ate
from ate.errors import Deposed, NotFound, Offline, TimedOut, UntrustedRoot
from ate.ids import ChainName
from ate.joining import registry
from ate.log.store import LogStore
from ate.mesh.gate import OpenGate
from ate.mesh.hall import Hall
from ate.mesh.pins import Pins
from ate.mesh.shelf import MemoryShelf
from ate.server import serve
from ate.testing.stage import member
from ate.wire.message import Submit

ALICE = member("alice")


async def test_chains_of_an_event_loop_share_a_connection() -> None:
    hall = Hall(MemoryShelf())
    async with serve(hall, websocket=False, tcp=True) as server:
        assert registry() is registry()
        one = await ate.open("one", url=server.url, session=ALICE)
        two = await ate.open("two", url=server.url, session=ALICE)
        assert len(registry()) == 1
        assert len(hall._channels) == 1
        for chain in (one, two):
            async with chain.dio() as dio:
                dio.store("x")
            await chain.close()
        await registry().close()
    await hall.close()


async def test_a_server_that_is_gone_is_left_for_one_that_stands_by() -> None:
    hall = Hall(MemoryShelf())
    async with (
        serve(hall, websocket=False, tcp=True) as gone,
        serve(hall, websocket=False, tcp=True) as server,
    ):
        await gone.close()
        url = f"{gone.url}, {server.url}"
        async with ate.open("one", url=url, session=ALICE) as chain:
            async with chain.dio() as dio:
                dio.store("x")
            (line,) = (entry.line for entry in registry()._entries.values())
            assert (str(line.url), line._terms.keepalive_s) == (gone.url, 2.5)
        await registry().close()
    await hall.close()


class Late(MemoryShelf):
    """Of a server that finds out that it was deposed when somebody opens a chain."""

    asked = 0

    def open(self, name: ChainName, *, create: bool) -> LogStore:
        self.asked += 1
        if self.asked == 1:
            raise Deposed("another server has taken over")
        return super().open(name, create=create)


async def test_a_server_that_was_deposed_is_asked_no_more_but_its_successor() -> None:
    shelf = Late()
    hall = Hall(shelf)
    async with serve(hall, websocket=False, tcp=True) as server:
        chain = await ate.open("one", url=server.url, session=ALICE)
        assert shelf.asked == 2
        await chain.close()
        await registry().close()
    await hall.close()


def test_opening_waits_for_the_server_as_long_as_it_is_told() -> None:
    async def main(world: World) -> None:
        device = world.device()
        began = world.loop.time()
        with pytest.raises(Offline, match="cannot reach"):
            await device.open(connection={"timeout_s": 3.0})
        assert 3 <= world.loop.time() - began < 3.5
        opening = asyncio.ensure_future(device.open())
        await world.loop.pause(2)
        world.start()
        chain = await opening
        await put(chain, "a")
        await chain.close()
        await world.stop()
        began = world.loop.time()
        chain = await device.open(recovery="readonly-async", connection={"timeout_s": 1.0})
        assert world.loop.time() - began < 1.5
        assert await texts(chain) == ["a"]
        await chain.close()
        chain = await device.open()
        assert await texts(chain) == ["a"]
        await chain.close()

    play(main, starts=False)


def test_a_failed_opening_leaves_nothing_behind() -> None:
    async def main(world: World) -> None:
        device = world.device()

        class Broken:
            async def roots(self, *_: Any) -> frozenset[bytes]:
                raise TimedOut("no name server")

            servers = roots

        with pytest.raises(TimedOut):
            await device.open(name="example.com", connection={"names": Broken()})
        with pytest.raises(NotFound):
            await device.open(create=False, path="/e")
        chain = await world.device("two").open()
        with pytest.raises(UntrustedRoot):
            await device.open(roots=[member("bob").public])
        again = await device.open()
        await again.close()
        await chain.close()
        await world.loop.pause(61)
        assert len(device.lines) == 0

    play(main)


class Deaf(Hall):
    """Takes no commits at all, and says nothing."""

    async def handle(self, visitor: Any, message: Any) -> None:
        if isinstance(message, Submit):
            await asyncio.get_running_loop().create_future()
        await super().handle(visitor, message)


@pytest.mark.parametrize("dies", [False, True])
def test_a_server_that_does_not_found(dies: bool) -> None:
    async def main(world: World) -> None:
        device = world.device()
        opening = asyncio.ensure_future(device.open(connection={"timeout_s": 2.0}))
        if dies:
            await world.loop.pause(0.2)
            await world.stop()
        with pytest.raises(Offline, match="before it founded"):
            await opening
        world.hall_type = Hall
        if not dies:
            await world.stop()
        world.start()
        chain = await device.open()
        await put(chain, "x")
        await chain.sync()
        assert chain.conflicts == []
        await chain.close()

    play(main, hall=Deaf)


class Strict(Hall):
    """Refuses a chain of this name."""

    def _opened(self, root: Any) -> None:
        super()._opened(root)

        root.gate = Closed()


class Closed(OpenGate):
    def may_submit(self, *_: Any) -> float:
        raise ate.WriteDenied("not here")


def test_a_chain_that_may_not_be_founded() -> None:
    async def main(world: World) -> None:
        with pytest.raises(ate.WriteDenied, match="not here"):
            await world.device().open()

    play(main, hall=Strict)


def test_pins_may_be_handed_in_and_a_sparse_copy_asks_the_server() -> None:
    async def main(world: World) -> None:
        full = await world.device("one").open()
        await put(full, "x" * 5000)
        pins = Pins(None)
        chain = await world.device("two").open(sparse=100, connection={"pins": pins})
        assert chain._ledger.fetched is not None
        assert await texts(chain) == ["x" * 5000]
        await chain.close()
        await full.close()

    play(main)


async def test_without_a_session_a_chain_is_shared_as_well() -> None:
    hall = Hall(MemoryShelf())
    async with serve(hall, websocket=False, tcp=True) as server:
        chain = await ate.open("open", url=server.url)
        async with chain.dio() as dio:
            dio.store("for all")
        await chain.close()
        await registry().close()
    await hall.close()
