"""`Followers`: feeds a chain's projections and workers from its log; no commit ever waits for them.

A projection sees every change from the first one on: the backlog before `open` returns, the rest
live. A worker sees each change that comes after the opening, once, in order, behind the commit.
Work that must survive a crash belongs into a `Queue`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ate.dio.bell import Bell
from ate.dio.watch import changes
from ate.errors import UsageError
from ate.trust.plugin import Change

if TYPE_CHECKING:
    from ate.dio.chain import Chain

#: Changes taken from the log in one go.
_BATCH = 256


class Followers:
    """All plug-ins of one chain that read along."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._all: list[Follower] = []

    async def start(self) -> None:
        """Show projections the backlog, then let all follow; raises what a projection raises."""
        pipeline, head = self._chain._ledger.pipeline, self._chain.head
        for one in pipeline.projections:
            follower = Follower(self._chain, one, one.apply, 0, stops=True)
            self._all.append(follower)
            await follower.catch_up()
        for worker in pipeline.workers:
            follower = Follower(self._chain, worker, worker.run, head, schemas=worker.schemas)
            self._all.append(follower)
        for follower in self._all:
            follower.start()

    async def stop(self) -> None:
        """Let everybody see what is in the log, then end."""
        for follower in self._all:
            await follower.stop()

    async def wait(self, plugin: Any, seq: int) -> None:
        """Return when `plugin` has seen row `seq`.

        Raises:
            UsageError: it is no projection or worker of this chain, or the chain closed before.
            Exception: what ended the projection.
        """
        mine = [follower for follower in self._all if follower.plugin is plugin]
        if not mine:
            raise UsageError(f"{plugin!r} is no projection or worker of this chain")
        for follower in mine:
            await follower.wait(seq)


class Follower:
    """Feeds one plug-in.

    Args:
        show: called with each change; what it returns is awaited if it can be.
        seen: seq of the last row that it is not to be shown.
        schemas: of these types only.
        stops: an error ends it, because what it folds would be wrong from there on.
    """

    def __init__(
        self,
        chain: Chain,
        plugin: Any,
        show: Callable[[Change], Any],
        seen: int,
        *,
        schemas: frozenset[int] | None = None,
        stops: bool = False,
    ) -> None:
        self.plugin, self.seen = plugin, seen
        self.error: Exception | None = None
        self._chain, self._show, self._schemas, self._stops = chain, show, schemas, stops
        self._reader = chain._reader(chain.session)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._bell = Bell(chain)
        self._task: asyncio.Task[None] | None = None

    async def catch_up(self) -> None:
        """Show everything up to the head; raises what a projection raises."""
        view = self._reader.view
        while self.seen < view.head:
            last = min(view.head, self.seen + _BATCH)
            for change in await changes(self._reader, self.seen + 1, last, schemas=self._schemas):
                await self._show_one(change)
            self.seen = last
            self._answer()

    async def _show_one(self, change: Change) -> None:
        try:
            result = self._show(change)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            if self._stops:
                raise
            self._report(f"a worker failed at row {change.seq} and goes on with the next", error)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            with self._bell as bell:
                while True:
                    await self.catch_up()
                    if bell.ended:
                        break
                    await bell.rest()
        except Exception as error:  # whatever a fold raises ends here and is told
            self.error = error
            self._report(f"a plug-in failed behind row {self.seen} and has stopped", error)
        finally:
            self._answer(ended=True)

    async def stop(self) -> None:
        self._bell.end()
        if self._task is not None and self._task is not asyncio.current_task():
            await asyncio.wait([self._task])

    async def wait(self, seq: int) -> None:
        if self.seen < seq and (self._task is None or not self._task.done()):
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((seq, future))
            await future
        if self.error is not None:
            raise self.error
        if self.seen < seq:
            raise UsageError(f"the chain was closed before row {seq} came")

    def _answer(self, *, ended: bool = False) -> None:
        for seq, future in self._waiting:
            if (ended or seq <= self.seen) and not future.done():
                future.set_result(None)
        self._waiting = [one for one in self._waiting if not one[1].done()]

    def _report(self, message: str, error: Exception) -> None:
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": f"ate: {message}", "exception": error})
