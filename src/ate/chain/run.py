"""`Run`: object ids in sorted arrays, with what the index knows of each.

Runs merge, and never change.

40 bytes an object: two halves of the id, the seq of the newest row (with flags), the seq of
creation and the child key; 4 more once children were asked for. No dictionaries, no log access.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

_HALVES: Final = struct.Struct("<QQ").unpack
_SEQ_MASK: Final = np.uint64((1 << 48) - 1)
COLUMNS: Final = ("high", "low", "seq", "created", "child")


class Run:
    """Sorted by (high, low); every id once.

    Args:
        high, low: the halves of the ids, little-endian u64.
        seq: newest row, with the flags of `ate.chain.index`.
        created: first row.
        child: key under which the object is filed with its parent.
        order: positions sorted by `child`, if known.
    """

    __slots__ = ("_highs", "_lows", "_order", *COLUMNS)

    def __init__(
        self, high: U64, low: U64, seq: U64, created: U64, child: U64,
        *, order: npt.NDArray[np.uint32] | None = None,
    ) -> None:  # fmt: skip
        self.high, self.low, self.seq, self.created, self.child = high, low, seq, created, child
        self._order = order
        # Reading one number out of an array costs three times as much as out of a memoryview.
        self._highs, self._lows = high.data, low.data

    @classmethod
    def of(cls, high: U64, low: U64, seq: U64, created: U64, child: U64) -> Run:
        """Sort columns into a run; ids must differ from each other."""
        order = np.argsort(high)
        ranked = high[order]
        if (ranked[1:] == ranked[:-1]).any():
            order = np.lexsort((low, high))
        return cls(high[order], low[order], seq[order], created[order], child[order])

    def __len__(self) -> int:
        return len(self.high)

    def position(self, object_id: bytes) -> int:
        """Return where an id is, or -1."""
        high, low = _HALVES(object_id)
        highs = self._highs
        at, size = int(self.high.searchsorted(np.uint64(high))), len(highs)
        while at < size and highs[at] == high:
            if self._lows[at] == low:
                return at
            at += 1
        return -1

    def positions(self, high: U64, low: U64) -> I64:
        """Return where each id is, -1 where it is not."""
        at = self._bounds(high, low)
        inside = np.minimum(at, len(self.high) - 1)
        same = (at < len(self.high)) & (self.high[inside] == high) & (self.low[inside] == low)
        return np.where(same, at, -1)

    def _bounds(self, high: U64, low: U64) -> I64:
        """Return where each id is or would go."""
        size = len(self.high)
        at = self.high.searchsorted(high).astype(np.int64)
        while size:
            inside = np.minimum(at, size - 1)
            step = (at < size) & (self.high[inside] == high) & (self.low[inside] < low)
            if not step.any():
                break
            at = at + step
        return at

    def merged(self, newer: Run) -> Run:
        """Return one run of both; where both hold an id, `newer` is right."""
        at = self._bounds(newer.high, newer.low)
        inside = np.minimum(at, len(self) - 1)
        same = (
            (at < len(self)) & (self.high[inside] == newer.high) & (self.low[inside] == newer.low)
        )
        fresh = ~same
        columns = []
        for name in COLUMNS:
            old, new = getattr(self, name), getattr(newer, name)
            if name in ("seq", "created", "child") and same.any():
                old = old.copy()
                old[at[same]] = new[same]
            columns.append(np.insert(old, at[fresh], new[fresh]))
        return Run(*columns)

    def columns(self) -> tuple[U64, ...]:
        """Return the five columns."""
        return self.high, self.low, self.seq, self.created, self.child

    def without(self, seqs: U64) -> Run:
        """Return a run without the ids whose newest row is one of these, flags left out."""
        at = np.minimum(seqs.searchsorted(self.seq & _SEQ_MASK), max(len(seqs) - 1, 0))
        stays = seqs[at] != self.seq & _SEQ_MASK if len(seqs) else np.ones(len(self), np.bool_)
        if stays.all():
            return self
        return Run(*(getattr(self, name)[stays] for name in COLUMNS))

    def order(self) -> npt.NDArray[np.uint32]:
        """Return positions sorted by child key."""
        if self._order is None:
            self._order = np.argsort(self.child).astype(np.uint32)
        return self._order

    def filed(self, least: int, most: int) -> npt.NDArray[np.uint32]:
        """Return the positions whose child key lies between `least` and `most`, both included."""
        order = self.order()
        return order[self._bound(order, least, 0) : self._bound(order, most, 1)]

    def _bound(self, order: npt.NDArray[np.uint32], key: int, side: int) -> int:
        child, low, high = self.child, 0, len(order)
        while low < high:
            middle = (low + high) // 2
            value = int(child[order[middle]])
            if value < key or (side and value == key):
                low = middle + 1
            else:
                high = middle
        return low
