"""Three versions of a sequence brought together: what either side changed, and where both did.

It decides nothing: a stretch that both changed is handed out as such.

Items are compared by number, see `numbered`. Sequences are aligned by the items that occur once in
both (a move can not confuse those), between them by what remains equal at the ends, and small gaps
exactly. The work is bounded by `limits.MERGE_WORK_MAX`: past that, what lies between two known
places counts as changed. So a hard case ends in a conflict and never in a loss.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ate import limits

#: A gap that is compared exactly: 512 items by 512, some tens of milliseconds.
_CELLS_MAX: Final = 1 << 18

Numbers: TypeAlias = npt.NDArray[np.int64]


class Span(NamedTuple):
    """The items from `start` up to `end`."""

    start: int
    end: int

    def of(self, items: Sequence[str]) -> str:
        """Return the text of these items."""
        return "".join(items[self.start : self.end])


class Chunk(NamedTuple):
    """A stretch of the base and what each side made of it.

    Args:
        by_us, by_them: whether the side changed it.
    """

    base: Span
    ours: Span
    theirs: Span
    by_us: bool
    by_them: bool


class Block(NamedTuple):
    """`size` items from `base` on are those from `side` on."""

    base: int
    side: int
    size: int


class Effort:
    """What one merge may still do, in items looked at."""

    def __init__(self) -> None:
        self.left = limits.MERGE_WORK_MAX

    def take(self, steps: int) -> bool:
        """Return whether there is enough left for so many steps, and take them."""
        if steps > self.left:
            return False
        self.left -= steps
        return True


def numbered(*sequences: Iterable[Hashable]) -> list[Numbers]:
    """Return the sequences with equal items as equal numbers."""
    known: dict[Hashable, int] = {}
    return [
        np.fromiter((known.setdefault(item, len(known)) for item in items), np.int64)
        for items in sequences
    ]


def chunks(
    base: Numbers,
    ours: Numbers,
    theirs: Numbers,
    *,
    effort: Effort,
    weak: frozenset[int] = frozenset(),
) -> Iterator[Chunk]:
    """Yield the three sequences in pieces, from the first item to the last.

    Changes of both sides that overlap or touch are one chunk.

    Args:
        weak: numbers of items (white space) that alone do not separate two changes.
    """
    changes = [(*one, False) for one in _changes(align(base, ours, effort), base, weak)]
    changes += [(*one, True) for one in _changes(align(base, theirs, effort), base, weak)]
    changes.sort()
    done, shifts, at = 0, [0, 0], 0
    while at < len(changes):
        start, end = changes[at][0], changes[at][1]
        before, sides = list(shifts), set[bool]()
        while at < len(changes) and changes[at][0] <= end:
            _, stop, more, is_theirs = changes[at]
            end = max(end, stop)
            shifts[is_theirs] += more
            sides.add(is_theirs)
            at += 1
        if done < start:
            yield _chunk(done, start, before, before, set())
        yield _chunk(start, end, before, shifts, sides)
        done = end
    if done < len(base):
        yield _chunk(done, len(base), shifts, shifts, set())


def _chunk(start: int, end: int, before: list[int], after: list[int], sides: set[bool]) -> Chunk:
    ours, theirs = (Span(start + b, end + a) for b, a in zip(before, after))
    return Chunk(Span(start, end), ours, theirs, False in sides, True in sides)


def _changes(
    blocks: list[Block], base: Numbers, weak: frozenset[int]
) -> Iterator[tuple[int, int, int]]:
    """Yield (start, end, items more than before) of what lies between the blocks."""
    last, end = Block(0, 0, 0), blocks[-1]
    for block in blocks:
        # Blocks never touch, so what is neither first nor last has changes on both sides.
        inside = max(block.base, block.side) > 0 and (
            block.base + block.size < end.base or block.side + block.size < end.side
        )
        if inside and weak and block.size < 4:
            items = base[block.base : block.base + block.size].tolist()
            if all(item in weak for item in items):
                continue
        start, side = last.base + last.size, last.side + last.size
        if block.base > start or block.side > side:
            yield start, block.base, (block.side - side) - (block.base - start)
        last = block


# --- alignment ----------------------------------------------------------------------------------


def align(base: Numbers, side: Numbers, effort: Effort) -> list[Block]:
    """Return what two sequences have in common, in order; an empty block ends it."""
    found: list[Block] = []
    gaps = [(0, len(base), 0, len(side))]
    while gaps:
        start, end, at, stop = gaps.pop()
        head = _equal(base[start:end], side[at:stop])
        if head:
            found.append(Block(start, at, head))
            start, at = start + head, at + head
        tail = _equal(base[start:end][::-1], side[at:stop][::-1])
        if tail:
            found.append(Block(end - tail, stop - tail, tail))
            end, stop = end - tail, stop - tail
        if start == end or at == stop or not effort.take(end - start + stop - at):
            continue
        here, there = base[start:end], side[at:stop]
        common = _anchors(here, there) or _exactly(here.tolist(), there.tolist(), effort)
        found += [Block(start + i, at + j, size) for i, j, size in common]
        low = left = 0
        for i, j, size in [*common, Block(len(here), len(there), 0)]:
            if common and i > low and j > left:
                gaps.append((start + low, start + i, at + left, at + j))
            low, left = i + size, j + size
    found.sort()
    return [*_joined(found), Block(len(base), len(side), 0)]


def _joined(blocks: list[Block]) -> Iterator[Block]:
    """Yield the blocks with those that touch in both sequences made one."""
    base = side = size = 0
    for block in blocks:
        if block.base == base + size and block.side == side + size:
            size += block.size
            continue
        if size:
            yield Block(base, side, size)
        base, side, size = block
    if size:
        yield Block(base, side, size)


def _equal(one: Numbers, other: Numbers) -> int:
    """Return how many items the two begin with in common."""
    size = min(len(one), len(other))
    if not size or one[0] != other[0]:
        return 0
    differs = one[:size] != other[:size]
    return int(differs.argmax()) if differs.any() else size


def _anchors(here: Numbers, there: Numbers) -> list[Block]:
    """Return the items that occur once in both, as many as are in order, runs of them as one."""
    ours, places = _once(here)
    theirs, others = _once(there)
    _, at, to = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    order = np.argsort(places[at])
    pairs = np.stack((places[at][order], others[to][order]), axis=1)
    if (np.diff(pairs[:, 1]) < 0).any():
        pairs = pairs[_ascending(pairs[:, 1].tolist())]
    if not len(pairs):
        return []
    breaks = np.flatnonzero((np.diff(pairs, axis=0) != 1).any(axis=1)) + 1
    edges = np.concatenate(([0], breaks, [len(pairs)]))
    starts = pairs[edges[:-1]].tolist()
    return [Block(i, j, size) for (i, j), size in zip(starts, np.diff(edges).tolist())]


def _once(items: Numbers) -> tuple[Numbers, Numbers]:
    """Return the items that occur once, and where."""
    found, places, counts = np.unique(items, return_index=True, return_counts=True)
    return found[counts == 1], places[counts == 1]


def _ascending(numbers: list[int]) -> list[int]:
    """Return the places of the longest run of growing numbers.

    Piles as in the game of patience: each number goes on the first pile whose top is not less, and
    remembers the top of the pile before.
    """
    tops: list[int] = []
    cards: list[int] = []
    below: list[int] = []
    for place, number in enumerate(numbers):
        pile = bisect_left(tops, number)
        below.append(cards[pile - 1] if pile else -1)
        if pile == len(tops):
            tops.append(number)
            cards.append(place)
        else:
            tops[pile], cards[pile] = number, place
    chosen, card = [], cards[-1]
    while card >= 0:
        chosen.append(card)
        card = below[card]
    return chosen[::-1]


def _exactly(here: list[int], there: list[int], effort: Effort) -> list[Block]:
    """Return the longest common subsequence of two short lists."""
    cells = len(here) * len(there)
    if cells > _CELLS_MAX or not effort.take(cells):
        return []
    wide = len(there) + 1
    lengths = [[0] * wide for _ in range(len(here) + 1)]
    for i in range(len(here) - 1, -1, -1):
        row, under, item = lengths[i], lengths[i + 1], here[i]
        for j in range(wide - 2, -1, -1):
            row[j] = under[j + 1] + 1 if item == there[j] else max(row[j + 1], under[j])
    pairs: list[Block] = []
    i = j = 0
    while i < len(here) and j < len(there):
        if here[i] == there[j]:
            pairs.append(Block(i, j, 1))
            i, j = i + 1, j + 1
        elif lengths[i + 1][j] >= lengths[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs
