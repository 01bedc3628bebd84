"""The form of a commit: its rows are those that were signed, well made, and stand alone.

It judges nobody's rights, and it never asks what the chain holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ate import merkle
from ate.crypto.hash import digest
from ate.errors import CorruptLog, ProtocolError
from ate.event.commit import Record
from ate.event.row import FLAG_ACCESS, FLAG_HEADER, FLAGS_KNOWN, KINDS, Kind
from ate.ids import ROOT

_KNOWN: Final = bytes(KINDS)
_NO_ID: Final = bytes(ROOT)


def check_rows(record: Record) -> None:
    """Raise CorruptLog when rows or rare fields are not the ones the author's part names."""
    if record.rows_root() != record.author.rows_root:
        raise CorruptLog(f"the rows of commit {record.sequencer.index} were altered")
    rare = record.rare
    if not len(rare) and record.is_thinned and not _some(record.flags, FLAG_HEADER):
        return  # they spoke of rows that are not kept
    if (digest(rare) if len(rare) else merkle.EMPTY_ROOT) != record.author.rare_hash:
        raise CorruptLog(f"the header fields of commit {record.sequencer.index} were altered")


def check_form(record: Record, ids: Sequence[bytes] = ()) -> None:
    """Raise ProtocolError unless every row is of a known kind, in canonical form.

    And stands alone.

    Args:
        ids: of its rows, if they are at hand.
    """
    if (
        record.kinds.translate(None, _KNOWN)
        or any(record.zeros.strip(b"\0"))
        or record.author.flags
    ):
        raise ProtocolError("a row has an unknown kind or non-zero padding")
    if any(record.padding):
        raise ProtocolError("the padding of a commit is not zero")
    _check_flags(record)
    ids = ids or record.ids
    if len(ids) > 1 and len(set(ids)) != len(ids):
        raise ProtocolError("a commit touches one object twice")
    if _NO_ID in ids and Kind.GENESIS not in record.kinds:
        raise ProtocolError(f"object id {ROOT} is reserved for the chain itself")


def _check_flags(record: Record) -> None:
    """Raise ProtocolError unless the flags of every row say what the rare section holds for it."""
    flags = record.flags
    if not any(flags) and not len(record.rare):
        return
    if _some(flags, 0xFF ^ FLAGS_KNOWN):
        raise ProtocolError("a row has unknown flags")
    flagged = [at for at, one in enumerate(flags) if one & (FLAG_HEADER | FLAG_ACCESS)]
    headers = record.headers
    held = {at: headers[index] for at, index in enumerate(record.indexes) if index in headers}
    if flagged != list(held):
        raise ProtocolError("the flags of the rows do not fit the header fields")
    for at, header in held.items():
        said = bool(flags[at] & FLAG_HEADER), bool(flags[at] & FLAG_ACCESS)
        if said != (True, header.access is not None):
            raise ProtocolError("the flags of the rows do not fit the header fields")


def _some(flags: bytes, wanted: int) -> bool:
    """Return whether any row has one of these flags."""
    return any(one & wanted for one in flags)
