"""Serves one connection on the server's side, to its end; what a message means is the hall's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ate import limits
from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.sign import SigningKey
from ate.errors import AteError, NotFound, RemoteError, Throttled
from ate.mesh.pump import Pump, Traffic, report
from ate.mesh.transport import Transport
from ate.wire.connection import Connection
from ate.wire.message import AnyMessage, Failed
from ate.wire.terms import PeerSession, Terms, Trust


class Visitor:
    """A connection as the hall sees it.

    Attributes:
        peer: what the other side has proved.
        send: sends messages, in order; to one who is gone they are dropped. It raises
            LocalProtocolError when a message is too large, or no server may send it.
    """

    __slots__ = ("_is_leaving", "_pump", "address", "send")

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._is_leaving = False
        self.address = pump.transport.address
        self.send = pump.send

    def __repr__(self) -> str:
        return f"Visitor({self.address})"

    @property
    def peer(self) -> PeerSession:
        peer = self._pump.connection.peer
        assert peer is not None, "the hall sees visitors only after their hello"
        return peer

    @property
    def queued(self) -> int:
        """Bytes sent that are not yet on the wire; a visitor with too many is let go."""
        return self._pump.queued

    async def drain(self) -> None:
        """Return when little is queued.

        Raises:
            Disconnected: the visitor is gone.
        """
        await self._pump.drain()

    def close(self, code: str = "", text: str = "") -> None:
        """Let the visitor go, at once."""
        self._pump.bye(code, text)

    def dismiss(self, text: str) -> None:
        """Let the visitor go when the message at hand is handled."""
        if self._pump.is_busy and self._pump.connection.is_ready:
            self._is_leaving = True
        else:
            self._pump.bye("", text)


class Hall(Protocol):
    """Who handles the messages of all visitors."""

    async def arrived(self, visitor: Visitor) -> None:
        """A visitor has said who it is; an AteError raised here sends it away, with the reason."""
        ...

    async def handle(self, visitor: Visitor, message: AnyMessage) -> None:
        """Handle one message; the visitor's next one waits meanwhile. Errors become `Failed`."""
        ...

    async def left(self, visitor: Visitor) -> None:
        """A visitor that had arrived is gone; called once, whatever happened."""
        ...


async def attend(
    transport: Transport,
    hall: Hall,
    *,
    identity: SigningKey | None = None,
    trust: Trust | None = None,
    terms: Terms | None = None,
    server_id: bytes = b"",
    path_ok: Callable[[str], bool] | None = None,
    visitors: dict[Visitor, None] | None = None,
    is_full: bool = False,
    queue_max: int = limits.QUEUE_BYTES_MAX,
    traffic: Traffic | None = None,
    entropy: Entropy = system_entropy,
    agent: str = "",
) -> None:
    """Serve one connection until it ends; no fault of the peer is raised.

    Args:
        identity: the server's key; without one it proves nothing.
        trust: raises a TrustError for a client key that is not welcome.
        server_id: 16 bytes that name this server among its peers.
        path_ok: whether a path is served here; every path when not given.
        visitors: who is here; this connection is a member as long as it lasts.
        is_full: there is no room: the peer is told so once it is known.
        queue_max: bytes that may wait for a peer that does not read.
        traffic: counts what passes.
    """
    connection = Connection(
        "server",
        identity=identity,
        trust=trust,
        terms=terms,
        server_id=server_id,
        agent=agent,
        entropy=entropy,
    )
    pump = Pump(transport, connection, queue_max=queue_max, traffic=traffic)
    visitor = Visitor(pump)
    if visitors is not None:
        visitors[visitor] = None
    try:
        messages = await pump.receive()
        while not connection.is_ready:
            messages = await pump.receive()
        if is_full:
            raise Throttled("the server has as many connections as it takes")
        if path_ok is not None and not path_ok(visitor.peer.path):
            raise NotFound(f"nothing is served at {visitor.peer.path!r}")
        await _host(visitor, hall, messages)
    except Exception as error:
        if not isinstance(error, AteError):
            report("the hall failed on a visitor", error)
            error = RemoteError("the server made a mistake")
        pump.bye(error.code, error.message)  # says nothing when the connection has ended
    finally:
        if visitors is not None:
            visitors.pop(visitor, None)
        await pump.close()


async def _host(visitor: Visitor, hall: Hall, messages: list[AnyMessage]) -> None:
    """Hand the messages of a visitor to the hall, from its arrival to its end."""
    try:
        await hall.arrived(visitor)
        while True:
            for message in messages:
                try:
                    await hall.handle(visitor, message)
                except Exception as error:
                    visitor.send(_failed(message, error))
                if visitor._is_leaving:
                    visitor.close("", "the server stops")
                    break
            messages = await visitor._pump.receive()
    finally:
        await hall.left(visitor)


def _failed(message: AnyMessage, error: Exception) -> Failed:
    """Return the answer to a message that could not be handled."""
    if not isinstance(error, AteError):
        report(f"the hall failed on a {type(message).__name__}", error)
        error = RemoteError("the server made a mistake")
    ch, ref = getattr(message, "ch", 0), getattr(message, "ref", 0)
    return Failed(ch, ref, error.code, error.message[:4096], error.hint[:4096])
