"""Which stretches of one byte string come again in another; it knows no format and keeps nothing.

Ends that are equal are found by comparing. If what is between them has the same length in both,
it is compared in place. Otherwise *anchors* are looked for: places chosen by what stands there and
not by where they are, eight bytes whose product with a constant is small. So an insertion moves
anchors and makes no others. Anchors with equal surroundings in both strings are grown into matches
as far as they go.

The work is bounded: a few passes over each string, at most `_ANCHORS_MAX` anchors, and at most as
many attempts to grow one as a delta may have pieces.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ate import limits

Bytes: TypeAlias = npt.NDArray[np.uint8]
Words: TypeAlias = npt.NDArray[np.uint64]
Places: TypeAlias = npt.NDArray[np.int64]

#: Shorter matches cost as much to name as they save.
LEAST: Final = 32
#: Anchors of one string: more would cost time and find little.
_ANCHORS_MAX: Final = 1 << 17
#: Words looked at in one go, so that they stay in the cache.
_PORTION: Final = 1 << 15
_STEP: Final = 1 << 12
_STEP_MAX: Final = 1 << 20
_PICK: Final = np.uint64(0x9E3779B97F4A7C15)
_ONE: Final = np.uint64(1)
_MIX: Final = tuple(
    np.uint64(odd)
    for odd in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F)
)


class Match(NamedTuple):
    """`size` bytes from `base` on in the one string are those from `start` on in the other."""

    base: int
    start: int
    size: int


def matches(base: bytes, new: bytes) -> list[Match]:
    """Return stretches of `new` that are in `base`, in the order of `new`, none overlapping."""
    old, now = np.frombuffer(base, np.uint8), np.frombuffer(new, np.uint8)
    head = _prefix(old, now)
    tail = _suffix(old[head:], now[head:])
    found = [Match(0, 0, head)] if head else []
    inner_old, inner_now = old[head : len(old) - tail], now[head : len(now) - tail]
    if min(len(inner_old), len(inner_now)) >= LEAST:
        inner = _in_place(inner_old, inner_now) or _between(inner_old, inner_now)
        found += [Match(head + at, head + start, size) for at, start, size in inner]
    if tail:
        found.append(Match(len(old) - tail, len(now) - tail, tail))
    return found


def _prefix(one: Bytes, other: Bytes) -> int:
    """Return how many bytes the two begin with in common."""
    size, at, step = min(len(one), len(other)), 0, _STEP
    while at < size:
        end = min(size, at + step)
        differs = one[at:end] != other[at:end]
        if differs.any():
            return at + int(differs.argmax())
        at, step = end, min(step * 4, _STEP_MAX)
    return size


def _suffix(one: Bytes, other: Bytes) -> int:
    """Return how many bytes the two end with in common."""
    size, at, step = min(len(one), len(other)), 0, _STEP
    ends = len(one), len(other)
    while at < size:
        end = min(size, at + step)
        differs = one[ends[0] - end : ends[0] - at] != other[ends[1] - end : ends[1] - at]
        if differs.any():
            return at + int(differs[::-1].argmax())
        at, step = end, min(step * 4, _STEP_MAX)
    return size


def _in_place(old: Bytes, now: Bytes) -> list[Match]:
    """Return what is equal where it stands, if that is at least half; else nothing."""
    if len(old) != len(now):
        return []
    differs = old != now
    if 2 * int(np.count_nonzero(differs)) > len(now):
        return []
    edges = np.concatenate(([-1], np.flatnonzero(differs), [len(now)]))
    starts, sizes = edges[:-1] + 1, np.diff(edges) - 1
    large = np.flatnonzero(sizes >= LEAST // 2)
    if len(large) > limits.DELTA_PIECES_MAX:
        large = np.sort(large[np.argsort(sizes[large])[-limits.DELTA_PIECES_MAX :]])
    starts, sizes = starts[large], sizes[large]
    if 2 * int(sizes.sum()) < len(now):
        return []
    return [Match(at, at, size) for at, size in zip(starts.tolist(), sizes.tolist())]


def _between(old: Bytes, now: Bytes) -> list[Match]:
    """Grow anchors that both have, from left to right in `now`."""
    starts, places = _shared(old, now)
    found: list[Match] = []
    done = shift = at = 0
    for _ in range(limits.DELTA_PIECES_MAX):
        if at >= len(starts):
            break
        start, place = starts[at], places[at]
        straight = start + shift  # as far from the last match here as there
        if 0 <= straight <= len(old) - LEAST and np.array_equal(
            old[straight : straight + LEAST], now[start : start + LEAST]
        ):
            place = straight
        size = _prefix(old[place:], now[start:])
        if size >= LEAST:
            back = _suffix(old[:place], now[done:start])
            found.append(Match(place - back, start - back, size + back))
            done, shift = start + size, place - start
            at = bisect_left(starts, done, at + 1)
        else:
            at += 1
    return found


def _shared(old: Bytes, now: Bytes) -> tuple[list[int], list[int]]:
    """Return the anchors of `now` that `old` has too, and where it has each first."""
    # One in 16 of a small string, fewer of a large one: the same for both, or none would be shared.
    rarity = max(16, max(len(old), len(now)) // (_ANCHORS_MAX // 2))
    there, keys = _anchors(old, rarity)
    here, wanted = _anchors(now, rarity)
    if not len(there) or not len(here):
        return [], []
    known, first = np.unique(keys, return_index=True)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    hit = known[at] == wanted
    return here[hit].tolist(), there[first[at[hit]]].tolist()


def _anchors(data: Bytes, rarity: int) -> tuple[Places, Words]:
    """Return the anchors of a string in order, and a hash of the `LEAST` bytes from each on."""
    # Minus one: zeros, of which there may be many in a row, are never an anchor.
    below = np.uint64((1 << 64) // rarity)
    places: list[Places] = []
    keys: list[Words] = []
    for offset in range(8):
        count = (len(data) - offset) // 8
        if count < LEAST // 8:
            continue
        words = np.frombuffer(data[offset : offset + 8 * count].data, "<u8")
        at = np.concatenate(
            [
                start + np.flatnonzero(words[start : start + _PORTION] * _PICK - _ONE < below)
                for start in range(0, count, _PORTION)
            ]
        )
        at = at[at <= count - LEAST // 8]
        # In a run of equal words each would be an anchor, and tell nothing.
        at = at[(at == 0) | (words[at] != words[at - 1])]
        key = words[at] * _MIX[0]
        for ahead in (1, 2, 3):
            key ^= key >> np.uint64(29)
            key += words[at + ahead] * _MIX[ahead]
        places.append(at * 8 + offset)
        keys.append(key)
    if not places:
        return np.empty(0, np.int64), np.empty(0, np.uint64)
    joined, hashes = np.concatenate(places), np.concatenate(keys)
    order = np.argsort(joined, kind="stable")
    order = order[:: len(order) // _ANCHORS_MAX + 1]
    return joined[order], hashes[order]
