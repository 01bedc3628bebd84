r"""`Acknowledged`: a commit with a statement of its server that covers it, as a file to keep.

Whoever made the commit can show with it that the server had the commit. It asks no server.

    magic "ATERCP1\n" · one MessagePack array in its shortest form: [statement, commit]
"""

from __future__ import annotations

from typing import Final, Protocol, Self

import msgspec

from ate import limits
from ate.crypto.sign import VerifyKey
from ate.errors import ProtocolError, UnsupportedFormat, UsageError
from ate.mesh.evidence import Commit, Statement
from ate.mesh.tree import Tree
from ate.trust.attest import HeadStatement

MAGIC: Final = b"ATERCP1\n"
_FAMILY: Final = MAGIC[:6]


class Placed(Protocol):
    """A commit in a chain: what `Receipt.proof()` returns."""

    @property
    def commit_root(self) -> bytes: ...
    @property
    def first_seq(self) -> int: ...
    @property
    def time_us(self) -> int: ...
    @property
    def index(self) -> int: ...


class Acknowledged(msgspec.Struct, frozen=True, array_like=True):
    """A commit that a server has acknowledged over its signature. Make one with `of`.

    Args:
        statement: as the server sent it.
        commit: with its path to the root of the statement.
    """

    statement: Statement
    commit: Commit

    @classmethod
    def of(cls, placed: Placed, statement: HeadStatement, tree: Tree) -> Self:
        """Return what shows that `statement` covers a commit.

        Args:
            placed: the commit.
            statement: of the server; a later one than the commit.
            tree: of the replica, which holds all that the statement covers.

        Raises:
            UsageError: the statement is older than the commit.
            Compacted: the way from the commit to the statement is not known any more.
            TrustError: the server has signed another commit.
        """
        if statement.size <= placed.index:
            raise UsageError(
                f"the statement covers {statement.size} commits, and this is commit {placed.index}",
                hint="wait for the next statement of the server",
            )
        path = tree.inclusion(placed.index, statement.size)
        commit = Commit(placed.commit_root, placed.first_seq, placed.time_us, placed.index, path)
        commit.check(statement)
        return cls(statement.encode(), commit)

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        return MAGIC + msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, raw: bytes | bytearray | memoryview) -> Self:
        """Read such a file; nothing in it is believed yet.

        Raises:
            UnsupportedFormat: it is none, or one of a newer version.
            LimitExceeded: it is larger than any.
            ProtocolError: it is damaged.
        """
        limits.check("bytes of an acknowledgement", len(raw), limits.EVIDENCE_BYTES_MAX)
        raw = bytes(raw)
        if not raw.startswith(MAGIC):
            newer = raw.startswith(_FAMILY)
            raise UnsupportedFormat(
                "an acknowledgement of a newer version" if newer else "no acknowledgement",
                hint="check it with a newer ate" if newer else None,
            )
        try:
            found = msgspec.msgpack.decode(raw[len(MAGIC) :], type=cls)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise ProtocolError(f"the acknowledgement does not decode: {error}") from None
        if found.encode() != raw:
            raise ProtocolError("the acknowledgement is not in its one and only form")
        return found

    def check(self, server: VerifyKey | None = None) -> HeadStatement:
        """Return the statement, when it covers the commit.

        Args:
            server: whose it must be; None takes anybody's.

        Raises:
            TrustError: it does not, or the server has not said it.
        """
        statement = HeadStatement.decode(self.statement)
        statement.verify(server)
        self.commit.check(statement)
        return statement
