"""Stranger at the port: reaches a server's address, holds no key and sends what bytes it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from tests.unit.ate.mesh.actors import EarPort, EchoHall, descriptors, quick

from ate.mesh.dial import dialer
from ate.mesh.line import Line
from ate.mesh.url import Url
from ate.server import Server, serve
from ate.wire.message import Records, Submit

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
#: What is at a port before any frame: nothing for TCP, an upgrade for a WebSocket.
OPENINGS = [("tcp", b""), ("ws", UPGRADE)]
RANDOM = Random(4)
ROWS = {
    "nothing": b"",
    "HTTP": b"POST /db HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nabc",
    "an endless header": b"GET / HTTP/1.1\r\nX: " + b"a" * 300_000,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "an endless length": b"\xff\xff\xff\xff" + bytes(1000),
    "half a frame": b"\x00\x01\x00\x00\x04half",
    "empty frames": bytes(4000),
    "a text message": b"\x81\x85\x00\x00\x00\x00hello",
    "a WebSocket frame without end": b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
    "a hello of garbage": b"\x05\x00\x00\x00\x04\xc1\xc1\xc1\xc1",
    "a sealed frame": b"\x15\x00\x00\x00\x02" + bytes(20),
    **{f"noise {n}": RANDOM.randbytes(2000) for n in range(20)},
}


@asynccontextmanager
async def server_of(hall: EchoHall, kind: str) -> AsyncIterator[Server]:
    async with serve(hall, websocket=kind == "ws", tcp=kind == "tcp", terms=quick()) as server:
        yield server


async def visit(url: Url, sent: bytes) -> None:
    """Send bytes and wait until the server has had enough."""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(sent)
    try:
        async with asyncio.timeout(20):
            while await reader.read(65_536):
                pass
    except ConnectionError:
        pass
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:
        pass


async def talk(url: Url) -> None:
    """Be served as if nothing had happened."""
    line, port = Line(url, dialer()), EarPort()
    ch = line.attach(port)
    await port.until("up")
    line.send(Submit(ch, b"hello"))
    await port.until("message")
    assert port.messages == [Records(ch, [b"hello"])]
    await line.close()


@pytest.mark.parametrize("kind,opening", OPENINGS)
async def test_whatever_is_sent_the_server_lets_it_go_and_lives(kind: str, opening: bytes) -> None:
    """Each is let go within the time of a handshake, and the hall sees none of them."""
    hall = EchoHall()
    async with server_of(hall, kind) as server:
        url = server.urls[0]
        await talk(url)
        before, arrivals = descriptors(), hall.arrivals
        await asyncio.gather(*(visit(url, opening + row) for row in ROWS.values()))
        assert hall.arrivals == arrivals
        await talk(url)
        await hall.until(lambda hall: not hall.here)
        assert descriptors() <= before


async def test_http_that_is_broken_is_answered_or_ended() -> None:
    hall = EchoHall()
    async with server_of(hall, "ws") as server:
        url = server.urls[0]
        rows = [row for name, row in ROWS.items() if name != "nothing"]
        visits = [asyncio.create_task(visit(url, row)) for row in rows]
        await talk(url)  # meanwhile others are served
        await asyncio.gather(*visits)
        assert hall.arrivals == 1


async def test_a_hundred_strangers_that_wait_do_not_keep_a_client_out() -> None:
    hall = EchoHall()
    async with server_of(hall, "tcp") as server:
        url = server.urls[0]
        visits = [asyncio.create_task(visit(url, b"\x09")) for _ in range(100)]
        await asyncio.sleep(0)
        await talk(url)
        await asyncio.gather(*visits)
        assert hall.arrivals == 1
