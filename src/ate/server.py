"""A small server for a hall: sockets, TLS and a clean end; it never reads a message.

`atedb` is the large one, with metrics and configuration; this one is for programs that serve
chains themselves, and for tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from ssl import SSLContext
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from ate import limits
from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.sign import SigningKey
from ate.errors import UsageError
from ate.mesh import tcp
from ate.mesh.attend import Hall, Visitor, attend
from ate.mesh.transport import Listener, Transport
from ate.mesh.url import Url
from ate.wire.connection import Terms
from ate.wire.terms import Trust

#: Seconds that the work at hand may take when a server stops.
DRAIN_S: Final = 5.0
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 — to name a way in

_Attending: TypeAlias = Callable[[Transport, dict[Visitor, None]], Coroutine[Any, Any, None]]


class Server:
    """A hall behind a port or two; made by `serve`.

    Attributes:
        urls: the addresses, once it has started.
    """

    def __init__(
        self,
        ports: dict[str, int],
        url: Url,
        tls: SSLContext | None,
        attending: _Attending,
        terms: Terms,
    ) -> None:
        self.urls: list[Url] = []
        self._ports, self._url, self._tls = ports, url, tls
        self._attending, self._terms = attending, terms
        self._visitors: dict[Visitor, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[Listener] = []

    @property
    def url(self) -> str:
        """The address that clients open; that of the WebSocket if there are two."""
        return str(self.urls[0])

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen.

        Raises:
            UsageError: a port is taken, or may not be used.
        """
        try:
            for scheme, port in self._ports.items():
                listener = await self._listen(scheme, port)
                self._listeners.append(listener)
                name = scheme + "s" if self._tls is not None else scheme
                self.urls.append(replace(self._url, scheme=name, port=listener.port))
        except OSError as error:
            await self.close(0.0)
            raise UsageError(
                f"cannot listen on {self._url.host} port {port}: {error.strerror}",
                hint="is another server running there? port=0 takes one that is free",
            ) from None

    async def close(self, drain_s: float = DRAIN_S) -> None:
        """Take no more connections, let every visitor go after what it is at, and end.

        Args:
            drain_s: how long the work at hand may take.
        """
        for listener in self._listeners:
            listener.stop()
        for visitor in tuple(self._visitors):
            visitor.dismiss("the server stops")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain_s)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for listener in self._listeners:
            await listener.close()
        self._listeners.clear()

    async def _listen(self, scheme: str, port: int) -> Listener:
        if scheme == "tcp":
            return await tcp.listen(self._meet, self._url.host, port, tls=self._tls)
        from ate.mesh import websocket

        return await websocket.listen(
            self._meet,
            self._url.host,
            port,
            frame_max=self._terms.frame_max,
            tls=self._tls,
            patience_s=self._terms.handshake_s,
        )

    def _meet(self, transport: Transport) -> asyncio.Task[None]:
        """Serve a connection in a task of its own."""
        task = asyncio.create_task(self._attending(transport, self._visitors))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def serve(
    hall: Hall,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    websocket: bool = True,
    tcp: bool = False,
    tcp_port: int = 0,
    path: str = "/",
    tls: SSLContext | None = None,
    identity: SigningKey | None = None,
    trust: Trust | None = None,
    terms: Terms | None = None,
    server_id: bytes = b"",
    connections_max: int = limits.CONNECTIONS_MAX,
    entropy: Entropy = system_entropy,
    agent: str = "",
) -> Server:
    """Return a server; `async with` starts and ends it.

    Args:
        host: the address to listen on; other machines reach only one that is not 127.0.0.1.
        port: 0 takes any that is free; it is in `url`.
        websocket, tcp: what is spoken. With both, `port` is the WebSockets' and `tcp_port` that of
            plain TCP.
        path: the only one that is served.
        tls: with it clients say wss:// or tcps://.
        identity: the key that the server proves to clients.
        trust: raises a TrustError for a client key that is not welcome.
        connections_max: who comes when so many are here is told to come later.

    Raises:
        UsageError: nothing would be served.
    """
    if not (websocket or tcp):
        raise UsageError("a server speaks WebSocket, TCP or both", hint="leave websocket=True")

    async def attending(transport: Transport, visitors: dict[Visitor, None]) -> None:
        await attend(
            transport,
            hall,
            identity=identity,
            trust=trust,
            terms=terms,
            server_id=server_id,
            path_ok=lambda asked: asked == path,
            visitors=visitors,
            is_full=len(visitors) >= connections_max,
            entropy=entropy,
            agent=agent,
        )

    ports = {"ws": port} if websocket else {}
    if tcp:
        ports["tcp"] = tcp_port if websocket else port
    url = Url("ws", host, 0, path)
    return Server(ports, url, tls, attending, terms or Terms())
