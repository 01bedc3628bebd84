"""`Index`: object id → newest row, parent → children: sorted runs and a small tail; no log access.

What came last is in the tail, a dictionary of slots. A full tail becomes a run, and runs of like
size are merged, so that each object is moved a few times however many there are.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ate.chain.run import U64, Run

#: Flags kept in the top bits of a seq: the object is deleted; it is a system row.
DEAD: Final = 1 << 63
SYSTEM: Final = 1 << 62
SEQ_MASK: Final = (1 << 48) - 1

COLLECTION_MASK: Final = (1 << 24) - 1
PARENT_MASK: Final = (1 << 64) - 1 - COLLECTION_MASK

#: Slots after which the tail becomes a run; commits of that many rows become one at once.
_TAIL_MAX: Final = 16_384
_DIRECT: Final = 4096
#: A run is merged with the one before it until that one is this many times larger.
_FANOUT: Final = 4


def child_key(parent: bytes, collection: int) -> int:
    """Return the 64-bit key under which a child is filed: 40 bits of parent, 24 of collection.

    Keys of different parents may collide; the reader compares the row's own fields.
    """
    mixed = int.from_bytes(parent[:8], "little") ^ int.from_bytes(parent[8:16], "little")
    return (mixed & PARENT_MASK) | (collection & COLLECTION_MASK)


class Index:
    """Where each object's newest row is. Values are seqs with flags; 0 means: no such object."""

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._tail: dict[bytes, int] = {}
        self._clear_tail()
        #: Live data objects.
        self.live = 0
        #: Ids of all kinds, those of deleted objects and system rows too.
        self.objects = 0

    def _clear_tail(self) -> None:
        self._tail = {}
        self._ids = bytearray()
        self._seq, self._created, self._child = array("Q"), array("Q"), array("Q")

    # --- looking up -------------------------------------------------------------------------

    def locate(self, object_id: bytes) -> int:
        """Return the flagged seq of the object's newest row, or 0."""
        slot = self._tail.get(object_id)
        if slot is not None:
            return self._seq[slot]
        for run in reversed(self._runs):
            at = run.position(object_id)
            if at >= 0:
                return int(run.seq[at])
        return 0

    def created_at(self, object_id: bytes) -> int:
        """Return the seq of the object's first version, or 0."""
        slot = self._tail.get(object_id)
        if slot is not None:
            return self._created[slot]
        for run in reversed(self._runs):
            at = run.position(object_id)
            if at >= 0:
                return int(run.created[at])
        return 0

    def locate_many(self, ids: Sequence[bytes]) -> list[int]:
        """Return `locate` of each id; far cheaper than one by one when there are many."""
        if len(ids) < 24:
            return [self.locate(one) for one in ids]
        found = self._locate_runs(ids) if self._runs else [0] * len(ids)
        if self._tail:
            get, seqs = self._tail.get, self._seq
            found = [
                old if (slot := get(one)) is None else seqs[slot]
                for one, old in zip(ids, found, strict=True)
            ]
        return found

    def _locate_runs(self, ids: Sequence[bytes]) -> list[int]:
        high, low = _halves(b"".join(ids))
        found = np.zeros(len(ids), np.uint64)
        for run in self._runs:
            at = run.positions(high, low)
            found = np.where(at >= 0, run.seq[np.maximum(at, 0)], found)
        return found.tolist()

    def children(self, parent: bytes, collection: int) -> list[int]:
        """Return flagged seqs of what may be children of `parent`, in order of creation.

        The reader must compare the row's own parent and collection: keys may collide.
        """
        key = child_key(parent, collection)
        return self._filed(key, key)

    def below(self, parent: bytes) -> list[int]:
        """Return flagged seqs of what may be children of `parent` in any collection."""
        key = child_key(parent, 0)
        return self._filed(key, key | COLLECTION_MASK)

    def _filed(self, least: int, most: int) -> list[int]:
        found: list[tuple[int, int]] = []
        for number, run in enumerate(self._runs):
            at = run.filed(least, most)
            at = at[self._is_newest(number, run.high[at], run.low[at])]
            found += zip(run.created[at].tolist(), run.seq[at].tolist(), strict=True)
        if self._tail:
            child = np.array(self._child, np.uint64)
            hits = np.flatnonzero((child >= np.uint64(least)) & (child <= np.uint64(most)))
            for slot in hits.tolist():
                if self._tail[bytes(self._ids[16 * slot : 16 * slot + 16])] == slot:
                    found.append((self._created[slot], self._seq[slot]))
        found.sort()
        return [seq for _, seq in found]

    def _is_newest(self, number: int, high: U64, low: U64) -> npt.NDArray[np.bool_]:
        """Return which ids of run `number` no newer run and not the tail holds."""
        newest = np.ones(len(high), np.bool_)
        for run in self._runs[number + 1 :]:
            newest &= run.positions(high, low) < 0
        if self._tail and len(high):
            raw = _joined(high, low)
            tail = self._tail
            held = (raw[at : at + 16] in tail for at in range(0, len(raw), 16))
            newest &= ~np.fromiter(held, np.bool_, len(high))
        return newest

    def all(self) -> list[int]:
        """Return the seqs of all live data objects, in the order of the log."""
        parts: list[U64] = []
        for number, run in enumerate(self._runs):
            live = run.seq < np.uint64(SYSTEM)
            if number + 1 < len(self._runs) or self._tail:
                live &= self._is_newest(number, run.high, run.low)
            parts.append(run.seq[live])
        if self._tail:
            seq = np.array(self._seq, np.uint64)[np.fromiter(self._tail.values(), np.int64)]
            parts.append(seq[seq < np.uint64(SYSTEM)])
        if not parts:
            return []
        joined = np.concatenate(parts)
        joined.sort()
        return joined.tolist()  # type: ignore[no-any-return]

    # --- folding in -------------------------------------------------------------------------

    def put(self, object_id: bytes, seq: int, created: int, child: int) -> None:
        """Set the newest row of one object; `seq` carries the flags."""
        before = self.locate(object_id)
        self.live += (seq < SYSTEM) - (0 < before < SYSTEM)
        self.objects += not before
        self._tail[object_id] = len(self._seq)
        self._ids += object_id
        self._seq.append(seq)
        self._created.append(created)
        self._child.append(child)
        if len(self._seq) >= _TAIL_MAX:
            self._seal_tail()

    def put_many(
        self, high: U64, low: U64, seq: U64, created: U64, child: U64, *, before: Sequence[int]
    ) -> None:
        """`put` for a whole commit, whose ids differ from each other.

        Args:
            before: what `locate_many` says of its ids.
        """
        if any(before):
            self.live -= sum(1 for one in before if 0 < one < SYSTEM)
        self.live += int(np.count_nonzero(seq < np.uint64(SYSTEM)))
        self.objects += before.count(0)
        if len(seq) >= _DIRECT:
            self._seal_tail()
            self._add(Run.of(high, low, seq, created, child))
            return
        raw = _joined(high, low)
        start = len(self._seq)
        ids = [raw[at : at + 16] for at in range(0, len(raw), 16)]
        self._tail.update(zip(ids, range(start, start + len(ids)), strict=True))
        self._ids += raw
        self._seq.frombytes(np.ascontiguousarray(seq).tobytes())
        self._created.frombytes(np.ascontiguousarray(created).tobytes())
        self._child.frombytes(np.ascontiguousarray(child).tobytes())
        if len(self._seq) >= _TAIL_MAX:
            self._seal_tail()

    def _seal_tail(self) -> None:
        """Make a run of the tail."""
        if not self._tail:
            return
        slots = np.fromiter(self._tail.values(), np.int64, len(self._tail))
        high, low = _halves(bytes(self._ids))
        seq, created, child = (
            np.array(column, np.uint64)[slots] for column in (self._seq, self._created, self._child)
        )
        self._clear_tail()
        self._add(Run.of(high[slots], low[slots], seq, created, child))

    def _add(self, run: Run) -> None:
        runs = self._runs
        while runs and len(runs[-1]) < _FANOUT * len(run):
            run = runs.pop().merged(run)
        runs.append(run)

    # --- snapshot ---------------------------------------------------------------------------

    def columns(self) -> list[npt.NDArray[np.generic]]:
        """Return all there is as one run's columns: five of u64, then the child order as u32."""
        run = self.run()
        return [*run.columns(), run.order()]

    def run(self) -> Run:
        """Return all there is as one run, which stays as it is when more is folded in."""
        self._seal_tail()
        while len(self._runs) > 1:
            newer = self._runs.pop()
            self._runs.append(self._runs.pop().merged(newer))
        if not self._runs:
            none = np.empty(0, np.uint64)
            return Run(none, none, none, none, none)
        return self._runs[0]

    def remove(self, seqs: U64) -> None:
        """Forget the objects whose newest row is one of these, flags left out."""
        if len(seqs):
            self._runs = [self.run().without(seqs)]
            self.live = int(np.count_nonzero(self._runs[0].seq < np.uint64(SYSTEM)))
            self.objects = len(self._runs[0])

    def adopt(self, columns: Sequence[U64], order: npt.NDArray[np.uint32], live: int) -> None:
        """Take over the columns of a snapshot; they may be read-only maps of a file."""
        self._clear_tail()
        self._runs = [Run(*columns[:5], order=order)] if len(order) else []
        self.live, self.objects = live, len(order)


def _halves(raw: bytes) -> tuple[U64, U64]:
    """Split joined ids into two columns."""
    pairs = np.frombuffer(raw, np.uint64).reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def _joined(high: U64, low: U64) -> bytes:
    """Undo `_halves`."""
    pairs = np.empty((len(high), 2), np.uint64)
    pairs[:, 0], pairs[:, 1] = high, low
    return pairs.tobytes()
