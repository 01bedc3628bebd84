from __future__ import annotations

import dataclasses

import pytest

from ate.errors import CorruptLog, UnsupportedFormat, UsageError
from ate.log import entries
from ate.log.entries import Entry

FULL = Entry(7, b"work", 5, 6, b"commit", "sent", b"note")


def test_a_header_says_the_next_number() -> None:
    assert entries.decode_header(entries.encode_header(9) + b"rest") == 9


@pytest.mark.parametrize("raw", [b"", b"ATEOUT1\n", b"x" * 64])
def test_what_is_no_outbox_is_refused(raw: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="not a list"):
        entries.decode_header(raw)


def test_a_newer_version_is_refused_before_its_check() -> None:
    raw = bytearray(entries.encode_header(1))
    raw[8] = 2
    with pytest.raises(UnsupportedFormat, match="format 2"):
        entries.decode_header(raw)


@pytest.mark.parametrize("at", [10, 16, 30, 60])
def test_a_damaged_header_is_found(at: int) -> None:
    raw = bytearray(entries.encode_header(1))
    raw[at] ^= 1
    with pytest.raises(CorruptLog):
        entries.decode_header(raw)


def test_an_entry_is_told_whole() -> None:
    raw = entries.encode(entries.ENTRY, FULL)
    assert entries.decode(raw) == (entries.ENTRY, FULL)
    assert len(raw) == FULL.size


@pytest.mark.parametrize(
    "kind, entry",
    [
        (entries.ENTRY, dataclasses.replace(FULL, commit=b"")),
        (entries.ENTRY, dataclasses.replace(FULL, state="waiting")),
        (entries.ENTRY, dataclasses.replace(FULL, lsn=0)),
        (entries.ENTRY, Entry(0)),
        (entries.ENTRY, Entry(1, lsn=1)),
        (entries.PREPARED, FULL),
        (entries.PREPARED, Entry(1, session=1, lsn=1, state="sent")),
        (entries.MARKED, Entry(1, work=b"w")),
        (entries.REMOVED, Entry(1, note=b"n")),
        (entries.LANDED, Entry(1, work=b"w")),
        (entries.SHARED, Entry(1, b"", 1, 1, b"c", "sent")),
        (entries.SHARED, Entry(1, b"1234567", 1, 1, b"c", "sent")),
        (entries.SHARED, Entry(1, b"12345678", 1, 1, b"", "sent")),
        (entries.SHARED, Entry(1, b"12345678", 1, 1, b"c", "waiting")),
    ],
)
def test_parts_that_a_kind_does_not_have(kind: int, entry: Entry) -> None:
    with pytest.raises(ValueError, match=r"parts|number"):
        entries.decode(entries.encode(kind, entry))


def test_lengths_that_reach_too_far() -> None:
    raw = entries.encode(entries.ENTRY, FULL)
    for cut in (raw[:10], raw[:34]):
        with pytest.raises(ValueError, match=r"short|lengths"):
            entries.decode(cut)


@pytest.mark.parametrize("at", [0, 1])
def test_a_kind_or_state_of_a_newer_version(at: int) -> None:
    raw = bytearray(entries.encode(entries.ENTRY, FULL))
    raw[at] = 9
    with pytest.raises(UnsupportedFormat):
        entries.decode(raw)


def test_a_commit_of_several_names_them_in_order() -> None:
    kind, told = entries.shared([3, 9, 4], 1, 2, b"c")
    assert kind == entries.SHARED
    assert entries.decode(entries.encode(kind, told)) == (kind, told)
    assert (told.number, entries.others(told)) == (3, (9, 4))
    kind, told = entries.shared([3], 1, 2, b"c")
    assert (kind, told) == (entries.PREPARED, Entry(3, b"", 1, 2, b"c", "sent"))


@pytest.mark.parametrize(
    "session, lsn, commit", [(0, 1, b"c"), (1, 0, b"c"), (1, 1, b""), (1 << 64, 1, b"c")]
)
def test_commits_that_no_entry_can_hold(session: int, lsn: int, commit: bytes) -> None:
    entries.check_commit(1, (1 << 64) - 1, b"c")
    with pytest.raises(UsageError):
        entries.check_commit(session, lsn, commit)
