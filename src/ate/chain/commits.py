"""`CommitTable`: where each commit is and which it is; 48 bytes a commit, no log access.

Which it is says its leaf in the tree over all commits: with the leaves at hand, proofs and leaves
need no reading of the log.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ate.chain.run import U64

LEAF_BYTES: Final = 32

#: First seqs, places and leaves of commits, in their order.
CommitColumns: TypeAlias = "tuple[U64, U64, npt.NDArray[np.uint8]]"


class CommitTable:
    """First seq, log place and leaf of the commits, appended to, searched by seq or place."""

    def __init__(self) -> None:
        self.adopt(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.uint8))

    def __len__(self) -> int:
        return len(self._base_first) + len(self._first)

    def append(self, first_seq: int, place: int, leaf: bytes) -> None:
        self._first.append(first_seq)
        self._place.append(place)
        self._leaf += leaf

    def find(self, seq: int) -> tuple[int, int]:
        """Return (first seq, place) of the commit that holds row `seq`, which must exist."""
        first = self._first
        if first and seq >= first[0]:
            at = bisect_right(first, seq) - 1
            return first[at], self._place[at]
        base = self._firsts
        at = bisect_right(base, seq) - 1
        return base[at], self._places[at]

    def place_at(self, number: int) -> int:
        """Return the place of the commit that is `number` in this table, counted from 0."""
        split = len(self._firsts)
        return self._places[number] if number < split else self._place[number - split]

    def number_of(self, place: int) -> int:
        """Return the number in this table of the commit at a log place, which must be there."""
        if self._place and place >= self._place[0]:
            return len(self._firsts) + bisect_left(self._place, place)
        return bisect_left(self._places, place)

    def between(self, first: int, last: int) -> Iterator[int]:
        """Yield the places of the commits that may hold rows from `first` to `last`, in order."""
        at, split = self._position(first), len(self._firsts)
        while at < len(self):
            firsts, places = (
                (self._firsts, self._places) if at < split else (self._first, self._place)
            )
            inside = at if at < split else at - split
            if firsts[inside] > last:
                return
            yield places[inside]
            at += 1

    def _position(self, seq: int) -> int:
        """Return the number of the last commit that begins at `seq` or before, or 0."""
        first = self._first
        if first and seq >= first[0]:
            return len(self._firsts) + bisect_right(first, seq) - 1
        return max(bisect_right(self._firsts, seq) - 1, 0)

    def leaf_at(self, place: int) -> bytes:
        """Return the leaf of the commit at a log place; empty when there is none."""
        places: array[int] | memoryview = self._place
        leaves: bytes | bytearray | memoryview = self._leaf
        if not places or place < places[0]:
            places, leaves = self._places, self._leaves
        at = bisect_left(places, place)
        if at >= len(places) or places[at] != place:
            return b""
        return bytes(leaves[LEAF_BYTES * at : LEAF_BYTES * (at + 1)])

    def columns(self) -> CommitColumns:
        """Return first seqs, places and leaves of all commits, for a snapshot."""
        first = np.concatenate([self._base_first, np.frombuffer(self._first, dtype=np.uint64)])
        place = np.concatenate([self._base_place, np.frombuffer(self._place, dtype=np.uint64)])
        leaf = np.concatenate([self._base_leaf, np.frombuffer(bytes(self._leaf), dtype=np.uint8)])
        return first, place, leaf

    def adopt(self, first: U64, place: U64, leaf: npt.NDArray[np.uint8]) -> None:
        """Take over the columns of a snapshot; they may be read-only maps of a file."""
        self._base_first, self._base_place, self._base_leaf = first, place, leaf
        self._firsts: memoryview = first.data
        self._places: memoryview = place.data
        self._leaves: memoryview = leaf.data
        self._first, self._place = array("Q"), array("Q")
        self._leaf = bytearray()
