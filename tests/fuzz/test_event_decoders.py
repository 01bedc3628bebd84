"""Commits, header fields, rules, system bodies from arbitrary bytes: a value or a typed error."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate.chain.form import check_form, check_rows
from ate.errors import AteError, CorruptLog, LimitExceeded, ProtocolError, UnsupportedFormat
from ate.event.access import Access
from ate.event.commit import ROWS_AT, Record, SequencerPart
from ate.event.header import Header, decode_headers, encode_headers
from ate.event.row import ROW_BYTES
from ate.event.system import (
    CertificateBody,
    Checkpoint,
    Genesis,
    Grant,
    PublicKeys,
    Role,
    decode,
    encode,
)
from ate.testing.forger import Forger, Line
from ate.testing.tamper import ordered, spliced

BODIES = (PublicKeys, Genesis, Role, CertificateBody, Grant, Checkpoint)
ID = st.binary(min_size=16, max_size=16)

#: Anything MessagePack can say, and more of what these decoders look for.
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(),
    st.binary(max_size=40), st.text(max_size=10), ID,
    st.sampled_from(["access", "author", "reply", "everyone", "inherit", "nobody"]),
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(st.text(max_size=8), ID, st.integers(0, 9)), inner, max_size=5),
        st.fixed_dictionaries({"access": inner, "author": inner, "reply": inner}),
    ),
    max_leaves=20,
)


def read_all(record: Record) -> None:
    """Look at every part of a record, as admission does."""
    assert len(record.kinds) == record.row_count
    assert len(record.root) == len(record.leaf) == 32
    assert len(record.signed_rows()) == len(record.table) == record.row_count
    for at in range(record.row_count):
        row = record.row(at)
        if not row.place >> 63:
            assert len(record.inline(row)) == row.length
    check_form(record)
    check_rows(record)


@given(st.binary(max_size=1000))
def test_a_commit_from_any_bytes(raw: bytes) -> None:
    try:
        read_all(Record(memoryview(raw)))
    except (ProtocolError, UnsupportedFormat, CorruptLog, LimitExceeded):
        pass


LINES = st.lists(
    st.builds(
        Line,
        ID,
        parent=ID,
        kind=st.integers(0, 9),
        body=st.binary(max_size=50),
        flags=st.integers(0, 9),
    ),
    min_size=1,
    max_size=20,
)


@given(LINES, st.binary(max_size=60), st.binary(max_size=100))
def test_a_commit_comes_back_as_it_was_made(
    lines: list[Line], rare: bytes, signature: bytes
) -> None:
    commit = Forger(bytes(32)).commit(*lines, rare=rare, signature=signature)
    record = Record(memoryview(ordered(commit, SequencerPart(9, 8, 7, bytes(32)))))
    assert record.author == commit.author
    assert record.root == commit.root
    assert bytes(record.rare) == rare
    assert record.signature == signature
    assert [bytes(record.inline(record.row(at))) for at in range(len(lines))] == [
        one.body for one in lines
    ]
    check_rows(record)


@given(
    LINES, st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 255)), min_size=1, max_size=5)
)
def test_a_commit_with_some_bytes_changed(
    lines: list[Line], changes: list[tuple[int, int]]
) -> None:
    commit = Forger(bytes(32)).commit(*lines)
    payload = ordered(commit, SequencerPart(1, 1, 0, bytes(32)))
    for at, mask in changes:
        spot = at % len(payload)
        payload = spliced(payload, spot, bytes([payload[spot] ^ mask]))
    try:
        record = Record(memoryview(payload))
        read_all(record)
    except (ProtocolError, UnsupportedFormat, CorruptLog, LimitExceeded):
        return
    # What passes has the rows that were made; only unsigned bytes can differ.
    rows = slice(ROWS_AT, ROWS_AT + 112)
    assert record.root != commit.root or bytes(payload[rows])[:80] == commit.heads[0][:80]
    assert ROW_BYTES * record.row_count < len(payload)


@given(st.one_of(st.binary(max_size=300), TREES.map(msgspec.msgpack.encode)), st.integers(1, 10))
def test_header_fields(raw: bytes, rows: int) -> None:
    try:
        found = decode_headers(raw, rows)
    except (ProtocolError, LimitExceeded):
        return
    assert all(0 <= at < rows for at in found)
    assert decode_headers(encode_headers(found), rows) == found


@given(TREES)
def test_one_header_and_one_rule(tree: object) -> None:
    for reader in (Header.decode, Access.decode):
        try:
            reader(tree)
        except ProtocolError:
            pass


@pytest.mark.parametrize("cls", BODIES)
@given(raw=st.one_of(st.binary(max_size=300), TREES.map(msgspec.msgpack.encode)))
def test_system_bodies(cls: type[msgspec.Struct], raw: bytes) -> None:
    try:
        found = decode(cls, raw)
    except ProtocolError:
        return
    assert decode(cls, encode(found)) == found


def test_bombs() -> None:
    """Nesting and sizes that would exhaust the stack or the memory, if anybody believed them."""
    deep = b"\x91" * 100_000
    wide = b"\xdd\xff\xff\xff\xff"
    for raw in (
        deep,
        wide,
        b"\x81\xa1x" * 50_000,
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
    ):
        for cls in BODIES:
            with pytest.raises(ProtocolError):
                decode(cls, raw)
        with pytest.raises(ProtocolError):
            decode_headers(raw, 4)
        with pytest.raises(AteError):
            Record(memoryview(raw))
