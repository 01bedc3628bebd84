"""Lanes and links: how frames travel between two simulated hosts; they never look into a frame.

A link is the road from one host to another, shared by all connections; a lane is one direction of
one connection on it. A lane keeps its order, as TCP does; lanes overtake each other freely.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from ate.errors import Disconnected, RemoteProtocolError
from ate.limits import HELLO_BYTES_MAX
from ate.mesh.transport import CLOSE_S, QUEUE_HIGH, READ_AHEAD
from ate.testing.chance import Chance
from ate.testing.simloop import SimLoop

#: So much may be under way or unread; what is beyond waits at the sender, as with TCP's windows.
WINDOW: Final = READ_AHEAD


@dataclass(slots=True)
class Link:
    """The road from one host to another.

    Args:
        latency_s: a frame takes a time between these two.
        slow_percent: so many frames of a hundred take up to `slow_s` more.
        bytes_per_s: of each connection; 0 = no limit.
    """

    latency_s: tuple[float, float] = (0.0005, 0.005)
    slow_percent: int = 2
    slow_s: float = 0.1
    bytes_per_s: float = 12_500_000
    #: Nothing arrives before; infinite while it is cut.
    open_at: float = 0.0
    #: Lanes and dials to be told when `open_at` has changed.
    lanes: dict[Lane, None] = field(default_factory=dict, repr=False)
    dials: dict[asyncio.Future[None], None] = field(default_factory=dict, repr=False)

    def delay(self, chance: Chance) -> float:
        """Return how long the next frame is under way."""
        low, high = self.latency_s
        delay = low + (high - low) * chance.below(1_000_000) / 1e6
        if self.slow_percent and chance.happens(self.slow_percent):
            delay += self.slow_s * chance.below(1_000_000) / 1e6
        return delay

    def set_open(self, at: float) -> None:
        """Let nothing arrive before `at`; what is under way is late, not lost."""
        self.open_at = at
        for lane in list(self.lanes):
            lane.expect()
        for waiting in list(self.dials):
            if not waiting.done():
                waiting.set_result(None)

    async def cross(self, loop: SimLoop, chance: Chance) -> None:
        """Return when something that starts now has arrived."""
        due = loop.time() + self.delay(chance)
        while max(due, self.open_at) > loop.time():
            if self.open_at < inf:
                await loop.pause(max(due, self.open_at) - loop.time())
                continue
            waiting = loop.create_future()
            self.dials[waiting] = None
            try:
                await waiting
            finally:
                del self.dials[waiting]


@dataclass(frozen=True, slots=True)
class _End:
    """What comes after the last frame."""

    reason: str


class Lane:
    """One direction of a connection.

    Args:
        name: for the trace.
        link: the road.
    """

    def __init__(self, name: str, link: Link, loop: SimLoop, chance: Chance) -> None:
        self.name, self.link, self.queued = name, link, 0
        #: Why no more frames come out, None while they may.
        self.ended: str | None = None
        #: The end of the connection at which this lane comes out.
        self.far: SimTransport | None = None
        self.inbox: deque[bytes] = deque()
        self._loop, self._chance = loop, chance
        self._waiting: deque[bytes | _End] = deque()
        self._flight: deque[tuple[float, bytes | _End]] = deque()
        self._out = 0  # bytes under way or unread
        self._sending = self._held = self._closed = self._broken = False
        self._timer: asyncio.TimerHandle | None = None
        self._readers: dict[asyncio.Future[None], None] = {}
        self._drainers: dict[asyncio.Future[None], None] = {}
        link.lanes[self] = None

    # --- the sender's end -----------------------------------------------------------------------

    def send(self, frames: Sequence[bytes]) -> None:
        if self._closed:
            return
        for frame in frames:
            self._waiting.append(bytes(frame))
            self.queued += len(frame)
        self._pump()

    def finish(self) -> None:
        """Let the receiver see the end after what is queued."""
        if not self._closed:
            self._closed = True
            self._waiting.append(_End("the peer closed the connection"))
            self._pump()

    def break_off(self, reason: str, *, silent: bool = False) -> bool:
        """End it at once: what is queued is lost, and any suffix of what is under way.

        Args:
            silent: the receiver is not told before `tell`.

        Returns:
            Whether it was whole before.
        """
        if self._broken:
            return False
        self._broken = self._closed = True
        self._waiting.clear()
        self.queued = 0
        if self._flight and isinstance(self._flight[-1][1], _End):
            self._flight.pop()
        for _ in range(self._chance.below(len(self._flight) + 1)):
            self._flight.pop()
        self._held = silent
        self._depart(_End(reason))
        self._wake(self._drainers)
        return True

    def tell(self) -> None:
        """Let a silent end be seen."""
        self._held = False
        self.expect()

    async def drained(self, bound: int) -> None:
        """Return when at most `bound` bytes are queued, or the lane is broken."""
        while self.queued > bound:
            await self._wait(self._drainers)

    def _pump(self) -> None:
        while self._waiting and not self._sending:
            first = self._waiting[0]
            size = 0 if isinstance(first, _End) else len(first)
            if self._out and self._out + size > WINDOW:
                return
            if size and self.link.bytes_per_s:
                self._sending = True
                self._loop.call_later(size / self.link.bytes_per_s, self._sent)
                return
            self._leave()

    def _sent(self) -> None:
        self._sending = False
        if self._waiting:
            self._leave()
            self._pump()

    def _leave(self) -> None:
        first = self._waiting.popleft()
        if not isinstance(first, _End):
            self.queued -= len(first)
            self._out += len(first)
        self._depart(first)
        self._wake(self._drainers)

    def _depart(self, item: bytes | _End) -> None:
        at = self._loop.time() + self.link.delay(self._chance)
        if self._flight:
            at = max(at, self._flight[-1][0])
        self._flight.append((at, item))
        self.expect()

    # --- the receiver's end ---------------------------------------------------------------------

    def expect(self) -> None:
        """Set the timer for the next arrival."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flight and not self._held and self.link.open_at < inf:
            at = max(self._flight[0][0], self.link.open_at)
            self._timer = self._loop.call_at(at, self._arrive)

    def _arrive(self) -> None:
        _, item = self._flight.popleft()
        if isinstance(item, _End):
            self._loop.note(f"{self.name} ends: {item.reason}")
            self._broken = self._closed = True
            self.link.lanes.pop(self, None)
            self.end(item.reason)
            if self.far is not None:
                self.far.peer_gone(item.reason)
            return
        self._loop.note(f"{self.name} {len(item)} bytes")
        if self.ended is None:
            self.inbox.append(item)
            self._wake(self._readers)
        self.expect()

    def take(self) -> bytes:
        frame = self.inbox.popleft()
        self._out -= len(frame)
        self._pump()
        return frame

    def end(self, reason: str) -> None:
        """Let nothing come out any more but what has arrived."""
        if self.ended is None:
            self.ended = reason
        self._wake(self._readers)

    async def arrived(self) -> None:
        """Return when a frame is there or the end is known."""
        while not self.inbox and self.ended is None:
            await self._wait(self._readers)

    async def _wait(self, waiters: dict[asyncio.Future[None], None]) -> None:
        waiting = self._loop.create_future()
        waiters[waiting] = None
        try:
            await waiting
        finally:
            waiters.pop(waiting, None)

    @staticmethod
    def _wake(waiters: dict[asyncio.Future[None], None]) -> None:
        for waiting in list(waiters):
            if not waiting.done():
                waiting.set_result(None)


class SimTransport:
    """One end of a simulated connection; a `Transport`.

    Args:
        address: the name of the host at the other end.
        out, into: the two lanes.
    """

    def __init__(self, address: str, out: Lane, into: Lane) -> None:
        self.address, self.frame_max = address, HELLO_BYTES_MAX
        self._out, self._into = out, into
        self._gone = ""
        into.far = self

    def __repr__(self) -> str:
        return f"<{self._out.name}>"

    @property
    def queued(self) -> int:
        return self._out.queued

    @property
    def is_gone(self) -> bool:
        """Whether this end knows that the connection is over."""
        return bool(self._gone)

    def send(self, frames: Sequence[bytes]) -> None:
        if not self._gone:
            self._out.send(frames)

    async def drain(self) -> None:
        await self._out.drained(QUEUE_HIGH)
        if self._gone:
            raise Disconnected(self._gone)

    async def receive(self) -> bytes:
        await self._into.arrived()
        if not self._into.inbox:
            raise Disconnected(self._into.ended or self._gone)
        frame = self._into.take()
        if len(frame) > self.frame_max:
            self.break_off("a frame was too long")
            raise RemoteProtocolError(f"a frame of {len(frame)} bytes, over {self.frame_max}")
        return frame

    async def close(self) -> None:
        if self._gone:
            return
        self._gone = "the connection was closed"
        self._into.inbox.clear()
        self._into.end(self._gone)
        self._out.finish()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._out.drained(0)
        except TimeoutError:
            self.break_off("the peer was too slow to close")

    # --- for the network ------------------------------------------------------------------------

    def break_off(self, reason: str, *, silent: bool = False) -> None:
        """End it from this side as a process that dies does."""
        self._gone = self._gone or reason
        self._into.inbox.clear()
        self._into.end(reason)
        self._out.break_off(reason, silent=silent)

    def tell(self) -> None:
        """Let the peer know of a silent end."""
        self._out.tell()

    def reset(self, reason: str) -> bool:
        """End it from the middle: both ends learn of it; return whether it stood."""
        broken = self._out.break_off(reason)
        return self._into.break_off(reason) or broken

    def peer_gone(self, reason: str) -> None:
        """The end of the incoming lane is here: there is no one to send to either."""
        self._gone = self._gone or reason
        self._out.break_off(reason)
