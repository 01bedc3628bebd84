"""Paths in the two trees of a chain, from the leaves that the view holds; it proves nothing itself.

The only place that knows where the hashes for a proof come from.
"""

from __future__ import annotations

from ate import merkle
from ate.chain.view import View
from ate.crypto.hash import digest_many
from ate.errors import Compacted, UsageError
from ate.event.commit import Record

HASH_BYTES = merkle.HASH_BYTES


class Paths:
    """The tree over the first `size` commits of a chain.

    Raises:
        UsageError: there were never so many.
        Compacted: commits are missing whose hashes are not kept.
    """

    def __init__(self, view: View, size: int) -> None:
        if not 0 < size <= view.frontier.size:
            raise UsageError(f"the chain has {view.frontier.size} commits, not {size}")
        if len(view.commits) != view.frontier.size:
            raise Compacted("the chain does not keep the hashes of all its commits any more")
        _, _, leaves = view.commits.columns()
        self.size = size
        self._levels = merkle.levels(leaves[: size * HASH_BYTES].tobytes())

    def node(self, level: int, index: int) -> bytes:
        """Return the root over the leaves from `index` · 2^`level`, 2^`level` or all the rest."""
        at = index * HASH_BYTES
        return self._levels[level][at : at + HASH_BYTES]

    def inclusion(self, index: int) -> tuple[bytes, ...]:
        """Return what `merkle.inclusion_proof` returns for one commit."""
        path, last = [], self.size - 1
        for level in range(last.bit_length()):
            beside = index ^ 1
            if beside <= last:
                path.append(self.node(level, beside))
            index, last = index >> 1, last >> 1
        return tuple(path)

    def root_at(self, size: int) -> bytes:
        """Return the root over the first `size` commits."""
        if not 0 < size <= self.size:
            raise UsageError(f"the checkpoint covers {self.size} commits, not {size}")
        root, end = b"", size
        while end:
            level = (end & -end).bit_length() - 1
            left = self.node(level, (end >> level) - 1)
            root = merkle.node(left, root) if root else left
            end &= end - 1
        return root

    def consistency(self, old: int) -> tuple[bytes, ...]:
        """Return what `merkle.consistency_proof` returns."""
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
        level = (size - 1).bit_length()
        return self.node(level, first >> level)


def row_path(record: Record, at: int) -> tuple[bytes, ...]:
    """Return what `merkle.rows_proof` returns for the row that is kept at `at`.

    Raises:
        Compacted: rows beside it are missing.
    """
    if record.row_count != record.author.row_count:
        raise Compacted("the commit does not keep the hashes of all its rows any more")
    hashes = b"".join(digest_many(record.signed_rows()))
    return merkle.rows_proof(hashes, record.seq_at(at) - record.first_seq)
