r"""`Evidence`: what a proof file holds, as values and as bytes; nothing in it is believed here.

A proof is a thinned chain: the few commits that matter, each with its path to the root that a
checkpoint signs, and of each commit the few rows that matter, each with its path to the root that
the author signed. `ate.chain.prover` makes it, `ate.chain.checker` judges it.

    magic "ATEPRF1\n" · one MessagePack array in its shortest form
"""

from __future__ import annotations

from typing import Final, Self

import msgspec

from ate import limits
from ate.errors import ProtocolError, UnsupportedFormat
from ate.event.system import Checkpoint, Unsigned

MAGIC: Final = b"ATEPRF1\n"
_FAMILY: Final = MAGIC[:6]


class ShownRow(msgspec.Struct, frozen=True, array_like=True):
    """One row of a commit.

    Args:
        at: its index in the commit.
        signed: its 112 signed bytes.
        path: from its hash to the rows root, as `merkle.rows_proof` has it.
        body: as stored; None when only its hash is shown.
    """

    at: Unsigned
    signed: bytes
    path: tuple[bytes, ...]
    body: bytes | None


class ShownCommit(msgspec.Struct, frozen=True, array_like=True):
    """One commit in the tree.

    Args:
        index, first_seq, time_us: what the sequencer said.
        author: the 192 bytes that the author signed.
        signature: empty where nothing depends on who signed.
        path: from its leaf to the root of the checkpoint.
        rows: in their order.
    """

    index: Unsigned
    first_seq: Unsigned
    time_us: Unsigned
    author: bytes
    signature: bytes
    path: tuple[bytes, ...]
    rows: tuple[ShownRow, ...]


class Continued(msgspec.Struct, frozen=True, array_like=True):
    """The checkpoint continues the first `size` commits, whose root was `root`."""

    size: Unsigned
    root: bytes
    path: tuple[bytes, ...]


class Evidence(msgspec.Struct, frozen=True, array_like=True):
    """A proof that can be checked with nothing but the root keys of its chain.

    Args:
        commits: the first one of the chain, those that changed its roots or published keys that
            matter, and the one with the row that is proved; in their order.
        checkpoint: signed by a root; covers all of them.
        seq: of the row that is proved, 0 when there is none.
        key: opens that row's body, and maybe others of its commit; empty when there is none.
        continued: earlier states that the checkpoint continues.
    """

    commits: tuple[ShownCommit, ...]
    checkpoint: Checkpoint
    seq: Unsigned
    key: bytes
    continued: tuple[Continued, ...]

    def __repr__(self) -> str:
        what = f"row {self.seq}" if self.seq else "no row"
        return f"Evidence({what}, checkpoint over {self.checkpoint.size} commits)"

    def encode(self) -> bytes:
        """Return the bytes of a proof file."""
        return MAGIC + msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, raw: bytes | bytearray | memoryview) -> Self:
        """Read a proof file; what it says is not checked yet.

        Raises:
            UnsupportedFormat: no proof file, or one of a newer version.
            LimitExceeded: larger than any proof.
            ProtocolError: a damaged one.
        """
        raw = bytes(raw)
        if not raw.startswith(_FAMILY):
            raise UnsupportedFormat("this is no proof", hint="make one: ate prove CHAIN ID > FILE")
        if not raw.startswith(MAGIC):
            raise UnsupportedFormat("a proof of a newer version", hint="check it with a newer ate")
        limits.check("bytes of a proof", len(raw), limits.PROOF_BYTES_MAX)
        try:
            found = msgspec.msgpack.decode(raw[len(MAGIC) :], type=cls)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise ProtocolError(f"the proof does not decode: {error}") from None
        limits.check("commits of a proof", len(found.commits), limits.PROOF_COMMITS_MAX)
        limits.check("continuations of a proof", len(found.continued), limits.PROOF_COMMITS_MAX)
        if found.encode() != raw:
            raise ProtocolError("the proof is not in its one and only form")
        return found
