"""Frames over a plain TCP connection, each after its length; it never speaks HTTP.

A frame is preceded by its length as four bytes, little-endian. asyncio and uvloop both switch
Nagle's delay off, so a small frame leaves at once. Over TLS it is the same.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from ssl import SSLContext, SSLError
from typing import Any, Final, cast

from ate import limits
from ate.errors import AteError, Disconnected, RemoteProtocolError
from ate.mesh.transport import (
    ACCEPT_S,
    BACKLOG,
    CLOSE_S,
    CONNECT_S,
    QUEUE_HIGH,
    READ_AHEAD,
)
from ate.mesh.url import PORT, Url
from ate.wire.frame import Deframer, framed

_REQUESTS: Final = (b"GET ", b"HEAD", b"POST", b"PUT ", b"OPTI", b"CONN", b"DELE")
_SORRY: Final = b"This port does not speak HTTP; its address begins with tcp:// or tcps://\n"
_ANSWER: Final = (
    b"HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_SORRY), _SORRY)
)


class TcpTransport(asyncio.Protocol):
    """A connection that carries frames.

    Args:
        made: called once when the connection stands.
    """

    def __init__(self, made: Callable[[TcpTransport], object] | None = None) -> None:
        self.address = ""
        self.frame_max = limits.HELLO_BYTES_MAX
        self._made = made
        self._loop = asyncio.get_running_loop()
        self._stream: asyncio.Transport | None = None
        self._deframer = Deframer()
        self._frames: deque[bytes] = deque()
        self._waiting = 0  # bytes in _frames
        self._reader: asyncio.Future[None] | None = None
        self._drainers: list[asyncio.Future[None]] = []
        self._is_full = self._is_paused = self._is_closed = False
        self._is_new = True
        self._error: AteError | None = None
        self._lost: asyncio.Future[None] = self._loop.create_future()

    # --- what the loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        stream.set_write_buffer_limits(high=QUEUE_HIGH)
        peer = stream.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        self._stream = stream
        if self._made is not None:
            self._made(self)

    def data_received(self, data: bytes) -> None:
        if self._error is not None:
            return
        deframer = self._deframer
        deframer.bound = self.frame_max
        head = data[:4] if self._is_new else b""
        self._is_new = False
        deframer.feed(data)
        try:
            for frame in deframer.frames():
                self._frames.append(frame)
                self._waiting += len(frame)
        except RemoteProtocolError as error:
            self._refuse(error, head)
        if self._waiting > READ_AHEAD and not self._is_paused and self._stream is not None:
            self._is_paused = True
            self._stream.pause_reading()
        if self._frames:
            self._wake()

    def eof_received(self) -> bool:
        return False  # half a connection is of no use: close it

    def connection_lost(self, exc: Exception | None) -> None:
        if self._error is None:
            self._error = Disconnected(_reason(exc))
        self._stream = None
        if not self._lost.done():
            self._lost.set_result(None)
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        drainers, self._drainers = self._drainers, []
        for drainer in drainers:
            if not drainer.done():
                drainer.set_result(None)

    # --- the contract ---

    @property
    def queued(self) -> int:
        return 0 if self._stream is None else self._stream.get_write_buffer_size()

    def send(self, frames: Sequence[bytes]) -> None:
        stream = self._stream
        if stream is None or self._is_closed or stream.is_closing():
            return
        for frame in frames:
            stream.write(framed(frame))

    async def drain(self) -> None:
        while self._is_full and self._stream is not None:
            drainer = self._loop.create_future()
            self._drainers.append(drainer)
            await drainer
        if self._stream is None or self._is_closed:
            raise self._error or Disconnected("the connection was closed")

    async def receive(self) -> bytes:
        while not self._frames or self._is_closed:
            if self._is_closed:
                raise Disconnected("the connection was closed")
            if self._error is not None:
                raise self._error
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        frame = self._frames.popleft()
        self._waiting -= len(frame)
        if self._is_paused and self._waiting <= READ_AHEAD // 2 and self._stream is not None:
            self._is_paused = False
            self._stream.resume_reading()
        return frame

    async def close(self) -> None:
        self._is_closed = True
        self._frames.clear()
        self._wake()
        stream = self._stream
        if stream is None:
            return
        stream.close()
        try:
            async with asyncio.timeout(CLOSE_S):
                await asyncio.shield(self._lost)
        except TimeoutError:
            pass
        finally:
            if self._stream is not None:
                stream.abort()

    # --- inside ---

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _refuse(self, error: RemoteProtocolError, head: bytes) -> None:
        """Take nothing more: what comes is no frame, or one that is too long."""
        self._error = _explained(error, head)
        if self._stream is not None:
            if head in _REQUESTS:
                self._stream.write(_ANSWER)
            self._stream.close()
        self._wake()


def _explained(error: RemoteProtocolError, head: bytes) -> RemoteProtocolError:
    """Return what is wrong with a peer whose first bytes are `head`."""
    if head in _REQUESTS or head == b"HTTP":
        return RemoteProtocolError("the peer speaks HTTP", hint="use ws:// with this address")
    if head[:2] in {b"\x15\x03", b"\x16\x03"}:
        return RemoteProtocolError("the peer speaks TLS", hint="use tcps:// and a certificate")
    return error


async def dial(url: Url, *, tls: SSLContext | None) -> TcpTransport:
    """Return a connection to `url`.

    Raises:
        Disconnected: there is no way, with the reason and what to do about it.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_S):
            _, made = await loop.create_connection(
                TcpTransport, url.host, url.port, **tls_options(tls, CONNECT_S)
            )
    except (OSError, TimeoutError) as error:
        raise unreachable(url, error) from None
    return made


class TcpListener:
    """Takes connections on a port."""

    def __init__(self, server: asyncio.Server) -> None:
        self.port = int(server.sockets[0].getsockname()[1])
        self._server = server

    def stop(self) -> None:
        self._server.close()

    async def close(self) -> None:
        self._server.close()


async def listen(
    made: Callable[[TcpTransport], object], host: str, port: int, *, tls: SSLContext | None
) -> TcpListener:
    """Return a listening server that calls `made` with each connection.

    Raises:
        OSError: the port is taken, or may not be used.
    """
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: TcpTransport(made), host, port, backlog=BACKLOG, **tls_options(tls, ACCEPT_S)
    )
    return TcpListener(server)


def tls_options(tls: SSLContext | None, handshake_s: float) -> dict[str, Any]:
    """Return the arguments of a connection or a server under TLS, if there is any."""
    if tls is None:
        return {}
    return {
        "ssl": tls,
        "ssl_handshake_timeout": handshake_s,
        "ssl_shutdown_timeout": CLOSE_S,
    }


def unreachable(url: Url, error: Exception) -> Disconnected:
    """Return the error for a server that could not be reached."""
    place = f"{url.host} port {url.port}"
    if isinstance(error, TimeoutError):
        text, hint = f"{place} does not answer within {CONNECT_S:.0f} s", "is a firewall between?"
    elif isinstance(error, SSLError):
        text = f"{place}: TLS failed: {getattr(error, 'verify_message', '') or error.reason}"
        hint = "give its CA certificate, or check the name, the port and the clock"
    elif isinstance(error, ConnectionRefusedError):
        text = f"nobody listens on {place}"
        hint = f"is the server running, on this port? (an address without one means {PORT})"
    else:
        text = (
            f"{place} cannot be reached: {error.strerror if isinstance(error, OSError) else error}"
        )
        hint = "check the address and the network"
    return Disconnected(text, hint=hint)


def _reason(exc: Exception | None) -> str:
    if exc is None:
        return "the peer closed the connection"
    return f"the connection broke: {getattr(exc, 'strerror', None) or type(exc).__name__}"
