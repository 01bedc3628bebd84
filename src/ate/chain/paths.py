"""Paths in the two trees of a chain, from the leaves that the view holds; it proves nothing itself.

The only place that knows where the hashes for a proof come from.
"""

from __future__ import annotations

from typing import Final

from ate import merkle
from ate.chain.cover import Cover
from ate.chain.view import View
from ate.crypto.hash import digest_many
from ate.errors import Compacted, UsageError
from ate.event.commit import Record
from ate.event.thinned import ThinRecord
from ate.multiproof import Part, fewer_siblings, root_of

HASH_BYTES: Final = merkle.HASH_BYTES
FAN_OUT: Final = merkle.FAN_OUT


class Paths:
    """The tree over the first `size` commits of a chain.

    Raises:
        UsageError: there were never so many.
    """

    def __init__(self, view: View, size: int) -> None:
        if not 0 < size <= view.frontier.size:
            raise UsageError(f"the chain has {view.frontier.size} commits, not {size}")
        self.size = size
        self._cover: Cover | None = None
        self._levels: list[bytes] = []
        if len(view.commits) != view.frontier.size:
            self._cover = Cover.of(view)
        else:
            _, _, leaves = view.commits.columns()
            self._levels = merkle.levels(leaves[: size * HASH_BYTES].tobytes())

    def inclusion(self, index: int) -> tuple[bytes, ...]:
        """Return what `merkle.inclusion_proof` returns for one commit.

        Raises:
            Compacted: the commit was dropped.
        """
        if self._cover is not None:
            return self._cover.inclusion(index, self.size)
        path, last = [], self.size - 1
        for level in range(last.bit_length()):
            beside = index ^ 1
            if beside <= last:
                path.append(self._node(level, beside))
            index, last = index >> 1, last >> 1
        return tuple(path)

    def root_at(self, size: int) -> bytes:
        """Return the root over the first `size` commits; raises Compacted if it is not known."""
        if not 0 < size <= self.size:
            raise UsageError(f"the checkpoint covers {self.size} commits, not {size}")
        if self._cover is not None:
            return self._cover.root(size)
        root, end = b"", size
        while end:
            level = (end & -end).bit_length() - 1
            left = self._node(level, (end >> level) - 1)
            root = merkle.node(left, root) if root else left
            end &= end - 1
        return root

    def consistency(self, old: int) -> tuple[bytes, ...]:
        """Return what `merkle.consistency_proof` returns; raises Compacted as `root_at` does."""
        path: list[bytes] = []
        first, size, is_whole = 0, self.size, True
        while 0 < old < size:
            split = 1 << (size - 1).bit_length() - 1
            if old <= split:
                path.append(self._over(first + split, size - split))
                size = split
            else:
                path.append(self._over(first, split))
                first, old, size, is_whole = first + split, old - split, size - split, False
        if not is_whole:
            path.append(self._over(first, size))
        return tuple(reversed(path))

    def _over(self, first: int, size: int) -> bytes:
        """Return the root over `size` leaves from `first`, where a subtree begins."""
        if self._cover is None:
            level = (size - 1).bit_length()
            return self._node(level, first >> level)
        parts = [
            Part(part.start - first, part.level, part.hash)
            for part in self._cover.between(first, first + size)
        ]
        if not parts or parts[0].start or parts[-1].start + (1 << parts[-1].level) != size:
            raise Compacted("the hashes of commits that the proof needs are not kept any more")
        return root_of(parts)

    def _node(self, level: int, index: int) -> bytes:
        """Return the root over the leaves from `index` · 2^`level`, 2^`level` or all the rest."""
        at = index * HASH_BYTES
        return self._levels[level][at : at + HASH_BYTES]


def row_path(record: Record, at: int) -> tuple[bytes, ...]:
    """Return what `merkle.rows_proof` returns for the row that is kept at `at`."""
    count, index = record.author.row_count, record.seq_at(at) - record.first_seq
    hashes = b"".join(digest_many(record.signed_rows()))
    if not isinstance(record, ThinRecord):
        return merkle.rows_proof(hashes, index)
    steps = fewer_siblings(count, record.indexes, hashes, record.siblings, [index])
    while True:
        try:
            next(steps)
        except StopIteration as done:
            joined: bytes = done.value[0]
            break
    path: list[bytes] = []
    while count > 1 or not path:
        group = index // FAN_OUT
        beside = HASH_BYTES * (min(FAN_OUT, count - group * FAN_OUT) - 1)
        path.append(joined[:beside])
        joined, index, count = joined[beside:], group, -(-count // FAN_OUT)
    return tuple(path)
