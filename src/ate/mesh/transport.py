"""What carries frames between two peers, as a contract; it never looks into a frame.

A WebSocket, a TCP connection and a simulated network fulfil it alike, so nothing above knows which
one it stands on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias

from ate.mesh.url import Url

#: Seconds until a connection stands, name look-up and TLS included.
CONNECT_S: Final = 30.0
#: Seconds that a client may take until TLS stands, and until it has said what it wants by HTTP.
ACCEPT_S: Final = 10.0
#: Connections that the system holds until the server takes them.
BACKLOG: Final = 1024
#: Seconds that a closing connection may take to send what is queued.
CLOSE_S: Final = 2.0
#: `drain` waits while more than this is queued: enough to keep a fast network busy.
QUEUE_HIGH: Final = 256 * 1024
#: A transport stops reading from the system while more than this waits to be received.
READ_AHEAD: Final = 256 * 1024


class Transport(Protocol):
    """One ordered, reliable stream of frames."""

    #: The peer's address, for logs and quotas.
    address: str
    #: The largest frame to take: small until it is known who the peer is.
    frame_max: int

    @property
    def queued(self) -> int:
        """Bytes that `send` took and the system has not."""
        ...

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue frames; never blocks, never raises: what is sent to a lost peer is dropped."""
        ...

    async def drain(self) -> None:
        """Return when little is queued.

        Raises:
            Disconnected: the connection ended.
        """
        ...

    async def receive(self) -> bytes:
        """Return the next frame.

        Raises:
            Disconnected: the connection ended, or `close` was called.
            RemoteProtocolError: the peer sent a frame that is too long, or no frame at all.
        """
        ...

    async def close(self) -> None:
        """Send what is queued, for `CLOSE_S` at most, and end the connection; may be repeated."""
        ...


#: Connects to a server; raises `Disconnected` with a hint when that fails.
Dial: TypeAlias = Callable[[Url], Awaitable[Transport]]


class Listener(Protocol):
    """What takes connections on a port."""

    #: The port, once it is known.
    port: int

    def stop(self) -> None:
        """Take no more connections; those that are here stay."""
        ...

    async def close(self) -> None:
        """End what is left."""
        ...
