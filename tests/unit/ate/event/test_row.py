from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ate.event import row
from ate.event.row import CREATED_MASK, EPOCH_SHIFT, HEAD, LOCAL, ROW, ROW_BYTES, Kind, unpack

U8, U32, U48, U64 = (st.integers(0, (1 << bits) - 1) for bits in (8, 32, 48, 64))
ID = st.binary(min_size=16, max_size=16)


@given(
    st.tuples(U8, U8, U8, U8, U32, ID, ID, U64, U64, ID, U64),
    st.binary(min_size=32, max_size=32),
    st.tuples(U32, U32, U64),
    st.integers(0, 64),
)
def test_a_row_is_its_head_its_hash_and_its_local_part(
    head: tuple[int, ...], body_hash: bytes, local: tuple[int, int, int], offset: int
) -> None:
    raw = bytes(offset) + HEAD.pack(*head) + body_hash + LOCAL.pack(*local)
    found = unpack(memoryview(raw), offset)
    assert tuple(found) == (*head, body_hash, *local)


@given(U48, st.integers(0, 65_535))
def test_the_stamp_is_creation_and_epoch(created: int, epoch: int) -> None:
    raw = HEAD.pack(
        1, 0, 0, 0, 0, bytes(16), bytes(16), 0, 0, bytes(16), created | epoch << EPOCH_SHIFT
    )
    found = unpack(raw + bytes(48), 0)
    assert (found.created, found.epoch) == (created, epoch)
    assert created <= CREATED_MASK


@given(st.binary(min_size=ROW_BYTES, max_size=ROW_BYTES))
def test_arrays_and_tuples_read_the_same_bytes(raw: bytes) -> None:
    (entry,) = np.frombuffer(raw, ROW)
    found = unpack(raw, 0)
    for name in (
        "kind",
        "flags",
        "codec",
        "schema",
        "collection",
        "base",
        "stamp",
        "length",
        "place",
    ):
        assert int(entry[name]) == getattr(found, name)
    for name in ("id", "parent", "domain"):
        halves = (int(entry[f"{name}_{half}"]).to_bytes(8, "little") for half in ("hi", "lo"))
        assert b"".join(halves) == getattr(found, name)
    assert bytes(entry["body_hash"]) == found.body_hash


def test_the_offsets_are_those_of_the_specification() -> None:
    offsets = {name: ROW.fields[name][1] for name in ROW.names or () if ROW.fields}
    assert offsets["id_hi"] == 8
    assert offsets["stamp"] == 72
    assert offsets["body_hash"] == row.HEAD_BYTES == 80
    assert offsets["length"] == row.SIGNED_BYTES == 112


def test_system_rows_are_the_kinds_from_genesis_on() -> None:
    assert min(kind for kind in Kind if kind not in (Kind.DATA, Kind.TOMBSTONE)) == row.SYSTEM_FIRST
    assert frozenset(Kind) == row.KINDS
    assert row.CODEC_ZSTD & row.CODEC_FORMAT == 0
    assert row.FLAGS_KNOWN == row.FLAG_HEADER | row.FLAG_ACCESS | row.FLAG_OVERWRITE
