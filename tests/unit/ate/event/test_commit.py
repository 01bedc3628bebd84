from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate import limits, merkle
from ate.crypto.entropy import SeededEntropy
from ate.crypto.hash import digest, digest_many
from ate.crypto.sign import FastKey
from ate.errors import LimitExceeded, ProtocolError, UnsupportedFormat
from ate.event.access import Access, Everyone
from ate.event.commit import (
    AUTHOR_BYTES,
    ROWS_AT,
    SIGN_CONTEXT,
    Commit,
    Origin,
    Record,
    SequencerPart,
    leaf_of,
    link_after,
)
from ate.event.header import Header
from ate.event.payload import encode_payload
from ate.event.row import ROW_BYTES
from ate.testing.forger import Forger, Line

CHAIN = b"c" * 32
KEY = FastKey.from_seed(b"k" * 32)
SEQUENCER = SequencerPart(5, 1_000, 2, b"l" * 32)
REFUSALS = (ProtocolError, LimitExceeded, UnsupportedFormat)

BODIES = st.lists(st.binary(max_size=40), min_size=1, max_size=6)


def forged(bodies: list[bytes], *, ruled: bool = False) -> Commit:
    draw = SeededEntropy(b"rows")
    header = Header(Access(read=Everyone)) if ruled else None
    lines = [
        Line(draw(16), draw(16), body=body, base=at, created=at, collection=at, schema=at,
             domain=draw(16), epoch=at % 9, header=header)
        for at, body in enumerate(bodies)
    ]  # fmt: skip
    return Forger(CHAIN, KEY, Origin(1, 2, 4, 3), seen_seq=4).commit(*lines)


def payload_of(commit: Commit, places: list[int | None] | None = None) -> memoryview:
    chosen = places or [None] * len(commit.heads)
    return memoryview(b"".join(encode_payload(commit, SEQUENCER, chosen)))


def everything(record: Record) -> None:
    """Look at every part of a record, as a reader of any kind would."""
    assert len(record.kinds) == record.row_count == len(record.table)
    assert len(record.signed_rows()) == record.row_count
    assert record.headers is not None
    assert len(record.signature) <= limits.SIGNATURE_BYTES_MAX
    assert len(record.root) == len(record.leaf) == 32
    for at in range(record.row_count):
        row = record.row(at)
        assert (row.kind, row.codec, row.schema) == record.brief(at)[:3]
        record.inline(row)


@given(BODIES, st.booleans())
def test_a_commit_survives_the_wire(bodies: list[bytes], ruled: bool) -> None:
    commit = forged(bodies, ruled=ruled)
    record = Record(payload_of(commit))
    assert record.author == commit.author
    assert record.author.origin == Origin(1, 2, 4, 3)
    assert record.sequencer == SEQUENCER
    assert record.first_seq == 5
    assert (record.signature, bytes(record.rare)) == (commit.signature, commit.rare)
    assert record.headers == commit.headers
    assert [bytes(one) for one in record.signed_rows()] == list(commit.heads)
    assert [bytes(record.inline(record.row(at))) for at in range(len(bodies))] == bodies
    assert len(record.payload) % 8 == 0
    everything(record)


def test_padding_that_is_not_zero_is_seen() -> None:
    raw = bytearray(payload_of(forged([b"one"], ruled=True)))
    assert raw[-1] == 0
    raw[-1] = 1
    assert any(Record(memoryview(raw)).padding)


def test_short_views_of_a_row_agree_with_the_row() -> None:
    record = Record(payload_of(forged([b"one", b"two"])))
    for at in range(2):
        row = record.row(at)
        assert record.brief(at) == (row.kind, row.codec, row.schema, row.domain, row.stamp,
                                    row.body_hash, row.length, row.place)  # fmt: skip
        assert record.parent(at) == row.parent
        assert bytes(record.head(at)) + row.body_hash == bytes(record.signed_rows()[at])


def test_columns_agree_with_the_rows() -> None:
    record = Record(payload_of(forged([b"one", b"two"], ruled=True)))
    rows = [record.row(at) for at in range(2)]
    assert list(record.kinds) == [row.kind for row in rows]
    assert list(record.flags) == [row.flags for row in rows]
    assert record.ids == [row.id for row in rows]
    assert record.bases == [row.base for row in rows] == [0, 1]
    assert list(record.stored) == [(row.body_hash, row.length, row.place) for row in rows]


@pytest.mark.parametrize("at", [3, 116, 117, 118, 119])
def test_zeros_of_the_rows(at: int) -> None:
    raw = bytearray(payload_of(forged([b"one", b"two"])))
    assert not any(Record(memoryview(raw)).zeros)
    raw[ROWS_AT + ROW_BYTES + at] = 7
    assert sorted(Record(memoryview(raw)).zeros) == [*bytes(9), 7]


def test_the_root_covers_author_rows_and_rare_fields() -> None:
    commit = forged([b"one", b"two"], ruled=True)
    record = Record(payload_of(commit))
    assert record.root == commit.root == digest(commit.author_bytes)
    assert record.author.rows_root == merkle.rows_root(digest_many(record.signed_rows()))
    assert record.author.rare_hash == digest(record.rare)
    KEY.public.verify(record.signature, record.root, SIGN_CONTEXT)


def test_the_leaf_covers_the_sequencer_s_fields() -> None:
    commit = forged([b"one"])
    record = Record(payload_of(commit))
    assert record.leaf == leaf_of(commit.root, 5, 1_000)
    assert len({leaf_of(commit.root, 5, 1_000), leaf_of(commit.root, 6, 1_000),
                leaf_of(commit.root, 5, 1_001), leaf_of(bytes(32), 5, 1_000)}) == 4  # fmt: skip
    assert link_after(bytes(32), record.leaf) == digest(bytes(32) + record.leaf)


@given(st.binary(max_size=600))
def test_hostile_bytes_are_refused_in_kind(raw: bytes) -> None:
    try:
        everything(Record(memoryview(raw)))
    except REFUSALS:
        pass


@given(BODIES, st.booleans(), st.data())
def test_altered_bytes_are_refused_in_kind(
    bodies: list[bytes], ruled: bool, data: st.DataObject
) -> None:
    raw = bytearray(payload_of(forged(bodies, ruled=ruled)))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(raw)))
    for hostile in (raw, raw[:end]):
        try:
            everything(Record(memoryview(bytes(hostile))))
        except REFUSALS:
            pass


def with_field(raw: memoryview, at: int, form: str, value: int) -> memoryview:
    altered = bytearray(raw)
    struct.pack_into(form, altered, at, value)
    return memoryview(bytes(altered))


def test_a_later_format_is_told_apart() -> None:
    with pytest.raises(UnsupportedFormat, match="commit format 2"):
        Record(with_field(payload_of(forged([b"one"])), 0, "<B", 2))


def test_sizes_are_checked_before_anything_is_read() -> None:
    raw = payload_of(forged([b"one"]))
    sizes = AUTHOR_BYTES + 64
    with pytest.raises(LimitExceeded, match="rows in a commit"):
        Record(with_field(raw, 4, "<I", limits.COMMIT_ROWS_MAX + 1))
    with pytest.raises(LimitExceeded, match="signature bytes"):
        Record(with_field(raw, sizes, "<I", limits.SIGNATURE_BYTES_MAX + 1))
    for at, form, value in (
        (4, "<I", 0),
        (4, "<I", 2),
        (sizes + 4, "<I", 1 << 31),
        (sizes + 8, "<Q", 1 << 63),
    ):
        with pytest.raises(ProtocolError, match="do not add up"):
            Record(with_field(raw, at, form, value))
    with pytest.raises(ProtocolError, match="shorter than its header"):
        Record(raw[: ROWS_AT - 1])


@pytest.mark.parametrize("place", [0, ROWS_AT, 1 << 62, (1 << 64) - 1])
def test_a_body_lies_inside_its_commit(place: int) -> None:
    record = Record(with_field(payload_of(forged([b"one"])), ROWS_AT + ROW_BYTES - 8, "<Q", place))
    with pytest.raises(ProtocolError, match="outside its commit"):
        record.inline(record.row(0))
