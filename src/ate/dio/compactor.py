"""Drives compactions: one when it is asked for, and by itself when a policy says so.

Commits come first: it works between them, in small steps. It decides nothing about rows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from ate.chain.checkpoint import checkpoint_row, root_key
from ate.chain.compact import Compaction, Progress, Step, Thinned, finish
from ate.chain.filling import fill
from ate.chain.flip import Flips, due
from ate.chain.retention import Retention, ask
from ate.chain.thinning import Cut
from ate.dio.bell import Bell
from ate.dio.policy import CompactPolicy
from ate.errors import AteError, Conflict, ReadOnly, Refused, StorageError, UsageError
from ate.tasks import rest, to_its_end
from ate.trust.plugin import Retention as Voter

if TYPE_CHECKING:
    from ate.dio.chain import Chain

T = TypeVar("T")

_log = logging.getLogger("ate")
_TRIES: Final = 8
#: Work in one go, and the rest after it when commits come meanwhile.
_WORK_S: Final = 0.0002
_REST_S: Final = 0.001
_STEPS_MAX: Final = 32


class Compactor:
    """All compactions of one chain.

    Args:
        chain: open; nothing happens on one that is read-only.
        policy: when to compact by itself.
    """

    def __init__(self, chain: Chain, policy: CompactPolicy) -> None:
        self._chain, self.policy = chain, policy
        self._one = asyncio.Lock()
        self._bell = Bell(chain)
        self._task: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._flips: Flips | None = None
        self._last_s = 0.0

    # --- by itself --------------------------------------------------------------------------

    def start(self) -> None:
        if self._chain.readonly or self.policy.mode == "never":
            return
        self._last_s = self._chain._ledger.clock.monotonic_s()
        if self._chain._ledger.fetched is None:
            self._flips = Flips(self._chain._ledger, self._begin)
            self._flips.look()
        if self.policy.mode not in ("heartbeat", "modified"):
            self._task = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """End; a compaction under way is given up, or finished if it is about to take over."""
        self._bell.end()
        if self._flips is not None:
            self._flips.end()
        for task in (self._task, self._following):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if self.policy.mode == "modified" and not self._chain.readonly and self._superseded():
            await self._try()

    async def _watch(self) -> None:
        clock = self._chain._ledger.clock
        with self._bell as bell:
            while not bell.ended:
                if self._is_due():
                    await self._try()
                    self._last_s = clock.monotonic_s()
                await bell.rest(self.policy.timer_s - (clock.monotonic_s() - self._last_s))

    def kept(self, compact: Retention | bool, /) -> Retention | None:  # noqa: FBT001
        """Return what stays at a flip, None when none is wanted; raises Refused."""
        if compact is False:
            return None
        self.check_allowed()
        return self.policy.retention if compact is True else compact

    def wants_flip(self) -> bool:
        """Return whether the next checkpoint should let all who hold the chain compact."""
        return self._leads() and self._is_due()

    def _leads(self) -> bool:
        """Whether others hold this chain, and compact when this one says so."""
        chain = self._chain
        if chain._remote is None or chain._ledger.view.hold is not None:
            return False
        return root_key(chain._ledger, chain.session) is not None

    async def _try(self) -> None:
        try:
            if self._leads():
                await self._chain.checkpoint(compact=True)
            else:
                await self.compact(None)
        except AteError as error:
            self._chain._ledger.view.settle(self._chain._ledger.store)  # not again at once
            _log.warning("the chain could not be compacted: %s", error)

    def _superseded(self) -> int:
        view = self._chain._ledger.view
        return view.held - view.index.objects - view.settled_rows

    def _is_due(self) -> bool:
        ledger = self._chain._ledger
        waited_s = ledger.clock.monotonic_s() - self._last_s
        superseded = self._superseded()
        if superseded <= 0:
            return False
        total = ledger.store.size()
        grown = total - ledger.view.settled_bytes
        return self.policy.is_due(superseded, ledger.view.index.objects, grown, total, waited_s)

    # --- where all do -----------------------------------------------------------------------

    def _begin(self) -> None:
        if self._following is None or self._following.done():
            self._following = asyncio.get_running_loop().create_task(self._follow())

    async def _follow(self) -> None:
        try:
            while await self.flip() is not None:
                pass  # there may be another one by now
        except AteError as error:  # tried again at the next checkpoint
            _log.warning("the chain could not be compacted: %s", error)

    async def flip(self) -> Thinned | None:
        """Compact where the newest flip says, unless that is done; see `ate.chain.flip`.

        Raises:
            Refused: the chain is write-once, or under a legal hold.
            StorageError: the medium failed; if nothing can be written now, open the chain again.
            Conflict: the copy is being made anew, and needs no compaction then.
        """
        ledger = self._chain._ledger
        if ledger.fetched is not None:
            return None
        async with self._one:
            at = due(ledger.view)
            if at is None:
                return None
            self.check_allowed()
            compaction = Compaction(ledger, Cut(ledger.view, set(), at.seq))
            return await self._build(compaction, at.retention, set(), at.now_us)

    # --- one --------------------------------------------------------------------------------

    async def compact(
        self, retention: Retention | None, *, erase: bool = False, progress: Progress | None = None
    ) -> Thinned:
        """Compact now; the words are those of `Chain.compact`.

        Raises:
            Refused: the chain is write-once, or under a legal hold.
            UsageError: the session holds no root key, and no checkpoint vouches for what is left.
            StorageError: the medium failed; if nothing can be written now, open the chain again.
        """
        chain = self._chain
        if chain._ledger.fetched is not None:
            raise UsageError("a sparse copy is not compacted", hint="compact where all bodies are")
        retention = retention or self.policy.retention
        self.check_allowed()
        genesis = chain._ledger.view.trust.genesis
        kept = retention.widened(genesis.policy if genesis else {})
        async with self._one:
            for attempt in range(_TRIES):
                try:
                    return await self._compact_once(kept, progress, erase=erase)
                except Conflict:
                    if attempt == _TRIES - 1:
                        raise
        raise AssertionError("unreachable")

    def check_allowed(self) -> None:
        """Raise ReadOnly or Refused when nothing may be compacted here."""
        if self._chain.readonly:
            raise ReadOnly("this chain was opened read-only")
        genesis = self._chain._ledger.view.trust.genesis
        if genesis is not None and genesis.policy.get("worm"):
            raise Refused("a write-once chain keeps everything: it is never compacted")
        self._check_hold()

    async def _compact_once(
        self, retention: Retention, progress: Progress | None, *, erase: bool
    ) -> Thinned:
        ledger = self._chain._ledger
        view, now_us = ledger.view, max(ledger.clock.now_us(), ledger.view.time_us)
        extra: set[int] = set()
        dropped: set[int] = set()
        voters = [one for one in ledger.pipeline.plugins if isinstance(one, Voter)]
        if voters:
            await self._drive(ask(view, voters, view.head, extra, dropped))
        is_root = root_key(ledger, ledger.session) is not None
        genesis = view.trust.genesis
        if (view.trust.has_roots and not is_root) or (genesis and "retention" in genesis.policy):
            dropped.clear()  # only a root may say that something alive is not needed
        if view.trust.has_roots and is_root:
            await self._vouch(dropped)
        compaction = Compaction(ledger, Cut(view, dropped), progress)
        return await self._build(compaction, retention, extra, now_us, erase=erase)

    async def _build(
        self, compaction: Compaction, retention: Retention, extra: set[int], now_us: int, *,
        erase: bool = False,
    ) -> Thinned:  # fmt: skip
        """Write the next generation and let it take over."""
        ledger, erased = self._chain._ledger, None
        try:
            view = ledger.view
            await self._drive(fill(compaction, view, retention, extra, now_us))
            done = await self._alone(compaction)
            if erase:
                erased = await to_its_end(asyncio.to_thread(compaction.erase))
        finally:
            size, still_read = await asyncio.to_thread(compaction.tidy_up)
        ledger.view.settle(ledger.store)
        return replace(done, bytes_after=size, still_read=still_read, erased=erased)

    async def _take_over(self, compaction: Compaction) -> Thinned:
        """The last of it, while no commit is on its way."""
        finish(compaction.catch_up())
        self._check_hold()  # it may have come meanwhile
        await asyncio.to_thread(compaction.switch)
        return compaction.adopt()

    def _check_hold(self) -> None:
        hold = self._chain._ledger.view.hold
        if hold is not None:
            raise Refused(
                f"a legal hold forbids compaction: {hold}",
                hint="a root releases it: chain.set_hold(None), or `ate hold CHAIN --release`",
            )

    async def _alone(self, compaction: Compaction) -> Thinned:
        """Let it take over while no commit is on its way.

        Once this has begun it is waited for, even by whoever is cancelled: what stands in which
        generation is known only then. Until then it may take long, where the server is away.

        Raises:
            Conflict: the copy must be made anew first, which commits on their way wait for.
        """
        has_begun = is_over = False
        turn: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        succession = self._chain._ledger.succession
        succession.on_wanted = lambda: None if turn.done() else turn.set_result(None)
        if succession.is_wanted:
            turn.set_result(None)

        async def take_over() -> Thinned:
            nonlocal has_begun
            if is_over:
                raise StorageError("the compaction was given up")
            has_begun = True
            return await self._take_over(compaction)

        work = asyncio.ensure_future(self._chain._writer.run_alone(take_over))
        try:
            await asyncio.wait([work, turn], return_when=asyncio.FIRST_COMPLETED)
            if not has_begun and not work.done():
                is_over = work.cancel()
                raise Conflict("the copy of this chain is to be made anew first")
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            is_over = not has_begun
            if is_over:
                work.cancel()
            while not work.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([work])
            if not work.cancelled():
                work.exception()  # it is seen
            raise

    async def _vouch(self, dropped: set[int]) -> None:
        """Make a checkpoint of the present, which the compaction cuts at."""
        ledger = self._chain._ledger
        gone = np.array(sorted(dropped), np.uint64)
        row = checkpoint_row(ledger, ledger.session, gone)
        chain = self._chain
        await chain._writer.submit([row], ledger.session, chain.durability, ledger.view.head)

    async def _drive(self, steps: Iterator[Step]) -> None:
        """Take steps, between commits; steps that are calls are made in a thread."""
        assert isinstance(steps, Generator)
        writer, now_s = self._chain._writer, self._chain._ledger.clock.monotonic_s
        value: Any = None
        landed, begun_s, taken = writer.landed_count, now_s(), 0
        with suppress(StopIteration):
            while True:
                step = steps.send(value)
                value = None
                if step is not None:
                    value = await to_its_end(asyncio.to_thread(step))
                elif taken < _STEPS_MAX and now_s() - begun_s < _WORK_S:
                    taken += 1
                    continue
                elif writer.landed_count == landed:
                    await _Pause()
                else:  # somebody commits: leave most of the time to them
                    landed = writer.landed_count
                    await rest(_REST_S)
                begun_s, taken = now_s(), 0


class _Pause(Awaitable[None]):
    """Lets the event loop take one turn."""

    def __await__(self) -> Generator[None, None, None]:
        yield
