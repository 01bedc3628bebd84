"""The tree over a replica's own commits, as statements of a server are compared with it.

It reads what the view and the log know; it never judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ate import merkle
from ate.chain.cover import Cover
from ate.chain.view import View
from ate.errors import Compacted
from ate.multiproof import Part, merged


class Tree(Protocol):
    """The tree over a replica's own commits: a `ViewTree`, or a `Cover`."""

    @property
    def size(self) -> int:
        """How many commits there are."""
        ...

    def root(self, size: int) -> bytes:
        """Return the root that the tree had at a size; raises Compacted when it is not known."""
        ...

    def between(self, start: int, stop: int) -> Iterator[Part]:
        """Yield subtrees that cover these leaves, as far as they are known."""
        ...

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the path of a leaf; raises Compacted when it is not known."""
        ...


class ViewTree:
    """The tree of a view as it is now: asked for its own root it costs nothing.

    Args:
        view: of the replica.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._cover: Cover | None = None

    @property
    def size(self) -> int:
        return self._view.frontier.size

    def _all(self) -> Cover:
        if self._cover is None or self._cover.size != self.size:
            self._cover = Cover.of(self._view)
        return self._cover

    def root(self, size: int) -> bytes:
        return self._view.frontier.root() if size == self.size else self._all().root(size)

    def between(self, start: int, stop: int) -> Iterator[Part]:
        return self._all().between(start, stop)

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        return self._all().inclusion(index, size)


def continuation(tree: Tree, old: int, size: int) -> tuple[bytes, ...]:
    """Return the path from the tree's first `old` leaves to its root at `size`.

    See `evidence.roots_of` for its form.

    Raises:
        Compacted: the tree does not know it any more.
    """
    path: list[bytes] = []
    start, stop = 0, size
    while old != stop - start:
        half = start + (1 << (stop - start - 1).bit_length() - 1)
        if start + old <= half:
            path.append(root_between(tree, half, stop))
            stop = half
        else:
            path.append(root_between(tree, start, half))
            start, old = half, start + old - half
    path.append(root_between(tree, start, stop))
    return tuple(reversed(path))


def root_between(tree: Tree, start: int, stop: int) -> bytes:
    """Return the root over some leaves, the first of them at a border of the tree."""
    parts = list(tree.between(start, stop))
    at = start
    for part in parts:
        if part.start != at:
            break
        at += 1 << part.level
    if at != stop:
        raise Compacted(f"the commits from {start} to {stop} are not all known any more")
    peaks = merged(parts)
    found = peaks[-1].hash
    for left in peaks[-2::-1]:
        found = merkle.node(left.hash, found)
    return found


def frontier_at(tree: Tree, size: int) -> merkle.Frontier:
    """Return the frontier that a tree had when it had so many leaves, at least one.

    Raises:
        Compacted: the tree does not know it any more.
    """
    parts, at = list(tree.between(0, size - 1)), 0
    for part in parts:
        if part.start != at:
            break
        at += 1 << part.level
    if at != size - 1:
        raise Compacted(f"the first {size} commits are not all known any more")
    before = merkle.Frontier(size - 1, tuple(part.hash for part in merged(parts)))
    return before.append(root_between(tree, size - 1, size))
