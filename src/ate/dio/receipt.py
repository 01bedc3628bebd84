"""`Receipt`: what a commit returns, with the proof that it is in the chain; it asks nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from ate import merkle
from ate.errors import UsageError
from ate.event.commit import leaf_of


@dataclass(frozen=True, slots=True)
class Proof:
    """Inclusion of one commit in the chain tree (RFC 9162 §2.1.3).

    Args:
        commit_root, first_seq, time_us: the commit; together they are the leaf.
        index, size: its place, and the size of the tree that `path` leads to.
        path: sibling hashes from the leaf up.
    """

    commit_root: bytes
    first_seq: int
    time_us: int
    index: int
    size: int
    path: tuple[bytes, ...]

    def check(self, chain_root: bytes) -> None:
        """Raise TrustError unless the commit is in the tree with this root."""
        leaf = leaf_of(self.commit_root, self.first_seq, self.time_us)
        merkle.verify_inclusion(leaf, self.index, self.size, self.path, chain_root)


class Receipt(msgspec.Struct, frozen=True, eq=False):
    """A commit was accepted.

    Args:
        seq: of the first row of this commit's objects.
        commit_root: hash of what the author signed.
        lsn: number of the commit within this session of this device.
        time_us: the sequencer's time, microseconds since 1970; it informs and does not order.
    """

    seq: int
    commit_root: bytes
    lsn: int
    time_us: int
    _first_seq: int
    _frontier: merkle.Frontier

    def __repr__(self) -> str:
        if self.is_pending:
            return f"Receipt(pending since {self.time.isoformat()})"
        return (
            f"Receipt(seq {self.seq}, {self.time.isoformat()}, root {self.commit_root.hex()[:8]})"
        )

    @property
    def is_pending(self) -> bool:
        """The commit is kept here and waits for the server: it has no seq and no proof yet."""
        return not self.commit_root

    @property
    def time(self) -> datetime:
        """The sequencer's time."""
        return moment(self.time_us)

    @property
    def chain_root(self) -> bytes:
        """Root of the tree over all commits up to and including this one."""
        return self._frontier.root()

    def proof(self) -> Proof:
        """Return the proof that `chain_root` covers this commit.

        Raises:
            UsageError: it is pending.
        """
        if self.is_pending:
            raise UsageError("this commit is not in the chain yet", hint="await chain.sync() first")
        size = self._frontier.size
        return Proof(
            self.commit_root, self._first_seq, self.time_us, size - 1, size,
            self._frontier.inclusion_of_last(),
        )  # fmt: skip


def moment(time_us: int) -> datetime:
    """Return microseconds since 1970 as an aware UTC datetime."""
    return datetime.fromtimestamp(time_us / 1_000_000, UTC)
