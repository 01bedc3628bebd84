"""`Handover`: moves a chain from one server of a cluster to another, while it is in use.

At no moment two servers order the chain, whatever crashes when; for a moment none does.

    target: copies the chain from the source, until it is current; clients write to the source
    target: writes down that it is coming, under the next epoch: until it came, nobody gets it
    source: orders nothing any more, and writes down that the chain is the target's
    source: sends all who have it open to the target, and the target the last commits
    target: flushes them, and writes down that the chain is its own

What is asked travels in `more` of `Open`: `ask` is "copy", "yield" (both to the source) or "bring"
(to the target). It deletes nothing: the source keeps its log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from ate.chain.ledger import Ledger
from ate.clock import Clock
from ate.crypto.entropy import Entropy
from ate.errors import (
    AteError,
    Disconnected,
    NotFound,
    Redirected,
    TrustError,
    UsageError,
    WriteDenied,
)
from ate.ids import ChainName
from ate.mesh.directory import Directory
from ate.mesh.guest import Guest
from ate.mesh.hall import HANDLED, Hall
from ate.mesh.line import Line
from ate.mesh.replica import Replica
from ate.mesh.roster import Shelf
from ate.mesh.topology import Place
from ate.mesh.uplink import Nobody
from ate.mesh.url import Url
from ate.wire.message import Failed, Moved, Open

_log = logging.getLogger("ate")
#: A source that does not answer is given up after so long, before anything was settled.
_ANSWER_S: Final = 10.0
#: What was settled is tried again after so long.
_AGAIN_S: Final = 1.0


class Handover:
    """See the module. It is the `Office` of a hall.

    Args:
        hall, shelf, directory: of this server.
        here: its URL, as it stands in the list.
        may: tells whether a visitor is a server of the cluster, or runs one.
        line: connects to another server.
        release: gives a line back.
    """

    def __init__(
        self, hall: Hall, shelf: Shelf, directory: Directory, *, here: str,
        may: Callable[[Guest], bool], line: Callable[[str], Line],
        release: Callable[[Line], None], clock: Clock, entropy: Entropy,
    ) -> None:  # fmt: skip
        self._hall, self._shelf, self._directory = hall, shelf, directory
        self._here, self._may = str(Url.parse(here)), may
        self._line, self._release = line, release
        self._clock, self._entropy = clock, entropy
        self._bringing: dict[str, asyncio.Task[int]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- being asked ------------------------------------------------------------------------

    async def asked(self, visitor: Guest, message: Open) -> Place | None:
        """See `Office`."""
        ask = message.more.get("ask")
        if ask is None:
            return None
        if not self._may(visitor):
            raise WriteDenied(
                "this server does not know you as one of its cluster",
                hint="its list of peers (--peers) has the keys of those who may move chains",
            )
        name, more = ChainName(message.name), message.more
        url, epoch = more.get("url"), more.get("epoch")
        if ask == "copy":
            return self._copy(name)
        if ask == "yield" and isinstance(url, str) and isinstance(epoch, int):
            return await self._yield(name, str(Url.parse(url)), epoch)
        if ask == "bring" and isinstance(url, str):
            self._spawn(self._answer(visitor, message.ch, name, str(Url.parse(url))))
            return HANDLED
        raise UsageError("a server asks to copy, yield or bring")

    def _copy(self, name: ChainName) -> Place:
        place = self._hall.where(name)
        if not self._hall.roster.exists(name):
            raise NotFound(f"there is no chain {str(name)!r} here")
        return place if not place.url and not place.owner else Place("", place.epoch, "legacy")

    async def _yield(self, name: ChainName, url: str, epoch: int) -> Place:
        """Give a chain away for good; asked again, say so again."""
        place = self._directory.where(name)
        is_mine = place.url == self._here and place.epoch < epoch and url != self._here
        is_theirs = (place.url, place.epoch) == (url, epoch)
        if name in self._directory.coming or not (is_mine or is_theirs):
            return place
        root = self._hall.roots.get(name)
        if root is not None and root.role == "master":
            await self._hall.send_on(
                root, Place(url, epoch), lambda: self._directory.settle(name, url, epoch)
            )
        else:
            self._directory.settle(name, url, epoch)
        if not self._hall.roster.exists(name):
            return Place(url, epoch)
        return Place("", epoch, "legacy", url)

    async def _answer(self, visitor: Guest, ch: int, name: ChainName, source: str) -> None:
        try:
            epoch = await self.bring(name, source)
        except AteError as error:
            visitor.send(Failed(ch, 0, error.code, error.message[:1000], error.hint[:1000]))
        else:
            visitor.send(Moved(ch, self._here, epoch))

    # --- asking -----------------------------------------------------------------------------

    def resume(self) -> None:
        """Go on with what was begun before the last end."""
        for name, (source, epoch) in self._directory.coming.items():
            self._start(ChainName(name), source, epoch)

    async def bring(self, name: ChainName, source: str) -> int:
        """Take a chain over from another server; returns the epoch.

        Raises:
            NotFound: it is not there. Redirected: it is elsewhere.
            Disconnected, TrustError: the other server does not answer, or does not give it.
        """
        place = self._directory.where(name)
        if place.url == self._here and name not in self._directory.coming:
            return place.epoch
        if source == self._here:
            raise UsageError("a chain is moved from another server")
        task = self._bringing.get(name) or self._start(name, source, 0)
        return await asyncio.shield(task)

    def _start(self, name: ChainName, source: str, epoch: int) -> asyncio.Task[int]:
        task = self._spawn(self._bring(name, source, epoch))
        self._bringing[name] = task
        task.add_done_callback(lambda _: self._bringing.pop(name, None))
        return task

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("a chain was not brought here: %s", error)

    async def _bring(self, name: ChainName, source: str, epoch: int) -> int:
        """Copy, settle the epoch unless it is settled, and take over."""
        while True:
            try:
                return await self._once(name, source, epoch)
            except AteError as error:
                coming = self._directory.coming.get(name)
                if coming is None:
                    raise
                # The source may have given it away already: only from there it can come.
                epoch = coming[1]
                _log.warning("the chain %s is still to be brought here: %s", name, error)
                await asyncio.sleep(_AGAIN_S)

    async def _once(self, name: ChainName, source: str, epoch: int) -> int:
        root = self._hall.roots.get(name)
        if root is not None:
            await self._hall.roster.dismiss(root)
        store = self._shelf.open(name, create=True)
        ledger = Ledger(store, clock=self._clock, entropy=self._entropy)
        line = self._line(source)
        try:
            await ledger.replay()
            carrier = Carrier(str(name), ledger, line, Nobody())
            try:
                epoch = await self._carry(carrier, name, source, epoch)
                ledger.store.flush()
            finally:
                await carrier.close()
        finally:
            self._release(line)
            if ledger.view.frontier.size or store.torn:
                ledger.store.close()
            else:
                store.destroy()  # a chain that never came leaves no files
        self._directory.settle(name, self._here, epoch)
        return epoch

    async def _carry(self, carrier: Carrier, name: ChainName, source: str, epoch: int) -> int:
        """Return the epoch under which it is all here, and the source has given it away."""
        carrier.more = {"ask": "copy"}
        carrier.start()
        has_any = await carrier.settled(lambda: carrier.is_current, _ANSWER_S)
        if not epoch:
            if not has_any or carrier.opened is None:
                raise NotFound(f"there is no chain {str(name)!r} at {source}")
            epoch = max(self._directory.where(name).epoch, carrier.opened.epoch) + 1
            self._directory.expect(name, source, epoch)
        carrier.more = {"ask": "yield", "url": self._here, "epoch": epoch}
        carrier.anew()
        if await carrier.settled(lambda: carrier.is_current, None):
            if not carrier.has_yielded(epoch):
                self._directory.give_up(name)  # it goes on ordering
                raise UsageError(f"the server at {source} is in no cluster (--topology)")
            return epoch
        moved = carrier.moved
        if moved is None:
            raise Disconnected(f"{source} does not say whose the chain is")
        if (moved.url, moved.epoch) != (self._here, epoch):
            self._directory.give_up(name)
            self._directory.learn(name, moved.url, moved.epoch)
            raise Redirected(f"the chain is at {moved.url} by now")
        if has_any:
            raise NotFound(f"the chain is gone at {source}, and more of it may have been there")
        return epoch

    async def close(self) -> None:
        """Leave what is not finished: it goes on at the next start."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Carrier(Replica):
    """Brings a chain here; it goes nowhere else."""

    moved: Moved | None = None
    _is_missing = False

    def has_yielded(self, epoch: int) -> bool:
        """Whether the source says that it orders nothing any more."""
        return self.opened is not None and self.opened.more.get("yielded") == epoch

    def anew(self) -> None:
        """Open the chain again, with what `more` says now."""
        self._lose(Disconnected("it is asked again"))
        self.moved, self._is_missing = None, False
        self._reattach()

    async def settled(self, happened: Callable[[], bool], wait_s: float | None) -> bool:
        """Wait until it happened; False when the source has no such chain, or sends us away.

        Raises:
            Disconnected: it does not answer in time. TrustError: it refuses.
        """
        changed = asyncio.Event()
        self.watch(changed.set)
        loop = asyncio.get_running_loop()
        until = None if wait_s is None else loop.time() + wait_s
        while not happened():
            refusal = self.failure or self.trouble
            if isinstance(refusal, TrustError):
                raise refusal
            if self.moved is not None or self._is_missing:
                return False
            changed.clear()
            # A long copy is no silence: as long as the source is there it is waited for.
            limit = until if not self.is_online else None
            try:
                async with asyncio.timeout_at(limit):
                    await changed.wait()
            except TimeoutError:
                if not self.is_online:
                    why = self.trouble.message if self.trouble is not None else "no answer"
                    raise Disconnected(f"cannot reach {self.address}: {why}") from None
        return True

    async def _take(self, message: Any) -> None:
        if isinstance(message, Moved):
            self.moved = message
            self._tell()
            return
        if isinstance(message, Failed) and not message.ref and message.code == NotFound.code:
            self._is_missing = True
            self._tell()
            return
        self._is_missing = False
        await super()._take(message)
