"""`Roster`: the chains that are open on a server: opened on demand, closed when nobody needs them.

It knows no visitor and looks into no chain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from ate.chain.ledger import Ledger
from ate.clock import Clock
from ate.crypto.entropy import Entropy
from ate.errors import AteError, Disconnected, NotFound, Throttled
from ate.ids import ChainName
from ate.log.store import LogStore
from ate.mesh.flusher import Flusher
from ate.mesh.gate import Gate
from ate.mesh.meter import Meter
from ate.mesh.root import Root
from ate.mesh.rules import Rules
from ate.mesh.sequencing import Sequencing
from ate.mesh.topology import Place

#: Where a chain is when nothing is said: here.
_HERE: Final = Place()
_log = logging.getLogger("ate")
#: Whoever had a chain opened has this long to enter it.
_GRACE_S: Final = 1.0


class Shelf(Protocol):
    """Where a server's chains are kept."""

    def exists(self, name: ChainName) -> bool:
        """Tell whether there is a chain of this name."""
        ...

    def open(self, name: ChainName, *, create: bool) -> LogStore:
        """Return its log, open for writing; raises NotFound and StorageErrors."""
        ...


@dataclass(frozen=True, slots=True)
class Making:
    """What a chain is opened with; see `Hall`."""

    clock: Clock
    entropy: Entropy
    guard: bytes
    gate: Gate
    meter: Meter
    state: Callable[[Ledger, bytes], bytes] | None
    follow: Callable[[ChainName, Place], Awaitable[Root]] | None = None
    sequencing: Sequencing | None = None
    rules: Rules | None = None
    flusher: Flusher = field(default_factory=Flusher)


class Roster:
    """Opens each chain once, and not too many of them.

    Args:
        shelf: where they are kept.
        making: what they are opened with.
        idle_close_s, max_open: see `Hall`.
        on_opened: told of each chain.
        on_failure: told when the medium of one has failed; it is closed then.
    """

    def __init__(
        self, shelf: Shelf, making: Making, *, idle_close_s: float, max_open: int,
        on_opened: Callable[[Root], None], on_failure: Callable[[Root, AteError], None],
    ) -> None:  # fmt: skip
        self.roots: dict[str, Root] = {}
        self.is_closing = False
        self._shelf, self._making = shelf, making
        self._idle_close_s, self._max_open = idle_close_s, max_open
        self._on_opened, self._on_failure = on_opened, on_failure
        self._opening: dict[str, asyncio.Task[Root]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        #: Timers of the chains that nobody has open, the longest idle first.
        self._idle: dict[str, asyncio.TimerHandle] = {}

    def exists(self, name: ChainName) -> bool:
        """Tell whether there is a chain of this name."""
        return name in self.roots or self._shelf.exists(name)

    async def root(self, name: ChainName, *, create: bool = False, place: Place = _HERE) -> Root:
        """Return the root of a chain, opened if need be; `enter` it without awaiting anything.

        Raises:
            NotFound: there is none, and none is to be made.
            Throttled: somebody has every chain open that may be.
            StorageError: it cannot be opened.
        """
        while True:
            known = self.roots.get(name)
            if known is not None:
                return known
            if self.is_closing:
                raise Disconnected("the server is about to stop", hint="connect again in a moment")
            pending = self._leaving.get(name) or self._opening.get(name)
            if pending is None:
                opening = self._open(name, create=create, place=place)
                task = asyncio.get_running_loop().create_task(opening, name=name)
                self._opening[name] = task
                task.add_done_callback(self._has_opened)
                return await asyncio.shield(task)
            await asyncio.wait([pending])
            if not pending.cancelled():
                error = pending.exception()
                if error is not None and not isinstance(error, NotFound):
                    raise error  # who asked before was not allowed to make it; we may be

    def _has_opened(self, task: asyncio.Task[Root]) -> None:
        self._opening.pop(task.get_name(), None)
        if not task.cancelled():
            task.exception()  # whoever asked has it, or has left

    async def _open(self, name: ChainName, *, create: bool, place: Place) -> Root:
        if place.owner and place.role != "legacy" and self._making.follow is not None:
            await self._make_room()
            return self._add(await self._making.follow(name, place))
        if not create and not self._shelf.exists(name):
            raise NotFound(f"there is no chain {str(name)!r} here")
        await self._make_room()
        made = self._making
        store = self._shelf.open(name, create=create)
        try:
            ledger = Ledger(store, clock=made.clock, entropy=made.entropy, guard=made.guard)
            await ledger.replay(pause=_pause)
        except BaseException:
            store.close()
            raise
        root = Root(
            str(name), ledger, gate=made.gate, meter=made.meter, state=made.state,
            on_failure=self.failed, epoch=place.epoch, role=place.role,
            sequencing=made.sequencing, flusher=made.flusher, rules=made.rules,
        )  # fmt: skip
        return self._add(root)

    def _add(self, root: Root) -> Root:
        self.roots[root.name] = root
        self._making.meter.chains(len(self.roots))
        self._on_opened(root)
        self._rest(root, _GRACE_S)
        return root

    async def _make_room(self) -> None:
        """Close what has been idle longest, if there is no room for one more open chain.

        Raises:
            Throttled: somebody has every one of them open.
        """
        while len(self.roots) + len(self._opening) + len(self._leaving) > self._max_open:
            longest = next(iter(self._idle), None)
            if longest is not None:
                self._drop(self.roots[longest])
            elif not self._leaving:
                raise Throttled(
                    f"the server has {self._max_open} chains open, as many as it may",
                    hint="come again later, or let it have more",
                )
            if self._leaving:
                await asyncio.wait(self._leaving.values(), return_when=asyncio.FIRST_COMPLETED)

    def enter(self, root: Root) -> None:
        """Count a channel that has the chain open."""
        root.channels += 1
        timer = self._idle.pop(root.name, None)
        if timer is not None:
            timer.cancel()

    def leave(self, root: Root) -> None:
        """Count it no more."""
        root.channels -= 1
        self._rest(root)

    def _rest(self, root: Root, least_s: float = 0.0) -> None:
        """Close a chain after a while that nobody has open."""
        if root.channels or self.is_closing or self.roots.get(root.name) is not root:
            return
        old = self._idle.pop(root.name, None)
        if old is not None:
            old.cancel()
        loop = asyncio.get_running_loop()
        wait_s = max(self._idle_close_s, least_s)
        self._idle[root.name] = loop.call_later(wait_s, self._drop, root)

    def failed(self, root: Root, error: AteError) -> None:
        """Tell of a chain that can not go on, and close it."""
        _log.error("the chain %s failed: %s", root.name, error)
        self._on_failure(root, error)
        self._drop(root)

    async def dismiss(self, root: Root) -> None:
        """Close a root, and return when it is closed."""
        self._drop(root)
        leaving = self._leaving.get(root.name)
        if leaving is not None:
            await asyncio.wait([leaving])

    def _drop(self, root: Root) -> None:
        """Close a root; whoever opens the chain meanwhile waits until that is done."""
        timer = self._idle.pop(root.name, None)
        if timer is not None:
            timer.cancel()
        if self.roots.get(root.name) is root:
            del self.roots[root.name]
            task = asyncio.get_running_loop().create_task(self._end(root))
            self._leaving[root.name] = task
            task.add_done_callback(lambda _: self._leaving.pop(root.name, None))

    async def _end(self, root: Root) -> None:
        try:
            await root.close()
        except (AteError, OSError) as error:
            _log.warning("the chain %s was not closed well: %s", root.name, error)
        self._making.meter.chains(len(self.roots))

    async def close(self) -> None:
        """Order what was submitted, flush, and close all chains."""
        self.is_closing = True
        for timer in self._idle.values():
            timer.cancel()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        for root in tuple(self.roots.values()):
            self._drop(root)
        await asyncio.gather(*self._leaving.values())


async def _pause() -> None:
    await asyncio.sleep(0)
