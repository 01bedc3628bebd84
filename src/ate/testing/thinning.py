"""Thinned commits made by hand, as a host without keys makes them; it checks nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ate import multiproof
from ate.event.commit import Record
from ate.event.row import FLAG_HEADER
from ate.event.thinned import Thinner


class Kept(NamedTuple):
    """A row that stays; `body` is None when it lies in a body segment."""

    head: bytes
    at: int
    body: bytes | memoryview | None
    place: int = 0
    length: int = 0
    hash: bytes = b""


def encode_thinned(record: Record, rows: Sequence[Kept], siblings: bytes) -> bytes:
    """Return the payload of a commit with nothing but these rows."""
    thinner = Thinner(
        record, kept=len(rows), outside=sum(row.body is None for row in rows),
        with_headers=any(row.head[1] & FLAG_HEADER for row in rows), siblings=siblings,
    )  # fmt: skip
    for row in rows:
        if row.body is None:
            thinner.add_outside(memoryview(row.head), row.at, row.length, row.place, row.hash)
        else:
            thinner.add(memoryview(row.head), row.at, memoryview(row.body))
    return thinner.payload()


def fewer_siblings(*told: Any) -> bytes:
    """Return what `multiproof.fewer_siblings` ends with."""
    return _end(multiproof.fewer_siblings(*told))


def rows_siblings(hashes: bytes, kept: Sequence[int]) -> bytes:
    """Return the hashes that lead from these rows of a whole commit to its root."""
    count = len(hashes) // 32
    return fewer_siblings(count, range(count), hashes, b"", list(kept))


def _end(steps: Iterator[Any]) -> bytes:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            siblings: bytes = done.value[0]
            return siblings
