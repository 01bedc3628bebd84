"""Judges and numbers a commit that was made elsewhere; it writes nothing and tells nobody."""

from __future__ import annotations

from ate import limits
from ate.chain.admit import admit, check_bodies
from ate.chain.ledger import Ledger
from ate.chain.transfer import check_complete, countersigned, numbered
from ate.errors import ReadOnly
from ate.event.commit import Record, SequencerPart
from ate.trust.sequence import Vouch


async def consider(
    ledger: Ledger, payload: memoryview, vouch: Vouch | None = None
) -> tuple[Record, list[int]]:
    """Return what `Ledger.accept` takes: the commit with its place, and what it replaces.

    Args:
        payload: all bodies inline; its sequencer part is put in here.
        vouch: for a commit whose author has not signed it; see `ate.trust.sequence`.

    Raises:
        ReadOnly, ProtocolError, CorruptLog: it is no sound commit. And what `admit` raises.
    """
    if ledger.store.readonly:
        raise ReadOnly("this chain was opened read-only")
    view, time_us = ledger.view, ledger.now_us()
    sequencer = SequencerPart(view.head + 1, time_us, view.frontier.size, view.link)
    record = Record(memoryview(numbered(payload, sequencer)))
    limits.check("rows in the chain", record.last_seq, limits.CHAIN_ROWS_MAX)
    check_complete(record)
    proved = vouch.key if vouch is not None else b""
    current = await admit(view, ledger.pipeline, record, time_us=time_us, proved=proved)
    check_bodies(view, record)
    if vouch is not None:
        record = Record(memoryview(countersigned(record, vouch.sign(record.leaf))))
    return record, current
