"""`Cover`: the tree over all commits of a chain, as far as the log still knows it.

Above the cut every leaf is there; below it are the leaves of the commits that are held and, between
them, roots of subtrees that were dropped. It reads the log; it never writes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterator

from ate import merkle
from ate.chain.commits import LEAF_BYTES
from ate.chain.view import View
from ate.errors import Compacted, CorruptLog
from ate.event.prefix import NODES_MARK, decode_nodes, is_commit
from ate.multiproof import Part, inclusion, levels_of, root_of

#: Subtrees of dense leaves are made of at most 2**8 at a time: a step of a compaction.
_LEVEL_MAX = 8
_INDEX_AT = 208


class Cover:
    """Subtrees that cover the tree, in order; `size` leaves in all.

    Args:
        sparse: below the cut.
        cut: the first leaf that is in `leaves`.
        leaves: all from there on, joined.
        places: of the commits held below the cut, as (index, log place).
    """

    def __init__(
        self, sparse: list[Part], cut: int, leaves: bytes, places: list[tuple[int, int]]
    ) -> None:
        self.cut, self.places = cut, places
        self.size = cut + len(leaves) // LEAF_BYTES
        self._sparse, self._leaves = sparse, leaves
        self._starts = [part.start for part in sparse]

    @classmethod
    def of(cls, view: View) -> Cover:
        """Read what a chain knows of its tree."""
        steps = cls.build(view)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                found: Cover = done.value
                return found

    @classmethod
    def build(cls, view: View) -> Generator[None, None, Cover]:
        """Do the same in small steps; the result is the generator's own.

        Raises:
            CorruptLog: what stands for dropped commits is not all there.
        """
        _, places, column = view.commits.columns()
        raw = column.tobytes()
        held = len(places) - (view.frontier.size - view.cut)
        nodes: list[bytes] = []
        if view.cut:
            for _, payload in view.store.scan(0):
                if is_commit(payload):
                    break
                if payload[0] == NODES_MARK:
                    nodes += merkle.split(decode_nodes(payload))
        sparse: list[Part] = []
        known: list[tuple[int, int]] = []
        left, at = iter(nodes), 0
        for number, place in enumerate(places[:held].tolist()):
            index = int.from_bytes(view.store.read(place)[_INDEX_AT : _INDEX_AT + 8], "little")
            sparse += _gap(at, index, left)
            sparse.append(Part(index, 0, raw[LEAF_BYTES * number : LEAF_BYTES * (number + 1)]))
            known.append((index, place))
            at = index + 1
            if not number % 64:
                yield
        sparse += _gap(at, view.cut, left)
        return cls(sparse, view.cut, raw[LEAF_BYTES * held :], known)

    def between(self, start: int, stop: int) -> Iterator[Part]:
        """Yield subtrees that cover the leaves from `start` to `stop`, both at known borders."""
        sparse = self._sparse
        for part in sparse[bisect_left(self._starts, start) :]:
            if part.start >= stop:
                return
            yield part
        first = max(start, self.cut)
        for at, level in levels_of(first, stop):
            step = 1 << min(level, _LEVEL_MAX)
            for begin in range(at, at + (1 << level), step):
                low = LEAF_BYTES * (begin - self.cut)
                inside = self._leaves[low : low + LEAF_BYTES * step]
                yield Part(begin, min(level, _LEVEL_MAX), merkle.root(inside))

    def root(self, size: int) -> bytes:
        """Return the root of the tree when it had `size` leaves; raises Compacted if not known."""
        return root_of(self._reaching(size))

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the RFC 9162 proof that leaf `index` is in the tree of `size` leaves.

        Raises:
            Compacted: that commit was dropped, or the tree of that size is not known any more.
        """
        self._reaching(size)
        parts = [*self.between(0, index), *self._leaf(index), *self.between(index + 1, size)]
        proof = inclusion(parts, index)
        if proof is None:
            raise Compacted(f"commit {index} is not kept any more")
        return proof

    def _leaf(self, index: int) -> list[Part]:
        if index >= self.cut:
            at = LEAF_BYTES * (index - self.cut)
            return [Part(index, 0, self._leaves[at : at + LEAF_BYTES])]
        at = bisect_left(self._starts, index)
        found = self._sparse[at] if at < len(self._sparse) else None
        if found is None or found.start != index or found.level:
            raise Compacted(f"commit {index} is not kept any more")
        return [found]

    def _reaching(self, size: int) -> list[Part]:
        parts = list(self.between(0, size))
        if parts and parts[-1].start + (1 << parts[-1].level) != size:
            raise Compacted(f"the tree of {size} commits is not known any more")
        return parts


def _gap(start: int, stop: int, nodes: Iterator[bytes]) -> list[Part]:
    found = []
    for at, level in levels_of(start, stop):
        node = next(nodes, None)
        if node is None:
            raise CorruptLog(f"nothing stands for the commits before commit {stop}")
        found.append(Part(at, level, node))
    return found
