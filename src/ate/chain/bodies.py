"""Stored bodies against the rows that name them, and rows told where their bodies are now.

It opens no body and reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ate.crypto.hash import digest, digest_many
from ate.event.commit import ROWS_AT, Buffer, Record
from ate.event.row import PLACE_BODY_FILE, ROW_BYTES

_PLACE_AT = ROW_BYTES - 8


def outside(record: Record) -> list[int]:
    """Return which rows of a commit have their bodies in a body segment."""
    found: list[int] = np.flatnonzero(record.table["place"] >= np.uint64(PLACE_BODY_FILE)).tolist()
    return found


def bad_inline(record: Record) -> bool:
    """Tell whether a body inside a commit is not the one that its row names."""
    table = record.table
    inside = np.flatnonzero(table["place"] < np.uint64(PLACE_BODY_FILE))
    places, lengths = table["place"][inside], table["length"][inside]
    if not len(inside):
        return False
    if not record.holds(places, lengths):
        return True
    payload, ends = record.payload, (places + lengths).tolist()
    found = digest_many([payload[at:end] for at, end in zip(places.tolist(), ends, strict=True)])
    return b"".join(found) != table["body_hash"][inside].tobytes()


def is_body(record: Record, at: int, body: Buffer) -> bool:
    """Tell whether these bytes are the body that row `at` names."""
    row = record.row(at)
    return len(body) == row.length and digest(body) == row.body_hash


def relocated(record: Record, places: Mapping[int, int]) -> memoryview:
    """Return the payload with other places for the bodies of some rows; no signature covers it."""
    payload = bytearray(record.payload)
    for at, place in places.items():
        start = ROWS_AT + ROW_BYTES * at + _PLACE_AT
        payload[start : start + 8] = place.to_bytes(8, "little")
    return memoryview(bytes(payload))
