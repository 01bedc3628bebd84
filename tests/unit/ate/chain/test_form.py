from __future__ import annotations

import pytest

from ate.chain.form import check_form, check_rows
from ate.errors import CorruptLog, ProtocolError
from ate.event.access import Access
from ate.event.commit import Record, SequencerPart
from ate.event.header import Header
from ate.event.row import Kind
from ate.testing.forger import Forger, Line, ruled
from ate.testing.tamper import ordered, spliced

ONE, TWO = b"1" * 16, b"2" * 16


def record(*lines: Line, rare: bytes | None = None, flags: int = 0) -> Record:
    commit = Forger(bytes(32)).commit(*lines, rare=rare, flags=flags)
    return Record(memoryview(ordered(commit, SequencerPart(1, 1, 0, bytes(32)))))


def test_a_sound_commit() -> None:
    for sound in (
        record(Line(ONE), Line(TWO, kind=Kind.TOMBSTONE)),
        record(ruled(Line(ONE), Access())),
        record(Line(ONE, header=Header(author="me"))),
        record(Line(bytes(16), kind=Kind.GENESIS)),
    ):
        check_form(sound)
        check_rows(sound)


@pytest.mark.parametrize(
    "bad",
    [
        record(Line(ONE, kind=9)),
        record(Line(ONE, kind=0)),
        record(Line(ONE), Line(ONE)),
        record(Line(bytes(16))),
        record(Line(ONE, flags=8)),
        record(Line(ONE, flags=1)),
        record(Line(ONE, flags=2)),
        record(Line(ONE), flags=1),
        record(ruled(Line(ONE, flags=1), Access())),
        record(Line(ONE, header=Header(author="me"), flags=3)),
        record(Line(ONE, header=Header(author="me"), flags=0)),
        record(Line(ONE, flags=0x80)),
        record(ruled(Line(ONE, flags=0x83), Access())),
    ],
)
def test_bad_form(bad: Record) -> None:
    with pytest.raises(ProtocolError):
        check_form(bad)


def test_padding_that_is_not_zero() -> None:
    payload = bytes(record(Line(ONE, body=b"x")).payload)
    with pytest.raises(ProtocolError, match="padding"):
        check_form(Record(memoryview(spliced(payload, len(payload) - 1, b"x"))))
    with pytest.raises(ProtocolError):
        check_form(Record(memoryview(spliced(payload, 272 + 3, b"x"))))


def test_altered_rows_and_header_fields() -> None:
    sound = record(ruled(Line(ONE), Access()))
    with pytest.raises(CorruptLog, match="rows"):
        check_rows(Record(memoryview(spliced(bytes(sound.payload), 272 + 9, b"x"))))
    at = bytes(sound.payload).index(bytes(sound.rare))
    with pytest.raises(CorruptLog, match="header fields"):
        check_rows(Record(memoryview(spliced(bytes(sound.payload), at + 3, b"x"))))
