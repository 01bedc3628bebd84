"""A prepared commit as the bytes of one log payload; `ate.event.commit` reads them. No I/O."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np

from ate.event import row as rows_
from ate.event.commit import ROWS_AT, Buffer, Commit, SequencerPart

_SIZES: Final = struct.Struct("<IIQ")
#: From this many rows on, the row table is built as an array.
_VECTOR_ROWS: Final = 160


def encode_payload(
    commit: Commit, sequencer: SequencerPart, places: Sequence[int | None]
) -> list[Buffer]:
    """Return the parts of the log payload.

    Args:
        places: for each row the body-file place of its body, or None to keep the body inline.
    """
    signature, rare = _pad(commit.signature), _pad(commit.rare)
    count = len(commit.heads)
    if count < _VECTOR_ROWS:
        return _encode_few(commit, sequencer, places, signature + rare)
    at = ROWS_AT + rows_.ROW_BYTES * count + len(signature) + len(rare)
    if any(place is not None for place in places):
        inline = [body for body, place in zip(commit.bodies, places, strict=True) if place is None]
    else:
        inline = list(commit.bodies)
    lengths = np.fromiter(map(len, commit.bodies), np.uint64, count)
    outside = np.fromiter((place or 0 for place in places), np.uint64, count)
    kept = np.where(outside == 0, lengths, 0).astype(np.uint64)
    ends = np.cumsum(kept, dtype=np.uint64) + np.uint64(at)
    table = np.empty((count, rows_.ROW_BYTES), np.uint8)
    table[:, : rows_.SIGNED_BYTES] = np.frombuffer(b"".join(commit.heads), np.uint8).reshape(
        count, -1
    )
    local = table[:, rows_.SIGNED_BYTES :].view(np.uint8)
    words = np.empty((count, 2), "<u8")
    words[:, 0] = lengths
    words[:, 1] = np.where(outside == 0, ends - kept, outside)
    local[:] = words.view(np.uint8)
    size_inline = int(ends[-1]) - at
    inline.append(bytes(-(at + size_inline) % 8))
    sizes = _SIZES.pack(len(commit.signature), len(commit.rare), size_inline)
    return [
        commit.author_bytes + sequencer.encode() + sizes,
        table.data.cast("B"),
        signature + rare,
        b"".join(inline),
    ]


def _encode_few(
    commit: Commit, sequencer: SequencerPart, places: Sequence[int | None], middle: bytes
) -> list[Buffer]:
    """The same for a handful of rows, where setting up arrays would cost more than it saves."""
    local = rows_.LOCAL.pack
    start = at = ROWS_AT + rows_.ROW_BYTES * len(commit.heads) + len(middle)
    table: list[bytes] = []
    inline: list[bytes] = []
    for head, body, place in zip(commit.heads, commit.bodies, places, strict=True):
        table.append(head)
        if place is None:
            table.append(local(len(body), 0, at))
            inline.append(body)
            at += len(body)
        else:
            table.append(local(len(body), 0, place))
    sizes = _SIZES.pack(len(commit.signature), len(commit.rare), at - start)
    first = commit.author_bytes + sequencer.encode() + sizes
    return [first, *table, middle, *inline, bytes(-at % 8)]


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)
