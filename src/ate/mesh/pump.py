"""Moves frames between a transport and a connection and keeps its times; it judges no message.

Both sides of a line stand on it. What is sent within one turn of the event loop leaves together, so
a burst of messages costs one frame. What a peer does not read is bounded here, and so is silence.
"""

from __future__ import annotations

import asyncio
from typing import Final

from ate import limits
from ate.errors import AteError, Disconnected, Throttled, TimedOut
from ate.mesh.transport import Transport
from ate.wire.codec import Sendable
from ate.wire.connection import Connection
from ate.wire.message import AnyMessage

#: How often in a keep-alive interval the silence is measured.
_TICKS: Final = 4


class Traffic:
    """Counts the bytes of frames that many connections have `sent` and `received`."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.sent = self.received = 0


class Pump:
    """One connection on one transport, running.

    Args:
        queue_max: bytes that may wait for a peer that does not read.
        traffic: counts what passes.
    """

    def __init__(
        self,
        transport: Transport,
        connection: Connection,
        *,
        queue_max: int = limits.QUEUE_BYTES_MAX,
        traffic: Traffic | None = None,
    ) -> None:
        self.transport, self.connection = transport, connection
        self.is_busy = True  # not waiting for a message
        self._queue_max, self._traffic = queue_max, traffic or Traffic()
        self._loop = asyncio.get_running_loop()
        terms = connection.terms
        self._interval = min(terms.keepalive_s, terms.handshake_s) / _TICKS
        self._given = self._taken = 0  # bytes handed to the transport, and by it to the system
        self._has_ended = False  # the peer has said Bye
        self._why: AteError | None = None
        self._closing: asyncio.Task[None] | None = None
        self._flushing: asyncio.Handle | None = None
        self._moved_s = self._loop.time()  # when the peer last took something
        connection.start(self._moved_s)
        self._look_again()
        self.flush()

    # --- out ---

    def send(self, *messages: Sendable) -> None:
        """Queue messages; they leave with all others of this turn of the loop.

        Raises:
            LocalProtocolError: a message is not allowed now, or too large.
        """
        if self._closing is None:
            self.connection.send(*messages)
            if self._flushing is None:
                self._flushing = self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Hand what is queued to the transport now."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._closing is None:
            frames = self.connection.outgoing()
            if frames:
                size = sum(map(len, frames))
                self._given += size
                self._traffic.sent += size
                self.transport.send(frames)
                if self.transport.queued > self._queue_max:
                    self.stop(Throttled(f"the peer does not read: {self.transport.queued} bytes"))

    @property
    def queued(self) -> int:
        """Bytes that the system has not taken yet."""
        self.flush()
        return self.transport.queued

    async def drain(self) -> None:
        """Return when little is queued.

        Raises:
            Disconnected: the connection ended.
        """
        self.flush()
        await self.transport.drain()

    # --- in ---

    async def receive(self) -> list[AnyMessage]:
        """Return the messages of the next frame; it may hold none.

        Raises:
            AteError: the connection ended, and why.
        """
        connection = self.connection
        if self._has_ended:
            raise self._why or connection.lost()
        self.is_busy = False
        try:
            frame = await self.transport.receive()
        except Disconnected:
            raise self._why or connection.lost() from None
        finally:
            self.is_busy = True
        self._traffic.received += len(frame)
        try:
            messages = connection.receive(frame, self._loop.time())
        except AteError:
            raise
        except Exception as error:  # of the judge of keys, which is not ours
            report("the judge of a peer's key failed", error)
            raise connection.lost() from None
        finally:
            self.flush()
        self._has_ended = connection.is_closed
        if self._has_ended and not messages:
            raise connection.lost()
        self.transport.frame_max = connection.frame_bound
        return messages

    # --- the end ---

    def bye(self, code: str = "", text: str = "") -> None:
        """Tell the peer that this is the end, and end."""
        if self._closing is None:
            self.connection.close(code, text)
            self.stop(Disconnected(text or "the connection was closed"))

    def stop(self, why: AteError) -> None:
        """End the connection: `receive` raises `why` from now on."""
        if self._closing is None:
            self._why = self._why or why
            self._timer.cancel()
            self.flush()
        if self._closing is None:  # a flush may have ended it for another reason
            self._closing = self._loop.create_task(self.transport.close())

    async def close(self) -> None:
        """End the connection and return when it has ended."""
        self.stop(Disconnected("the connection was closed"))
        assert self._closing is not None
        await asyncio.shield(self._closing)

    def _tick(self) -> None:
        now = self._loop.time()
        if now - self._due_s > self._interval:
            # This program did nothing for a while: what has come meanwhile is not read yet.
            self.connection.was_deaf(now - self._due_s, now)
        self._look_again()
        if self._is_stalled(now):
            self.stop(Throttled("the peer does not read what it is sent"))
        elif not (self.is_busy and self.connection.is_ready):
            # While a message is handled nothing is read, so silence says nothing.
            try:
                self.connection.tick(now)
            except TimedOut as error:
                self.stop(error)
            else:
                self.flush()

    def _look_again(self) -> None:
        self._due_s = self._loop.time() + self._interval
        self._timer = self._loop.call_at(self._due_s, self._tick)

    def _is_stalled(self, now: float) -> bool:
        """Return whether the peer has taken nothing of what waits for it for a long time."""
        queued = self.transport.queued
        taken = self._given - queued
        if taken > self._taken or not queued:
            self._moved_s = now
            if queued:  # our question may still wait in the queue: who takes bytes is there
                self.connection.noticed(now)
        self._taken = taken
        return now - self._moved_s >= 2 * self.connection.terms.keepalive_s


def report(what: str, error: Exception) -> None:
    """Tell whoever watches the event loop about a mistake of this program, not of a peer."""
    asyncio.get_running_loop().call_exception_handler({"message": what, "exception": error})
