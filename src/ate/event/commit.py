"""The commit: rows that stand or fall together, as values and as the bytes of one log payload.

No I/O.

Payload layout, little-endian, every part padded with zeros to 8 bytes:

    0    author part (192)     signed: its BLAKE3 is the commit root
    192  sequencer part (64)   first seq u64 · time µs u64 · index u64 · link (32) · zero u64
    256  sizes (16)            signature u32 · rare u32 · inline bodies u64
    272  rows (128 each)
         signature · rare header fields (MessagePack) · inline bodies

Author part: version u8 · suite u8 · flags u16 · rows u32 · chain id (32) · origin: device u64,
session u64, lsn u64, prev u64 · author key id (16) · seq the author had seen u64 · salt (32) ·
rows root (32) · BLAKE3 of the rare section (32).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from ate import limits, merkle
from ate.crypto.hash import digest, digest_many
from ate.errors import ProtocolError, UnsupportedFormat
from ate.event import row as rows_
from ate.event.header import Header, decode_headers

Buffer: TypeAlias = "bytes | bytearray | memoryview"

#: kind, codec, schema, domain, stamp, body hash, length, place of a row: what reading a body takes.
Brief: TypeAlias = tuple[int, int, int, bytes, int, bytes, int, int]

VERSION: Final = 1
AUTHOR_BYTES: Final = 192
SEQUENCER_BYTES: Final = 64
ROWS_AT: Final = 272

_AUTHOR: Final = struct.Struct("<BBHI32sQQQQ16sQ32s32s32s")
_SEQUENCER: Final = struct.Struct("<QQQ32sQ")
_SIZES: Final = struct.Struct("<IIQ")
_LEAF: Final = struct.Struct("<32sQQ")

_unpack_row: Final = rows_.FULL.unpack_from
_BRIEF: Final = struct.Struct("<BxBxI48x16sQ32sI4xQ").unpack_from
_SIGNED: Final = rows_.SIGNED_BYTES
_make_row: Final = rows_.Row._make
_BODIES: Final = struct.Struct("<80x32sI4xQ").iter_unpack
#: Where the bytes of a row are that are zero in every sound one.
_ZEROS: Final = (3, 116, 117, 118, 119)
SIGN_CONTEXT: Final = b"ate/commit/1"


class Origin(NamedTuple):
    """Who sent it, so that a retry is recognised.

    `lsn` counts per session, `prev` is the one before.
    """

    device: int
    session: int
    lsn: int
    prev: int


class AuthorPart(NamedTuple):
    """What the author signs."""

    version: int
    suite: int
    flags: int
    row_count: int
    chain_id: bytes
    device: int
    session: int
    lsn: int
    prev: int
    key_id: bytes
    seen_seq: int
    salt: bytes
    rows_root: bytes
    rare_hash: bytes

    def encode(self) -> bytes:
        return _AUTHOR.pack(*self)

    @classmethod
    def decode(cls, raw: Buffer) -> AuthorPart:
        """Read the first 192 bytes."""
        return cls._make(_AUTHOR.unpack_from(raw))

    @property
    def origin(self) -> Origin:
        return Origin(self.device, self.session, self.lsn, self.prev)


class SequencerPart(NamedTuple):
    """What the sequencer adds: place in the order, time for information, the hash link."""

    first_seq: int
    time_us: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    link: bytes
    zero: int = 0

    def encode(self) -> bytes:
        return _SEQUENCER.pack(*self)

    @classmethod
    def decode(cls, raw: Buffer) -> SequencerPart:
        """Read the first 64 bytes."""
        return cls._make(_SEQUENCER.unpack_from(raw))


class Commit(msgspec.Struct, frozen=True, gc=False, eq=False):
    """A prepared commit on its way to the sequencer: sealed, hashed, signed, not yet ordered.

    Args:
        author: the signed part.
        root: BLAKE3 of the author part's bytes.
        heads: 112 signed bytes of each row.
        bodies: stored body of each row (sealed or plain).
        signature: empty in suite 0.
        rare: encoded headers.
    """

    author: AuthorPart
    author_bytes: bytes
    root: bytes
    heads: Sequence[bytes]
    bodies: Sequence[bytes]
    signature: bytes
    rare: bytes
    headers: dict[int, Header]


def leaf_of(root: bytes, first_seq: int, time_us: int) -> bytes:
    """Return the chain tree's leaf for a commit: it covers the sequencer's fields too."""
    return merkle.leaf_hash(_LEAF.pack(root, first_seq, time_us))


def link_after(link: bytes, leaf: bytes) -> bytes:
    """Return the hash link behind a commit: BLAKE3 of the link before it and its leaf."""
    return digest(link + leaf)


class Record:
    """An ordered commit, read lazily from its payload.

    Args:
        payload: the bytes of one log payload; kept, not copied.

    Raises:
        ProtocolError: the bytes are not a commit.
        UnsupportedFormat: a commit of a newer version.
    """

    __slots__ = (
        "_bodies_at", "_headers", "_leaf", "_rare_at", "_root", "_rows_end", "_sizes", "author",
        "first_seq", "kinds", "payload", "row_count", "sequencer",
    )  # fmt: skip

    #: Bytes from one row to the next, and what reads parts of each.
    _step: ClassVar[int] = rows_.ROW_BYTES
    _ids_of: ClassVar[Any] = struct.Struct("<8x16s104x").iter_unpack
    _bases_of: ClassVar[Any] = struct.Struct("<48xQ72x").iter_unpack

    def __init__(self, payload: memoryview) -> None:
        if len(payload) < ROWS_AT:
            raise ProtocolError("a commit is shorter than its header")
        self.payload = payload
        self.author = author = AuthorPart.decode(payload)
        self.sequencer = SequencerPart._make(_SEQUENCER.unpack_from(payload, AUTHOR_BYTES))
        if author.version != VERSION:
            raise UnsupportedFormat(f"commit format {author.version}, this version reads {VERSION}")
        self.first_seq = self.sequencer.first_seq
        self.row_count = count = author.row_count
        self._sizes = _SIZES.unpack_from(payload, AUTHOR_BYTES + SEQUENCER_BYTES)
        signature, rare, bodies = self._sizes
        limits.check("rows in a commit", count, limits.COMMIT_ROWS_MAX)
        limits.check("signature bytes", signature, limits.SIGNATURE_BYTES_MAX)
        self._rows_end = ROWS_AT + rows_.ROW_BYTES * count
        self._rare_at = self._rows_end + signature + (-signature % 8)
        self._bodies_at = self._rare_at + rare + (-rare % 8)
        end = self._bodies_at + bodies
        if count == 0 or end + (-end % 8) != len(payload):
            raise ProtocolError("a commit's sizes do not add up")
        #: The kind of each row, one byte each.
        self.kinds = self._column(0)
        self._root = self._leaf = b""
        self._headers: dict[int, Header] | None = None

    @property
    def root(self) -> bytes:
        """BLAKE3 of the author part: what is signed, and the chain's id when it is the first."""
        if not self._root:
            self._root = digest(self.payload[:AUTHOR_BYTES])
        return self._root

    @property
    def leaf(self) -> bytes:
        if not self._leaf:
            self._leaf = leaf_of(self.root, self.first_seq, self.sequencer.time_us)
        return self._leaf

    @property
    def headers(self) -> dict[int, Header]:
        """Rare fields by index in the commit; raises ProtocolError when they do not decode."""
        if self._headers is None:
            self._headers = decode_headers(self.rare, self.author.row_count)
        return self._headers

    @property
    def flags(self) -> bytes:
        """The flags of each row, one byte each."""
        return self._column(1)

    @property
    def zeros(self) -> bytes:
        """The bytes of the rows that are zero in a sound commit."""
        rows = self.payload[ROWS_AT : self._rows_end].tobytes()
        return b"".join([rows[at :: self._step] for at in _ZEROS])

    def _column(self, at: int) -> bytes:
        """Return one byte of each row."""
        return self.payload[ROWS_AT + at : self._rows_end : self._step].tobytes()

    @property
    def ids(self) -> list[bytes]:
        """The object id of each row."""
        return [one for (one,) in self._ids_of(self.payload[ROWS_AT : self._rows_end])]

    @property
    def bases(self) -> list[int]:
        """The seq that each row replaces."""
        return [one for (one,) in self._bases_of(self.payload[ROWS_AT : self._rows_end])]

    @property
    def stored(self) -> Iterable[tuple[bytes, int, int]]:
        """Hash, length and place of the body of each row."""
        return _BODIES(self.payload[ROWS_AT : self._rows_end])

    @property
    def signature(self) -> bytes:
        at = self._rows_end
        return bytes(self.payload[at : at + self._sizes[0]])

    @property
    def rare(self) -> memoryview:
        return self.payload[self._rare_at : self._rare_at + self._sizes[1]]

    @property
    def padding(self) -> bytes:
        """The bytes between the parts, all of which are zero in a sound commit."""
        signature, rare, bodies = self._sizes
        signed = self._rows_end + signature
        payload = self.payload
        return b"".join(
            (
                payload[signed : self._rare_at],
                payload[self._rare_at + rare : self._bodies_at],
                payload[self._bodies_at + bodies :],
            )
        )

    @property
    def table(self) -> npt.NDArray[np.void]:
        """The rows as an array of `ROW`, without a copy."""
        return np.frombuffer(self.payload, rows_.ROW, self.author.row_count, ROWS_AT)

    def row(self, index: int) -> rows_.Row:
        return _make_row(_unpack_row(self.payload, ROWS_AT + rows_.ROW_BYTES * index))

    @property
    def is_thinned(self) -> bool:
        """Whether the commit may have lost rows."""
        return self.row_count != self.author.row_count

    @property
    def last_seq(self) -> int:
        """The seq of the last row the commit was made with."""
        return self.first_seq + self.author.row_count - 1

    def seq_at(self, at: int) -> int:
        """Return the seq of the row that is kept at `at`."""
        return self.first_seq + at

    def at(self, seq: int) -> int:
        """Return where row `seq` is kept in this record, -1 when it is not any more."""
        at = seq - self.first_seq
        return at if 0 <= at < self.row_count else -1

    @property
    def indexes(self) -> Sequence[int]:
        """The index in the commit of each row that is kept: it is the nonce of a sealed body."""
        return range(self.row_count)

    @property
    def seqs(self) -> npt.NDArray[np.uint64]:
        """The seq of each row that is kept."""
        return np.arange(self.first_seq, self.first_seq + self.row_count, dtype=np.uint64)

    def header(self, at: int) -> Header | None:
        """Return the rare fields of the row at `at`, or None."""
        return self.headers.get(at) if len(self.rare) else None

    def brief(self, index: int) -> Brief:
        """Return kind, codec, schema, domain, stamp, body hash, length and place of row `index`."""
        return _BRIEF(self.payload, ROWS_AT + rows_.ROW_BYTES * index)

    def parent(self, index: int) -> bytes:
        """Return the parent id of row `index` without unpacking the rest."""
        at = ROWS_AT + self._step * index + 24
        return self.payload[at : at + 16].tobytes()

    def head(self, index: int) -> memoryview:
        """The associated data of row `index`: its signed bytes without the body hash."""
        at = ROWS_AT + self._step * index
        return self.payload[at : at + rows_.HEAD_BYTES]

    def rows_root(self) -> bytes:
        """Return the root over the hashes of all rows."""
        if self.row_count == 1:
            # Every cold read of a small commit comes through here; the generic way costs twice.
            return merkle.root_of_one_row(digest(self.payload[ROWS_AT : ROWS_AT + _SIGNED]))
        return merkle.rows_root(b"".join(digest_many(self.signed_rows())))

    def signed_rows(self) -> Sequence[Buffer]:
        """Return the signed bytes of each row that is kept."""
        payload, size = self.payload, rows_.ROW_BYTES
        starts = range(ROWS_AT, ROWS_AT + size * self.author.row_count, size)
        return [payload[at : at + _SIGNED] for at in starts]

    def inline(self, row: rows_.Row) -> memoryview:
        """Return an inline body; raises ProtocolError when it points outside the bodies."""
        return self.inline_at(row.place, row.length)

    def holds(self, places: npt.NDArray[np.uint64], lengths: npt.NDArray[np.uint32]) -> bool:
        """Return whether all these inline bodies lie inside the commit."""
        inside = (places >= self._bodies_at) & (places <= len(self.payload))
        return bool((inside & (lengths <= len(self.payload) - places)).all())

    def inline_at(self, place: int, length: int) -> memoryview:
        """Return `length` bytes of the inline bodies.

        Raises ProtocolError when they are not there.
        """
        if not self.reaches(place, length):
            raise ProtocolError("a body lies outside its commit")
        return self.payload[place : place + length]

    def reaches(self, place: int, length: int) -> bool:
        """Return whether an inline body lies inside the commit."""
        return place >= self._bodies_at and place + length <= len(self.payload)


assert _AUTHOR.size == AUTHOR_BYTES
assert _SEQUENCER.size == SEQUENCER_BYTES
