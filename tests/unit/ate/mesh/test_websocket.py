from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from tests.unit.ate.mesh.actors import Certificates

from ate.errors import Disconnected, RemoteProtocolError
from ate.mesh import websocket
from ate.mesh.transport import QUEUE_HIGH
from ate.mesh.url import Url
from ate.mesh.websocket import HttpListener, Impatience, WebSocketTransport, dial, listen

FRAME_MAX = 1 << 16
_SHORT = aiohttp.ClientWSTimeout(ws_close=0.1)


class Server:
    def __init__(self) -> None:
        self.accepted: asyncio.Queue[WebSocketTransport] = asyncio.Queue()
        self.over = asyncio.Event()
        self.listener: HttpListener | None = None

    async def serve(self, transport: WebSocketTransport) -> None:
        self.accepted.put_nowait(transport)
        await self.over.wait()

    @property
    def url(self) -> Url:
        assert self.listener is not None
        return Url("ws", "127.0.0.1", self.listener.port, "/db")

    async def pair(self) -> tuple[WebSocketTransport, WebSocketTransport]:
        near = await dial(self.url, frame_max=FRAME_MAX, tls=None)
        return near, await self.accepted.get()

    @asynccontextmanager
    async def stranger(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Connect with another program's WebSocket."""
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(str(self.url), timeout=_SHORT) as socket,
        ):
            yield socket


@asynccontextmanager
async def serving(certificates: Certificates | None = None) -> AsyncIterator[Server]:
    server = Server()
    tls = certificates.server() if certificates else None
    server.listener = await listen(server.serve, "127.0.0.1", 0, frame_max=FRAME_MAX, tls=tls)
    try:
        yield server
    finally:
        server.over.set()
        server.listener.stop()
        await server.listener.close()


async def test_a_frame_is_a_binary_message() -> None:
    async with serving() as server, server.stranger() as socket:
        far = await server.accepted.get()
        await socket.send_bytes(b"abc")
        assert await far.receive() == b"abc"
        far.send([b"answer", b"more"])
        await far.drain()
        assert await socket.receive_bytes() == b"answer"
        assert await socket.receive_bytes() == b"more"
        assert not socket.compress


async def test_frames_of_every_length_come_through_in_one_go() -> None:
    sizes = [1, 125, 126, 65_535, 65_536, 65_537, 300_000]
    frames = [bytes([at]) * size for at, size in enumerate(sizes)]
    async with serving() as server:
        near = await dial(server.url, frame_max=1 << 20, tls=None)
        far = await server.accepted.get()
        far.send(frames)
        assert [await near.receive() for _ in frames] == frames
        await near.close()


async def test_both_ends_are_transports() -> None:
    async with serving() as server:
        near, far = await server.pair()
        near.send([bytes(FRAME_MAX)])
        assert await far.receive() == bytes(FRAME_MAX)
        closing = asyncio.create_task(near.close())
        with pytest.raises(Disconnected, match="closed"):
            await far.receive()
        await far.close()
        await closing
        near.send([b"x"])
        far.send([b"x"])
        assert near.queued == far.queued == 0
        for one in (near, far):
            with pytest.raises(Disconnected):
                await one.receive()
            with pytest.raises(Disconnected):
                await one.drain()


async def test_text_is_refused() -> None:
    async with serving() as server, server.stranger() as socket:
        far = await server.accepted.get()
        await socket.send_str("hello")
        with pytest.raises(RemoteProtocolError, match="text"):
            await far.receive()


async def test_a_frame_over_the_bound_is_refused() -> None:
    async with serving() as server, server.stranger() as socket:
        far = await server.accepted.get()
        await socket.send_bytes(bytes(FRAME_MAX + 1))
        with pytest.raises(RemoteProtocolError, match="exceeds"):
            await far.receive()


async def test_drain_waits_while_nobody_reads() -> None:
    async with serving() as server:
        near, far = await server.pair()
        while near.queued <= QUEUE_HIGH:
            near.send([bytes(FRAME_MAX)])
        waiting = asyncio.create_task(near.drain())
        await asyncio.sleep(0)
        assert not waiting.done()
        near._stream.abort()
        with pytest.raises(Disconnected):
            await waiting
        near.send([b"x"])
        with pytest.raises(Disconnected):
            while True:
                await far.receive()
        await asyncio.gather(near.close(), far.close())


async def test_without_an_upgrade_there_is_an_answer() -> None:
    async with (
        serving() as server,
        aiohttp.ClientSession() as session,
        session.get(str(server.url).replace("ws", "http")) as answer,
    ):
        assert answer.status == 426
        assert "WebSocket" in await answer.text()


@pytest.mark.parametrize("version", ["12", ""])
async def test_a_broken_upgrade_is_an_http_error(version: str) -> None:
    async with serving() as server, aiohttp.ClientSession() as session:
        headers = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": version,
        }
        place = str(server.url).replace("ws", "http")
        async with session.get(place, headers=headers) as answer:
            assert answer.status == 400
        near, far = await server.pair()
        await asyncio.gather(near.close(), far.close())


@pytest.mark.parametrize("sent", [b"\x00\x01\x02\xff" * 100, b"GET", b"GET / HTTP/9\r\n\r\n", b""])
async def test_garbage_harms_nobody(sent: bytes) -> None:
    async with serving() as server:
        reader, writer = await asyncio.open_connection(server.url.host, server.url.port)
        writer.write(sent)
        writer.write_eof()
        await reader.read()
        writer.close()
        near, far = await server.pair()
        near.send([b"x"])
        assert await far.receive() == b"x"
        await asyncio.gather(near.close(), far.close())


async def test_who_asks_for_nothing_is_let_go() -> None:
    async def handle(request: web.BaseRequest) -> web.Response:
        factory.asked(request)
        return web.Response(text="here")

    web_server = web.Server(handle, access_log=None)
    factory = Impatience(web_server, patience_s=0.1)
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    listener = HttpListener(server, web_server)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    other, asking = await asyncio.open_connection("127.0.0.1", listener.port)
    asking.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    writer.write(b"GET / HT")
    assert await reader.read() == b""
    assert await other.readuntil(b"here")
    asking.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await other.readuntil(b"here")
    assert not factory._timers
    for one in (writer, asking):
        one.close()
    listener.stop()
    await listener.close()


class Odd:
    """A server that answers with bytes of its own."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def __aenter__(self) -> Url:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return Url("ws", "127.0.0.1", self._server.sockets[0].getsockname()[1], "/db")

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(self._answer)
        writer.close()


@pytest.mark.parametrize(
    "answer,word,hint",
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404", "path"),
        (b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n", "elsewhere", "other"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "status 101", ""),
        (b"\x15\x03\x01", "does not speak HTTP", "wss://"),
        (b"", "does not speak HTTP", "wss://"),
    ],
)
async def test_what_is_no_websocket_is_said(answer: bytes, word: str, hint: str) -> None:
    async with Odd(answer) as url:
        with pytest.raises(Disconnected, match=word) as caught:
            await dial(url, frame_max=FRAME_MAX, tls=None)
        assert hint in caught.value.hint


async def test_nobody_listens() -> None:
    async with serving() as server:
        url = server.url
    with pytest.raises(Disconnected, match="nobody listens"):
        await dial(url, frame_max=FRAME_MAX, tls=None)


async def test_tls_with_a_certificate_that_is_known_and_one_that_is_not(tmp_path: Path) -> None:
    known, other = tmp_path / "known", tmp_path / "other"
    known.mkdir()
    other.mkdir()
    certificates = Certificates(known)
    async with serving(certificates) as server:
        url = Url("wss", "127.0.0.1", server.url.port)
        near = await dial(url, frame_max=FRAME_MAX, tls=certificates.client())
        far = await server.accepted.get()
        near.send([b"x"])
        assert await far.receive() == b"x"
        await asyncio.gather(near.close(), far.close())
        with pytest.raises(Disconnected, match="TLS failed") as caught:
            await dial(url, frame_max=FRAME_MAX, tls=Certificates(other).client())
        assert "certificate" in caught.value.hint
        plain = Url("ws", "127.0.0.1", server.url.port)
        with pytest.raises(Disconnected):
            await dial(plain, frame_max=FRAME_MAX, tls=None)


async def test_a_port_that_is_taken() -> None:
    async with serving() as server:
        with pytest.raises(OSError, match="in use"):
            await listen(server.serve, "127.0.0.1", server.url.port, frame_max=1, tls=None)


async def test_a_session_that_fails_closes_its_socket() -> None:
    async def serve(transport: WebSocketTransport) -> None:
        raise asyncio.CancelledError

    listener = await websocket.listen(serve, "127.0.0.1", 0, frame_max=FRAME_MAX, tls=None)
    near = await dial(Url("ws", "127.0.0.1", listener.port), frame_max=FRAME_MAX, tls=None)
    with pytest.raises(Disconnected):
        await near.receive()
    await near.close()
    listener.stop()
    await listener.close()
