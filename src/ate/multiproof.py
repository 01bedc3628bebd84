"""What is left of a tree when leaves were dropped: the hashes that still lead to its root.

It never stores a tree, and it never knows what a leaf stands for (see `ate.merkle` for both trees).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ate.crypto.hash import Buffer
from ate.errors import ProtocolError
from ate.merkle import (
    FAN_OUT,
    HASH_BYTES,
    Frontier,
    Hashes,
    joined,
    node,
    rows_node,
    split,
)

Mask: TypeAlias = npt.NDArray[np.bool_]

_LEVELS_MAX: Final = 48
#: Nodes made between two steps.
_STEP: Final = 64
_GROUP_BYTES: Final = FAN_OUT * HASH_BYTES


def fewer_siblings(
    count: int, before: Sequence[int], hashes: Hashes, siblings: Buffer, kept: Sequence[int]
) -> Generator[None, None, tuple[bytes, bytes]]:
    """Find what leads from some of the rows that a commit still has to the rows root, and that.

    In small steps; the result is the generator's own: the siblings, joined, and the root. Siblings
    are, level by level from the rows up and from left to right, the children that are missing in a
    node of which another child is known.

    Args:
        count: rows the commit was made with.
        before, hashes, siblings: the rows known up to now, and what leads from them to the root.
        kept: some of `before`.

    Raises:
        ProtocolError: the siblings are too few for these rows.
    """
    level = np.frombuffer(joined(hashes), np.uint8).reshape(-1, HASH_BYTES)
    known: Mask = np.ones(count, np.bool_)
    if len(before) < count:
        known[:] = False
        known[list(before)] = True
        level, rows = np.zeros((count, HASH_BYTES), np.uint8), level
        level[known] = rows
    wanted: Mask = np.zeros(count, np.bool_)
    wanted[list(kept)] = True
    told = np.frombuffer(bytes(siblings), np.uint8).reshape(-1, HASH_BYTES)
    found: list[bytes] = []
    while True:
        above = _above(known)
        needed = ~known & np.repeat(above, FAN_OUT)[: len(known)]
        size = int(np.count_nonzero(needed))
        if size > len(told):
            raise _too_few()
        if size:
            level[needed], told = told[:size], told[size:]
        found.append(level[~wanted & np.repeat(_above(wanted), FAN_OUT)[: len(wanted)]].tobytes())
        yield
        raw, groups = level.tobytes(), np.flatnonzero(above).tolist()
        level = np.zeros((len(above), HASH_BYTES), np.uint8)
        for number, group in enumerate(groups, 1):
            made = rows_node(raw[_GROUP_BYTES * group : _GROUP_BYTES * (group + 1)])
            level[group] = np.frombuffer(made, np.uint8)
            if not number % _STEP:
                yield
        if len(above) == 1:
            return b"".join(found), level.tobytes()
        known, wanted = above, _above(wanted)


def _above(mask: Mask) -> Mask:
    """Return which nodes of the level above have a child among these."""
    padded = np.zeros(-(-len(mask) // FAN_OUT) * FAN_OUT, np.bool_)
    padded[: len(mask)] = mask
    return np.asarray(padded.reshape(-1, FAN_OUT).any(axis=1), np.bool_)


def rows_root_from(count: int, kept: Sequence[int], hashes: Hashes, siblings: Buffer) -> bytes:
    """Return the root over `count` rows, of which only those at `kept` are known.

    Args:
        kept: their indexes, ascending, at least one.
        hashes: their hashes.
        siblings: what `fewer_siblings` found for them.

    Raises:
        ProtocolError: the siblings are too few or too many for these rows.
    """
    if len(siblings) % HASH_BYTES:
        raise ProtocolError("a thinned commit holds half a hash")
    others = iter(split(siblings))
    known = dict(zip(kept, split(joined(hashes)), strict=True))
    while True:
        above: dict[int, bytes] = {}
        for group, missing in _missing(count, list(known)).items():
            for at in missing:
                known[at] = _next(others)
            above[group] = rows_node(_children(known, group, count))
        known, count = above, -(-count // FAN_OUT)
        if count == 1:
            break
    if next(others, None) is not None:
        raise ProtocolError("a thinned commit holds more hashes than its tree has places for")
    return known[0]


def _next(hashes: Iterator[bytes]) -> bytes:
    found = next(hashes, None)
    if found is None:
        raise _too_few()
    return found


def _too_few() -> ProtocolError:
    return ProtocolError("a thinned commit lacks hashes of its tree")


def _children(known: dict[int, bytes], group: int, count: int) -> bytes:
    first = FAN_OUT * group
    return b"".join(known[at] for at in range(first, min(first + FAN_OUT, count)))


def _missing(count: int, known: Sequence[int]) -> dict[int, list[int]]:
    """Return for each node above the known ones which of its children are not known."""
    groups: dict[int, set[int]] = {}
    for at in known:
        groups.setdefault(at // FAN_OUT, set()).add(at)
    return {
        group: [
            at
            for at in range(FAN_OUT * group, min(FAN_OUT * (group + 1), count))
            if at not in inside
        ]
        for group, inside in groups.items()
    }


class Part(NamedTuple):
    """A full subtree of a chain's tree.

    Args:
        start: number of its first leaf.
        level: it has 2**level leaves.
        hash: its root; of level 0 the leaf itself.
    """

    start: int
    level: int
    hash: bytes


def levels_of(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield (first leaf, level) of the fewest full subtrees that cover leaves start to stop."""
    while start < stop:
        aligned = (start & -start).bit_length() - 1 if start else _LEVELS_MAX
        level = min(aligned, (stop - start).bit_length() - 1)
        yield start, level
        start += 1 << level


def merged(parts: Iterable[Part]) -> list[Part]:
    """Return neighbouring subtrees joined as far as they go: `levels_of` what they cover together.

    Args:
        parts: in order, without a gap.
    """
    stack: list[Part] = []
    for part in parts:
        joint = part
        while stack and stack[-1].level == joint.level and not stack[-1].start >> joint.level & 1:
            left = stack.pop()
            joint = Part(left.start, left.level + 1, node(left.hash, joint.hash))
        stack.append(joint)
    return stack


def root_of(parts: Iterable[Part]) -> bytes:
    """Return the root of the tree that these subtrees make, the first of which begins at leaf 0."""
    frontier = Frontier()
    for _, level, found in parts:
        frontier = frontier.graft(level, found)
    return frontier.root()


def inclusion(parts: Sequence[Part], index: int) -> tuple[bytes, ...] | None:
    """Return the RFC 9162 inclusion proof of leaf `index`, lowest hash first.

    Args:
        parts: subtrees that cover the tree from leaf 0 on, in order.

    Returns:
        None when what is known of the tree does not reach down to that leaf.
    """
    at = next((n for n, part in enumerate(parts) if part.start == index and not part.level), -1)
    if at < 0:
        return None
    left = merged(parts[:at])
    right = list(parts[at + 1 :])
    size = parts[-1].start + (1 << parts[-1].level)
    proof: list[bytes] = []
    start, level = index, 0
    while start or 1 << level < size:
        if start >> level & 1:
            proof.append(left.pop().hash)
            start -= 1 << level
        else:
            first = start + (1 << level)
            inside = [part for part in right if part.start < first + (1 << level)]
            if inside:
                right = right[len(inside) :]
                proof.append(_root_at(inside, first))
        level += 1
    return tuple(proof)


def _root_at(parts: Sequence[Part], first: int) -> bytes:
    """Return the root over subtrees that begin at leaf `first`, an incomplete last one included."""
    return root_of(Part(part.start - first, part.level, part.hash) for part in parts)
