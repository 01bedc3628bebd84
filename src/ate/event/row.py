"""The 128-byte row: one fact about one object, fixed width so that arrays can read it.

No bodies here.

Layout, little-endian; the first 112 bytes are signed, the last 16 are local to this log:

    0   kind u8 · flags u8 · codec u8 · zero u8 · schema u32
    8   object id (16)
    24  parent id (16)
    40  collection u64
    48  base u64          seq of the version this one replaces, 0 = new
    56  read domain (16)
    72  stamp u64         epoch of the read domain (high 16 bits, 0 = plain) ·
                          seq of creation (low 48 bits, 0 = this row)
    80  body hash (32)    BLAKE3 of the body as stored
    112 length u32 · zero u32 · place u64
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

ROW_BYTES: Final = 128
SIGNED_BYTES: Final = 112
#: The signed bytes without the body hash; they are the associated data of the sealed body.
HEAD_BYTES: Final = 80

ROW: Final = np.dtype(
    [
        ("kind", "u1"), ("flags", "u1"), ("codec", "u1"), ("zero", "u1"), ("schema", "<u4"),
        ("id_hi", "<u8"), ("id_lo", "<u8"), ("parent_hi", "<u8"), ("parent_lo", "<u8"),
        ("collection", "<u8"), ("base", "<u8"), ("domain_hi", "<u8"), ("domain_lo", "<u8"),
        ("stamp", "<u8"), ("body_hash", "V32"), ("length", "<u4"), ("zero2", "<u4"),
        ("place", "<u8"),
    ]
)  # fmt: skip

HEAD: Final = struct.Struct("<BBBBI16s16sQQ16sQ")
LOCAL: Final = struct.Struct("<IIQ")
FULL: Final = struct.Struct("<BBBBI16s16sQQ16sQ32sIIQ")

CREATED_MASK: Final = (1 << 48) - 1
EPOCH_SHIFT: Final = 48
#: Set in `place` when the body lies in a body file; otherwise `place` counts from the payload's
#: start.
PLACE_BODY_FILE: Final = 1 << 63
#: The place of a body that this log was not given: a sparse copy asks for it when it is read.
PLACE_ABSENT: Final = (1 << 64) - 1


class Kind(IntEnum):
    """What a row says. Everything but DATA and TOMBSTONE is readable by all."""

    DATA = 1
    TOMBSTONE = 2
    GENESIS = 3
    KEY = 4
    ROLE = 5
    CERTIFICATE = 6
    GRANT = 7
    CHECKPOINT = 8


KINDS: Final = frozenset(int(kind) for kind in Kind)
SYSTEM_FIRST: Final = int(Kind.GENESIS)

#: The commit's rare fields hold a `Header` for this row.
FLAG_HEADER: Final = 1
#: That header carries an access rule.
FLAG_ACCESS: Final = 2
#: The author asked for last-writer-wins: `base` is not compared.
FLAG_OVERWRITE: Final = 4
FLAGS_KNOWN: Final = FLAG_HEADER | FLAG_ACCESS | FLAG_OVERWRITE

#: Low four bits of `codec` name the format; these say that zstd packed the body, and that it is
#: a delta of an older version.
CODEC_ZSTD: Final = 16
CODEC_DELTA: Final = 32
CODEC_FORMAT: Final = 15


class Row(NamedTuple):
    """One row, unpacked."""

    kind: int
    flags: int
    codec: int
    zero: int
    schema: int
    id: bytes
    parent: bytes
    collection: int
    base: int
    domain: bytes
    stamp: int
    body_hash: bytes
    length: int
    zero2: int
    place: int

    @property
    def epoch(self) -> int:
        return self.stamp >> EPOCH_SHIFT

    @property
    def created(self) -> int:
        """Seq of the first version; 0 when this row is it."""
        return self.stamp & CREATED_MASK


def unpack(buffer: bytes | memoryview, offset: int) -> Row:
    """Return the row at `offset`; `buffer` must hold 128 bytes from there."""
    return Row._make(FULL.unpack_from(buffer, offset))


assert FULL.size == ROW.itemsize == ROW_BYTES
assert HEAD.size == HEAD_BYTES
