"""`Spokesman`: a server's statements about made-up commits, true ones and lies; it has no chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ate import merkle
from ate.crypto.entropy import SeededEntropy
from ate.crypto.hash import digest
from ate.crypto.sign import SigningKey, VerifyKey
from ate.event.commit import leaf_of
from ate.multiproof import Part
from ate.trust.attest import HeadStatement, StatementSigner

CHAIN: Final = digest(b"a chain")
START_US: Final = 1_800_000_000_000_000


@dataclass(frozen=True, slots=True)
class Made:
    """A commit that nobody made: what a receipt's proof says of one."""

    commit_root: bytes
    first_seq: int
    time_us: int
    index: int

    @property
    def leaf(self) -> bytes:
        return leaf_of(self.commit_root, self.first_seq, self.time_us)


class Story:
    """Commits in order, as a replica's tree shows them.

    Args:
        *chapters: (name, how many commits): two stories have in common what begins alike.
    """

    def __init__(self, *chapters: tuple[str, int]) -> None:
        names = [f"{name} {at}" for name, count in chapters for at in range(count)]
        self.commits = [
            Made(digest(name.encode()), at + 1, START_US + at, at) for at, name in enumerate(names)
        ]
        self.leaves = [one.leaf for one in self.commits]

    @property
    def size(self) -> int:
        return len(self.leaves)

    def root(self, size: int) -> bytes:
        return merkle.root(self.leaves[:size])

    def between(self, start: int, stop: int) -> Iterator[Part]:
        for at in range(start, stop):
            yield Part(at, 0, self.leaves[at])

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        return merkle.inclusion_proof(self.leaves[:size], index)


class Spokesman:
    """Signs what it is told.

    Args:
        seed: of the server's keys.
    """

    def __init__(self, seed: int = 1) -> None:
        entropy = SeededEntropy(seed)
        self._signer = StatementSigner(SigningKey.generate(entropy), entropy=entropy)
        self._now_us = START_US

    @property
    def key(self) -> VerifyKey:
        """The server's identity."""
        return self._signer.server

    def say(
        self, story: Story, size: int = -1, *, answers: bytes = b"", chain_id: bytes = CHAIN
    ) -> HeadStatement:
        """Return a statement about the first commits of a story, or about all of it."""
        size = story.size if size < 0 else size
        self._now_us += 1_000_000
        return self._signer.sign(
            chain_id, size, story.root(size), 10 * size, now_us=self._now_us, answers=answers
        )
