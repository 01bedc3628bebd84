"""`Overlay`: own changes that were accepted here and are not in the chain yet, over the view.

Each of their rows has a provisional seq, far above any real one, until the chain gives it its own.
It commits nothing and reads no log.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ate.event.draft import Draft

#: Provisional seqs begin here: no chain has so many rows.
PROVISIONAL: Final = 1 << 41


class Upcoming(msgspec.Struct, frozen=True, gc=False):
    """The newest own version of one object.

    Args:
        seq: provisional.
        draft: what it will be.
        time_us: when it was accepted here.
    """

    seq: int
    draft: Draft
    time_us: int


class Overlay:
    """What one session has committed and the chain does not hold yet."""

    def __init__(self) -> None:
        self._newest: dict[bytes, Upcoming] = {}
        # Runs of provisional seqs that are known by now: where each begins, ends, and its real one.
        self._starts, self._ends, self._reals = array("Q"), array("Q"), array("Q")
        self._next = PROVISIONAL

    def __len__(self) -> int:
        return len(self._newest)

    def put(self, drafts: Sequence[Draft], time_us: int, *, first: int = 0) -> int:
        """Lay changes over the chain; returns the provisional seq of the first one.

        Args:
            first: that number, for changes that were accepted before.
        """
        first = first or self._next
        self._next = max(self._next, first + len(drafts))
        for seq, draft in enumerate(drafts, first):
            self._newest[draft.id] = Upcoming(seq, draft, time_us)
        return first

    def lift(self, drafts: Sequence[Draft], first: int) -> None:
        """Take changes away, where nothing newer has taken their place."""
        for seq, draft in enumerate(drafts, first):
            known = self._newest.get(draft.id)
            if known is not None and known.seq == seq:
                del self._newest[draft.id]

    def land(self, drafts: Sequence[Draft], first: int, real: int) -> None:
        """The changes are rows of the chain now, from seq `real` on."""
        self.lift(drafts, first)
        at, end = bisect_right(self._starts, first), first + len(drafts)
        if at and self._ends[at - 1] == first and self._reals[at - 1] + first == (
            real + self._starts[at - 1]
        ):  # it goes on where the run before ends
            self._ends[at - 1] = end
            return
        self._starts.insert(at, first)
        self._ends.insert(at, end)
        self._reals.insert(at, real)

    def real(self, seq: int) -> int:
        """Return the seq that a provisional one has become; 0 when it is none yet."""
        if seq < PROVISIONAL:
            return seq
        at = bisect_right(self._starts, seq) - 1
        if at < 0 or seq >= self._ends[at]:
            return 0
        return self._reals[at] + seq - self._starts[at]

    def get(self, object_id: bytes) -> Upcoming | None:
        """Return the newest own version of an object that the chain does not hold."""
        return self._newest.get(object_id)

    def __iter__(self) -> Iterator[Upcoming]:
        return iter(list(self._newest.values()))


#: For sessions none of whose commits ever waits.
EMPTY: Final = Overlay()
