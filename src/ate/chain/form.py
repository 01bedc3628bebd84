"""The form of a commit: its rows are those that were signed, well made, and stand alone.

It judges nobody's rights, and it never asks what the chain holds.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ate import merkle
from ate.crypto.hash import digest
from ate.errors import CorruptLog, ProtocolError
from ate.event.commit import Record
from ate.event.row import FLAG_ACCESS, FLAG_HEADER, FLAGS_KNOWN, KINDS, Kind
from ate.ids import ROOT

#: By number of the kind.
_KNOWN: Final = np.isin(np.arange(256), np.fromiter(KINDS, dtype=np.uint8))


def ids_of(table: np.ndarray[tuple[int], np.dtype[np.void]]) -> list[bytes]:
    """Return the object ids of a row table."""
    pairs = np.empty((len(table), 2), dtype=np.uint64)
    pairs[:, 0], pairs[:, 1] = table["id_hi"], table["id_lo"]
    raw = pairs.tobytes()
    return [raw[at : at + 16] for at in range(0, len(raw), 16)]


def check_rows(record: Record) -> None:
    """Raise CorruptLog when rows or rare fields are not the ones the author's part names."""
    if record.rows_root() != record.author.rows_root:
        raise CorruptLog(f"the rows of commit {record.sequencer.index} were altered")
    rare = record.rare
    if not len(rare) and record.is_thinned and not (record.table["flags"] & FLAG_HEADER).any():
        return  # they spoke of rows that are not kept
    if (digest(rare) if len(rare) else merkle.EMPTY_ROOT) != record.author.rare_hash:
        raise CorruptLog(f"the header fields of commit {record.sequencer.index} were altered")


def check_form(record: Record) -> None:
    """Raise ProtocolError unless every row is of a known kind, in canonical form.

    And stands alone.
    """
    table = record.table
    if (
        not _KNOWN[table["kind"]].all()
        or table["zero"].any()
        or table["zero2"].any()
        or record.author.flags
    ):
        raise ProtocolError("a row has an unknown kind or non-zero padding")
    if any(record.padding):
        raise ProtocolError("the padding of a commit is not zero")
    _check_flags(record)
    high = table["id_hi"]
    if (
        len(high) > 1
        and len(np.unique(high)) != len(high)
        and len(set(ids := ids_of(table))) != len(ids)
    ):
        raise ProtocolError("a commit touches one object twice")
    nameless = (high == 0) & (table["id_lo"] == 0)
    if nameless.any() and not (table["kind"] == Kind.GENESIS).any():
        raise ProtocolError(f"object id {ROOT} is reserved for the chain itself")


def _check_flags(record: Record) -> None:
    """Raise ProtocolError unless the flags of every row say what the rare section holds for it."""
    flags = record.table["flags"]
    if not flags.any() and not len(record.rare):
        return
    if (flags & np.uint8(0xFF ^ FLAGS_KNOWN)).any():
        raise ProtocolError("a row has unknown flags")
    flagged = np.flatnonzero(flags & (FLAG_HEADER | FLAG_ACCESS)).tolist()
    headers = record.headers
    held = {at: headers[index] for at, index in enumerate(record.indexes) if index in headers}
    if flagged != list(held):
        raise ProtocolError("the flags of the rows do not fit the header fields")
    for at, header in held.items():
        said = bool(flags[at] & FLAG_HEADER), bool(flags[at] & FLAG_ACCESS)
        if said != (True, header.access is not None):
            raise ProtocolError("the flags of the rows do not fit the header fields")
