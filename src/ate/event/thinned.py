"""A commit that lost rows, as compaction leaves it: still proved by what its author signed.

It never decides which rows stay. The layout is that of a whole commit with these differences:

    0    the author part's first byte is 0x81 instead of its version
    248  rows kept u32 · hashes u32
    272  rows (96 each): the 80 bytes in front of the body hash · length u32 · index in the commit
         u32 · place u64
         signature · rare header fields · hashes (32 each) · inline bodies

The hashes are first those of bodies that lie in body segments, then the siblings that lead from the
kept rows to the rows root (`multiproof.fewer_siblings`). The hash of an inline body is computed.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from ate import limits, merkle, multiproof
from ate.crypto.hash import digest, digest_many
from ate.errors import ProtocolError
from ate.event import row as rows_
from ate.event.commit import (
    AUTHOR_BYTES,
    ROWS_AT,
    SEQUENCER_BYTES,
    VERSION,
    AuthorPart,
    Brief,
    Buffer,
    Record,
    SequencerPart,
)
from ate.event.header import Header

MARK: Final = 0x80 | VERSION
THIN_ROW_BYTES: Final = rows_.HEAD_BYTES + rows_.LOCAL.size
_SIZES: Final = struct.Struct("<IIQ")
_COUNTS: Final = struct.Struct("<II")
_HEAD_FIELDS: Final = struct.Struct("<BBBBI16s16sQQ16sQIIQ").unpack_from
_HASH: Final = merkle.HASH_BYTES
_THIN_ROW: Final = np.dtype([("head", f"V{rows_.HEAD_BYTES}"), ("length", "<u4"),
                             ("index", "<u4"), ("place", "<u8")])  # fmt: skip


class Thinner:
    """Puts the payload together that keeps some rows of a commit; `add` each, then `payload`.

    Args:
        record: the commit, whole or thinned already.
        kept: how many rows will be added.
        outside: how many of them have their body in a body segment.
        with_headers: whether any of them has rare fields.
        siblings: `multiproof.fewer_siblings` for them.
    """

    def __init__(
        self, record: Record, *, kept: int, outside: int, with_headers: bool, siblings: bytes
    ) -> None:
        self._record, self._siblings = record, siblings
        self._rare = bytes(record.rare) if with_headers else b""
        self._signature = record.signature
        hashes = _HASH * outside + len(siblings)
        front = ROWS_AT + THIN_ROW_BYTES * kept + _padded(len(self._signature))
        self._at = self._start = front + _padded(len(self._rare)) + hashes
        self._counts = kept | (hashes // _HASH) << 32
        self._table: list[bytes | memoryview] = []
        self._bodies: list[memoryview] = []
        self._hashes: list[bytes] = []

    def add(self, head: memoryview, index: int, body: memoryview) -> None:
        """Keep a row, and its body inline.

        Args:
            head: its first 80 bytes, which are signed.
            index: in the commit; ascending.
            body: as stored.
        """
        self._table += (head, rows_.LOCAL.pack(len(body), index, self._at))
        self._bodies.append(body)
        self._at += len(body)

    def add_outside(
        self, head: memoryview, index: int, length: int, place: int, hash: bytes
    ) -> None:
        """Keep a row whose body lies in a body segment."""
        self._table += (head, rows_.LOCAL.pack(length, index, place))
        self._hashes.append(hash)

    def payload(self) -> bytes:
        """Return the payload."""
        signature, rare, order = self._signature, self._rare, self._record.sequencer
        sequencer = SequencerPart(*order[:4], self._counts)
        parts = (
            bytes([MARK]), self._record.author.encode()[1:], sequencer.encode(),
            _SIZES.pack(len(signature), len(rare), self._at - self._start), *self._table,
            signature, bytes(-len(signature) % 8), rare, bytes(-len(rare) % 8),
            *self._hashes, self._siblings, *self._bodies, bytes(-self._at % 8),
        )  # fmt: skip
        return b"".join(parts)


def _padded(length: int) -> int:
    return (length + 7) & ~7


def decode_record(payload: memoryview) -> Record:
    """Return the commit in a log payload, whole or thinned.

    Raises:
        ProtocolError: the bytes are not a commit.
        LimitExceeded: they say to be larger than a commit may be.
        UnsupportedFormat: a commit of a newer version.
    """
    is_thinned = len(payload) > 0 and payload[0] == MARK
    return ThinRecord(payload) if is_thinned else Record(payload)


class ThinRecord(Record):
    """A commit without some of its rows. `at` counts the rows that are there."""

    __slots__ = ("__dict__", "_hashes_at", "_table", "author_bytes")

    _step: ClassVar[int] = THIN_ROW_BYTES
    _ids_of: ClassVar[Any] = struct.Struct("<8x16s72x").iter_unpack
    _bases_of: ClassVar[Any] = struct.Struct("<48xQ40x").iter_unpack

    def __init__(self, payload: memoryview) -> None:
        if len(payload) < ROWS_AT:
            raise ProtocolError("a commit is shorter than its header")
        self.payload = payload
        self.author_bytes = bytes([VERSION]) + payload[1:AUTHOR_BYTES].tobytes()
        self.author = AuthorPart.decode(self.author_bytes)
        self.sequencer = SequencerPart.decode(payload[AUTHOR_BYTES:])
        self.first_seq = self.sequencer.first_seq
        at = AUTHOR_BYTES + SEQUENCER_BYTES
        kept, hashes = _COUNTS.unpack_from(payload, at - 8)
        self._sizes = signature, rare, bodies = _SIZES.unpack_from(payload, at)
        self.row_count = kept
        limits.check("rows in a commit", self.author.row_count, limits.COMMIT_ROWS_MAX)
        limits.check("signature bytes", signature, limits.SIGNATURE_BYTES_MAX)
        self._rows_end = ROWS_AT + THIN_ROW_BYTES * kept
        self._rare_at = self._rows_end + _padded(signature)
        self._hashes_at = self._rare_at + _padded(rare)
        self._bodies_at = self._hashes_at + _HASH * hashes
        end = self._bodies_at + bodies
        if not 0 < kept <= self.author.row_count or end + (-end % 8) != len(payload):
            raise ProtocolError("a commit's sizes do not add up")
        self.kinds = self._column(0)
        self._root = self._leaf = b""
        self._headers: dict[int, Header] | None = None
        self._table = np.frombuffer(payload, _THIN_ROW, kept, ROWS_AT)
        indexes = self._table["index"]
        if int(indexes[-1]) >= self.author.row_count or (indexes[1:] <= indexes[:-1]).any():
            raise ProtocolError("the rows of a thinned commit are not in order")

    @property
    def is_thinned(self) -> bool:
        return True

    @cached_property
    def indexes(self) -> list[int]:
        """The index in the commit of each row that is kept."""
        return self._table["index"].tolist()  # type: ignore[no-any-return]

    @property
    def root(self) -> bytes:
        if not self._root:
            self._root = digest(self.author_bytes)
        return self._root

    def seq_at(self, at: int) -> int:
        return self.first_seq + self.indexes[at]

    def at(self, seq: int) -> int:
        index = seq - self.first_seq
        at = bisect_left(self.indexes, index)
        return at if at < self.row_count and self.indexes[at] == index else -1

    def header(self, at: int) -> Header | None:
        return self.headers.get(self.indexes[at]) if len(self.rare) else None

    @property
    def seqs(self) -> npt.NDArray[np.uint64]:
        return self._table["index"].astype(np.uint64) + np.uint64(self.first_seq)

    @property
    def zeros(self) -> bytes:
        return self._column(3)

    @property
    def padding(self) -> bytes:
        signature, rare, bodies = self._sizes
        signed = self._rows_end + signature
        payload = self.payload
        return b"".join(
            (
                payload[signed : self._rare_at],
                payload[self._rare_at + rare : self._hashes_at],
                payload[self._bodies_at + bodies :],
            )
        )

    @cached_property
    def body_hashes(self) -> list[bytes]:
        """The hash of each kept row's body, as signed."""
        raw = self.payload
        lengths, places = self._table["length"].tolist(), self._table["place"].tolist()
        at, found = self._hashes_at, []
        for length, place in zip(lengths, places, strict=True):
            if place & rows_.PLACE_BODY_FILE:
                if at + _HASH > self._bodies_at:
                    raise ProtocolError("a thinned commit lacks the hash of a body")
                found.append(bytes(raw[at : at + _HASH]))
                at += _HASH
            else:
                found.append(digest(self.inline_at(place, length)))
        return found

    @property
    def stored(self) -> Iterable[tuple[bytes, int, int]]:
        lengths, places = self._table["length"].tolist(), self._table["place"].tolist()
        return zip(self.body_hashes, lengths, places, strict=True)

    @property
    def siblings(self) -> memoryview:
        """The hashes that lead from the kept rows to the rows root."""
        outside = int((self._table["place"] >= np.uint64(rows_.PLACE_BODY_FILE)).sum())
        return self.payload[self._hashes_at + _HASH * outside : self._bodies_at]

    def rows_root(self) -> bytes:
        """Return the root over all rows that the commit was made with.

        Raises:
            ProtocolError: what is kept does not fit together.
        """
        hashes = b"".join(digest_many(self.signed_rows()))
        return multiproof.rows_root_from(self.author.row_count, self.indexes, hashes, self.siblings)

    def signed_rows(self) -> list[Buffer]:
        hashes = self.body_hashes
        return [b"".join((self.head(at), hashes[at])) for at in range(self.row_count)]

    @property
    def table(self) -> npt.NDArray[np.void]:
        full = np.zeros((self.row_count, rows_.ROW_BYTES), np.uint8)
        thin = np.frombuffer(
            self.payload, np.uint8, THIN_ROW_BYTES * self.row_count, ROWS_AT
        ).reshape(self.row_count, THIN_ROW_BYTES)
        head, signed = rows_.HEAD_BYTES, rows_.SIGNED_BYTES
        full[:, :head] = thin[:, :head]
        hashes = np.frombuffer(b"".join(self.body_hashes), np.uint8)
        full[:, head:signed] = hashes.reshape(-1, _HASH)
        full[:, signed : signed + 4] = thin[:, head : head + 4]
        full[:, signed + 8 :] = thin[:, head + 8 :]
        return full.reshape(-1).view(rows_.ROW)

    def row(self, index: int) -> rows_.Row:
        fields = self._fields(index)
        return rows_.Row._make((*fields[:11], self.body_hashes[index], fields[11], 0, fields[13]))

    def _fields(self, at: int) -> tuple[Any, ...]:
        return _HEAD_FIELDS(self.payload, ROWS_AT + THIN_ROW_BYTES * at)

    def brief(self, index: int) -> Brief:
        kind, _, codec, _, schema, _, _, _, _, domain, stamp, length, _, place = self._fields(index)
        return kind, codec, schema, domain, stamp, self.body_hashes[index], length, place
