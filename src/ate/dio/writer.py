"""`Writer`.

Gathers what tasks commit at the same time, and drives it through the ledger as one commit.

Concurrent commits of one session share one seal, one signature and one flush; each is still
checked on
its own, and only what cannot go together is split. It decodes nothing and keeps no objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from ate import limits
from ate.chain.ledger import Ledger
from ate.chain.lineage import choose_base
from ate.chain.reader import Reader
from ate.chain.standing import Guards, check_guards, check_parents
from ate.dio.clash import check_versions
from ate.dio.transaction import Committed, Durability, Outcome, Transaction
from ate.errors import AteError, Compacted, Conflict, Disconnected, ReadOnly, UsageError
from ate.event.commit import Origin
from ate.event.draft import Draft
from ate.session import Session

T = TypeVar("T")


#: A flush that usually takes less runs on the event loop: the way to a thread and back costs as
#: much.
_INLINE_FLUSH_S: Final = 0.0005
_FLUSH_WEIGHT: Final = 0.2
#: Rows that one merged commit may gather; larger transactions go alone.
_GATHER_ROWS: Final = 4096


class Writer:
    """The one task of a chain that appends.

    Args:
        ledger: the chain.
        device, session_number: the origin under which commits are numbered.
    """

    def __init__(self, ledger: Ledger, device: int, session_number: int) -> None:
        self.ledger = ledger
        self._device, self._session_number = device, session_number
        self._queue: list[Transaction] = []
        self._errands: list[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = []
        self._wake: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._flush_s = 0.0
        self._lsn = 0
        #: Commits made so far.
        self.landed_count = 0
        self._closed = False
        self._busy = False
        #: So many transactions share a commit at most.
        self._together = _GATHER_ROWS
        #: What is being made into a commit.
        self._packing: Sequence[Transaction] = ()

    def first_origin(self) -> Origin:
        """Return the origin of the first commit of a new chain, and count it."""
        self._lsn = 1
        return Origin(self._device, self._session_number, 1, 0)

    async def submit_made(
        self, make: Callable[[], list[Draft]], session: Session | None, durability: Durability
    ) -> Outcome:
        """Commit what `make` returns when nothing can come in between any more; as `submit`."""
        return await self._submit([], session, durability, make=make)

    async def submit(
        self,
        drafts: list[Draft],
        session: Session | None,
        durability: Durability,
        at: int | None,
        *,
        guards: Guards = (),
        made: Callable[[Transaction], None] | None = None,
    ) -> Outcome:
        """Commit `drafts` and return where they landed.

        Args:
            made: gets the transaction as soon as there is one; see `learn`.

        Raises:
            Fenced: one of `guards` is not the newest version of its object.
            Conflict, Refused and the other commit errors; StorageError. Nothing landed then.
        """
        return await self._submit(drafts, session, durability, at, guards=guards, made=made)

    async def _submit(
        self,
        drafts: list[Draft],
        session: Session | None,
        durability: Durability,
        at: int | None = None,
        make: Callable[[], list[Draft]] | None = None,
        *,
        guards: Guards = (),
        made: Callable[[Transaction], None] | None = None,
    ) -> Outcome:
        self._check_usable()
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        transaction = Transaction(drafts, session, durability, at, done, make, guards)
        if made is not None:
            made(transaction)
        if self._is_alone(loop):
            await self._run_one(transaction, loop)
        else:
            self._queue.append(transaction)
            self._start(loop)
        return await transaction.done

    def under_way(self) -> list[Transaction]:
        """Return those that may land although their authors do not wait any more."""
        return list(self._packing)

    async def learn(self, transaction: Transaction) -> Outcome | None:
        """Return what became of a commit whose author got no answer; None = it never lands.

        Raises:
            Disconnected: nobody knows yet.
            Compacted: it has landed, and was superseded and compacted since.
        """
        if transaction.outcome is not None or transaction not in self.under_way():
            return transaction.outcome
        if transaction.done.done():
            transaction.done = asyncio.get_running_loop().create_future()
        try:
            return await transaction.done
        except (Disconnected, Compacted):
            raise
        except AteError:
            return None

    def _check_usable(self) -> None:
        if self._closed:
            raise UsageError("the chain is closed")
        if self.ledger.store.readonly:
            raise ReadOnly("this chain was opened read-only")

    def _is_alone(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether nobody else could join this commit: then there is nothing to wait for.

        `_ready` is what asyncio's own loops call the tasks that could run now; other loops have no
        such attribute, and everything goes through the queue there.
        """
        if self._busy or self._queue or self._errands or self._flush_s >= _INLINE_FLUSH_S:
            return False
        if not self.ledger.pipeline.never_waits:
            return False  # the author could be cancelled in the middle of it
        ready = getattr(loop, "_ready", None)
        return ready is not None and not ready

    async def _run_one(self, transaction: Transaction, loop: asyncio.AbstractEventLoop) -> None:
        """Commit in the author's own task: it saves two rounds through the event loop."""
        self._busy = True
        try:
            await self._commit([transaction])
        except BaseException as error:
            self._stop([transaction], error)
        finally:
            self._busy = False
            if self._queue or self._errands:
                self._start(loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that the queue is worked off."""
        if self._busy:
            return
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run())
        elif self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def run_alone(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` while no commit is on its way; those that come wait until it is done.

        Raises:
            UsageError: the chain is closed; and what `work` raises.
        """
        if self._closed:
            raise UsageError("the chain is closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._errands.append((work, done))
        self._start(loop)
        return await done

    async def _run_errand(self) -> None:
        work, done = self._errands.pop(0)
        try:
            result = await work()
        except BaseException as error:
            if not done.done():
                done.set_exception(error)
            if not isinstance(error, Exception):
                self._stop([], error)
        else:
            if not done.done():  # whoever waited may have been cancelled
                done.set_result(result)

    async def close(self) -> None:
        """Finish what was submitted, then take no more."""
        self._closed = True
        if self._task is not None:
            if self._wake is not None and not self._wake.done():
                self._wake.set_result(None)
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue or self._errands or not self._closed:
            if self._busy or not (self._queue or self._errands):
                self._wake = loop.create_future()
                await self._wake
                continue
            self._busy = True
            if self._errands:
                try:
                    await self._run_errand()
                finally:
                    self._busy = False
                continue
            group = self._gather()
            try:
                await self._commit(group)
            except BaseException as error:
                self._stop(group, error)
            finally:
                self._busy = False

    def _stop(self, group: list[Transaction], error: BaseException) -> None:
        """Answer a group with an error nobody foresaw; a cancellation ends all writing."""
        self._fail(group, error)
        if not isinstance(error, Exception):
            # Cancelled between append and settle: nothing may follow what is half done.
            self._closed = True
            self._fail(self._queue, error)
            for _, done in self._errands:
                if not done.done():
                    done.set_exception(error)
            raise error

    def _gather(self) -> list[Transaction]:
        """Take the next transaction, and those behind it that can share its commit."""
        queue = self._queue
        first = queue.pop(0)
        group = [first]
        if first.at is not None or first.make is not None or not queue:
            return group
        rows = len(first.drafts)
        ids = {draft.id for draft in first.drafts}
        parents = {draft.parent for draft in first.drafts}.union(one for one, _ in first.guards)
        guards = set(first.guards)
        while queue and len(group) < self._together:
            other = queue[0]
            rows += len(other.drafts)
            if other.session is not first.session or other.at is not None or rows > _GATHER_ROWS:
                break
            if other.make is not None:
                break
            guards.update(other.guards)
            if len(guards) > limits.GUARDS_MAX:
                break
            more = {draft.id for draft in other.drafts}
            above = {draft.parent for draft in other.drafts}.union(one for one, _ in other.guards)
            if not (ids.isdisjoint(more) and ids.isdisjoint(above) and parents.isdisjoint(more)):
                break  # one of them changes what the other stands on
            ids |= more
            parents |= above
            group.append(queue.pop(0))
        return group

    async def _commit(self, group: list[Transaction]) -> None:
        ready = [one for one in group if not one.done.done() and self._is_current(one)]
        if not ready:
            return
        self._packing = ready
        try:
            await self._commit_ready(ready)
        finally:
            self._packing = ()

    async def _commit_ready(self, ready: list[Transaction]) -> None:
        ledger = self.ledger
        drafts = ready[0].drafts if len(ready) == 1 else [d for one in ready for d in one.drafts]
        await self._look_back(drafts, ready[0].session)
        who = ready[0].session
        device = who.device if who is not None else 0
        prev = ledger.view.origins.last(device, self._session_number)
        origin = Origin(device, self._session_number, self._lsn + 1, prev)
        try:
            commit, rows = await ledger.preparer(ready[0].session).prepare(
                drafts,
                origin=origin,
                seen_seq=ledger.view.head,
                # The chain's time, not the clock's: a certificate must be good at the time that
                # the commit gets, whatever the clock says.
                now_us=ledger.now_us(),
            )
            known = (
                ready[0].current if len(ready) == 1 else [s for one in ready for s in one.current]
            )
            pending = await ledger.append(commit, rows, known)
        except AteError as error:
            if len(ready) == 1:
                self._fail(ready, error)
                return
            for transaction in ready:  # find out which of them it was
                await self._commit([transaction])
            return
        if any(transaction.durability for transaction in ready):
            await self._flush()
        record = ledger.settle(pending)
        self._lsn += 1
        self.landed_count += 1
        offset = len(rows) - len(drafts)
        for transaction in ready:
            committed = Committed(record, offset, ledger.view.frontier, self._lsn)
            transaction.outcome = committed
            if not transaction.done.done():
                transaction.done.set_result(committed)
            offset += len(transaction.drafts)

    async def _look_back(self, drafts: Sequence[Draft], session: Session | None) -> None:
        """Give the new versions of large values something to be a delta of.

        It is done last: what a draft replaces is certain only now.
        """
        least = self.ledger.pipeline.deltas.least_bytes
        large = [draft for draft in drafts if len(draft.body) >= least and draft.base]
        if large:
            reader, room = Reader(self.ledger, session), limits.COMMIT_BYTES_MAX
            for draft in large:
                draft.against = None
                if room > 0:  # the older versions are all in memory until the commit is sealed
                    draft.against = found = await choose_base(reader, draft.base)
                    room -= len(found.plain) if found else 0

    def _is_current(self, transaction: Transaction) -> bool:
        """Check `at` and the bases against the present; answers the transaction when they fail."""
        try:
            if transaction.make is not None:
                transaction.drafts = transaction.make()
            limits.check("rows in a commit", len(transaction.drafts), limits.COMMIT_ROWS_MAX,
                         hint="commit in smaller portions")  # fmt: skip
            head = self.ledger.view.head
            if transaction.at is not None and transaction.at != head:
                raise Conflict(f"the head is {head}, not {transaction.at}", theirs=head)
            check_guards(self.ledger.view.index, transaction.guards)
            drafts = transaction.drafts
            transaction.current = current = self.ledger.view.index.locate_many(
                [draft.id for draft in drafts]
            )
            if current != [draft.base for draft in drafts]:
                check_versions(self.ledger.view.index, drafts, current)
            check_parents(self.ledger.view.index, drafts)
        except AteError as error:
            self._fail([transaction], error)
            return False
        return True

    async def _flush(self) -> None:
        """Flush here when that is quick on this disk, in a thread otherwise."""
        if self._flush_s < _INLINE_FLUSH_S:
            took = self._timed_flush()
        else:
            took = await asyncio.to_thread(self._timed_flush)
        self._flush_s += _FLUSH_WEIGHT * (took - self._flush_s)

    def _timed_flush(self) -> float:
        """Flush and return how long the disk took: waking a thread up says nothing about it."""
        started = self.ledger.clock.monotonic_s()
        self.ledger.store.flush()
        return self.ledger.clock.monotonic_s() - started

    def _fail(self, group: Sequence[Transaction], error: BaseException) -> None:
        for transaction in group:
            if not transaction.done.done():
                transaction.done.set_exception(error)
