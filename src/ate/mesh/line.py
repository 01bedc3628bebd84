"""One client's connection to one server, for many chains; it looks into no message but its channel.

A line connects when the first port is attached and from then on stays connected or keeps trying. It
encrypts when it is told to, and when the server wants it: then it connects once more, at once.
It repeats nothing: what was sent on a connection that broke is lost or was received, and the port
finds out which when it opens its chain anew.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.sign import SigningKey
from ate.errors import AteError, Disconnected, EncryptionRequired
from ate.mesh.pump import Pump, report
from ate.mesh.transport import Dial
from ate.mesh.url import Url
from ate.wire.codec import Sendable
from ate.wire.connection import Connection
from ate.wire.message import AnyMessage
from ate.wire.terms import PeerSession, Terms, Trust

#: The waits between attempts grow from the first to the second; each is a random part of it, so
#: that the clients of a server that comes back do not come back all at once.
BACKOFF_S: Final = (0.1, 8.0)
#: By so much at each: a server that restarts is found after half as long again as it took.
_GROWTH: Final = 1.5
#: A connection that stood so long was a good one: the next failure is the first one. It is short,
#: so that a server that falls often is found soon each time.
STABLE_S: Final = 1.0
#: A server that does not answer within so long is left for one that stands by for it.
ANSWER_S: Final = 3.0

_T = TypeVar("_T")


class Port(Protocol):
    """Who sits at a channel of a line. Its methods are called from the event loop, in order."""

    def connected(self, peer: PeerSession) -> None:
        """The line is up, or up again: open your chain."""
        ...

    def received(self, message: AnyMessage) -> None:
        """A message for this channel; `Changed`, which has none, comes to every port."""
        ...

    def disconnected(self, error: AteError) -> None:
        """The line is down, or another attempt failed; it goes on trying."""
        ...


class Line:
    """A connection that lasts.

    Args:
        url: of the server; the line goes to one of `url.others` when it does not answer.
        dial: connects to it.
        identity: the key to prove; anonymous without one.
        trust: raises a TrustError for a server key that is not the one expected.
        entropy: for the waits and for the keys of a connection.
        agent: what the program calls itself.
    """

    def __init__(
        self,
        url: Url,
        dial: Dial,
        *,
        identity: SigningKey | None = None,
        trust: Trust | None = None,
        terms: Terms | None = None,
        entropy: Entropy = system_entropy,
        agent: str = "",
    ) -> None:
        self.url = url
        self.error: AteError | None = None
        self._places = (replace(url, others=()), *url.others)
        self._place = 0
        self._dial, self._identity, self._trust = dial, identity, trust
        self._terms, self._entropy, self._agent = terms or Terms(), entropy, agent
        self._ports: dict[int, Port] = {}
        self._last = 0
        self._pump: Pump | None = None
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._failures = 0
        #: When the connection came up; never, while there is none.
        self._stood_since = math.inf
        self._is_closed = False

    def __repr__(self) -> str:
        return f"Line({str(self.url)!r}, {'up' if self.is_up else 'down'})"

    @property
    def is_up(self) -> bool:
        return self._pump is not None

    @property
    def queued(self) -> int:
        """Bytes sent that are not yet on the wire."""
        return 0 if self._pump is None else self._pump.queued

    def attach(self, port: Port) -> int:
        """Return the channel of `port`; a line that waits to try again tries at once.

        Raises:
            Disconnected: the line was closed.
        """
        if self._is_closed:
            raise Disconnected(f"the line to {self.url} was closed")
        self._last += 1
        ch = self._last
        self._ports[ch] = port
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        elif self._pump is not None:
            asyncio.get_running_loop().call_soon(self._greet, ch, self._pump)
        else:
            self._hurry.set()
        return ch

    def detach(self, ch: int) -> None:
        """Forget a channel: its port hears nothing more. The line stays."""
        self._ports.pop(ch, None)

    def send(self, *messages: Sendable) -> None:
        """Send messages, in order; while the line is down they are dropped.

        Raises:
            LocalProtocolError: a message is too large, or no client may send it.
        """
        if self._pump is not None:
            self._pump.send(*messages)

    async def drain(self) -> None:
        """Return when little is queued.

        Raises:
            Disconnected: the line is down.
        """
        if self._pump is None:
            raise Disconnected(f"the line to {self.url} is down")
        await self._pump.drain()

    async def close(self) -> None:
        """End the connection for good; ports are told once more."""
        self._is_closed = True
        if self._pump is not None:
            self._pump.bye()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def hurry(self) -> None:
        """Make the next attempt at once: somebody waits for it."""
        if not self.is_up:
            self._hurry.set()

    # --- the life of a line ---

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_closed:
            self._hurry.clear()
            self._stood_since = math.inf
            is_clean = await self._connect()
            stood_s = loop.time() - self._stood_since
            try:
                async with asyncio.timeout(self._wait(stood_s, is_clean=is_clean)):
                    await self._hurry.wait()
            except TimeoutError:
                pass

    async def _connect(self) -> bool:
        """Connect and serve the connection to its end; return whether the server ended it well."""
        place = self._places[self._place % len(self._places)]
        connection = Connection(
            "client",
            path=place.path,
            identity=self._identity,
            trust=self._trust,
            terms=self._terms,
            entropy=self._entropy,
            agent=self._agent,
        )
        pump: Pump | None = None
        try:
            async with asyncio.timeout(ANSWER_S if len(self._places) > 1 else None):
                transport = await self._dial(place)
                pump = Pump(transport, connection)
                messages = await pump.receive()
                while not connection.is_ready:
                    messages = await pump.receive()
            self._up(pump)
            while True:
                for message in messages:
                    self._deliver(message)
                messages = await pump.receive()
        except TimeoutError:
            self._place += 1
            self._down(Disconnected(f"{place} does not answer"))
            return False
        except AteError as error:
            if isinstance(error, EncryptionRequired) and not self._terms.encryption:
                self._terms = replace(self._terms, encryption=True)  # from now on
                return True
            self._place += 1
            self._down(error)
            return connection.ended_well
        except asyncio.CancelledError:
            self._down(Disconnected(f"the line to {self.url} was closed"))
            raise
        finally:
            if pump is not None:
                await pump.close()

    def _wait(self, stood_s: float, *, is_clean: bool) -> float:
        """Return the seconds until the next attempt; none before each server was asked once."""
        if self._place % len(self._places):
            return 0.0
        if stood_s >= STABLE_S:
            self._failures = 0
        least, most = BACKOFF_S
        bound = min(most, least * _GROWTH ** min(self._failures, 16))
        self._failures += 1
        if is_clean and self._failures == 1:
            return 0.0  # a server that restarts says so, and is back soon
        return bound * (int.from_bytes(self._entropy(4), "little") / 0xFFFF_FFFF)

    # --- the ports ---

    def _up(self, pump: Pump) -> None:
        self._stood_since = asyncio.get_running_loop().time()
        self._pump, self.error = pump, None
        for ch in tuple(self._ports):
            self._greet(ch, pump)

    def _down(self, error: AteError) -> None:
        self._pump, self.error = None, error
        for port in tuple(self._ports.values()):
            self._tell(port.disconnected, error)

    def _greet(self, ch: int, pump: Pump) -> None:
        """Tell a port that the line is up, if both are still there."""
        port, peer = self._ports.get(ch), pump.connection.peer
        if port is not None and self._pump is pump and peer is not None:
            self._tell(port.connected, peer)

    def _deliver(self, message: AnyMessage) -> None:
        ch = getattr(message, "ch", None)
        if not ch:  # an answer to `Sync`, or why there is none
            for port in tuple(self._ports.values()):
                self._tell(port.received, message)
        else:
            found = self._ports.get(ch)
            if found is not None:
                self._tell(found.received, message)

    def _tell(self, call: Callable[[_T], None], what: _T) -> None:
        try:
            call(what)
        except Exception as error:  # one port's mistake is not another's
            report(f"a port of {self!r} failed", error)
