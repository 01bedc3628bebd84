"""Sets of seqs as sorted arrays, each seq once; no dictionaries, no log access."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ate.chain.run import U64


def seqs_of(some: Iterable[int]) -> U64:
    """Return the set of these."""
    return np.array(sorted(set(some)), np.uint64)


def among(some: U64, others: U64) -> npt.NDArray[np.bool_]:
    """Return which of `some`, in any order, are in the set `others`."""
    if not len(others):
        return np.zeros(len(some), np.bool_)
    at = np.minimum(others.searchsorted(some), len(others) - 1)
    found: npt.NDArray[np.bool_] = others[at] == some
    return found


def union(one: U64, other: U64) -> U64:
    """Return the set of what is in either."""
    if not len(other):
        return one
    both = np.sort(np.concatenate([one, other]))
    found: U64 = both[np.concatenate([[True], both[1:] != both[:-1]])]
    return found


def minus(one: U64, other: U64) -> U64:
    """Return the set of what is in the first alone."""
    rest: U64 = one[~among(one, other)]
    return rest
