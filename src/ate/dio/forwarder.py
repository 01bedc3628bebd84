"""`Forwarder`: the writer of a chain that is ordered elsewhere.

It seals and signs what tasks commit, keeps it in the outbox, sends it, and answers when the chain
has it here as well.

Several commits may be on their way at once, as long as none stands on another. It never appends.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from ate.chain.ledger import Ledger
from ate.chain.standing import Guards
from ate.dio.parcel import Carrier, Parcel, changed, in_doubt, offline
from ate.dio.parking import Parking
from ate.dio.setback import Setbacks
from ate.dio.transaction import Committed, Durability, Outcome, Transaction, Waiting
from ate.dio.writer import Writer
from ate.errors import AteError, Compacted, Conflict, ReadOnly, UsageError
from ate.event.commit import Commit, Origin, Record, SequencerPart, encode_payload
from ate.event.draft import Draft
from ate.log.outbox import Outbox
from ate.merkle import Frontier
from ate.session import Session

#: Commits on their way at once; what comes meanwhile is gathered, and goes with the next one.
_FLIGHTS_MAX: Final = 8
#: How often a checkpoint and the like is made anew because somebody else was faster.
_TRIES: Final = 8
#: How long closing waits for the answers to what was sent.
_CLOSE_S: Final = 5.0
_UNORDERED: Final = SequencerPart(0, 0, 0, bytes(32))


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
        self.parking = Parking(ledger, outbox)
        self.setbacks = Setbacks(self)
        self.carrier: Carrier | None = None
        #: How long a commit waits for a connection before its author is told.
        self.patience_s = 1.0
        #: Is called when that is over.
        self.on_patience_lost: Callable[[], None] = _nothing
        self._parcels: dict[tuple[int, int], Parcel] = {}
        #: Objects that commits on their way change or stand on.
        self._moving: Counter[bytes] = Counter()
        self._prev = 0
        self._losing: asyncio.TimerHandle | None = None
        self._is_lost = False
        self._news: asyncio.Future[None] | None = None

    # --- what the replica tells ---

    def landed(self, parcel: Parcel, record: Record, frontier: Frontier) -> None:
        """A commit is in the chain."""
        self._settle(parcel)
        self.outbox.remove(parcel.entry)
        self.landed_count += 1
        offset = parcel.offset
        for transaction in parcel.group:
            committed = Committed(record, offset, frontier, parcel.lsn)
            if transaction.first:
                self.parking.overlay.land(transaction.drafts, transaction.first, committed.seq)
            elif not transaction.done.done():
                transaction.done.set_result(committed)
            offset += len(transaction.drafts)
        self._go_on()

    def passed(self, parcel: Parcel) -> None:
        """A commit was in the chain, and what it made was compacted before it came here."""
        self._settle(parcel)
        self.outbox.remove(parcel.entry)
        error = Compacted("it has landed, and was superseded and compacted since")
        for transaction in parcel.group:
            if transaction.first:
                self.parking.overlay.lift(transaction.drafts, transaction.first)
            elif not transaction.done.done():
                transaction.done.set_exception(error)
        self._go_on()

    def refused(self, parcel: Parcel, error: AteError) -> None:
        """A commit was refused for good."""
        self._settle(parcel)
        group = parcel.group
        first = group[0] if group else None
        if first is not None and first.make is not None and isinstance(error, Conflict):
            first.tries += 1
            if first.tries < _TRIES:
                self.outbox.remove(parcel.entry)
                self._queue.insert(0, first)
                self._go_on()
                return
        if len(group) > 1:  # find out which of them it was
            self.outbox.remove(parcel.entry)
            self._queue[0:0] = self._apart(group)
        else:
            if first is None or not first.first:
                self.outbox.remove(parcel.entry)
            self._fail(group, error)
        self._go_on()

    def skipped(self, parcels: Sequence[Parcel]) -> None:
        """These were not taken only because of one before them."""
        again: list[Transaction] = []
        for parcel in parcels:
            self._settle(parcel)
            for transaction in parcel.group:
                if transaction.entry:
                    self.outbox.mark(transaction.entry, "waiting")
            if not any(transaction.entry for transaction in parcel.group):
                self.outbox.remove(parcel.entry)
            again += parcel.group
        self._queue[0:0] = again
        self._go_on()

    def changed(self) -> None:
        """There is a connection, or there is none any more."""
        if self.carrier is not None and self.carrier.is_online:
            self._is_lost = False
            if self._losing is not None:
                self._losing.cancel()
                self._losing = None
        elif self._losing is None and not self._closed and not self._is_lost:
            loop = asyncio.get_running_loop()
            self._losing = loop.call_later(self.patience_s, self._lose_patience)
        self._go_on()

    def _settle(self, parcel: Parcel) -> None:
        """A commit is on its way no more."""
        self._parcels.pop((parcel.session, parcel.lsn), None)
        self._moving.subtract(parcel.ids)
        self._moving += Counter()  # without those that nothing moves any more
        if not self._parcels:
            self._prev = self.ledger.view.origins.last(self._device, self._session_number)

    def _apart(self, group: Sequence[Transaction]) -> list[Transaction]:
        """Let each of a group go alone; those that nobody waits for are kept one by one."""
        for transaction in group:
            transaction.alone = True
            if transaction.first and not transaction.entry:
                transaction.entry = self.parking.keep(transaction.drafts, transaction.first)
        return list(group)

    # --- without a connection ---

    @property
    def is_reachable(self) -> bool:
        """Whether there is a connection, or was a moment ago."""
        return self.carrier is None or self.carrier.is_online or self._losing is not None

    def _lose_patience(self) -> None:
        """Tell those who wait that there is no connection."""
        self._losing, self._is_lost = None, True
        self.on_patience_lost()
        for parcel in tuple(self._parcels.values()):
            for transaction in parcel.group:
                if transaction.first or transaction.done.done():
                    continue
                if self._waits_on(transaction):
                    transaction.first = self.parking.lay(transaction.drafts)
                    if len(parcel.group) == 1:
                        transaction.entry = parcel.entry
                    self._promise(transaction)
                else:
                    parcel.abandoned = True
                    transaction.done.set_exception(in_doubt())
        waiting, self._queue = self._queue, []
        for transaction in waiting:
            if transaction.first or self._park_late(transaction):
                self._queue.append(transaction)
            else:
                self._fail([transaction], offline())
        self._go_on()

    def _waits_on(self, transaction: Transaction) -> bool:
        """Whether a commit may wait for a connection with nobody waiting for it."""
        is_plain = transaction.at is None and transaction.make is None and not transaction.guards
        return (
            self.goes_on and is_plain
            and self.parking.admits(transaction.drafts, transaction.session)
        )  # fmt: skip

    def _park_late(self, transaction: Transaction) -> bool:
        if not self._waits_on(transaction) or transaction.done.done():
            return False
        try:
            transaction.entry, transaction.first = self.parking.park(transaction.drafts)
            self.outbox.flush()
        except AteError as error:
            transaction.done.set_exception(error)
            return False
        transaction.alone = True
        self._promise(transaction)
        return True

    def _promise(self, transaction: Transaction) -> None:
        if not transaction.done.done():
            transaction.done.set_result(Waiting(transaction.first, self.ledger.now_us()))

    async def submit(
        self, drafts: list[Draft], session: Session | None, durability: Durability,
        at: int | None, *, guards: Guards = (),
    ) -> Outcome:  # fmt: skip
        """Commit `drafts`; without waiting for the server unless the durability is FULL."""
        self._check_usable()
        early = durability < Durability.FULL or (self.goes_on and not self.is_reachable)
        if not self.is_reachable and not self.goes_on:
            raise offline()
        plain = at is None and not guards and self.parking.admits(drafts, session)
        if not early or not plain:
            return await super().submit(drafts, session, durability, at, guards=guards)
        loop = asyncio.get_running_loop()
        entry, first = self.parking.park(drafts)
        if durability > Durability.NONE:
            self.outbox.flush()
        transaction = Transaction(
            drafts, session, durability, None, loop.create_future(), alone=True, entry=entry,
            first=first,
        )  # fmt: skip
        self._queue.append(transaction)
        self._start(loop)
        return Waiting(first, self.ledger.now_us())

    @property
    def pending(self) -> int:
        """Commits made here that are not in the chain yet."""
        return len(self._queue) + len(self._parcels)

    async def found(self, commit: Commit, rows: list[Draft]) -> None:
        """Send the first commit of a chain; raises what the server has against it."""
        loop = asyncio.get_running_loop()
        made = Transaction([], None, Durability.FULL, None, loop.create_future())
        payload = b"".join(encode_payload(commit, _UNORDERED, [None] * len(rows)))
        parcel = Parcel([made], (self._session_number, 1), payload, rows, len(rows))
        parcel.entry = self.outbox.add_prepared(parcel.session, parcel.lsn, payload)
        self._lsn = self._prev = 1
        self._send(parcel)
        await made.done

    # --- the queue ---

    def _is_alone(self, loop: asyncio.AbstractEventLoop) -> bool:
        return False

    def _go_on(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _submit(self, *args: Any, **kwargs: Any) -> Outcome:
        if not self.is_reachable:
            self._check_usable()
            raise offline()
        return await super()._submit(*args, **kwargs)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        super()._start(loop)
        self._go_on()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue or self._errands or self._parcels or not self._closed:
            self._news = loop.create_future()
            if self._errands and not self._parcels:
                await self._run_errand()
            elif self._queue and not self._errands and self._may_leave(self._queue[0]):
                await self._forward(self._gather())
            else:
                await self._news

    def _may_leave(self, first: Transaction) -> bool:
        """Whether the next transaction can be sent before those on their way have landed."""
        if self.carrier is None or not self.carrier.is_online:
            return False
        if not self._parcels:
            return True
        if len(self._parcels) >= _FLIGHTS_MAX or first.at is not None or first.make is not None:
            return False
        ids = [*changed(first), *(one for one, _ in first.guards)]
        return not any(one in self._moving for one in ids)

    async def _run_errand(self) -> None:
        if self.carrier is None:
            await super()._run_errand()
            return
        async with self.carrier.taking:
            await super()._run_errand()

    def _is_current(self, transaction: Transaction) -> bool:
        try:
            self.parking.ready(transaction.drafts)
        except Conflict as error:
            self._fail([transaction], error)
            return False
        return super()._is_current(transaction)

    async def _forward(self, group: list[Transaction]) -> None:
        ready = [one for one in group if not one.done.done() or one.first]
        ready = [one for one in ready if self._is_current(one)]
        if not ready:
            return
        try:
            parcel = await self._pack(ready)
        except AteError as error:
            if len(ready) == 1:
                self._fail(ready, error)
                return
            for transaction in ready:  # find out which of them it was
                await self._forward([transaction])
            return
        except BaseException as error:
            self._stop(ready, error)
            return
        self._send(parcel)

    async def _pack(self, ready: list[Transaction]) -> Parcel:
        """Seal and sign transactions as one commit, and keep it in the outbox before it is sent."""
        ledger = self.ledger
        drafts = [draft for one in ready for draft in one.drafts]
        await self._look_back(drafts, ready[0].session)
        if not self._parcels:
            self._prev = ledger.view.origins.last(self._device, self._session_number)
        origin = Origin(self._device, self._session_number, self._lsn + 1, self._prev)
        commit, rows = await ledger.preparer(ready[0].session).prepare(
            drafts, origin=origin, seen_seq=ledger.view.head, now_us=ledger.now_us()
        )
        payload = b"".join(encode_payload(commit, _UNORDERED, [None] * len(rows)))
        number = self._session_number, origin.lsn
        parcel = Parcel(ready, number, payload, rows, len(rows) - len(drafts))
        parcel.entry = ready[0].entry
        if ready[0].make is not None:
            parcel.at = ledger.view.head
        if parcel.entry:
            self.outbox.prepare(parcel.entry, *number, payload)
        elif parcel.at is None and not parcel.guards:
            parcel.entry = self.outbox.add_prepared(*number, payload)
        # What stands on a head or a lease is worth nothing to a later process: it is not kept.
        self._lsn = self._prev = origin.lsn
        parcel.ids = [one for transaction in ready for one in changed(transaction)]
        parcel.ids += [row.id for row in rows[: parcel.offset]]
        return parcel

    def _send(self, parcel: Parcel) -> None:
        self._moving.update(parcel.ids)
        self._parcels[parcel.session, parcel.lsn] = parcel
        assert self.carrier is not None
        self.carrier.send(parcel)

    def _fail(self, group: Sequence[Transaction], error: BaseException) -> None:
        for transaction in group:
            if not transaction.first:
                super()._fail([transaction], error)
            elif isinstance(error, AteError):
                self.setbacks.meet(transaction, error)

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
        for transaction in [*self._queue, *(t for p in self._parcels.values() for t in p.group)]:
            if not transaction.done.done() and not transaction.first:
                transaction.done.set_exception(in_doubt())
        if self._losing is not None:
            self._losing.cancel()

    def _check_usable(self) -> None:
        if self._closed:
            raise UsageError("the chain is closed")
        if self.ledger.store.readonly:
            raise ReadOnly("this chain was opened read-only")


def _nothing() -> None:
    pass
