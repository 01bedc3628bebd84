"""`CommitTable`: where each commit is and which it is; 48 bytes a commit, no log access."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import Final

import numpy as np
import numpy.typing as npt

from ate.chain.run import U64

ROOT_BYTES: Final = 32


class CommitTable:
    """First seq, log place and root of every commit, appended to, searched by seq or place."""

    def __init__(self) -> None:
        self.adopt(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.uint8))

    def __len__(self) -> int:
        return len(self._base_first) + len(self._first)

    def append(self, first_seq: int, place: int, root: bytes) -> None:
        self._first.append(first_seq)
        self._place.append(place)
        self._root += root

    def find(self, seq: int) -> tuple[int, int]:
        """Return (first seq, place) of the commit that holds row `seq`, which must exist."""
        first = self._first
        if first and seq >= first[0]:
            at = bisect_right(first, seq) - 1
            return first[at], self._place[at]
        base = self._firsts
        at = bisect_right(base, seq) - 1
        return base[at], self._places[at]

    def root_at(self, place: int) -> bytes:
        """Return the root of the commit at a log place; empty when there is none."""
        places: array[int] | memoryview = self._place
        roots: bytes | bytearray | memoryview = self._root
        if not places or place < places[0]:
            places, roots = self._places, self._roots
        at = bisect_left(places, place)
        if at >= len(places) or places[at] != place:
            return b""
        return bytes(roots[ROOT_BYTES * at : ROOT_BYTES * (at + 1)])

    def columns(self) -> tuple[U64, U64, npt.NDArray[np.uint8]]:
        """Return first seqs, places and roots of all commits, for a snapshot."""
        first = np.concatenate([self._base_first, np.frombuffer(self._first, dtype=np.uint64)])
        place = np.concatenate([self._base_place, np.frombuffer(self._place, dtype=np.uint64)])
        root = np.concatenate([self._base_root, np.frombuffer(bytes(self._root), dtype=np.uint8)])
        return first, place, root

    def adopt(self, first: U64, place: U64, root: npt.NDArray[np.uint8]) -> None:
        """Take over the columns of a snapshot; they may be read-only maps of a file."""
        self._base_first, self._base_place, self._base_root = first, place, root
        self._firsts: memoryview = first.data
        self._places: memoryview = place.data
        self._roots: memoryview = root.data
        self._first, self._place = array("Q"), array("Q")
        self._root = bytearray()
