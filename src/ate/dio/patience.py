"""`Patience`: what becomes of commits while there is no connection to the server.

For a moment they wait; then those that may go on without it are kept here, and the authors of the
others are told. It sends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ate.dio.parcel import Parcel, in_doubt, offline
from ate.dio.transaction import Transaction, Waiting
from ate.errors import AccessDenied, AteError, StorageError

if TYPE_CHECKING:
    from ate.dio.forwarder import Forwarder


class Patience:
    """See the module.

    Args:
        owner: whose commits they are.

    Attributes:
        wait_s: how long a commit waits for a connection before its author is told.
    """

    def __init__(self, owner: Forwarder) -> None:
        self._owner = owner
        self.wait_s = 1.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_lost = False

    @property
    def is_reachable(self) -> bool:
        """Whether there is a connection, or was a moment ago."""
        carrier = self._owner.carrier
        return carrier is None or carrier.is_online or self._timer is not None

    def unreachable(self) -> AteError:
        """Return the error for a commit that cannot be sent now, nor wait until it can."""
        trouble = self._owner.carrier.trouble if self._owner.carrier is not None else None
        if isinstance(trouble, AccessDenied):
            return trouble
        return offline(goes_on=self._owner.goes_on)

    def look(self) -> None:
        """There is a connection, or there is none any more."""
        owner = self._owner
        if owner.carrier is not None and owner.carrier.failure is not None:
            self.lose()
        elif owner.carrier is not None and owner.carrier.is_online:
            self._is_lost = False
            self.end()
            if owner.carrier.flights.hindrance is not None:
                self._tell_queue(owner.carrier.flights.hindrance)
        elif self._timer is None and not owner._closed and not self._is_lost:
            self._timer = asyncio.get_running_loop().call_later(self.wait_s, self.lose)

    def end(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def lose(self) -> None:
        """Tell those who wait that there is no connection."""
        self.end()
        self._is_lost = True
        owner, promised = self._owner, list[Transaction]()
        failure = owner.carrier.failure if owner.carrier is not None else None
        for parcel in owner.moving:
            waits = [one for one in parcel.group if not one.done.done()]
            if parcel.group[0].first or (parcel.abandoned and not waits):
                continue
            is_wanted = len(waits) == len(parcel.group) and not parcel.abandoned
            if failure is None and is_wanted and self._adopt(parcel):
                promised += parcel.group
            else:
                self.abandon(parcel, failure or in_doubt())
        waiting, owner._queue = owner._queue, []
        for transaction in waiting:
            if transaction.first:
                owner._queue.append(transaction)
            elif failure is None and self._park(transaction):
                owner._queue.append(transaction)
                promised.append(transaction)
            else:
                owner._fail([transaction], failure or self.unreachable())
        self._promise(promised)
        owner._go_on()
        owner.tell()

    def _tell_queue(self, error: AteError) -> None:
        """What is ahead of them does not land: tell the authors of what was never sent."""
        owner = self._owner
        waiting, owner._queue = owner._queue, []
        for transaction in waiting:
            if transaction.first:
                owner._queue.append(transaction)
            else:
                owner._fail([transaction], error)

    def _may_wait(self, transaction: Transaction) -> bool:
        """Whether a commit may wait for a connection with nobody waiting for it."""
        owner = self._owner
        is_plain = transaction.at is None and transaction.make is None and not transaction.guards
        return (
            owner.goes_on and is_plain
            and owner.parking.admits(transaction.drafts, transaction.session)
        )  # fmt: skip

    def _adopt(self, parcel: Parcel) -> bool:
        """Let a commit that was sent wait, if it may."""
        if not all(map(self._may_wait, parcel.group)):
            return False
        parking = self._owner.parking
        number, works = (parcel.session, parcel.lsn), [one.drafts for one in parcel.group]
        try:
            places = parking.adopt(works, number, parcel.payload)
        except AteError:
            return False
        parking.forget(parcel.entry)
        for transaction, place in zip(parcel.group, places, strict=True):
            transaction.entry, transaction.first = place
        parcel.entry, parcel.adopted = places[0][0], True
        return True

    def abandon(self, parcel: Parcel, error: AteError) -> None:
        """Nobody waits for this commit any more: it lands, or is refused, without a word."""
        parcel.abandoned = True
        for transaction in parcel.group:
            transaction.parcel = parcel
        self._owner.parking.forget(parcel.entry)
        parcel.entry = 0
        self._owner._fail(parcel.group, error)

    def ask_again(self, transaction: Transaction) -> None:
        """The author of a commit that was given up wants to know: send it again as it was.

        What a full server did not take is on its way no more.

        Raises:
            Disconnected: there is no connection.
        """
        owner, parcel = self._owner, transaction.parcel
        if parcel is None or transaction.outcome is not None:
            return
        if owner.carrier is None or not self.is_reachable:
            raise in_doubt()
        parcel.abandoned = False
        if parcel in owner.moving or owner.carrier.recall(parcel):
            return
        if owner.ledger.view.origins.last(parcel.device, parcel.session) < parcel.lsn:
            owner._send(parcel)

    def _park(self, transaction: Transaction) -> bool:
        """Let a commit that was not sent wait, if it may."""
        if not self._may_wait(transaction) or transaction.done.done():
            return False
        parking = self._owner.parking
        try:
            transaction.entry, transaction.first = parking.park(transaction.drafts)
        except AteError as error:
            self._owner._fail([transaction], error)
            return False
        return True

    def _promise(self, transactions: Sequence[Transaction]) -> None:
        """Tell authors that their commits are kept here, once they are."""
        if not transactions:
            return
        trouble: StorageError | None = None
        try:
            self._owner.outbox.flush()
        except StorageError as error:
            trouble = error
        time_us = self._owner.ledger.now_us()
        for transaction in transactions:
            if transaction.done.done():
                continue
            if trouble is not None:
                transaction.done.set_exception(trouble)
            else:
                transaction.done.set_result(Waiting(transaction.first, time_us))
