"""`Subscriber`: one channel that follows a root, as fast as its credit allows.

What it has not got waits in the log, so that a slow reader costs no memory and slows nobody. It
never orders anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ate import limits
from ate.chain.transfer import pack
from ate.errors import AteError
from ate.event.prefix import is_commit
from ate.mesh.guest import Guest
from ate.wire.codec import Shared
from ate.wire.message import Failed, Lagged, Records

if TYPE_CHECKING:
    from ate.mesh.root import Root

#: Bytes of log frames that go into one message, about.
BATCH_BYTES: Final = 128 * limits.KIB
#: Someone further behind than this, and out of credit, is told so.
LAG_BYTES: Final = 8 * limits.MIB
#: Turns of the event loop behind a full batch: a commit of somebody else takes about so many.
_TURNS: Final = 8
#: Whoever was in the middle of a log that is gone comes back at once.
_RESTART_MS: Final = 1
_INDEX_AT: Final = 208


class Subscriber:
    """Streams a chain to one channel.

    Args:
        root: the chain.
        guest, ch: to whom.
        start: index of the first commit to send; 0 sends the log's first frames as well.
        credit: bytes that may be sent before more is given.
        sparse: leave out longer bodies.
    """

    __slots__ = (
        "_credit", "_lag", "_pump", "_scan", "_store", "_told", "_woken", "at_tail", "ch", "guest",
        "next", "root", "sparse",
    )  # fmt: skip

    def __init__(
        self, root: Root, guest: Guest, ch: int, start: int, *, credit: int, sparse: int
    ) -> None:
        self.root, self.guest, self.ch, self.next = root, guest, ch, start
        self.sparse, self._credit = sparse, min(credit, limits.CREDIT_BYTES_MAX)
        self.at_tail = False
        self._lag, self._told = 0, False
        self._woken = asyncio.Event()
        self._store = root.ledger.store
        self._scan: Iterator[tuple[int, memoryview]] | None = None
        if start == 0:
            self._scan = self._store.scan(0)
        self._pump: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to stream."""
        if self._scan is None and self.next == self.root.durable:
            self.at_tail = True
        elif self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._catch_up())

    def give(self, credit: int) -> None:
        """Take more credit."""
        self._credit = min(self._credit + credit, limits.CREDIT_BYTES_MAX)
        self._lag, self._told = 0, False
        self._woken.set()

    def push(self, shared: Shared, first: int, count: int, nbytes: int) -> bool:
        """Send commits that have just become durable, if this one is up to date and has credit."""
        if not self.at_tail:
            self._count_lag(nbytes)
            return False
        if first != self.next or self._credit < nbytes or self.sparse:
            self.at_tail = False
            self._count_lag(nbytes)
            self.start()
            return False
        self._credit -= nbytes
        self.next += count
        try:
            self.guest.send(shared.on(self.ch))
        except AteError as error:  # more than this peer takes in one message
            self._give_up(error)
            return False
        return True

    def _give_up(self, error: AteError) -> None:
        self.guest.send(Failed(self.ch, 0, error.code, error.message[:1000], error.hint[:1000]))
        self.root.leave(self)

    def _count_lag(self, nbytes: int) -> None:
        self._lag += nbytes
        if self._lag > LAG_BYTES and self._credit <= 0 and not self._told:
            self._told = True
            self.root.meter.lagged()
            self.guest.send(Lagged(self.ch, self.root.ledger.view.head))

    async def _catch_up(self) -> None:
        try:
            while True:
                if self._store is not self.root.ledger.store and not self._goes_on():
                    text = "the log was compacted meanwhile: open it again"
                    self.guest.send(Failed(self.ch, 0, "restart", text, "", _RESTART_MS))
                    self.root.leave(self)
                    return
                if self._credit <= 0:
                    self._woken.clear()
                    await self._woken.wait()
                    continue
                size = self._send_some()
                if not size:
                    break
                for _ in range(_TURNS if size >= BATCH_BYTES else 1):
                    await asyncio.sleep(0)
            if self.root.ledger.view.cut:
                self.guest.send(Records(self.ch, []))  # the thinned part has no more frames
            self.at_tail = True
        except AteError as error:
            self._give_up(error)
        finally:
            self._pump = None

    def _goes_on(self) -> bool:
        """Go on in the log that took the place of the other, if it has all that is to be sent."""
        if self.next < self.root.ledger.view.cut:
            return False
        self._store, self._scan = self.root.ledger.store, None
        return True

    def _send_some(self) -> int:
        """Send one batch; return its bytes, 0 when there is nothing more."""
        frames: list[bytes] = []
        size = 0
        while size < BATCH_BYTES:
            payload = self._next_frame()
            if payload is None:
                break
            packed = bytes(pack(self.root.ledger.view, payload, sparse=self.sparse))
            frames.append(packed)
            size += len(packed)
        if not frames:
            return 0
        self._credit -= size
        self.guest.send(Records(self.ch, frames))
        return size

    def _next_frame(self) -> memoryview | None:
        """Return the next frame that is durable."""
        if self._scan is not None:
            if self.next < self.root.durable:
                for _, payload in self._scan:
                    if is_commit(payload):
                        raw = payload[_INDEX_AT : _INDEX_AT + 8]
                        self.next = int.from_bytes(raw, "little") + 1
                    return payload
            self._scan = None
            # Commits may have been dropped right up to the cut.
            self.next = max(self.next, self.root.ledger.view.cut)
        if self.next >= self.root.durable:
            return None
        payload = self.root.frame(self.next)
        self.next += 1
        return payload

    def end(self) -> None:
        """Send no more."""
        self.at_tail = False
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None
