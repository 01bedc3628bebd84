"""Thinned commits, prefixes, nodes and siblings from arbitrary bytes: a value or an error."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate import limits, multiproof
from ate.chain.form import check_form, check_rows
from ate.crypto.hash import digest_many
from ate.errors import AteError, CorruptLog, LimitExceeded, ProtocolError, UnsupportedFormat
from ate.event.access import Access
from ate.event.commit import Record, SequencerPart
from ate.event.prefix import decode_nodes, decode_prefix, is_commit
from ate.event.thinned import MARK, THIN_ROW_BYTES, decode_record
from ate.testing.forger import Forger, Line, ruled
from ate.testing.tamper import ordered, spliced
from ate.testing.thinning import Kept, encode_thinned, rows_siblings

TYPED = (ProtocolError, UnsupportedFormat, CorruptLog, LimitExceeded)


def thinned(count: int, some: Sequence[int], *, rules: bool = False) -> bytes:
    """Return a sound thinned commit: `count` rows, of which `some` are kept."""
    lines = [Line(bytes([1 + n % 255, n // 255]) * 8, body=b"body %d" % n) for n in range(count)]
    if rules:
        lines[some[0]] = ruled(lines[some[0]], Access())
    commit = Forger(bytes(32)).commit(*lines, signature=b"a signature")
    record = Record(memoryview(ordered(commit, SequencerPart(5, 6, 7, bytes(32)))))
    rows = [Kept(bytes(record.head(at)), at, record.inline(record.row(at))) for at in some]
    hashes = b"".join(digest_many(record.signed_rows()))
    return encode_thinned(record, rows, rows_siblings(hashes, list(some)))


def read_all(record: Record) -> None:
    """Look at every part of a record, as absorption does."""
    assert len(record.kinds) == record.row_count == len(record.indexes)
    assert len(record.root) == len(record.leaf) == 32
    assert len(record.table) == len(record.signed_rows()) == len(record.seqs)
    for at in range(min(record.row_count, 100)):
        row = record.row(at)
        assert record.at(record.seq_at(at)) == at
        assert record.brief(at)[5] == row.body_hash
        record.header(at)
    check_form(record)
    check_rows(record)


@given(st.binary(max_size=800).map(lambda raw: bytes([MARK]) + raw))
def test_a_thinned_commit_from_any_bytes(raw: bytes) -> None:
    try:
        read_all(decode_record(memoryview(raw)))
    except TYPED:
        pass


@given(
    st.integers(2, 60), st.sets(st.integers(0, 59), min_size=1), st.booleans(),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 255)), min_size=1, max_size=4),
)  # fmt: skip
def test_a_thinned_commit_with_some_bytes_changed(
    count: int, some: set[int], rules: bool, changes: list[tuple[int, int]]
) -> None:
    kept = sorted({one % count for one in some})
    whole = thinned(count, kept, rules=rules)
    payload = whole
    for at, mask in changes:
        spot = at % len(payload)
        payload = spliced(payload, spot, bytes([payload[spot] ^ mask]))
    before = decode_record(memoryview(whole))
    try:
        record = decode_record(memoryview(payload))
        read_all(record)
    except TYPED:
        return
    if not record.is_thinned or record.leaf != before.leaf:
        return
    assert [bytes(one) for one in record.signed_rows()] == [
        bytes(one) for one in before.signed_rows()
    ]


def bodies_of(record: Record) -> list[bytes]:
    return [bytes(record.inline(record.row(at))) for at in range(record.row_count)]


#: Bytes that no author signed: index in the chain, link (both proved by the tree over all commits
#: and by the cut), and the signature, which has its own check.
@pytest.mark.parametrize("rules", [False, True])
def test_not_one_bit_of_what_is_kept_can_change(rules: bool) -> None:
    payload = thinned(20, [3, 4, 17], rules=rules)
    whole = decode_record(memoryview(payload))
    signature = 272 + 3 * THIN_ROW_BYTES
    free = {*range(208, 248), *range(signature, signature + len(b"a signature"))}
    for bit in range(8 * len(payload)):
        at = bit // 8
        if at in free:
            continue
        changed = spliced(payload, at, bytes([payload[at] ^ 1 << bit % 8]))
        try:
            record = decode_record(memoryview(changed))
            read_all(record)
            if (record.leaf, record.signature) == (whole.leaf, whole.signature):
                # All that can pass: zeros at the end are counted to the bodies; none has them.
                assert 264 <= at < 272, f"bit {bit} at {at}"
                assert bodies_of(record) == bodies_of(whole)
        except TYPED:
            pass


NUMBERS = st.one_of(
    st.integers(-5, 5), st.integers(0, (1 << 64) - 1),
    st.sampled_from([1 << 40, (1 << 63) - 1, 1 << 63]),
)  # fmt: skip
TOLD = st.fixed_dictionaries(
    {
        "cut": NUMBERS, "head": NUMBERS, "time_us": NUMBERS, "link": st.binary(max_size=40),
        "origins": st.lists(st.lists(NUMBERS, max_size=5), max_size=5),
    }
)  # fmt: skip


@given(st.one_of(st.binary(max_size=200), TOLD.map(msgspec.msgpack.encode)))
def test_a_prefix_from_any_bytes(raw: bytes) -> None:
    for front in (b"", b"\x82\x01" + bytes(6)):
        try:
            found = decode_prefix(memoryview(front + raw))
        except (ProtocolError, UnsupportedFormat):
            continue
        assert decode_prefix(memoryview(found.encode())) == found
        assert 0 < found.cut < 1 << 63


@given(st.binary(max_size=200))
def test_nodes_from_any_bytes(raw: bytes) -> None:
    for front in (b"", b"\x83" + bytes(7)):
        try:
            found = decode_nodes(memoryview(front + raw))
        except ProtocolError:
            continue
        assert found
        assert len(found) % 32 == 0
        assert not is_commit(front + raw)


@given(
    st.integers(1, 70_000), st.sets(st.integers(0, 69_999), min_size=1, max_size=20),
    st.binary(max_size=2000),
)  # fmt: skip
def test_siblings_from_any_bytes(count: int, some: set[int], siblings: bytes) -> None:
    kept = sorted({one % count for one in some})
    try:
        found = multiproof.rows_root_from(count, kept, bytes(32 * len(kept)), siblings)
    except ProtocolError:
        return
    assert len(found) == 32


@given(st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 63) - 1))
def test_a_gap_of_any_size_is_few_subtrees(one: int, other: int) -> None:
    start, stop = sorted((one, other))
    # A tree has at most 2**48 leaves to one side; no chain comes near.
    found = list(zip(range(70_000), multiproof.levels_of(start, stop), strict=False))
    assert len(found) < 70_000


def test_bombs() -> None:
    """Sizes that would exhaust the memory, if anybody believed them."""
    payload = thinned(20, [3, 4])
    huge = b"\xff\xff\xff\xff"
    tracemalloc.start()
    try:
        for at in (4, 248, 252, 256, 260, 264, 268):
            with pytest.raises(AteError):
                read_all(decode_record(memoryview(spliced(payload, at, huge))))
        for raw in (b"\xdd" + huge, b"\x85" * 50_000, b"\xc6" + huge, b"\x91" * 100_000):
            with pytest.raises(ProtocolError):
                decode_prefix(memoryview(b"\x82\x01" + bytes(6) + raw))
        most = spliced(payload, 4, limits.COMMIT_ROWS_MAX.to_bytes(4, "little"))
        with pytest.raises((ProtocolError, CorruptLog)):
            read_all(decode_record(memoryview(most)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
