r"""Evidence that a server has lied: two things that it signed and that cannot both be true.

It needs no trust in whoever shows it, no chain, no clock and no network: what a server that tells
the truth has signed can never be put together to such a file. A server that says nothing, or that
is only late, leaves no evidence.

    magic "ATEEVD1\n" · one MessagePack array in its shortest form
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, TypeAlias

import msgspec

from ate import limits, merkle
from ate.crypto.sign import VerifyKey
from ate.errors import Forked, ProtocolError, TrustError, UnsupportedFormat
from ate.event.commit import leaf_of
from ate.event.system import Unsigned
from ate.trust.attest import Hash, HeadStatement

MAGIC: Final = b"ATEEVD1\n"
_FAMILY: Final = MAGIC[:6]

Statement: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=limits.STATEMENT_BYTES_MAX)]
Path: TypeAlias = Annotated[tuple[Hash, ...], msgspec.Meta(max_length=limits.PATH_HASHES_MAX)]


class Contradiction(Forked):
    """A server contradicts itself, or what it has sent.

    Args:
        evidence: shows it to everybody; None when only this client can know.
    """

    default_hint = "keep the evidence, stop trusting the server, and ask who runs it"

    def __init__(self, message: str, evidence: Evidence | None = None) -> None:
        hint = None if evidence else "nothing that the server signed shows it to others"
        super().__init__(message, evidence=evidence, hint=hint)


class Commit(msgspec.Struct, frozen=True, array_like=True):
    """One commit as the tree has it.

    Args:
        root: hash of what its author signed.
        first_seq, time_us: what the server added.
        index: its place.
        path: from its leaf to the root of a statement, lowest hash first.
    """

    root: Hash
    first_seq: Unsigned
    time_us: Unsigned
    index: Unsigned
    path: Path

    @property
    def leaf(self) -> bytes:
        """What stands for it in the tree."""
        return leaf_of(self.root, self.first_seq, self.time_us)

    def check(self, statement: HeadStatement) -> None:
        """Raise TrustError unless the statement covers this commit."""
        merkle.verify_inclusion(self.leaf, self.index, statement.size, self.path, statement.root)


class Split(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Two statements about equally many commits, with two roots."""

    kind: ClassVar[str] = "split"
    first: Statement
    second: Statement

    def judge(self, first: HeadStatement, second: HeadStatement) -> str:
        """Return what is shown; raises TrustError when it is nothing."""
        if first.size != second.size or first.root == second.root:
            raise _nothing("the two statements agree, or are of two moments")
        return f"it signed two histories of {first.size} commits"


class Shrunk(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The second statement answers the first, so it is the later one, and covers less."""

    kind: ClassVar[str] = "shrunk"
    first: Statement
    second: Statement

    def judge(self, first: HeadStatement, second: HeadStatement) -> str:
        """Return what is shown; raises TrustError when it is nothing."""
        if second.answers != first.hash:
            raise _nothing("the second statement does not answer the first: it may be older")
        if second.size >= first.size:
            raise _nothing("the chain grew from the first statement to the second")
        return f"it signed {first.size} commits, and later {second.size}"


class Rewritten(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The tree of the second statement does not begin with that of the first.

    Args:
        path: see `roots_of`; from the first size to the root of the second statement.
    """

    kind: ClassVar[str] = "rewritten"
    first: Statement
    second: Statement
    path: Path

    def judge(self, first: HeadStatement, second: HeadStatement) -> str:
        """Return what is shown; raises TrustError when it is nothing."""
        before, after = roots_of(first.size, second.size, self.path)
        if after != second.root:
            raise _nothing("the path does not lead to the root of the second statement")
        if before == first.root:
            raise _nothing("the second history begins with the first")
        return (
            f"it signed a history of {first.size} commits, and one of {second.size} "
            "that does not begin with it"
        )


class Replaced(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A commit that the first statement covers is not where it was under the second.

    Args:
        commit: with its path to the root of the first statement.
        leaf, path: what is in its place, with the path to the root of the second.
    """

    kind: ClassVar[str] = "replaced"
    first: Statement
    second: Statement
    commit: Commit
    leaf: Hash
    path: Path

    def judge(self, first: HeadStatement, second: HeadStatement) -> str:
        """Return what is shown; raises TrustError when it is nothing."""
        index = self.commit.index
        self.commit.check(first)
        merkle.verify_inclusion(self.leaf, index, second.size, self.path, second.root)
        if self.leaf == self.commit.leaf:
            raise _nothing("the commit is where it was")
        return f"it signed commit {index} {self.commit.root.hex()}, and another one in its place"


Evidence: TypeAlias = Split | Shrunk | Rewritten | Replaced


class Verdict(msgspec.Struct, frozen=True):
    """What evidence that holds has shown.

    Args:
        kind: "split", "shrunk", "rewritten" or "replaced".
        server: who lied.
        what: about what, in one line.
        first, second: the statements that cannot both be true.
    """

    kind: str
    server: VerifyKey
    what: str
    first: HeadStatement
    second: HeadStatement


def encode(evidence: Evidence) -> bytes:
    """Return the bytes of an evidence file."""
    return MAGIC + msgspec.msgpack.encode(evidence)


def decode(raw: bytes | bytearray | memoryview) -> Evidence:
    """Read an evidence file; nothing in it is believed yet.

    Raises:
        UnsupportedFormat: it is none, or one of a newer version.
        LimitExceeded: it is larger than any.
        ProtocolError: it is damaged.
    """
    limits.check("bytes of evidence", len(raw), limits.EVIDENCE_BYTES_MAX)
    raw = bytes(raw)
    if not raw.startswith(MAGIC):
        newer = raw.startswith(_FAMILY)
        raise UnsupportedFormat(
            "evidence of a newer version" if newer else "this is no evidence",
            hint="check it with a newer ate" if newer else None,
        )
    try:
        found: Evidence = msgspec.msgpack.decode(raw[len(MAGIC) :], type=Evidence)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"the evidence does not decode: {error}") from None
    if encode(found) != raw:
        raise ProtocolError("the evidence is not in its one and only form")
    return found


def judge(evidence: Evidence) -> Verdict:
    """Return who lied about what.

    Raises:
        TrustError: it proves nothing.
        ProtocolError, UnsupportedFormat, LimitExceeded: a statement in it is none.
    """
    first, second = HeadStatement.decode(evidence.first), HeadStatement.decode(evidence.second)
    if first.certificate.issuer != second.certificate.issuer:
        raise _nothing("the two statements are of two servers")
    if first.chain_id != second.chain_id:
        raise _nothing("the two statements are about two chains")
    first.verify()
    second.verify()
    what = evidence.judge(first, second)
    return Verdict(evidence.kind, first.server, what, first, second)


def roots_of(old: int, size: int, path: tuple[bytes, ...]) -> tuple[bytes, bytes]:
    """Return the roots that a tree of `size` leaves has, and had at `old`, by this path.

    It is the path of RFC 9162 §2.1.4, and begins with the root of the old tree's last full subtree
    in every case, also where that one is the whole old tree.

    Raises:
        TrustError: the path has another length.
    """
    if not 0 < old < size:
        raise _nothing("the second tree is not the larger one")
    steps = iter(path)
    index, last = old - 1, size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    earlier = later = _next(steps)
    while last:
        if index & 1:
            left = _next(steps)
            earlier, later = merkle.node(left, earlier), merkle.node(left, later)
        elif index < last:
            later = merkle.node(later, _next(steps))
        index, last = index >> 1, last >> 1
    if next(steps, None) is not None:
        raise _nothing("the path has another length")
    return earlier, later


def _next(steps: Iterator[bytes]) -> bytes:
    found = next(steps, None)
    if found is None:
        raise _nothing("the path has another length")
    return found


def _nothing(reason: str) -> TrustError:
    return TrustError(f"this proves nothing: {reason}", hint="")
