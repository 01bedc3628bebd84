"""`CommitTable`: where each commit is, found by seq; sixteen bytes a commit, no log access."""

from __future__ import annotations

from array import array
from bisect import bisect_right

import numpy as np

from ate.chain.run import U64


class CommitTable:
    """First seq and log place of every commit: 16 bytes each, appended to, searched by seq."""

    def __init__(self) -> None:
        self.adopt(np.empty(0, np.uint64), np.empty(0, np.uint64))

    def __len__(self) -> int:
        return len(self._base_first) + len(self._first)

    def append(self, first_seq: int, place: int) -> None:
        self._first.append(first_seq)
        self._place.append(place)

    def find(self, seq: int) -> tuple[int, int]:
        """Return (first seq, place) of the commit that holds row `seq`, which must exist."""
        first = self._first
        if first and seq >= first[0]:
            at = bisect_right(first, seq) - 1
            return first[at], self._place[at]
        base = self._firsts
        at = bisect_right(base, seq) - 1
        return base[at], self._places[at]

    def columns(self) -> tuple[U64, U64]:
        first = np.concatenate([self._base_first, np.frombuffer(self._first, dtype=np.uint64)])
        place = np.concatenate([self._base_place, np.frombuffer(self._place, dtype=np.uint64)])
        return first, place

    def adopt(self, first: U64, place: U64) -> None:
        self._base_first, self._base_place = first, place
        self._firsts, self._places = memoryview(first), memoryview(place)
        self._first, self._place = array("Q"), array("Q")
