from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.unit.ate.mesh.actors import Certificates, EarPort, EchoHall, quick

from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import SigningKey, VerifyKey
from ate.errors import Disconnected, NotFound, Throttled, TimedOut, UntrustedRoot, UsageError
from ate.mesh.dial import dialer
from ate.mesh.line import Line
from ate.mesh.url import Url
from ate.server import Server, serve
from ate.wire.message import Records, Submit
from ate.wire.terms import Terms

kinds = pytest.mark.parametrize("kind", ["ws", "tcp"])


def server_of(hall: EchoHall, kind: str, **options: object) -> Server:
    return serve(hall, websocket=kind == "ws", tcp=kind == "tcp", **options)  # type: ignore[arg-type]


@asynccontextmanager
async def line_to(url: str | Url, **options: object) -> AsyncIterator[tuple[Line, EarPort, int]]:
    place = Url.parse(url) if isinstance(url, str) else url
    dial = dialer(tls=options.pop("tls", None))  # type: ignore[arg-type]
    line, port = Line(place, dial, **options), EarPort()  # type: ignore[arg-type]
    ch = line.attach(port)
    try:
        yield line, port, ch
    finally:
        await line.close()


async def talk(url: str | Url, **options: object) -> None:
    """Say something and hear it back."""
    async with line_to(url, **options) as (line, port, ch):
        await port.until("up")
        line.send(Submit(ch, b"hello"))
        await port.until("message")
        assert port.messages == [Records(ch, [b"hello"])]


@kinds
async def test_a_client_is_served(kind: str) -> None:
    hall = EchoHall()
    async with server_of(hall, kind) as server:
        assert server.url.startswith(f"{kind}://127.0.0.1:")
        await talk(server.url)
        await hall.until(lambda hall: not hall.here)


async def test_both_kinds_at_once() -> None:
    hall = EchoHall()
    async with serve(hall, tcp=True) as server:
        assert [url.scheme for url in server.urls] == ["ws", "tcp"]
        for url in server.urls:
            await talk(url)
        assert hall.arrivals == 2


@kinds
async def test_tls(kind: str, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    async with server_of(EchoHall(), kind, tls=certificates.server()) as server:
        assert server.url.startswith(f"{kind}s://")
        await talk(server.url, tls=certificates.client())
        async with line_to(server.url) as (_, port, _):
            await port.until("down")
            assert isinstance(port.errors[0], Disconnected)
            assert "certificate" in port.errors[0].hint


async def test_keys_are_proved_and_frames_sealed() -> None:
    ours, theirs = (SigningKey.generate(SeededEntropy(n)) for n in range(2))
    seen: list[bytes] = []

    def trust(key: VerifyKey | None) -> None:
        seen.append(key.key_id if key else b"")

    hall, terms = EchoHall(), Terms(encryption=True)
    async with (
        serve(hall, identity=ours, terms=terms, server_id=bytes(16)) as server,
        line_to(server.url, identity=theirs, trust=trust, terms=terms) as (line, port, ch),
    ):
        await port.until("up")
        assert port.peer is not None
        assert port.peer.encrypted
        line.send(Submit(ch, b"sealed"))
        await port.until("message")
        assert hall.here[0].peer.key_id == theirs.public.key_id
    assert seen == [ours.public.key_id]


async def test_a_client_that_does_not_trust_the_server_says_nothing() -> None:
    def trust(key: VerifyKey | None) -> None:
        raise UntrustedRoot("who is this?")

    hall = EchoHall()
    async with serve(hall) as server, line_to(server.url, trust=trust) as (_, port, _):
        await port.until("down")
        assert isinstance(port.errors[0], UntrustedRoot)
        assert not hall.arrivals


async def test_one_path_is_served() -> None:
    async with serve(EchoHall(), path="/db") as server:
        assert server.url.endswith("/db")
        await talk(server.url)
        async with line_to(server.url.removesuffix("db")) as (_, port, _):
            await port.until("down")
            assert isinstance(port.errors[0], NotFound)


@kinds
async def test_a_full_server_says_so_and_takes_the_next_when_one_goes(kind: str) -> None:
    hall = EchoHall()
    async with server_of(hall, kind, connections_max=1) as server:
        async with line_to(server.url) as (_, port, _):
            await port.until("up")
            async with line_to(server.url) as (_, other, _):
                await other.until("down")
                assert isinstance(other.errors[0], Throttled)
        await hall.until(lambda hall: not hall.here)
        await asyncio.sleep(0)
        async with line_to(server.url) as (_, port, _):
            await hall.until(lambda hall: bool(hall.here))


@kinds
async def test_closing_lets_the_work_at_hand_end(kind: str) -> None:
    hall = EchoHall()
    async with server_of(hall, kind) as server, line_to(server.url) as (line, port, ch):
        await port.until("up")
        hall.gate.clear()
        line.send(Submit(ch, b"1"), Submit(ch, b"2"))
        await hall.until(lambda hall: bool(hall.heard))
        closing = asyncio.create_task(server.close())
        await asyncio.sleep(0)
        hall.gate.set()
        await closing
        await port.until("down")
        assert port.messages == [Records(ch, [b"1"])]
        assert not hall.here


@kinds
async def test_closing_does_not_wait_for_ever(kind: str) -> None:
    hall = EchoHall()
    async with server_of(hall, kind) as server, line_to(server.url) as (line, port, ch):
        await port.until("up")
        hall.gate.clear()
        line.send(Submit(ch, b"1"))
        await hall.until(lambda hall: bool(hall.heard))
        await server.close(drain_s=0.05)
        await port.until("down")
        assert not hall.here


@kinds
async def test_a_line_finds_a_server_that_comes_back(kind: str) -> None:
    hall = EchoHall()
    server = server_of(hall, kind)
    await server.start()
    port_number = server.urls[0].port
    async with line_to(server.url) as (line, port, ch):
        await port.until("up")
        await server.close()
        await port.until("down")
        async with server_of(hall, kind, port=port_number):
            await port.until("up", 2)
            line.send(Submit(ch, b"again"))
            await port.until("message")


@kinds
async def test_a_port_that_is_taken(kind: str) -> None:
    async with server_of(EchoHall(), kind) as server:
        with pytest.raises(UsageError, match="cannot listen") as caught:
            await server_of(EchoHall(), kind, port=server.urls[0].port).start()
        assert "port=0" in caught.value.hint


def test_a_server_speaks_something() -> None:
    with pytest.raises(UsageError):
        serve(EchoHall(), websocket=False)


@kinds
async def test_strangers_that_say_nothing_are_let_go(kind: str) -> None:
    hall, terms = EchoHall(), quick()
    async with server_of(hall, kind, terms=terms) as server:
        url = server.urls[0]
        reader, writer = await asyncio.open_connection(url.host, url.port)
        if kind == "ws":
            writer.write(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            writer.write(b"\x82\xff")  # half a frame
        else:
            writer.write(b"\xff\x00\x00\x00half a frame")
        async with asyncio.timeout(30):
            await reader.read()
        writer.close()
        assert not hall.arrivals
        await talk(server.url)


@kinds
async def test_a_server_that_falls_silent_is_noticed(kind: str) -> None:
    mute = quick(keepalive_s=60, handshake_s=60)
    hall = EchoHall()
    async with server_of(hall, kind, terms=mute) as server:
        hall.gate.clear()
        async with line_to(server.url, terms=quick()) as (line, port, ch):
            await port.until("up")
            line.send(Submit(ch, b"1"))  # while it is handled, nothing is answered
            await port.until("down")
            assert isinstance(port.errors[0], TimedOut)
        hall.gate.set()
        await hall.until(lambda hall: not hall.here)
