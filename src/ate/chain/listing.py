"""`Listings`: lists of rows that somebody goes through, slowly, while the log is compacted.

It reads no row by itself, and it keeps no list alive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias
from weakref import WeakValueDictionary

import numpy as np

from ate.chain.index import DEAD, SEQ_MASK, Index
from ate.errors import Compacted
from ate.event.commit import Record

#: Finds the commit of a row, and where in it; raises Compacted.
Find: TypeAlias = Callable[[int], tuple[Record, int]]


class Listing(list[int]):
    """Flagged seqs."""


class Listings:
    """All lists that are in use of one view."""

    def __init__(self) -> None:
        self._all: WeakValueDictionary[int, Listing] = WeakValueDictionary()

    def add(self, seqs: Sequence[int]) -> Listing:
        """Return flagged seqs that stay readable when another generation of the log takes over.

        An object that was changed since is at its newest row then, in the same place of the list; a
        deleted one has the flag of the dead.
        """
        made = Listing(seqs)
        self._all[id(made)] = made
        return made

    def renew(self, find: Find, index: Index) -> None:
        """Let every list name the newest rows.

        Args:
            find: in the log that is about to go.
            index: of the one that takes its place.
        """
        for listing in tuple(self._all.values()):
            seqs, mask = np.array(listing, np.uint64), np.uint64(SEQ_MASK)
            stale = np.flatnonzero(~np.isin(seqs & mask, index.run().seq & mask))
            for at in stale.tolist():
                try:
                    record, where = find(listing[at] & SEQ_MASK)
                except Compacted:
                    listing[at] = DEAD
                else:
                    listing[at] = index.locate(record.row(where).id) or DEAD
