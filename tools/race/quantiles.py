"""The arithmetic of the race: quantiles, shares, what counts as moved; it measures nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

#: A round in which the raw disk changed by more than this is no comparison.
MOVED_MAX: Final = 0.30


def quantile(values: Iterable[float], share: float) -> float:
    """Return the least value that `share` of all values do not exceed."""
    ordered = sorted(values)
    if not ordered or not 0 <= share <= 1:
        raise ValueError("a quantile needs values, and a share between 0 and 1")
    below = -int(-share * len(ordered) // 1)  # rounded up
    return ordered[max(below, 1) - 1]


def moved(probes: Sequence[float]) -> bool:
    """Return whether what was probed around the cells of a round changed too much."""
    return max(probes) > min(probes) * (1 + MOVED_MAX)


def shares(things: int, among: int) -> list[list[int]]:
    """Deal the numbers below `things` out to at most `among`, none empty, as evenly as can be."""
    among = min(things, among)
    return [list(range(at, things, among)) for at in range(among)]
