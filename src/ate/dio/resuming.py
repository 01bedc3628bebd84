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
    made: dict[int, Transaction] = {}
    for entry, work in waiting:
        drafts = list(work.drafts) if work is not None else []
        made[entry.number] = transaction = Transaction(
            drafts, forwarder.ledger.session, Durability.LOCAL, None, loop.create_future(),
            entry=entry.number, first=work.first if work is not None else -1,
        )  # fmt: skip
        if entry.state == "waiting":
            forwarder._queue.append(transaction)
    for entry, work in waiting:
        if entry.commit:
            group = [made[number] for number in entry.shares or (entry.number,)]
            parcel = Parcel(group, (entry.session, entry.lsn), entry.commit, (), 0)
            record = Record(memoryview(entry.commit))
            parcel.offset = record.row_count - len(parcel.drafts)
            parcel.entry, parcel.adopted = entry.number, work is not None
            parcel.ids = [one for transaction in group for one in changed(transaction)]
            forwarder._send(parcel)
    for entry, work in refused:
        forwarder.setbacks.add(entry.number, work, entry.note)
    forwarder._start(loop)
