"""What a server must live through: wrong clients, wrong clocks, full disks. It lives on each time.

Any bytes on the port, two servers on one directory and tokens are in `test_atedb.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_atedb import Server, Servers
from tests.nemesis.processes import MIB, small_disk

import ate
from ate.clock import SystemClock
from ate.errors import AteError, LimitExceeded, OutOfSpace, UnsupportedFormat
from ate.mesh.dial import dialer
from ate.mesh.line import Line
from ate.mesh.pins import Pins
from ate.mesh.registry import Registry
from ate.mesh.url import Url
from ate.session import Session
from ate.wire.message import AnyMessage, Open, Opened
from ate.wire.terms import PeerSession, Terms

YEAR_US = 365 * 86_400 * 1_000_000
TIMEOUT_S = 60


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    made = Servers(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def alice() -> Session:
    return Session.new("alice@example.org")


@asynccontextmanager
async def opening(
    url: str, alice: Session, *, connection: dict[str, object] | None = None, **more: Any
) -> AsyncIterator[ate.Chain]:
    """Open the chain on a connection of its own, which ends with it."""
    lines = Registry(agent="test")
    told = {"pins": Pins(None), "home": None, "lines": lines, **(connection or {})}
    try:
        async with ate.open("notes", url=url, session=alice, connection=told, **more) as chain:
            yield chain
    finally:
        await lines.close()


async def put(chain: ate.Chain, value: object) -> int:
    dio = chain.dio()
    dio.store(value)
    return (await dio.commit()).seq


async def lives(server: Server, alice: Session) -> None:
    """A good client is served as if nothing had happened."""
    assert server.process.poll() is None
    async with opening(server.url, alice) as chain:
        assert await put(chain, {"still": "there"}) > 0


async def test_a_client_of_a_future_version(servers: Servers, alice: Session) -> None:
    server = servers.start("data")
    with pytest.raises(UnsupportedFormat, match="I speak 9, the peer speaks 1"):
        async with opening(
            server.url, alice, connection={"terms": Terms(versions=(9,)), "timeout_s": 3.0}
        ):
            pass
    await lives(server, alice)


@pytest.mark.parametrize("years", [-1, 1])
async def test_a_clock_that_is_a_year_off(servers: Servers, alice: Session, years: int) -> None:
    class Wrong(SystemClock):
        def now_us(self) -> int:
            return super().now_us() + years * YEAR_US

    server = servers.start("data")
    async with opening(server.url, alice) as right:
        first = await put(right, {"n": 1})
        async with opening(server.url, alice, clock=Wrong()) as wrong:
            assert await put(wrong, {"n": 2}) == first + 1
            async with wrong.lease("pen", ttl_s=5, wait_s=5) as lease:
                dio = wrong.dio()
                dio.store({"n": 3})
                await dio.commit(lease=lease)
        await right.sync()
        assert sorted([one.value["n"] async for one in right.dio().roots(dict)]) == [1, 2, 3]
        async with right.lease("pen", ttl_s=5, wait_s=5):
            pass


async def test_a_disk_that_is_full(servers: Servers, alice: Session, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 8 * MIB) as disk:
        server = servers.start(str(disk.path / "data"))
        async with opening(server.url, alice) as chain:
            await put(chain, {"n": 1})
            disk.fill()
            big = chain.dio()
            big.store({"n": 2, "text": "x" * 100_000})
            with pytest.raises(OutOfSpace, match="the server's disk"):
                await big.commit()
            assert server.process.poll() is None
            async with opening(server.url, alice) as other:
                assert [one.value["n"] async for one in other.dio().roots(dict)] == [1]
            disk.empty()
            async with asyncio.timeout(TIMEOUT_S):
                first = await big.commit()
                assert await put(chain, {"n": 3}) > first.seq
        assert server.stop() == 0


async def test_a_commit_of_a_gigabyte(servers: Servers, alice: Session) -> None:
    server = servers.start("data")
    async with opening(server.url, alice) as chain:
        dio = chain.dio()
        dio.store(bytes(1 << 30))
        with pytest.raises(LimitExceeded, match="the limit is"):
            await dio.commit()
        assert await put(chain, {"n": 1}) > 0
    await lives(server, alice)


class Deaf:
    """A port that opens a chain with all the credit there is."""

    def __init__(self, line: Line) -> None:
        self.opened, self.line = asyncio.Event(), line
        self.ch = line.attach(self)

    def connected(self, peer: PeerSession) -> None:
        self.line.send(Open(self.ch, "notes", credit=1 << 40))

    def received(self, message: AnyMessage) -> None:
        if isinstance(message, Opened):
            self.opened.set()

    def disconnected(self, error: AteError) -> None:
        pass


async def test_a_subscriber_that_never_reads(servers: Servers, alice: Session) -> None:
    """The writer is not slowed down, and what is kept for the deaf one has a bound."""
    server = servers.start("data")
    async with opening(server.url, alice) as chain:
        line = Line(Url.parse(server.url), dialer())
        deaf = Deaf(line)
        await asyncio.wait_for(deaf.opened.wait(), TIMEOUT_S)
        pump = line._pump
        assert pump is not None
        pump.transport._stream.pause_reading()  # type: ignore[attr-defined]
        before, began = memory(server), time.monotonic()
        for n in range(60):
            await put(chain, {"n": n, "text": "x" * 1_000_000})
        assert time.monotonic() - began < TIMEOUT_S
        assert memory(server) - before < 64 * MIB, "60 MB were written"
        await line.close()
    await lives(server, alice)


def memory(server: Server) -> int:
    """Return the bytes that a process holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = [one for one in status.splitlines() if one.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


class Tap:
    """A relay that keeps what clients send."""

    def __init__(self, port: int) -> None:
        self.target, self.said = port, bytearray()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.target)

        async def carry(
            one: asyncio.StreamReader, other: asyncio.StreamWriter, kept: bytearray | None
        ) -> None:
            while part := await one.read(65_536):
                if kept is not None:
                    kept += part
                other.write(part)
                await other.drain()
            other.write_eof()

        await asyncio.gather(
            carry(reader, back, self.said), carry(there, writer, None), return_exceptions=True
        )
        for end in (writer, back):
            end.close()
            with suppress(OSError):
                await end.wait_closed()


@pytest.mark.parametrize("words", [(), ("--wire-encryption",)])
async def test_a_connection_that_is_replayed(
    servers: Servers, alice: Session, words: tuple[str, ...]
) -> None:
    server = servers.start("data", "--pure-tcp", *words)
    terms = Terms(encryption=bool(words))
    tap = Tap(server.port)
    relay = await asyncio.start_server(tap.serve, "127.0.0.1", 0)
    port = relay.sockets[0].getsockname()[1]
    async with opening(f"tcp://127.0.0.1:{port}", alice, connection={"terms": terms}) as chain:
        for n in range(5):
            await put(chain, {"n": n})
        head = chain.head
    said = bytes(tap.said)
    relay.close()
    assert len(said) > 1000
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(said)
        writer.write_eof()
        async with asyncio.timeout(TIMEOUT_S):
            with suppress(OSError):
                while await reader.read(65_536):
                    pass
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    async with opening(server.url, alice, connection={"terms": terms}) as chain:
        assert chain.head == head
        assert sorted([one.value["n"] async for one in chain.dio().roots(dict)]) == [*range(5)]
        assert await put(chain, {"n": 5}) == head + 1
