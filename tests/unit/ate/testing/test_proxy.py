from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ate.testing.nemesis import Nemesis, RealPace
from ate.testing.proxy import Direction, Proxy, proxy_faults

#: What is held back is given this long to come through nevertheless.
A_MOMENT_S = 0.05


class Ears(asyncio.Protocol):
    """One end of a connection: hears all that comes before a reset; the server's end echoes."""

    def __init__(self, *, echo: bool = False) -> None:
        self.got = bytearray()
        self.error: Exception | None = None
        self.ended = asyncio.Event()
        self._heard = asyncio.Event()
        self._echo = echo

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data
        self._heard.set()
        if self._echo:
            self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.ended.set()

    async def until(self, count: int) -> bytes:
        """Return what came when it is so much."""
        while len(self.got) < count:
            self._heard.clear()
            await self._heard.wait()
        return bytes(self.got)


class Echo:
    """A server that returns what it gets."""

    def __init__(self) -> None:
        self.port = 0
        self.ends: list[Ears] = []

    def accept(self) -> Ears:
        self.ends.append(Ears(echo=True))
        return self.ends[-1]


@asynccontextmanager
async def play() -> AsyncIterator[tuple[Echo, Proxy]]:
    echo = Echo()
    server = await asyncio.get_running_loop().create_server(echo.accept, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    async with server, Proxy("127.0.0.1", echo.port, pace=RealPace(7)) as proxy:
        yield echo, proxy
        for end in echo.ends:
            end.transport.abort()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, line: bytes) -> bytes:
        self.writer.write(line)
        return await self.reader.readexactly(len(line))

    async def asks_in_vain(self, line: bytes) -> None:
        self.writer.write(line)
        await self.hears_nothing()

    async def hears_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(A_MOMENT_S):
                await self.reader.readexactly(1)

    async def rest(self) -> bytes | None:
        """Return what comes until the end, None when that is a reset and nothing came."""
        got = b""
        try:
            while piece := await self.reader.read(1 << 16):
                got += piece
        except ConnectionError:
            return got or None
        return got


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


async def test_what_is_sent_arrives_both_ways() -> None:
    async with play() as (echo, proxy), connected(proxy) as client:
        large = bytes(range(256)) * 4096
        assert await client.ask(large) == large
        assert proxy.connections == 1
        client.writer.write_eof()
        assert await client.rest() == b""
        await echo.ends[0].ended.wait()
        assert echo.ends[0].error is None
        assert echo.ends[0].got == large


async def test_a_cut_holds_back_and_heals() -> None:
    async with play() as (echo, proxy), connected(proxy) as client:
        assert await client.ask(b"before") == b"before"
        proxy.cut()
        await client.asks_in_vain(b"during")
        assert echo.ends[0].got == b"before"
        async with connected(proxy) as late:
            await late.asks_in_vain(b"late")
            proxy.heal()
            assert await client.reader.readexactly(6) == b"during"
            assert await late.reader.readexactly(4) == b"late"


async def test_a_cut_may_be_one_way() -> None:
    async with play() as (echo, proxy), connected(proxy) as client:
        assert await client.ask(b"one ") == b"one "
        proxy.blackhole("down")
        await client.asks_in_vain(b"two ")
        assert await echo.ends[0].until(8) == b"one two "
        proxy.heal()
        assert await client.reader.readexactly(4) == b"two "
        proxy.blackhole("up")
        await client.asks_in_vain(b"three")
        assert echo.ends[0].got == b"one two "
        proxy.heal()
        assert await client.reader.readexactly(5) == b"three"


async def test_a_reset_is_seen_on_both_sides() -> None:
    async with play() as (echo, proxy), connected(proxy) as client:
        assert await client.ask(b"before") == b"before"
        assert proxy.reset() == 1
        with pytest.raises(ConnectionResetError):
            await client.reader.read(1)
        await echo.ends[0].ended.wait()
        assert isinstance(echo.ends[0].error, ConnectionResetError)
        assert proxy.reset() == 0
        async with connected(proxy) as again:
            assert await again.ask(b"again") == b"again"


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_piece_is_torn(direction: Direction) -> None:
    lengths = set()
    async with play() as (echo, proxy):
        for number in range(8):
            near = Ears()
            await asyncio.get_running_loop().create_connection(
                lambda near=near: near,  # type: ignore[misc]
                "127.0.0.1",
                proxy.port,
            )
            near.transport.write(b"hello")
            await near.until(5)
            far = echo.ends[number]
            assert proxy.tear(direction) == 1
            near.transport.write(b"0123456789")
            for end in (near, far):
                await end.ended.wait()
                assert isinstance(end.error, ConnectionResetError)
            part = (near if direction == "down" else far).got[5:]
            assert b"0123456789".startswith(part)
            assert len(part) < 10
            lengths.add(len(part))
    assert len(lengths) > 2


async def test_replies_are_lost_after_the_server_has_heard() -> None:
    async with play() as (echo, proxy), connected(proxy) as client:
        proxy.lose_replies()
        client.writer.write(b"do it")
        assert await client.rest() is None
        assert echo.ends[0].got == b"do it"
        proxy.heal()
        async with connected(proxy) as again:
            assert await again.ask(b"did you?") == b"did you?"


async def test_pieces_are_delayed_and_keep_their_order() -> None:
    async with play() as (_, proxy), connected(proxy) as client:
        proxy.delay(A_MOMENT_S, 2 * A_MOMENT_S)
        loop = asyncio.get_running_loop()
        start = loop.time()
        assert await client.ask(b"slow") == b"slow"
        assert loop.time() - start >= 2 * A_MOMENT_S
        proxy.heal()
        assert await client.ask(b"fast") == b"fast"


async def test_a_server_that_is_down_is_a_reset() -> None:
    server = await asyncio.get_running_loop().create_server(Ears, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with Proxy("127.0.0.1", port, pace=RealPace(7)) as proxy, connected(proxy) as client:
        assert await client.rest() is None


async def test_a_proxy_that_ends_leaves_nothing() -> None:
    async with play() as (echo, proxy), connected(proxy) as client:
        assert await client.ask(b"hello") == b"hello"
        proxy.cut()
        async with connected(proxy) as held:
            await held.hears_nothing()
            await proxy.__aexit__(None, None, None)
            assert await held.rest() is None
        assert await client.rest() is None
        assert proxy.connections == 0
        await echo.ends[0].ended.wait()


async def test_a_nemesis_breaks_it_and_mends_it() -> None:
    async with play() as (_, proxy):
        answered = Counter({"yes": 0, "no": 0})

        async def ask_for_ever() -> None:
            while True:
                try:
                    async with asyncio.timeout(0.1), connected(proxy) as client:
                        while True:
                            await client.ask(b"hello")
                            answered["yes"] += 1
                except (OSError, TimeoutError, asyncio.IncompleteReadError):
                    answered["no"] += 1

        asking = asyncio.create_task(ask_for_ever())
        pace = RealPace(3)
        nemesis = Nemesis(pace, every_s=(0.005, 0.02), lasts_s=(0.005, 0.03))
        proxy_faults(nemesis, [proxy])
        words: set[str] = set()
        async with asyncio.timeout(60):
            while not {"reset", "tear", "heal"} < words or min(answered.values()) < 5:
                await nemesis.run(0.1)
                words = {line.split(": ", 1)[1].split()[0] for line in nemesis.log if ": " in line}
        asking.cancel()
        await asyncio.wait([asking])
        async with connected(proxy) as client:
            assert await client.ask(b"all is well") == b"all is well"
