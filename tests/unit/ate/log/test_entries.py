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


def test_a_life_is_replayed() -> None:
    known: dict[int, Entry] = {}
    for kind, told in (
        (entries.ENTRY, Entry(1, b"work")),
        (entries.PREPARED, Entry(1, session=2, lsn=3, commit=b"c", state="sent")),
        (entries.MARKED, Entry(1, state="conflict", note=b"theirs")),
    ):
        assert entries.replay(known, entries.encode(kind, told)) == 1
    assert known == {1: Entry(1, b"work", 2, 3, b"c", "conflict", b"theirs")}
    entries.replay(known, entries.encode(entries.MARKED, Entry(1)))
    assert known == {1: Entry(1, b"work")}
    entries.replay(known, entries.encode(entries.REMOVED, Entry(1)))
    assert known == {}


@pytest.mark.parametrize(
    "kind, told, words",
    [
        (entries.ENTRY, Entry(4), "grow"),
        (entries.REMOVED, Entry(5), "no entry 5"),
        (entries.MARKED, Entry(4, state="sent"), "without a commit"),
    ],
)
def test_what_cannot_have_happened(kind: int, told: Entry, words: str) -> None:
    known = {4: Entry(4, b"w")}
    with pytest.raises(ValueError, match=words):
        entries.replay(known, entries.encode(kind, told))


@pytest.mark.parametrize(
    "session, lsn, commit", [(0, 1, b"c"), (1, 0, b"c"), (1, 1, b""), (1 << 64, 1, b"c")]
)
def test_commits_that_no_entry_can_hold(session: int, lsn: int, commit: bytes) -> None:
    entries.check_commit(1, (1 << 64) - 1, b"c")
    with pytest.raises(UsageError):
        entries.check_commit(session, lsn, commit)
