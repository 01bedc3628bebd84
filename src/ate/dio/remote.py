"""`Remote`: what a chain that is shared through a server says about its connection.

It sends nothing itself and opens nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ate.dio.parcel import Sent
from ate.errors import AccessDenied, AteError, Disconnected, Offline, TimedOut, UsageError

if TYPE_CHECKING:
    from ate.dio.forwarder import Forwarder
    from ate.dio.receipt import Receipt
    from ate.dio.watch import Watch

#: What a chain does without its server. See the guide about working offline.
RECOVERY: Final = ("async", "readonly-async", "readonly-sync", "sync")


class Link(Protocol):
    """A replica, as far as its chain knows it."""

    @property
    def flights(self) -> Sent: ...

    #: Why the server is not followed any more, for good.
    failure: AteError | None
    #: Why there is no connection now.
    trouble: AteError | None
    #: All that the server had when it was asked is here.
    is_current: bool
    lagged: bool

    @property
    def is_online(self) -> bool: ...

    @property
    def address(self) -> str:
        """Where the chain is."""
        ...

    def hurry(self) -> None:
        """Try at once to connect, if there is no connection."""
        ...

    async def newest(self) -> int:
        """Return how many commits the server has now; raises Disconnected."""
        ...

    def acknowledge(self, receipt: Receipt) -> bytes | None:
        """Return a commit with a statement of the server that covers it; None while none does."""
        ...

    def watch(self, tell: Callable[[], None]) -> None:
        """Call `tell` whenever any of the above has changed."""
        ...


@dataclass(frozen=True, slots=True)
class Status:
    """How a chain stands with its server.

    Args:
        url: where it is; empty for a chain of this machine alone.
        online: commits reach the server now.
        current: all that the server had when it was asked last is here.
        pending: commits made here that the server has not confirmed.
        conflicts: of those made offline, how many were refused and wait for a decision.
        head: seq of the newest row here.
        trouble: why it is not online, or why what is pending does not land, in words; else empty.
    """

    url: str
    online: bool
    current: bool
    pending: int
    conflicts: int
    head: int
    trouble: str = ""


class Remote:
    """The server's side of a chain, as its own side sees it.

    Args:
        link: the replica.
        forwarder: the chain's writer.
        recovery: one of `RECOVERY`.
        release: gives the connection back.
    """

    def __init__(
        self, link: Link, forwarder: Forwarder, recovery: str,
        release: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        if recovery not in RECOVERY:
            raise UsageError(f"recovery is one of {', '.join(RECOVERY)}, not {recovery!r}")
        self.link, self.forwarder, self.recovery = link, forwarder, recovery
        self._release = release
        self._bells: dict[asyncio.Event, None] = {}
        self._watches: dict[Watch, None] = {}
        link.watch(self.tell)
        forwarder.ledger.feed.subscribe(self.tell)
        forwarder.tell = self.tell

    def tell(self) -> None:
        """Something has changed: whoever waits looks again."""
        for bell in tuple(self._bells) if self._bells else ():
            bell.set()
        if self._watches and not self.forwarder.patience.is_reachable:
            for watch in tuple(self._watches):
                watch.wake()

    def add(self, watch: Watch) -> None:
        """Wake this one when there is no connection any more, after a moment of patience."""
        self._watches[watch] = None

    def discard(self, watch: Watch) -> None:
        self._watches.pop(watch, None)

    def status(self) -> Status:
        """Return how things stand."""
        link, is_online = self.link, self.link.is_online
        error = link.flights.hindrance if is_online else link.failure or link.trouble
        return Status(
            link.address, is_online, is_online and link.is_current, self.forwarder.pending,
            len(self.forwarder.setbacks), self.forwarder.ledger.view.head,
            error.message if error is not None else "",
        )  # fmt: skip

    def check_readable(self) -> None:
        """Raise Offline when nothing may be read without a connection, and there is none."""
        if self.recovery == "sync" and not (self.link.is_online and self.link.is_current):
            raise Offline(
                "there is no connection to the server, and this chain is read with one only",
                hint='open it with recovery="readonly-async" to read what is here',
            )

    async def wait(self, ready: Callable[[], bool], timeout_s: float | None) -> None:
        """Return when `ready()` is true.

        Raises:
            TimedOut: it took too long.
            AteError: the server is not followed any more, or does not let us in.
        """
        bell = asyncio.Event()
        self._bells[bell] = None
        try:
            async with asyncio.timeout(timeout_s):
                while not ready():
                    if self.link.failure is not None:
                        raise self.link.failure
                    if isinstance(self.link.trouble, AccessDenied):
                        raise self.link.trouble  # it may end, but not by waiting
                    bell.clear()
                    await bell.wait()
        except TimeoutError:
            trouble = self.link.trouble or self.link.flights.hindrance
            why = f": {trouble.message}" if trouble is not None else ""
            raise TimedOut(f"no answer from {self.link.address} in {timeout_s:g} s{why}") from None
        finally:
            self._bells.pop(bell, None)

    async def sync(self, timeout_s: float | None) -> Status:
        """Return when all that was committed here is at the server, and all it has is here."""
        unsettled = self.forwarder.unsettled()
        self.link.hurry()

        def is_sent() -> bool:
            while unsettled and unsettled[-1].over:
                unsettled.pop()
            return not unsettled and self.link.is_online and self.link.is_current

        while True:
            await self.wait(is_sent, timeout_s)
            with suppress(Disconnected):
                newest = await self.link.newest()
                break
        view = self.forwarder.ledger.view
        await self.wait(lambda: view.frontier.size >= newest, timeout_s)
        return self.status()

    async def acknowledged(self, receipt: Receipt, timeout_s: float | None) -> bytes:
        """Return a commit with a statement of the server that covers it, once there is one."""
        found = self.link.acknowledge(receipt)
        if found is None:
            await self.wait(lambda: self.link.acknowledge(receipt) is not None, timeout_s)
            found = self.link.acknowledge(receipt)
        assert found is not None
        return found

    async def events(self) -> AsyncIterator[Status]:
        """Yield the status now, and each time it changes in more than its head."""
        bell = asyncio.Event()
        self._bells[bell] = None
        last: object = None
        try:
            while True:
                status = self.status()
                shown = (status.online, status.current, status.conflicts, status.trouble)
                if shown != last:
                    last = shown
                    yield status
                bell.clear()
                await bell.wait()
        finally:
            self._bells.pop(bell, None)

    async def close(self) -> None:
        """Give the connection back."""
        await self._release()
