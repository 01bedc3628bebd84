from __future__ import annotations

from typing import Any

import pytest

from ate.chain.form import check_form, check_rows
from ate.crypto.hash import digest, digest_many
from ate.errors import CorruptLog, LimitExceeded, ProtocolError, UnsupportedFormat
from ate.event.access import Access
from ate.event.commit import Record, SequencerPart
from ate.event.row import PLACE_BODY_FILE
from ate.event.thinned import MARK, THIN_ROW_BYTES, ThinRecord, decode_record
from ate.ids import ObjectId
from ate.testing.forger import Forger, Line, ruled
from ate.testing.tamper import ordered, spliced
from ate.testing.thinning import Kept, encode_thinned, fewer_siblings, rows_siblings


def whole(count: int = 20, *, rules: bool = False) -> Record:
    lines = [Line(bytes([n + 1]) * 16, body=b"body %d" % n * (n % 3)) for n in range(count)]
    if rules:
        lines[2] = ruled(lines[2], Access())
    commit = Forger(bytes(32)).commit(*lines, signature=b"signed")
    return Record(memoryview(ordered(commit, SequencerPart(7, 8, 9, bytes(32)))))


def kept_rows(record: Record, some: list[int]) -> list[Kept]:
    rows = [record.row(at) for at in some]
    return [
        Kept(bytes(record.head(at)), record.indexes[at], record.inline(row))
        for at, row in zip(some, rows, strict=True)
    ]


def thin(record: Record, some: list[int], rows: list[Kept] | None = None) -> bytes:
    hashes = b"".join(digest_many(record.signed_rows()))
    return encode_thinned(record, rows or kept_rows(record, some), rows_siblings(hashes, some))


@pytest.mark.parametrize("some", [[0], [2], [19], [0, 2, 5, 17], list(range(1, 20))])
@pytest.mark.parametrize("rules", [False, True])
def test_what_is_kept_is_what_it_was(some: list[int], rules: bool) -> None:
    record = whole(rules=rules)
    found = decode_record(memoryview(thin(record, some)))
    assert found.is_thinned
    assert (found.root, found.leaf, found.author) == (record.root, record.leaf, record.author)
    assert (found.row_count, found.last_seq) == (len(some), record.last_seq)
    assert found.signature == record.signature
    assert list(found.indexes) == some
    assert found.kinds == bytes(record.kinds[at] for at in some)
    assert found.seqs.tolist() == [7 + at for at in some]
    rows = [found.row(at) for at in range(len(some))]
    assert (found.ids, found.bases) == ([row.id for row in rows], [row.base for row in rows])
    assert list(found.flags) == [row.flags for row in rows]
    assert not any(found.zeros)
    assert list(found.stored) == [(row.body_hash, row.length, row.place) for row in rows]
    for at, index in enumerate(some):
        seq = record.seq_at(index)
        assert (found.seq_at(at), found.at(seq)) == (seq, at)
        row, was = found.row(at), record.row(index)
        assert row[:11] == was[:11]
        assert row.body_hash == was.body_hash
        assert found.head(at) == record.head(index)
        assert found.parent(at) == record.parent(index)
        assert found.brief(at)[:7] == record.brief(index)[:7]
        assert found.header(at) == record.header(index)
        assert bytes(found.inline(row)) == bytes(record.inline(was))
    assert found.at(7 + 20) == found.at(6) == -1
    assert found.table["id_hi"].tolist() == [record.table["id_hi"][at] for at in some]
    assert found.table["body_hash"].tobytes() == b"".join(record.row(at).body_hash for at in some)
    check_form(found)
    check_rows(found)
    # Rare fields are kept as long as they speak of a row that is.
    assert bool(len(found.rare)) == (rules and 2 in some)


def test_a_row_that_was_dropped_is_not_there() -> None:
    found = decode_record(memoryview(thin(whole(), [3, 9])))
    assert [found.at(7 + n) for n in (3, 4, 9, 10)] == [0, -1, 1, -1]


def test_a_whole_commit_is_decoded_as_one() -> None:
    record = whole()
    assert not decode_record(record.payload).is_thinned
    with pytest.raises(ProtocolError):
        decode_record(memoryview(b""))


def test_bodies_elsewhere_keep_their_hash() -> None:
    record = whole()
    rows = kept_rows(record, [4, 5])
    where = PLACE_BODY_FILE | 64
    rows[1] = Kept(rows[1].head, 5, None, where, 12, record.row(5).body_hash)
    found = decode_record(memoryview(thin(record, [4, 5], rows)))
    check_rows(found)
    assert (found.row(1).place, found.row(1).length) == (where, 12)
    assert found.brief(1)[5] == record.row(5).body_hash
    # Both point into body segments, and there is one hash only.
    place = 272 + 88
    raw = spliced(bytes(found.payload), 252, (1).to_bytes(4, "little"))
    raw = spliced(raw, place, where.to_bytes(8, "little"))
    moved = 32 * (len(found.siblings) // 32)  # type: ignore[attr-defined]
    raw = spliced(raw, 264, (len(rows[0].body or b"") + moved).to_bytes(8, "little"))
    with pytest.raises(ProtocolError):
        check_rows(decode_record(memoryview(raw)))


def test_thinning_again() -> None:
    record = whole()
    first = decode_record(memoryview(thin(record, [1, 4, 9, 18])))
    assert isinstance(first, ThinRecord)
    hashes = b"".join(digest_many(first.signed_rows()))
    siblings = fewer_siblings(20, first.indexes, hashes, first.siblings, [4, 18])
    again = decode_record(memoryview(encode_thinned(first, kept_rows(first, [1, 3]), siblings)))
    assert list(again.indexes) == [4, 18]
    assert again.leaf == record.leaf
    check_rows(again)


@pytest.mark.parametrize(
    "at,data,error",
    [
        (1, b"\x07", CorruptLog),  # suite: another root, so another leaf; the rows stay
        (248, b"\0\0\0\0", ProtocolError),  # no rows
        (248, b"\xff\xff\0\0", ProtocolError),  # more than there are
        (252, b"\xff\xff\xff\xff", ProtocolError),  # hashes
        (256, b"\xff\xff\xff\xff", LimitExceeded),  # signature
        (260, b"\xff\xff\xff\x7f", ProtocolError),  # rare
        (264, b"\xff" * 8, ProtocolError),  # bodies
        (4, b"\xff\xff\xff\xff", LimitExceeded),  # rows of the commit
        (4, b"\1\0\0\0", ProtocolError),  # fewer than are kept
        (272 + 84, b"\xff\0\0\0", ProtocolError),  # index of the first row
        (272 + THIN_ROW_BYTES + 84, b"\0\0\0\0", ProtocolError),  # of the second
        (272 + 88, b"\xff" * 4, ProtocolError),  # place of an inline body
        (272 + 80, b"\xff" * 4, ProtocolError),  # its length
        (272 + 8, b"\xff", CorruptLog),  # its id
    ],
)
def test_altered_bytes_are_typed_errors(at: int, data: bytes, error: type[Exception]) -> None:
    record = whole()
    payload = spliced(thin(record, [1, 4]), at, data)
    if error is CorruptLog and at == 1:
        assert decode_record(memoryview(payload)).leaf != record.leaf
        return
    with pytest.raises(error):
        check_rows(decode_record(memoryview(payload)))


def test_short_payloads() -> None:
    payload = thin(whole(), [1, 4])
    for size in (1, 100, 271, 272, len(payload) - 8):
        with pytest.raises(ProtocolError):
            decode_record(memoryview(payload[:size]))
    with pytest.raises(UnsupportedFormat):
        decode_record(memoryview(bytes([2]) + bytes(300)))
    assert payload[0] == MARK


def test_padding_is_seen() -> None:
    found = decode_record(memoryview(thin(whole(rules=True), [2, 4])))
    assert not any(found.padding)
    assert len(found.padding) > 1


def test_the_root_is_that_of_the_author_part_as_it_was() -> None:
    record = whole()
    found: Any = decode_record(memoryview(thin(record, [0])))
    assert found.author_bytes == bytes(record.payload[:192])
    assert digest(found.author_bytes) == record.root
    assert ObjectId(found.row(0).id) == ObjectId(record.row(0).id)
