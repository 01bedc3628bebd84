"""Commits on their way between logs: bodies come out of the body file, and go back into one.

Where a body lies is a local matter, so what is signed and hashed stays as it is. It judges nothing.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from ate import limits
from ate.chain.view import View
from ate.errors import CorruptLog, ProtocolError
from ate.event import row as rows_
from ate.event.commit import (
    AUTHOR_BYTES,
    ROWS_AT,
    SEQUENCER_BYTES,
    VERSION,
    Buffer,
    Record,
    SequencerPart,
)
from ate.event.prefix import is_commit
from ate.event.row import PLACE_ABSENT, PLACE_BODY_FILE, Kind
from ate.event.thinned import Thinner, ThinRecord, decode_record
from ate.log.store import LogStore

_SIZES: Final = struct.Struct("<IIQ")
_SIZES_AT: Final = AUTHOR_BYTES + SEQUENCER_BYTES
_COUNT: Final = slice(4, 8)


def pack(view: View, payload: memoryview, *, sparse: int = 0) -> Buffer:
    """Return the payload of a log frame with all its bodies inline.

    Args:
        sparse: leave out bodies of data that are longer; 0 leaves out none. A commit that lost rows
            keeps all that it has.

    Raises:
        CorruptLog: a body is not where the row says.
    """
    if not is_commit(payload) or (not sparse and _is_inline(payload)):
        return payload
    record = decode_record(payload)
    table = record.table
    outside = bool((table["place"] >= np.uint64(PLACE_BODY_FILE)).any())
    if isinstance(record, ThinRecord):
        return _rethin(view, record) if outside else payload
    long = (table["length"] > sparse) & (table["kind"] == Kind.DATA) if sparse else None
    if not outside and (long is None or not long.any()):
        return payload
    bodies: list[Buffer | None] = []
    for at in range(record.row_count):
        if long is not None and long[at]:
            bodies.append(None)
        else:
            bodies.append(view.body(record, record.row(at)))
    return _rebuild(record, bodies, np.full(record.row_count, PLACE_ABSENT, np.uint64))


def _is_inline(payload: memoryview) -> bool:
    """Tell at a glance, of a commit that has all its rows, that no body lies outside of it."""
    if len(payload) < ROWS_AT or payload[0] != VERSION:
        return False
    end = ROWS_AT + rows_.ROW_BYTES * int.from_bytes(payload[_COUNT], "little")
    # The top bit of a place, which ends a row, says that the body is elsewhere.
    tops = payload[ROWS_AT + rows_.ROW_BYTES - 1 : end : rows_.ROW_BYTES].tobytes()
    return end <= len(payload) and max(tops, default=0xFF) < 0x80


def unpack(store: LogStore, record: Record) -> memoryview:
    """Return the payload to append for a commit with inline bodies; large ones are written.

    Raises:
        ProtocolError: a body lies outside the commit.
        OutOfSpace, StorageError: as `LogStore.write_body`.
    """
    if len(record.payload) < limits.BODY_INLINE_BYTES_MAX:
        return record.payload  # as is no body in it
    table = record.table
    inside = table["place"] < np.uint64(PLACE_BODY_FILE)
    large = (table["length"] >= limits.BODY_INLINE_BYTES_MAX) & inside
    if isinstance(record, ThinRecord) or not large.any():
        return record.payload
    places = np.array(table["place"])
    bodies: list[Buffer | None] = []
    for at in range(record.row_count):
        if large[at]:
            places[at] = store.write_body([record.inline(record.row(at))])
            bodies.append(None)
        elif inside[at]:
            bodies.append(record.inline(record.row(at)))
        else:
            bodies.append(None)
    return memoryview(_rebuild(record, bodies, places))


def check_complete(record: Record) -> None:
    """Raise ProtocolError unless all bodies of a submitted commit are inline."""
    if not _is_inline(record.payload):
        raise ProtocolError("a submitted commit carries all its bodies")


def numbered(payload: Buffer, sequencer: SequencerPart) -> bytes:
    """Return a submitted payload with its place in the order."""
    view = memoryview(payload)
    return b"".join((view[:AUTHOR_BYTES], sequencer.encode(), view[_SIZES_AT:]))


def countersigned(record: Record, signature: bytes) -> bytes:
    """Return the payload of a whole commit with another signature of the same length."""
    payload, at = record.payload, ROWS_AT + rows_.ROW_BYTES * record.row_count
    return b"".join((payload[:at], signature, payload[at + len(signature) :]))


def is_same(sent: memoryview, came: memoryview) -> bool:
    """Return whether a payload is the one that was sent, but for what the server has added."""
    if len(sent) != len(came) or not _equal(sent[:AUTHOR_BYTES], came[:AUTHOR_BYTES]):
        return False
    if sent[1]:  # its author has signed it
        return _equal(sent[_SIZES_AT:], came[_SIZES_AT:])
    signature = _SIZES.unpack_from(sent, _SIZES_AT)[0]
    at = ROWS_AT + rows_.ROW_BYTES * int.from_bytes(sent[4:8], "little")
    end = at + int(signature)
    return _equal(sent[_SIZES_AT:at], came[_SIZES_AT:at]) and _equal(sent[end:], came[end:])


def _equal(one: memoryview, other: memoryview) -> bool:
    # Two views are compared item by item: even with the copies this takes a tenth.
    return bytes(one) == bytes(other)


def _rebuild(record: Record, bodies: list[Buffer | None], places: npt.NDArray[np.uint64]) -> bytes:
    """Return the payload with these bodies inline, and the others at `places`."""
    payload, count = record.payload, record.row_count
    signature, rare = record.signature, record.rare
    middle_at = ROWS_AT + rows_.ROW_BYTES * count
    middle = len(signature) + (-len(signature) % 8) + len(rare) + (-len(rare) % 8)
    at = start = middle_at + middle
    table = np.frombuffer(payload, rows_.ROW, count, ROWS_AT).copy()
    for row, body in enumerate(bodies):
        if body is None:
            table["place"][row] = places[row]
        else:
            table["place"][row] = at
            at += len(body)
    sizes = _SIZES.pack(len(signature), len(rare), at - start)
    return b"".join(
        (
            payload[:_SIZES_AT], sizes, table.tobytes(), payload[middle_at : middle_at + middle],
            *(body for body in bodies if body is not None), bytes(-at % 8),
        )
    )  # fmt: skip


def _rethin(view: View, record: ThinRecord) -> bytes:
    """Return a commit that lost rows with the bodies of those it kept inline."""
    made = Thinner(
        record, kept=record.row_count, outside=0, with_headers=len(record.rare) > 0,
        siblings=bytes(record.siblings),
    )  # fmt: skip
    for at, index in enumerate(record.indexes):
        row = record.row(at)
        body = view.body(record, row)
        if len(body) != row.length:
            raise CorruptLog(f"the body of object {row.id.hex()} is not whole")
        made.add(record.head(at), index, body)
    return made.payload()
