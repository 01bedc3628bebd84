"""`Witness`: a client's memory of what one server has said about one chain; it opens no connection.

Each statement is compared with the others and, as soon as the replica holds the commits that it is
about, with the replica's own tree. Whoever calls keeps `encode()` beside the local copy: a lie is
often one about what was said before.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, Self

import msgspec

from ate import limits
from ate.crypto.sign import VerifyKey
from ate.errors import Compacted, ProtocolError, TrustError, UnsupportedFormat
from ate.mesh.acknowledged import Acknowledged
from ate.mesh.evidence import (
    Commit,
    Contradiction,
    Evidence,
    Replaced,
    Rewritten,
    Shrunk,
    Split,
    judge,
)
from ate.mesh.tree import Tree, continuation, root_between
from ate.trust.attest import HeadStatement

MAGIC: Final = b"ATEWIT1\n"


class Witness:
    """What one server has said about one chain.

    Args:
        chain_id: of the chain.
        server: whose statements count.

    Attributes:
        agreed: the largest statement that the replica's own tree agrees with, or None.
        open: statements about more commits than the replica holds, the smallest first.
    """

    def __init__(self, chain_id: bytes, server: VerifyKey) -> None:
        self.chain_id = chain_id
        self.server = server
        self.agreed: HeadStatement | None = None
        self.open: list[HeadStatement] = []
        self._newest: HeadStatement | None = None

    @property
    def newest(self) -> HeadStatement | None:
        """The statement heard last."""
        return self._newest

    @property
    def seen(self) -> bytes:
        """The hash to show to the server, so that its next statement answers; empty at first."""
        return self._newest.hash if self._newest else b""

    # What is kept

    def encode(self) -> bytes:
        """Return what is to be kept beside the local copy."""
        kept = [self._newest, self.agreed, *self.open]
        return MAGIC + msgspec.msgpack.encode([one.encode() if one else b"" for one in kept])

    @classmethod
    def decode(cls, raw: bytes | memoryview, chain_id: bytes, server: VerifyKey) -> Self:
        """Return the memory that `encode` wrote; all of it is verified again.

        Raises:
            UnsupportedFormat: this is none, or one of a newer version.
            ProtocolError, TrustError: it is damaged, or of another chain or server.
        """
        limits.check("bytes of a witness", len(raw), limits.WITNESS_BYTES_MAX)
        raw = bytes(raw)
        if not raw.startswith(MAGIC):
            raise UnsupportedFormat("this is no memory of a server's statements")
        try:
            kept = msgspec.msgpack.decode(raw[len(MAGIC) :], type=list[bytes])
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise ProtocolError(f"the memory does not decode: {error}") from None
        if not 2 <= len(kept) <= 2 + limits.STATEMENTS_MAX:
            raise ProtocolError("the memory has another number of statements")
        witness = cls(chain_id, server)
        found = [witness._read(one) if one else None for one in kept]
        witness._newest, witness.agreed = found[:2]
        witness.open = [one for one in found[2:] if one is not None]
        return witness

    # What is heard

    def _read(self, raw: bytes) -> HeadStatement:
        statement = HeadStatement.decode(raw)
        statement.verify(self.server)
        if statement.chain_id != self.chain_id:
            raise TrustError("the statement is about another chain", hint="")
        return statement

    def hear(self, raw: bytes, *, answers: bytes | None = None) -> HeadStatement:
        """Take in a statement and compare it with those heard before; then `check` the tree.

        Args:
            raw: as the server sent it.
            answers: the `seen` that was shown, when this is the reply: it must be answered, or an
                old statement could be shown again.

        Raises:
            Contradiction: the server contradicts what it said before.
            TrustError, ProtocolError, UnsupportedFormat, LimitExceeded: it is no statement of this
                server about this chain; nothing of it is remembered.
        """
        statement = self._read(raw)
        for known in self._remembered():
            self._compare(known, statement)
        if answers is not None and statement.answers != answers:
            raise Contradiction("the server does not answer the statement that it was shown")
        newest = self._newest
        if newest is not None and statement.size < newest.size:
            raise Contradiction(
                f"the server spoke of {newest.size} commits, and now of {statement.size}"
            )
        self._newest = statement
        self._remember(statement)
        return statement

    def _remembered(self) -> list[HeadStatement]:
        kept = [*self.open]
        for one in (self.agreed, self._newest):
            if one is not None and one not in kept:
                kept.append(one)
        return kept

    @staticmethod
    def _compare(known: HeadStatement, statement: HeadStatement) -> None:
        first, second = known.encode(), statement.encode()
        if known.size == statement.size and known.root != statement.root:
            raise Contradiction(
                f"the server signed two histories of {known.size} commits", Split(first, second)
            )
        for older, newer in ((known, statement), (statement, known)):
            if newer.answers == older.hash and newer.size < older.size:
                raise Contradiction(
                    f"the server spoke of {older.size} commits, and later of {newer.size}",
                    Shrunk(older.encode(), newer.encode()),
                )

    def _remember(self, statement: HeadStatement) -> None:
        if any(one.size == statement.size for one in self._open_and_agreed()):
            return
        self.open.append(statement)
        if len(self.open) > limits.STATEMENTS_MAX:
            # The first and the newest say most: whoever lies in between must come back to both.
            del self.open[len(self.open) // 2]

    def _open_and_agreed(self) -> list[HeadStatement]:
        return [*self.open, *([self.agreed] if self.agreed else [])]

    # What is held

    def check(self, tree: Tree) -> None:
        """Compare what was said with the replica's own tree, as far as that reaches.

        Call it after each statement, and after each change while `open` is not empty.

        Raises:
            Contradiction: the server has said something else than it has sent.
        """
        size = tree.size
        for statement in [one for one in self.open if one.size <= size]:
            try:
                agrees = tree.root(statement.size) == statement.root
            except Compacted:
                agrees = True  # nobody can tell any more
            if not agrees:
                raise Contradiction(
                    f"the server signed other commits than the {statement.size} that it sent",
                    self._against(statement, tree),
                )
            self.open.remove(statement)
            if self.agreed is None or self.agreed.size < statement.size:
                self.agreed = statement

    def _against(self, statement: HeadStatement, tree: Tree) -> Evidence | None:
        """Return evidence when a later statement signs what is held here instead."""
        for later in self._remembered():
            if not statement.size < later.size <= tree.size:
                continue
            with suppress(Compacted, TrustError):
                path = continuation(tree, statement.size, later.size)
                found = Rewritten(statement.encode(), later.encode(), path)
                judge(found)
                return found
        return None

    def recall(self, kept: Acknowledged, tree: Tree) -> None:
        """Compare a commit that the server has acknowledged with the replica's own tree.

        Raises:
            Contradiction: another one is in its place.
            TrustError: what was kept is itself no acknowledgement of this server.
        """
        first, commit = kept.check(self.server), kept.commit
        if first.chain_id != self.chain_id:
            raise TrustError("the acknowledgement is about another chain", hint="")
        if tree.size <= commit.index:
            return
        try:
            leaf = root_between(tree, commit.index, commit.index + 1)
        except Compacted:
            return
        if leaf != commit.leaf:
            raise Contradiction(
                f"the server acknowledged commit {commit.index}, and sent another one",
                self._instead(kept.statement, commit, leaf, tree),
            )

    def _instead(self, first: bytes, commit: Commit, leaf: bytes, tree: Tree) -> Evidence | None:
        second = self.agreed
        if second is None or second.size <= commit.index:
            return None
        with suppress(Compacted, TrustError):
            path = tree.inclusion(commit.index, second.size)
            found = Replaced(first, second.encode(), commit, leaf, path)
            judge(found)
            return found
        return None
