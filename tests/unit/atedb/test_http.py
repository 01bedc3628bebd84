"""`atedb.http`: pages, WebSockets by path, and whatever bytes may come, over real sockets."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ate.clock import SystemClock
from ate.errors import Disconnected, NetworkError
from ate.mesh import websocket
from ate.mesh.transport import Transport
from ate.mesh.url import Url
from atedb import http
from atedb.http import Front
from atedb.journal import Journal
from atedb.metrics import Metrics

FRAME_MAX = 64 * 1024
BAD_VERSION = (
    b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 99\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class House:
    """A front with two services: one echoes, one fails."""

    def __init__(self, **options: Any) -> None:
        self.journal = io.StringIO()
        self.metrics = Metrics()
        self.serves = True
        self.front = Front(
            {"/": self.echo, "/broken": self.fail},
            metrics=self.metrics,
            journal=Journal(self.journal, SystemClock()),
            health=lambda: (self.serves, {"chains": 3}),
            **{"connections_max": 100, **options},
        )
        self.port = 0

    async def echo(self, transport: Transport) -> None:
        try:
            while True:
                transport.send([await transport.receive()])
        except Disconnected:
            return

    async def fail(self, transport: Transport) -> None:
        raise ValueError("a secret")

    async def dial(self, path: str = "/") -> Transport:
        url = Url("ws", "127.0.0.1", self.port, path)
        return await websocket.dial(url, frame_max=FRAME_MAX, tls=None)

    async def say(self, data: bytes) -> bytes:
        """Send bytes and return all that comes back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(20):
                try:
                    return await reader.read()
                except ConnectionError:
                    return b""
        finally:
            writer.close()

    async def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
        raw = await self.say(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, body = raw.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return int(first.split()[1]), headers, body


@asynccontextmanager
async def house(**options: Any) -> AsyncIterator[House]:
    made = House(**options)
    made.port = await made.front.listen("127.0.0.1", 0, None)
    try:
        yield made
    finally:
        await made.front.close()


async def test_health_tells_whether_the_server_serves() -> None:
    async with house() as made:
        status, headers, body = await made.ask("/healthz")
        assert (status, json.loads(body)) == (200, {"status": "ok", "chains": 3})
        assert headers["Content-Type"].startswith("application/json")
        made.serves = False
        status, _, body = await made.ask("/healthz")
        assert (status, json.loads(body)["status"]) == (503, "draining")


async def test_metrics_are_text_for_prometheus() -> None:
    async with house() as made:
        await made.ask("/healthz")
        status, headers, body = await made.ask("/metrics")
        assert status == 200
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert 'atedb_http_requests_total{status="200"} 1\n' in body


async def test_the_page_says_how_to_connect() -> None:
    async with house() as made:
        made.front.address = "ws://example.org/<b>"
        status, headers, body = await made.ask("/")
        assert status == 200
        assert headers["Content-Type"].startswith("text/html")
        assert "ws://example.org/&lt;b&gt;/" in body
        assert "<b>" not in body
        assert (await made.ask("/", "HEAD"))[2] == ""


async def test_no_answer_tells_what_the_server_is_made_of() -> None:
    async with house() as made:
        for path in ("/", "/healthz", "/none", "/broken"):
            _, headers, _ = await made.ask(path)
            assert headers["Server"] == "atedb"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Connection"] == "close"
        garbage = await made.say(b"\x00\x01\x02\r\n\r\n")
        assert garbage.startswith(b"HTTP/1.0 400")
        assert b"aiohttp" not in garbage
        assert b"Python" not in garbage


@pytest.mark.parametrize(
    "method, path, status",
    [("GET", "/none", 404), ("POST", "/", 405), ("PUT", "/healthz", 405), ("GET", "/broken", 426)],
)  # fmt: skip
async def test_what_is_not_there(method: str, path: str, status: int) -> None:
    async with house() as made:
        assert (await made.ask(path, method))[0] == status


async def test_without_pages_there_are_only_services() -> None:
    async with house(pages=False) as made:
        assert (await made.ask("/"))[0] == 426
        assert (await made.ask("/metrics"))[0] == 404
        transport = await made.dial()
        await transport.close()


async def test_services_are_told_apart_by_their_path() -> None:
    async with house() as made:
        transport = await made.dial("/")
        transport.send([b"hello", b"x" * (FRAME_MAX - 1)])
        assert await transport.receive() == b"hello"
        assert await transport.receive() == b"x" * (FRAME_MAX - 1)
        await transport.close()
        with pytest.raises(Disconnected, match="404"):
            await made.dial("/elsewhere")


async def test_a_service_that_fails_takes_nobody_along() -> None:
    async with house() as made:
        broken = await made.dial("/broken")
        with pytest.raises(Disconnected):
            await broken.receive()
        await broken.close()
        assert (await made.ask("/healthz"))[0] == 200
        await made.front.close()
        assert "ValueError in test_http.py" in made.journal.getvalue()
        assert "secret" not in made.journal.getvalue()


async def test_who_comes_while_the_server_ends_is_told_so() -> None:
    async with house() as made:
        made.serves = False
        with pytest.raises(Disconnected, match="503"):
            await made.dial()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
        b"\x00" * 10_000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n" + b"z" * 10_000,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        BAD_VERSION,
    ],
    ids=lambda one: one[:24].hex(),
)
async def test_any_bytes_get_an_end(data: bytes) -> None:
    async with house() as made:
        answer = await made.say(data)
        assert answer == b"" or int(answer.split()[1]) in (400, 405, 426)
        assert (await made.ask("/healthz"))[0] == 200
        assert "failed" not in made.journal.getvalue()


async def test_random_bytes_get_an_end() -> None:
    async with house() as made:
        answers = await asyncio.gather(
            *(made.say(os.urandom(200) + b"\r\n\r\n") for _ in range(50))
        )
        assert all(answer[:12] in (b"", b"HTTP/1.0 400") for answer in answers)
        assert (await made.ask("/healthz"))[0] == 200


async def test_who_says_nothing_is_shown_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_REQUEST_S", 0.05)
    async with house() as made:
        assert await made.say(b"") == b""
        assert await made.say(b"GET / HTTP/1.1\r\nX: ") == b""
        transport = await made.dial()
        await asyncio.gather(made.say(b""), made.say(b"G"))
        transport.send([b"still here"])
        assert await transport.receive() == b"still here"
        await transport.close()
        assert not made.front._silent


async def test_too_many_connections_are_ended_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SPARE", 1)
    async with house(connections_max=2) as made:
        open_ones = [await made.dial() for _ in range(3)]
        assert await made.say(b"GET / HTTP/1.1\r\n\r\n") == b""
        assert made.metrics.turned_away.values == {"connections": 1}
        for one in open_ones:
            await one.close()


async def test_a_port_that_is_taken() -> None:
    async with house() as made:
        other = House()
        with pytest.raises(
            NetworkError, match=f"127.0.0.1 port {made.port}: address already in use"
        ):
            await other.front.listen("127.0.0.1", made.port, None)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "x" * 300, "."])
async def test_an_address_that_is_not_ours(host: str) -> None:
    with pytest.raises(NetworkError, match="cannot listen"):
        await House().front.listen(host, 0, None)


async def test_refusing_keeps_those_who_are_there() -> None:
    async with house() as made:
        transport = await made.dial()
        made.front.refuse()
        with pytest.raises(Disconnected):
            await made.dial()
        transport.send([b"bye"])
        assert await transport.receive() == b"bye"
        await transport.close()


async def test_a_server_that_stands_by_says_so() -> None:
    async with house() as made:
        made.front._health = lambda: (False, {"status": "stand-by"})
        with pytest.raises(Disconnected):
            await made.dial()
        with pytest.raises(Disconnected):
            await made.dial("/nowhere")
        said = await made.say(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b" 503 " in said
        assert b'"status": "stand-by"' in said
