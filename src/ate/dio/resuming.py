"""Goes on with what waited in the outbox when the chain was closed; it sends nothing itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ate.dio.parcel import Parcel, changed
from ate.dio.transaction import Durability, Transaction
from ate.event.commit import Record

if TYPE_CHECKING:
    from ate.dio.forwarder import Forwarder


def resume(forwarder: Forwarder) -> None:
    """Go on with what waited when the chain was closed; the carrier is there.

    Raises:
        CannotOpen: another session committed it.
    """
    waiting, refused = forwarder.parking.restore()
    loop = asyncio.get_running_loop()
    for entry, work in waiting:
        drafts = list(work.drafts) if work is not None else []
        transaction = Transaction(
            drafts, forwarder.ledger.session, Durability.LOCAL, None, loop.create_future(),
            alone=True, entry=entry.number, first=work.first if work is not None else -1,
        )  # fmt: skip
        if entry.commit:
            parcel = Parcel([transaction], (entry.session, entry.lsn), entry.commit, (), 0)
            record = Record(memoryview(entry.commit))
            parcel.offset = record.row_count - len(drafts)
            parcel.entry, parcel.ids = entry.number, changed(transaction)
            parcel.adopted = work is not None
            forwarder._send(parcel)
        else:
            forwarder._queue.append(transaction)
    for entry, work in refused:
        forwarder.setbacks.add(entry.number, work, entry.note)
    forwarder._start(loop)
