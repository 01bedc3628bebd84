"""`Forwarder`: the writer of a chain that is ordered elsewhere.

It seals and signs what tasks commit, keeps it in the outbox, sends it, and answers when the chain
has it here as well.

Several commits may be on their way at once, as long as none stands on another. It never appends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from ate.chain.admit import consult
from ate.chain.ledger import Ledger
from ate.chain.standing import Guards
from ate.dio.moving import Moving
from ate.dio.parcel import Carrier, Parcel, changed, in_doubt, unordered
from ate.dio.parking import Parking
from ate.dio.patience import Patience
from ate.dio.setback import Setbacks
from ate.dio.transaction import Committed, Durability, Outcome, Transaction, Waiting
from ate.dio.writer import Writer
from ate.errors import (
    AteError,
    BadSignature,
    Compacted,
    Conflict,
    OutOfSpace,
    StorageError,
    UsageError,
)
from ate.event.commit import Origin, Record
from ate.event.draft import Draft
from ate.limits import MIB
from ate.log.outbox import Outbox
from ate.merkle import Frontier
from ate.session import Session

_log = logging.getLogger("ate")
#: Commits on their way at once; what comes meanwhile is gathered, and goes with the next one.
_FLIGHTS_MAX: Final = 8
#: Transactions that share a commit at most, while nothing is refused.
_TOGETHER: Final = 4096
#: Bytes of what waited that one commit may gather: the first of it is to be there soon.
_GATHER_BYTES: Final = MIB
#: How often a checkpoint and the like is made anew because somebody else was faster.
_TRIES: Final = 64
#: How long closing waits for the answers to what was sent.
_CLOSE_S: Final = 5.0


class Forwarder(Writer):
    """See the module.

    Args:
        ledger: the local copy.
        device, session_number: the origin under which commits are numbered.
        outbox: keeps what is on its way or waits.
        goes_on: commits are accepted without a connection.
    """

    def __init__(
        self, ledger: Ledger, device: int, session_number: int, outbox: Outbox, *,
        goes_on: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(ledger, device, session_number)
        self.outbox, self.goes_on = outbox, goes_on
        self._series = session_number
        self.parking = Parking(ledger, outbox)
        self.setbacks = Setbacks(self)
        self.carrier: Carrier | None = None
        self.moving = Moving()
        self.patience = Patience(self)
        self._news: asyncio.Future[None] | None = None
        #: Called when something was refused, or waits no more.
        self.tell: Callable[[], None] = lambda: None

    # --- what the replica tells ---

    def landed(self, parcel: Parcel, record: Record, frontier: Frontier) -> None:
        """A commit is in the chain."""
        self.moving.settle(parcel)
        self.landed_count += 1
        self._together = min(2 * self._together, _TOGETHER)
        offset = parcel.offset
        for transaction in parcel.group:
            transaction.over = True
            if parcel.adopted:
                place = record.first_seq + offset
                self.parking.overlay.land(transaction.drafts, transaction.first, place)
            transaction.outcome = Committed(record, offset, frontier, parcel.lsn)
            if not transaction.done.done():
                transaction.done.set_result(transaction.outcome)
            offset += len(transaction.drafts)
        self.parking.leave(parcel.drafts if parcel.adopted else (), parcel.entry)
        self._go_on()

    def passed(self, parcel: Parcel) -> None:
        """A commit was in the chain, and what it made was compacted before it came here."""
        self.moving.settle(parcel)
        error = Compacted("it has landed, and was superseded and compacted since")
        for transaction in parcel.group:
            transaction.over = True
            if parcel.adopted:
                self.parking.overlay.lift(transaction.drafts, transaction.first)
            elif not transaction.is_blind and not transaction.done.done():
                transaction.done.set_exception(error)
                transaction.done.exception()  # nobody may be waiting any more
        self.parking.leave(parcel.drafts if parcel.adopted else (), parcel.entry)
        self._go_on()

    def refused(self, parcel: Parcel, error: AteError) -> None:
        """A commit was refused for good."""
        self.moving.settle(parcel)
        first, group = parcel.group[0], parcel.group
        if isinstance(error, OutOfSpace) and not first.first:
            self.patience.abandon(parcel, error)  # another copy of it may be on its way
            self._go_on()
            return
        if first.make is not None and isinstance(error, Conflict):
            first.tries += 1
            if first.tries < _TRIES:
                self._queue.insert(0, first)
                self._go_on()
                return
        if isinstance(error, BadSignature) and not (first.tries or first.is_blind):
            # What certifies its key may have expired, or been compacted, since it was signed.
            for transaction in group:
                transaction.tries = 1
            self.skipped([parcel])
            return
        if len(group) > 1:  # find out which of them it was
            self._queue[0:0] = self._apart(parcel)
        else:
            if not first.first:
                self.parking.forget(parcel.entry)
            self._fail(group, error)
        self._go_on()

    def skipped(self, parcels: Sequence[Parcel]) -> None:
        """These were not taken only because of one before them."""
        again: list[Transaction] = []
        for parcel in parcels:
            self.moving.settle(parcel)
            if parcel.group[0].is_blind:
                self._fail(parcel.group, AteError("one before it was refused"))
            else:
                self.parking.take_back(parcel)
                again += parcel.group
        self._queue[0:0] = again
        self._go_on()

    def changed(self) -> None:
        """There is a connection, or there is none any more."""
        self.patience.look()
        self._go_on()

    def _apart(self, parcel: Parcel) -> list[Transaction]:
        """Find out which of a group it was: what comes next goes in smaller ones for a while."""
        self._together = max(len(parcel.group) // 2, 1)
        self.parking.take_back(parcel)
        return list(parcel.group)

    # --- what tasks commit ---

    async def submit(
        self, drafts: list[Draft], session: Session | None, durability: Durability,
        at: int | None, *, guards: Guards = (),
        made: Callable[[Transaction], None] | None = None,
    ) -> Outcome:  # fmt: skip
        """Commit `drafts`; without waiting for the server unless the durability is FULL."""
        self._check_usable()
        early = durability < Durability.FULL or (self.goes_on and not self.patience.is_reachable)
        plain = at is None and not guards and self.parking.admits(drafts, session)
        if not self.patience.is_reachable and not (self.goes_on and plain):
            raise self.patience.unreachable()
        if not early or not plain:
            return await self._submit(drafts, session, durability, at, guards=guards, made=made)
        loop = asyncio.get_running_loop()
        entry, first = self.parking.park(drafts)
        if durability > Durability.NONE:
            self.outbox.flush()
        transaction = Transaction(
            drafts, session, durability, None, loop.create_future(), entry=entry, first=first
        )
        self._queue.append(transaction)
        self._start(loop)
        return Waiting(first, self.ledger.now_us())

    @property
    def pending(self) -> int:
        """Commits made here that are not in the chain yet."""
        moving = sum(len(parcel.group) for parcel in self.moving)
        return len(self._queue) + len(self._packing) + moving

    def under_way(self) -> list[Transaction]:
        return [*(one for parcel in self.moving for one in parcel.group), *self._packing]

    def unsettled(self) -> list[Transaction]:
        """Return those that are not `over` yet."""
        return [*self.under_way(), *self._queue]

    async def learn(self, transaction: Transaction) -> Outcome | None:
        self._check_usable()
        self.patience.ask_again(transaction)
        return await super().learn(transaction)

    async def _run_one(self, transaction: Transaction, loop: asyncio.AbstractEventLoop) -> None:
        """Send it in the author's own task, if it may leave now: that saves a round."""
        if not self._may_leave(transaction):
            self._queue.append(transaction)
        else:
            self._busy = True
            try:
                await self._forward([transaction])
            finally:
                self._busy = False
        if self._queue or self._errands or self._task is None:
            self._start(loop)

    def _go_on(self) -> None:
        is_called_for = self._queue or self._errands or self._closed
        if is_called_for and self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _submit(self, *args: Any, **kwargs: Any) -> Outcome:
        if not self.patience.is_reachable:
            self._check_usable()
            raise self.patience.unreachable()
        return await super()._submit(*args, **kwargs)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        super()._start(loop)
        self._go_on()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue or self._errands or self.moving or not self._closed:
            self._news = loop.create_future()
            if self._busy or not self._has_next():
                await self._news
                continue
            self._busy = True
            try:
                await (self._run_errand() if self._errands else self._forward(self._gather()))
            finally:
                self._busy = False

    def _has_next(self) -> bool:
        if self._errands:
            return not self.moving
        return bool(self._queue) and self._may_leave(self._queue[0])

    def _may_leave(self, first: Transaction) -> bool:
        """Whether the next transaction can be sent before those on their way have landed."""
        carrier = self.carrier
        if carrier is None or not carrier.is_online or not carrier.is_current:
            return False  # what it stands on may have changed, or may not be here yet
        if not self.moving:
            return True
        if len(self.moving) >= _FLIGHTS_MAX or first.at is not None or first.make is not None:
            return False
        return not self.moving.holds_up(first)

    def _gather(self) -> list[Transaction]:
        group = super()._gather()
        is_parked, nbytes = group[0].first > 0, 0
        for at, one in enumerate(group[1:], 1):
            nbytes += sum(len(draft.body) for draft in one.drafts) if is_parked else 0
            is_other = nbytes > _GATHER_BYTES or (one.first > 0) != is_parked
            if is_other or self.moving.holds_up(one):
                self._queue[0:0] = group[at:]
                return group[:at]
        return group

    async def _run_errand(self) -> None:
        async with self.carrier.taking if self.carrier is not None else asyncio.Lock():
            await super()._run_errand()

    def _is_current(self, transaction: Transaction) -> bool:
        try:
            self.parking.ready(transaction.drafts)
        except Conflict as error:
            self._fail([transaction], error)
            return False
        return super()._is_current(transaction)

    def _is_wanted(self, one: Transaction) -> bool:
        """Whether its author has not given up."""
        if one.first or not one.done.done():
            return True
        one.over = True
        return False

    async def _forward(self, group: list[Transaction]) -> None:
        if self.carrier is not None and self.carrier.refusal is not None:
            self._fail(group, self.carrier.refusal)
            return
        ready = [one for one in group if self._is_wanted(one) and self._is_current(one)]
        if not ready:
            return
        self._packing = ready
        try:
            parcel = await self._pack(ready)
        except AteError as error:
            if len(ready) == 1:
                self._fail(ready, error)
                return
            # Find out which of them it was.
            self._queue[0:0] = self._apart(Parcel(ready, (0, 0), b"", (), 0))
            return
        except BaseException as error:
            self._stop(ready, error)
            return
        finally:
            self._packing = ()
        self._send(parcel)
        if not self.patience.is_reachable:  # lost while it was made
            self.patience.lose()

    async def _pack(self, ready: list[Transaction]) -> Parcel:
        """Seal and sign transactions as one commit, and keep it in the outbox before it is sent."""
        ledger = self.ledger
        drafts = [draft for one in ready for draft in one.drafts]
        await self._look_back(drafts, ready[0].session)
        source = getattr(ready[0].session, "device", 0), self._series
        prev = self.moving.last_lsn(*source) or ledger.view.origins.last(*source)
        origin = Origin(*source, self._lsn + 1, prev)
        commit, rows = await ledger.preparer(ready[0].session).prepare(
            drafts, origin=origin, seen_seq=ledger.view.head, now_us=ledger.now_us()
        )
        payload = unordered(commit)
        await consult(ledger.view, ledger.pipeline, payload, rows, ledger.now_us())
        self._lsn = origin.lsn  # used up, also when it cannot be kept
        parcel = Parcel(ready, (self._series, origin.lsn), payload, rows, len(rows) - len(drafts))
        parcel.entry, parcel.adopted = ready[0].entry, ready[0].first > 0
        if ready[0].make is not None:
            parcel.at = ledger.view.head
        try:
            self.parking.prepare(parcel)
        except StorageError:
            # It may be on the medium all the same, and be sent under its number by a later process:
            # that must not find its number passed by.
            self._series, self._lsn = int.from_bytes(ledger.entropy(8), "little"), 0
            raise
        parcel.ids = [one for transaction in ready for one in changed(transaction)]
        parcel.ids += [row.id for row in rows[: parcel.offset]]
        return parcel

    def _send(self, parcel: Parcel) -> None:
        self.moving.add(parcel)
        assert self.carrier is not None
        self.carrier.send(parcel)

    def _fail(self, group: Sequence[Transaction], error: BaseException) -> None:
        for transaction in group:
            transaction.over = True
            if not transaction.first:
                super()._fail([transaction], error)
            elif transaction.is_blind:
                # Nobody was told that it is safe, and nothing of it can be shown to anybody.
                _log.warning("a commit that a process before left without an answer: %s", error)
                self.parking.forget(transaction.entry)
            elif isinstance(error, AteError):
                self.setbacks.meet(transaction, error)
        self.tell()

    async def close(self) -> None:
        """Wait for what is on its way while there is a connection, then take no more.

        What waits for the server stays in the outbox.
        """
        self._closed = True
        if self._task is not None and not self._task.done():
            self._go_on()
            if self.carrier is not None and self.carrier.is_online:
                await asyncio.wait([self._task], timeout=_CLOSE_S)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for parcel in self.moving:
            if not parcel.group[0].first:
                self.patience.abandon(parcel, in_doubt())
        for transaction in self._queue:
            if not transaction.first:
                self._fail([transaction], UsageError("the chain was closed before it was sent"))
        for _, done in self._errands:
            if not done.done():
                done.set_exception(UsageError("the chain is closed"))
        self.patience.end()

    def _check_usable(self) -> None:
        super()._check_usable()
        if self.carrier is not None and self.carrier.refusal is not None:
            raise self.carrier.refusal
