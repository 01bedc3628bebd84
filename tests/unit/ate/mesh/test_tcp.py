from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.unit.ate.mesh.actors import Certificates

from ate import limits
from ate.errors import Disconnected, RemoteProtocolError
from ate.mesh.tcp import TcpListener, TcpTransport, dial, listen
from ate.mesh.transport import QUEUE_HIGH, READ_AHEAD
from ate.mesh.url import Url


class Server:
    def __init__(self, listener: TcpListener, accepted: asyncio.Queue[TcpTransport]) -> None:
        self.listener, self.accepted = listener, accepted
        self.url = Url("tcp", "127.0.0.1", listener.port)

    async def stream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, TcpTransport]:
        """Return a connection whose client writes what bytes it likes."""
        reader, writer = await asyncio.open_connection(self.url.host, self.url.port)
        return reader, writer, await self.accepted.get()


@asynccontextmanager
async def serving(certificates: Certificates | None = None) -> AsyncIterator[Server]:
    accepted: asyncio.Queue[TcpTransport] = asyncio.Queue()
    tls = certificates.server() if certificates else None
    listener = await listen(accepted.put_nowait, "127.0.0.1", 0, tls=tls)
    try:
        yield Server(listener, accepted)
    finally:
        listener.stop()
        await listener.close()


async def close(writer: asyncio.StreamWriter, *transports: TcpTransport) -> None:
    writer.close()
    for transport in transports:
        await transport.close()
    try:
        await writer.wait_closed()
    except OSError:
        pass


async def test_a_frame_follows_its_length() -> None:
    async with serving() as server:
        reader, writer, far = await server.stream()
        writer.write(b"\x03\0\0\0abc\x01\0\0\0")
        assert await far.receive() == b"abc"
        writer.write(b"d")
        assert await far.receive() == b"d"
        far.send([b"answer"])
        await far.drain()
        assert await reader.readexactly(10) == b"\x06\0\0\0answer"
        await close(writer, far)


async def test_frames_are_taken_byte_by_byte() -> None:
    async with serving() as server:
        _, writer, far = await server.stream()
        for byte in b"\x03\0\0\0abc\x02\0\0\0de":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert [await far.receive(), await far.receive()] == [b"abc", b"de"]
        await close(writer, far)


@pytest.mark.parametrize(
    "sent,word,hint",
    [
        (b"\xff\xff\xff\xff", "4294967295 bytes", ""),
        ((limits.HELLO_BYTES_MAX + 1).to_bytes(4, "little"), "limit is 65536", ""),
        (b"\0\0\0\0", "0 bytes", ""),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP", "ws://"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "TLS", "tcps://"),
    ],
)
async def test_what_is_no_frame_ends_it_at_its_first_bytes(
    sent: bytes, word: str, hint: str
) -> None:
    async with serving() as server:
        reader, writer, far = await server.stream()
        writer.write(b"\x01\0\0\0x" if sent[0] in {0, 255} else b"")
        writer.write(sent)
        if sent[0] in {0, 255}:
            assert await far.receive() == b"x"  # what came before counts
        with pytest.raises(RemoteProtocolError, match=word) as caught:
            await far.receive()
        assert hint in caught.value.hint
        answer = await reader.read()
        assert (b"426" in answer and b"tcp://" in answer) == (word == "HTTP")
        await close(writer, far)


async def test_a_known_peer_may_send_larger_frames() -> None:
    async with serving() as server:
        near, far = await dial(server.url, tls=None), await server.accepted.get()
        far.frame_max = limits.FRAME_BYTES_MAX
        near.send([bytes(limits.FRAME_BYTES_MAX)])
        assert len(await far.receive()) == limits.FRAME_BYTES_MAX
        near.send([bytes(limits.FRAME_BYTES_MAX + 1)])
        with pytest.raises(RemoteProtocolError):
            await far.receive()
        with pytest.raises(Disconnected):
            await near.receive()
        await asyncio.gather(near.close(), far.close())


async def test_half_a_frame_is_dropped_with_its_connection() -> None:
    async with serving() as server:
        _, writer, far = await server.stream()
        writer.write(b"\x03\0\0\0ab")
        writer.write_eof()
        with pytest.raises(Disconnected):
            await far.receive()
        with pytest.raises(Disconnected):
            await far.drain()
        far.send([b"x"])
        assert far.queued == 0
        await close(writer, far)


async def test_who_is_not_asked_does_not_read_ahead_for_ever() -> None:
    async with serving() as server:
        near, far = await dial(server.url, tls=None), await server.accepted.get()
        frame, sent = bytes(60_000), 0
        while near.queued < 4 * QUEUE_HIGH:
            near.send([frame])
            sent += 1
            await asyncio.sleep(0)
        assert far._waiting <= READ_AHEAD + 400_000
        for _ in range(sent):
            assert await far.receive() == frame
        await near.drain()
        await asyncio.gather(near.close(), far.close())


async def test_a_cancelled_receive_loses_nothing() -> None:
    async with serving() as server:
        near, far = await dial(server.url, tls=None), await server.accepted.get()
        waiting = asyncio.create_task(far.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        near.send([b"x"])
        assert await far.receive() == b"x"
        await asyncio.gather(near.close(), far.close())


async def test_nobody_listens() -> None:
    async with serving() as server:
        url = server.url
    with pytest.raises(Disconnected, match="nobody listens") as caught:
        await dial(url, tls=None)
    assert "running" in caught.value.hint


async def test_a_name_that_is_none() -> None:
    with pytest.raises(Disconnected, match="cannot be reached"):
        await dial(Url("tcp", "no-such-host.invalid", 5000), tls=None)


async def test_a_certificate_that_is_not_known(tmp_path: Path) -> None:
    known, other = tmp_path / "known", tmp_path / "other"
    known.mkdir()
    other.mkdir()
    async with serving(Certificates(known)) as server:
        with pytest.raises(Disconnected, match="TLS failed") as caught:
            await dial(server.url, tls=Certificates(other).client())
        assert "certificate" in caught.value.hint


async def test_a_server_without_tls_is_told_from_one_with_it(tmp_path: Path) -> None:
    async with serving() as server:
        with pytest.raises(Disconnected):
            await dial(server.url, tls=Certificates(tmp_path).client())
        far = await server.accepted.get()
        with pytest.raises(RemoteProtocolError, match="TLS"):
            await far.receive()
        await far.close()


async def test_plain_bytes_at_a_tls_port_harm_nobody(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    async with serving(certificates) as server:
        reader, writer = await asyncio.open_connection(server.url.host, server.url.port)
        writer.write(b"\x03\0\0\0abc" * 10)
        await reader.read()
        writer.close()
        near = await dial(server.url, tls=certificates.client())
        far = await server.accepted.get()
        near.send([b"x"])
        assert await far.receive() == b"x"
        await asyncio.gather(near.close(), far.close())
