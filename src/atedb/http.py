"""One port for everything: WebSockets at the services' paths, and a few pages; it knows no chain.

Each plain request gets one answer and the end of its connection, so nobody can hold one open by
sending little. What is no HTTP at all gets status 400.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from html import escape
from ssl import SSLContext
from typing import Any, Final, TypeVar

from aiohttp import web

from ate import limits
from ate.errors import NetworkError
from ate.mesh import websocket
from ate.mesh.transport import Transport
from atedb.journal import Journal
from atedb.metrics import CONTENT_TYPE, Metrics

#: What runs a connection to its end.
Serve = Callable[[Transport], Awaitable[None]]

#: A request must be there, headers and all, so many seconds after the connection.
_Listening = TypeVar("_Listening")

_REQUEST_S: Final = 10.0
_LINE_MAX: Final = 4096
_HEADERS_MAX: Final = 64
#: Connections beyond those that are served: somebody has to be told that there are too many, and
#: health is asked for when it is worst.
SPARE: Final = 64
_HEADERS: Final = {
    "Server": "atedb",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Front:
    """The HTTP side of a server.

    Args:
        services: path → what serves the WebSockets that come there.
        health: tells how the server is: whether it serves, and facts for people.
        pages: whether `/`, `/healthz` and `/metrics` are answered.
        address: where clients reach the server, for the page.
    """

    def __init__(
        self,
        services: Mapping[str, Serve],
        *,
        metrics: Metrics,
        journal: Journal,
        health: Callable[[], tuple[bool, dict[str, Any]]],
        connections_max: int,
        pages: bool = True,
        address: str = "",
    ) -> None:
        self._services = services
        self._metrics, self._journal, self._health = metrics, journal, health
        self._bound = connections_max + SPARE
        self._pages: dict[str, Callable[[web.BaseRequest], web.Response]] = {}
        if pages:
            self._pages = {"/": self._index, "/healthz": self._healthz, "/metrics": self._numbers}
        self._server: web.Server | None = None
        self._listener: asyncio.Server | None = None
        #: Connections that have not asked for anything yet, and what will end them.
        self._silent: dict[Any, asyncio.TimerHandle] = {}
        self.address = address

    async def listen(self, host: str, port: int, tls: SSLContext | None) -> int:
        """Take connections from now on, and return the port.

        Raises:
            NetworkError: the address or port cannot be used.
        """
        silent = logging.getLogger("atedb.http")
        silent.propagate = False
        silent.setLevel(logging.CRITICAL + 1)  # what goes wrong is in the journal, and short
        self._server = web.Server(
            self._answer, request_factory=_Request.make, access_log=None, logger=silent,
            keepalive_timeout=_REQUEST_S, max_line_size=_LINE_MAX, max_field_size=_LINE_MAX,
            max_headers=_HEADERS_MAX, lingering_time=1.0,
        )  # fmt: skip
        self._listener = await listening(
            asyncio.get_running_loop().create_server(
                self._connection, host, port, ssl=tls, backlog=1024,
                ssl_handshake_timeout=_REQUEST_S if tls else None,
                ssl_shutdown_timeout=1.0 if tls else None,
            ),
            host, port,
        )  # fmt: skip
        return int(self._listener.sockets[0].getsockname()[1])

    def refuse(self) -> None:
        """Take no further connections; those that stand go on."""
        if self._listener is not None:
            self._listener.close()

    async def close(self) -> None:
        """End every connection that is left."""
        self.refuse()
        for timer in self._silent.values():
            timer.cancel()
        self._silent.clear()
        if self._server is not None:
            await self._server.shutdown(0.2)

    # --- connections ----------------------------------------------------------------------------

    def _connection(self) -> asyncio.BaseProtocol:
        server = self._server
        assert server is not None
        if len(server.connections) >= self._bound:
            self._metrics.turned_away.add(1, "connections")
            return _Shut()
        protocol = server()
        later = asyncio.get_running_loop().call_later
        self._silent[protocol] = later(_REQUEST_S, self._end_silent, protocol)
        return protocol

    def _end_silent(self, protocol: Any) -> None:
        """End a connection that has not managed to ask for anything."""
        del self._silent[protocol]
        protocol.force_close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        timer = self._silent.pop(request.protocol, None)
        if timer is not None:
            timer.cancel()
        try:
            response = await self._respond(request)
        except (ConnectionError, asyncio.CancelledError, web.HTTPException):
            raise
        except Exception as error:
            self._journal.fault("http request failed", error, path=request.path)
            response = _page("Something went wrong here.", 500)
        self._metrics.http.add(1, str(response.status))
        return response

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if request.headers.get("Upgrade", "").lower() == "websocket":
            serves, facts = self._health()
            if facts.get("status") == "stand-by":
                return _page("This server stands by; another one serves.", 503)
            serve = self._services.get(path)
            if serve is None:
                return _page("There is no such service.", 404)
            if not serves:
                return _page("The server is about to end.", 503)
            return await self._upgrade(request, serve)
        answer = self._pages.get(path)
        if answer is None:
            if path in self._services:
                return _page("Only WebSockets are served here.", 426)
            return _page("There is nothing here.", 404)
        if request.method not in ("GET", "HEAD"):
            response = _page("Only GET and HEAD are answered.", 405)
            response.headers["Allow"] = "GET, HEAD"
            return response
        response = answer(request)
        response.force_close()
        return response

    async def _upgrade(self, request: web.BaseRequest, serve: Serve) -> web.StreamResponse:
        try:
            transport = await websocket.accept(request, frame_max=limits.FRAME_BYTES_MAX)
        except web.HTTPException as refusal:
            return _page(f"This is no proper WebSocket: {refusal.reason}.", refusal.status)
        try:
            await serve(transport)
        finally:
            await transport.close()
        return websocket.response_of(transport)

    # --- pages ----------------------------------------------------------------------------------

    def _healthz(self, _: web.BaseRequest) -> web.Response:
        serves, facts = self._health()
        text = json.dumps({"status": "ok" if serves else "draining", **facts}) + "\n"
        return web.Response(
            text=text, status=200 if serves else 503, content_type="application/json"
        )

    def _numbers(self, _: web.BaseRequest) -> web.Response:
        return web.Response(
            body=self._metrics.text().encode(), headers={"Content-Type": CONTENT_TYPE}
        )

    def _index(self, _: web.BaseRequest) -> web.Response:
        rows = "".join(
            f"<li><code>{escape(self.address.rstrip('/') + path)}</code></li>"
            for path in self._services
        )
        return web.Response(text=_INDEX.replace("{services}", rows), content_type="text/html")


_INDEX: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>atedb</title>
<style>body{font:16px/1.5 system-ui;max-width:40em;margin:3em auto;padding:0 1em}</style>
<h1>atedb</h1>
<p>This server keeps chains: append-only logs of objects that it orders and cannot read.
<p>Programs reach it at
<ul>{services}</ul>
<p>for example
<pre>ate.open("example.com/alice/notes", url="…")</pre>
<p>How it is: <a href="/healthz">/healthz</a>, numbers: <a href="/metrics">/metrics</a>.
</html>
"""


class _Request(web.BaseRequest):
    """A request whose answers, error pages of the parser included, carry our headers."""

    @classmethod
    def make(cls, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> _Request:
        return cls(message, payload, protocol, writer, task, asyncio.get_running_loop())

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.update(_HEADERS)


class _Shut(asyncio.Protocol):
    """Ends a connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


async def listening(starting: Awaitable[_Listening], host: str, port: int) -> _Listening:
    """Return a server that listens.

    Raises:
        NetworkError: the address or port cannot be used.
    """
    try:
        return await starting
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        # asyncio puts the address into the reason; it is named once.
        reason = reason.rpartition(": ")[2] if isinstance(reason, str) else "no such address"
        raise NetworkError(
            f"cannot listen on {host} port {port}: {reason}",
            hint="is another server running there? choose a free one: --port N, or 0 for any",
        ) from None


def _page(text: str, status: int) -> web.Response:
    response = web.Response(text=text + "\n", status=status)
    response.force_close()
    return response
