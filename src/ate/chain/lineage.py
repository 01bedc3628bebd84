"""Which rows the body of a row stands on, and which of them the next version shall copy from.

It writes nothing and trusts no header: what a delta names is checked before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ate import limits
from ate.chain.view import View
from ate.errors import AteError, LoadError, ProtocolError
from ate.event.commit import Record
from ate.event.draft import Against
from ate.event.row import Kind
from ate.trust import delta

if TYPE_CHECKING:
    from ate.chain.reader import Reader


def lineage(view: View, seq: int) -> list[int]:
    """Return `seq` and the rows its body stands on, down to the one that is kept whole.

    Raises:
        ProtocolError: a delta names no earlier version of its object in the same read domain and
            epoch, or stands on too many.
        Compacted: a row that it stands on was dropped.
    """
    record, at = view.find(seq)
    row = record.row(at)
    found = [seq]
    while base := delta.base_of(found[-1], row, record.header(at)):
        record, at = view.find(base)
        older = record.row(at)
        if not delta.are_kin(row, older):
            raise ProtocolError(f"row {found[-1]} is a delta of {base}, which is no version of it")
        found.append(base)
        if len(found) > limits.DELTA_DEPTH_MAX:
            raise ProtocolError(f"row {seq} stands on too many deltas")
        row = older
    return found


def base_held(view: View, seq: int, record: Record, at: int) -> int:
    """Return the row that must stay for the body of row `seq` to be read; 0 if there is none.

    It takes no read key. A delta that makes no sense holds on to nothing: nobody can read it, and
    nobody shall keep an object of others alive with it.
    """
    row = record.row(at)
    try:
        base = delta.base_of(seq, row, record.header(at))
        if not base:
            return 0
        older, there = view.find(base)
    except (LoadError, ProtocolError):
        return 0
    return base if delta.are_kin(row, older.row(there)) else 0


async def choose_base(reader: Reader, newest: int) -> Against | None:
    """Return the version that the successor of row `newest` may be kept as a delta of.

    None when there is none: what replaces a deleted object, or one that cannot be read, is kept
    whole.
    """
    try:
        found = lineage(reader.view, newest)
        number = 1
        if len(found) > 1:
            number += delta.number_of((await reader.open(newest, whole=False)).plain)
        behind = min(delta.steps_back(number), len(found) - 1)
        if len(found) - behind >= limits.DELTA_DEPTH_MAX:
            return None
        opened = await reader.open(found[behind])
    except AteError:
        # What is wrong with an old version must not keep a new one from being written.
        return None
    row = opened.row
    if row.kind != Kind.DATA:
        return None
    return Against(opened.seq, row.domain, row.epoch, number, opened.plain)
