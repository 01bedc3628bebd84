"""`Forwarder`: the writer of a chain that is ordered elsewhere.

It seals and signs what tasks commit, keeps it in the outbox, sends it, and answers when the chain
has it here as well.

Several commits may be on their way at once, as long as none stands on another. It never appends.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from ate.chain.ledger import Ledger
from ate.dio.writer import Committed, Durability, Transaction, Writer
from ate.errors import AteError, Conflict, Disconnected, Offline, UsageError
from ate.event.commit import Commit, Origin, Record, SequencerPart, encode_payload
from ate.event.draft import Draft
from ate.log.outbox import Outbox
from ate.merkle import Frontier

T = TypeVar("T")

#: Commits on their way at once; what comes meanwhile is gathered, and goes with the next one.
_FLIGHTS_MAX: Final = 8
#: How often a checkpoint and the like is made anew because somebody else was faster.
_TRIES: Final = 8
_UNORDERED: Final = SequencerPart(0, 0, 0, bytes(32))


class Carrier(Protocol):
    """What brings commits to the root: `ate.mesh.replica.Replica`, or a link to it."""

    @property
    def is_online(self) -> bool:
        """Whether a commit would leave at once."""
        ...

    def send(self, flight: Any) -> None:
        """Send a commit now or when there is a connection, until it is known what became of it."""
        ...

    def abandon(self, flight: Any) -> None:
        """Do not send it again; its outcome is found out all the same."""
        ...


class Parcel:
    """One commit on its way."""

    __slots__ = (
        "abandoned", "at", "entry", "group", "guards", "ids", "lsn", "offset", "payload", "rows",
        "session",
    )  # fmt: skip

    def __init__(
        self, group: list[Transaction], origin: tuple[int, int], payload: bytes,
        rows: Sequence[Draft], offset: int,
    ) -> None:  # fmt: skip
        self.group, self.payload, self.rows, self.offset = group, payload, rows, offset
        self.session, self.lsn = origin
        first = group[0] if group else None
        self.at: int | None = first.at if first is not None else None
        self.guards = [pair for one in group for pair in one.guards]
        self.entry = 0
        self.abandoned = False
        self.ids: list[bytes] = []


class Forwarder(Writer):
    """See the module.

    Args:
        ledger: the local copy.
        device, session_number: the origin under which commits are numbered.
        outbox: keeps what is on its way.
    """

    def __init__(self, ledger: Ledger, device: int, session_number: int, outbox: Outbox) -> None:
        super().__init__(ledger, device, session_number)
        self.outbox = outbox
        self.carrier: Carrier | None = None
        #: How long a commit waits for a connection before its author is told.
        self.patience_s = 1.0
        self._parcels: dict[tuple[int, int], Parcel] = {}
        #: Objects that commits on their way change or stand on.
        self._moving: Counter[bytes] = Counter()
        self._prev = 0
        #: Of what was committed offline, what was refused and waits for a decision.
        self.conflicts: list[object] = []
        self._losing: asyncio.TimerHandle | None = None
        self._changed: asyncio.Future[None] | None = None

    # --- what the replica tells -------------------------------------------------------------------

    def landed(self, parcel: Parcel, record: Record, frontier: Frontier) -> None:
        """A commit is in the chain."""
        self._settle(parcel)
        self.landed_count += 1
        offset = parcel.offset
        for transaction in parcel.group:
            if not transaction.done.done():
                transaction.done.set_result(Committed(record, offset, frontier, parcel.lsn))
            offset += len(transaction.drafts)
        self._go_on()

    def refused(self, parcel: Parcel, error: AteError) -> None:
        """A commit was refused for good."""
        self._settle(parcel)
        group = parcel.group
        if len(group) == 1 and group[0].make is not None and isinstance(error, Conflict):
            group[0].tries += 1
            if group[0].tries < _TRIES:
                self._queue.insert(0, group[0])
                self._go_on()
                return
        if len(group) > 1:  # find out which of them it was
            for transaction in group:
                transaction.alone = True
            self._queue[0:0] = group
        else:
            self._fail(group, error)
        self._go_on()

    def skipped(self, parcels: Sequence[Parcel]) -> None:
        """These were not taken only because of one before them."""
        again: list[Transaction] = []
        for parcel in parcels:
            self._settle(parcel)
            again += parcel.group
        self._queue[0:0] = again
        self._go_on()

    def changed(self) -> None:
        """There is a connection, or there is none any more."""
        if self.carrier is not None and self.carrier.is_online:
            if self._losing is not None:
                self._losing.cancel()
                self._losing = None
        elif self._losing is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._losing = loop.call_later(self.patience_s, self._lose_patience)
        self._go_on()

    def _settle(self, parcel: Parcel) -> None:
        """A commit is on its way no more."""
        self._parcels.pop((parcel.session, parcel.lsn), None)
        self._moving.subtract(parcel.ids)
        self._moving += Counter()  # without those that nothing moves any more
        self.outbox.remove(parcel.entry)
        if not self._parcels:
            self._prev = self.ledger.view.origins.last(self._device, self._session_number)

    def _lose_patience(self) -> None:
        """Tell those who wait that there is no connection."""
        self._losing = None
        for parcel in tuple(self._parcels.values()):
            if self.carrier is not None:
                self.carrier.abandon(parcel)
            self._fail(parcel.group, Disconnected(
                "the connection was lost before the server answered: the commit may have landed",
                hint="look again when the connection is back; a retry cannot apply it twice",
            ))  # fmt: skip
        waiting, self._queue = self._queue, []
        self._fail(waiting, _offline())

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
        self._parcels[parcel.session, 1] = parcel
        assert self.carrier is not None
        self.carrier.send(parcel)
        await made.done

    # --- the queue --------------------------------------------------------------------------------

    def _is_alone(self, loop: asyncio.AbstractEventLoop) -> bool:
        return False

    def _go_on(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def _submit(self, *args: object, **kwargs: object) -> Committed:
        if self.carrier is not None and not self.carrier.is_online and self._losing is None:
            self._check_usable()
            raise _offline()
        return await super()._submit(*args, **kwargs)  # type: ignore[arg-type]

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        super()._start(loop)
        self._go_on()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue or self._errands or self._parcels or not self._closed:
            self._changed = loop.create_future()
            if self._errands and not self._parcels:
                await self._run_errand()
            elif self._queue and not self._errands and self._may_leave(self._queue[0]):
                await self._forward(self._gather())
            else:
                await self._changed

    def _may_leave(self, first: Transaction) -> bool:
        """Whether the next transaction can be sent before those on their way have landed."""
        if self.carrier is None or not self.carrier.is_online:
            return False
        if not self._parcels:
            return True
        if len(self._parcels) >= _FLIGHTS_MAX or first.at is not None or first.make is not None:
            return False
        return not any(one in self._moving for one in _touched(first))

    async def _forward(self, group: list[Transaction]) -> None:
        ready = [one for one in group if not one.done.done() and self._is_current(one)]
        if not ready:
            return
        ledger = self.ledger
        drafts = [draft for one in ready for draft in one.drafts]
        try:
            await self._look_back(drafts, ready[0].session)
            if not self._parcels:
                self._prev = ledger.view.origins.last(self._device, self._session_number)
            origin = Origin(self._device, self._session_number, self._lsn + 1, self._prev)
            commit, rows = await ledger.preparer(ready[0].session).prepare(
                drafts, origin=origin, seen_seq=ledger.view.head, now_us=ledger.now_us()
            )
            parts = encode_payload(commit, _UNORDERED, [None] * len(rows))
            payload = b"".join(parts)
            parcel = Parcel(
                ready, (self._session_number, origin.lsn), payload, rows, len(rows) - len(drafts)
            )
            parcel.entry = self.outbox.add_prepared(parcel.session, parcel.lsn, payload)
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
        self._lsn = self._prev = origin.lsn
        if ready[0].make is not None:
            parcel.at = ledger.view.head
        parcel.ids = [one for transaction in ready for one in _touched(transaction)]
        parcel.ids += [row.id for row in rows[: parcel.offset]]
        self._moving.update(parcel.ids)
        self._parcels[parcel.session, parcel.lsn] = parcel
        assert self.carrier is not None
        self.carrier.send(parcel)

    async def run_alone(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` while nothing is taken from the server's stream either."""
        return await super().run_alone(work)

    async def close(self) -> None:
        """Wait for what is on its way while there is a connection, then take no more."""
        self._closed = True
        if self.carrier is not None and not self.carrier.is_online:
            self._lose_patience()
        if self._task is not None:
            self._start(asyncio.get_running_loop())
            self._go_on()
            done, _ = await asyncio.wait([self._task], timeout=self.patience_s * 5)
            if not done:
                self._lose_patience()
                self._task.cancel()
                await asyncio.wait([self._task])
        if self._losing is not None:
            self._losing.cancel()

    def _check_usable(self) -> None:
        if self._closed:
            raise UsageError("the chain is closed")


def _touched(transaction: Transaction) -> list[bytes]:
    """Return the objects that a transaction changes or stands on."""
    found = [draft.id for draft in transaction.drafts]
    found += [draft.parent for draft in transaction.drafts if any(draft.parent)]
    found += [one for one, _ in transaction.guards]
    return found


def _offline() -> Offline:
    return Offline(
        "there is no connection to the server, and this chain takes no commits without one",
        hint='open it with recovery="async" to go on offline; the Dio keeps its changes',
    )
