"""Frames as binary messages of a WebSocket, on both sides; the only place that knows aiohttp.

Compression is off: what chains send is sealed, and sealed bytes do not get smaller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from ssl import SSLContext
from typing import Any, Final, TypeAlias

from ate import limits
from ate.errors import Disconnected, RemoteProtocolError, UsageError
from ate.mesh.tcp import TcpListener, tls_options, unreachable
from ate.mesh.transport import ACCEPT_S, BACKLOG, CLOSE_S, CONNECT_S, QUEUE_HIGH
from ate.mesh.url import Url

try:
    import aiohttp
    from aiohttp import web
except ImportError:
    raise UsageError(
        "WebSockets need the package aiohttp", hint="pip install 'ate[net]', or use tcp://"
    ) from None

_Socket: TypeAlias = web.WebSocketResponse | aiohttp.ClientWebSocketResponse
_BINARY: Final = aiohttp.WSMsgType.BINARY


class WebSocketTransport:
    """A WebSocket that carries frames.

    Args:
        session: belongs to this socket alone and ends with it.
    """

    def __init__(
        self, socket: _Socket, address: str, session: aiohttp.ClientSession | None = None
    ) -> None:
        self.address = address
        self.frame_max = (
            limits.HELLO_BYTES_MAX
        )  # the connection looks at it; aiohttp has a fixed one
        self._socket, self._session = socket, session
        # What aiohttp offers to senders is a coroutine that writes at once and then waits if much
        # is queued. Nobody waits here (`drain` is for that), so only its first half is used: no
        # task for a frame, and no order to lose.
        writer: Any = socket._writer
        self._write: Callable[[bytes, int, int], None] = writer._write_websocket_frame
        self._masks: bool = writer.use_mask
        self._protocol = writer.protocol
        self._stream: asyncio.Transport = writer.transport
        self._stream.set_write_buffer_limits(high=QUEUE_HIGH)
        self._is_closed = False
        self._ended: asyncio.Task[None] | None = None

    @property
    def queued(self) -> int:
        return 0 if self._stream.is_closing() else self._stream.get_write_buffer_size()

    def send(self, frames: Sequence[bytes]) -> None:
        if self._is_closed or self._stream.is_closing():
            return
        try:
            if self._masks:
                for frame in frames:
                    self._write(frame, _BINARY, 0)
            else:
                # A system call for each, where aiohttp makes two when it is not short. All at once
                # would pass TLS by: it counts as queued only what comes after it was told to pause.
                for frame in frames:
                    self._stream.writelines((_head(len(frame)), frame))
        except (OSError, aiohttp.ClientError):
            pass  # it broke just now: `receive` says so

    async def drain(self) -> None:
        try:
            await self._protocol._drain_helper()
        except (OSError, aiohttp.ClientError):
            raise Disconnected("the connection broke") from None
        if self._is_closed or self._stream.is_closing():
            raise Disconnected("the connection was closed")

    async def receive(self) -> bytes:
        if self._is_closed:
            raise Disconnected("the connection was closed")
        message = await self._socket.receive()
        if message.type is _BINARY and not self._is_closed:
            data: bytes = message.data
            return data
        raise self._end(message)

    async def close(self) -> None:
        self._is_closed = True
        if self._ended is None:
            self._ended = asyncio.create_task(self._close())
        await asyncio.shield(self._ended)

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._socket.close()
        except (TimeoutError, OSError, aiohttp.ClientError, RuntimeError):
            pass
        finally:
            if self._protocol.connected:
                self._stream.abort()
            if self._session is not None:
                await self._session.close()

    def _end(self, message: aiohttp.WSMessage) -> Disconnected | RemoteProtocolError:
        """Return why there is no frame."""
        if self._is_closed:
            return Disconnected("the connection was closed")
        if message.type is aiohttp.WSMsgType.TEXT:
            return RemoteProtocolError("a text message where a binary one belongs")
        if message.type is aiohttp.WSMsgType.ERROR and isinstance(
            message.data, aiohttp.WebSocketError
        ):
            return RemoteProtocolError(f"a broken WebSocket frame: {message.data}")
        code = self._socket.close_code
        if code in {None, aiohttp.WSCloseCode.ABNORMAL_CLOSURE}:
            return Disconnected("the connection broke")
        return Disconnected("the peer closed the connection")


def _head(size: int) -> bytes:
    """Return what stands before a whole binary message of a server: RFC 6455 §5.2."""
    if size < 126:
        return b"\x82%c" % size
    return b"\x82\x7e" + size.to_bytes(2) if size < 65_536 else b"\x82\x7f" + size.to_bytes(8)


async def dial(url: Url, *, frame_max: int, tls: SSLContext | None) -> WebSocketTransport:
    """Return a connection to `url`.

    Raises:
        Disconnected: there is no way, with the reason and what to do about it.
    """
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=1, force_close=True, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trace_configs=[trace],
    )
    try:
        async with asyncio.timeout(CONNECT_S):
            socket = await session.ws_connect(
                str(url),
                compress=0,
                max_msg_size=frame_max + 1,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                ssl=True if tls is None else tls,
            )
        return WebSocketTransport(socket, url.host, session)
    except BaseException as error:
        await session.close()
        raise _translate(url, error) from None


async def accept(request: web.BaseRequest, *, frame_max: int) -> WebSocketTransport:
    """Return the connection that a client asks for with `request`.

    Raises:
        aiohttp.web.HTTPException: the request asks for no WebSocket; it is the answer as well.
    """
    socket = web.WebSocketResponse(timeout=CLOSE_S, compress=False, max_msg_size=frame_max + 1)
    await socket.prepare(request)
    return WebSocketTransport(socket, request.remote or "")


def response_of(transport: WebSocketTransport) -> web.WebSocketResponse:
    """Return what the handler of the request has to return in the end."""
    assert isinstance(transport._socket, web.WebSocketResponse)
    return transport._socket


class HttpListener(TcpListener):
    """Takes connections on a port and ends those that ask for nothing."""

    def __init__(self, server: asyncio.Server, web_server: web.Server) -> None:
        super().__init__(server)
        self._web_server = web_server

    async def close(self) -> None:
        await super().close()
        await self._web_server.shutdown(CLOSE_S)


class Impatience:
    """A protocol factory whose connections end when they ask for nothing.

    aiohttp itself waits for a first request for ever.

    Args:
        make: makes the protocol of a connection.
        patience_s: until the first request.
    """

    def __init__(
        self, make: Callable[[], web.RequestHandler], patience_s: float = ACCEPT_S
    ) -> None:
        self._make, self._patience_s = make, patience_s
        self._timers: dict[object, asyncio.TimerHandle] = {}

    def __call__(self) -> web.RequestHandler:
        made = self._make()
        loop = asyncio.get_running_loop()
        self._timers[made] = loop.call_later(self._patience_s, self._end, made)
        return made

    def asked(self, request: web.BaseRequest) -> None:
        """A request has come: its connection stays."""
        timer = self._timers.pop(request.protocol, None)
        if timer is not None:
            timer.cancel()

    def _end(self, made: web.RequestHandler) -> None:
        del self._timers[made]
        made.force_close()


async def listen(
    serve: Callable[[WebSocketTransport], Awaitable[None]],
    host: str,
    port: int,
    *,
    frame_max: int,
    tls: SSLContext | None,
    patience_s: float = ACCEPT_S,
) -> HttpListener:
    """Return a listening server that runs `serve` with each connection, to its end.

    Args:
        patience_s: how long a connection may take to ask for something.

    Raises:
        OSError: the port is taken, or may not be used.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        factory.asked(request)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            answer = web.Response(status=426, text="Only WebSockets are served here.\n")
            answer.force_close()
            return answer
        transport = await accept(request, frame_max=frame_max)
        try:
            await serve(transport)
        finally:
            await transport.close()
        return response_of(transport)

    web_server = web.Server(handle, access_log=None)
    factory = Impatience(web_server, patience_s)
    server = await asyncio.get_running_loop().create_server(
        factory, host, port, backlog=BACKLOG, **tls_options(tls, ACCEPT_S)
    )
    return HttpListener(server, web_server)


async def _refuse_redirect(_session: object, _context: object, _params: object) -> None:
    raise Disconnected("the server sends us elsewhere by HTTP", hint="dial the other address")


def _translate(url: Url, error: BaseException) -> BaseException:
    """Return the error of this package for one of aiohttp's."""
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return Disconnected(
            f"{url} is no WebSocket: HTTP status {error.status}",
            hint="check the path of the address; tcp:// reaches a server without HTTP",
        )
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return unreachable(
            url,
            error.certificate_error
            if isinstance(error, aiohttp.ClientConnectorCertificateError)
            else error.os_error,
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return unreachable(url, error.os_error)
    if isinstance(error, aiohttp.ClientError):
        return Disconnected(
            f"{url}: the server does not speak HTTP",
            hint="is it a wss:// or a tcp:// address?",
        )
    if isinstance(error, OSError | TimeoutError):
        return unreachable(url, error)
    return error
