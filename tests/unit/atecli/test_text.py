"""Tables are aligned, values fit in a line, and nothing steers the terminal."""

from __future__ import annotations

import json
import sys
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import msgspec
import pytest

from ate.ids import ObjectId
from atecli import text

ID = ObjectId(bytes(range(16)))


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Name(str):
    __slots__ = ()


def test_columns_are_aligned_to_the_widest_cell() -> None:
    assert text.table(("name", ">size"), [("a", 10), ("long name", 5)]) == [
        "name       size",
        "a            10",
        "long name     5",
    ]


def test_a_streamed_table_keeps_its_widths() -> None:
    table = text.Columns((">seq", 4), ("name", 3), ("rest", 0))
    assert table.head() == " seq  name  rest"
    assert table.row(7, "ab", "x") == "   7  ab   x"
    assert table.row(7, "too wide", "x") == "   7  too wide  x"


def test_lines_are_cut_at_the_terminal_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert text.cut("x" * 5000) == "x" * 5000
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "10")
    assert text.cut("x" * 20) == "x" * 9 + "…"
    assert text.cut("x" * 10) == "x" * 10


def test_facts_are_aligned() -> None:
    assert text.facts([("a", 1), ("long", "x\n"), ("b", "")]) == ["a     1", "long  x\\u000a", "b"]
    assert text.facts([]) == []


@pytest.mark.parametrize(
    "raw, shown",
    [
        ("plain ünï ✓", "plain ünï ✓"),
        ("\x1b[2J", "\\u001b[2J"),
        ("a\x9bb\u202ec", "a\\u009bb\\u202ec"),
        ("\U000e0001", "\\udb40\\udc01"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_become_escapes_that_json_knows(raw: str, shown: str) -> None:
    assert text.visible(raw) == shown
    assert json.loads(f'"{shown}"') == raw


def test_times_are_utc() -> None:
    when = datetime(2024, 2, 3, 4, 5, 6, 7, tzinfo=UTC)
    time_us = int(when.timestamp() * 1_000_000)
    assert text.iso(when) == text.iso(time_us) == "2024-02-03T04:05:06.000007Z"
    assert text.moment(time_us) == "2024-02-03 04:05:06"


@pytest.mark.parametrize(
    "size, shown", [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 50, "1024.0 TiB")]
)
def test_sizes_have_units(size: int, shown: str) -> None:
    assert text.size(size) == shown


def test_counts_have_nouns() -> None:
    assert text.count(1, "row") == "1 row"
    assert text.count(12000, "row") == "12 000 rows"
    assert text.count(0, "entry", "entries") == "0 entries"


@pytest.mark.parametrize(
    "value, shown",
    [
        ({"a": [1, 2.5, None, True]}, {"a": [1, 2.5, None, True]}),
        (ID, ID.hex()),
        ([ID, Level.HIGH, Colour.RED, Name("x")], [ID.hex(), 3, "red", "x"]),
        (b"\x00\xff", "AP8="),
        (Decimal("1.10"), "1.10"),
        (date(2024, 1, 2), "2024-01-02"),
        (uuid.UUID(int=1), str(uuid.UUID(int=1))),
        (
            {1: "a", (1, 2): "b", None: "c", b"\x01": "d"},
            {"1": "a", "[1,2]": "b", "null": "c", "AQ==": "d"},
        ),
        (
            {(1,): [Decimal("1.5"), b"\x01", ID, 1 << 70, {2}, True]},
            {"[1]": ["1.5", "AQ==", ID.hex(), str(1 << 70), [2], True]},
        ),
        ((1, (2,)), [1, [2]]),
        (msgspec.msgpack.Ext(5, b"\x01"), {"ext": 5, "data": "AQ=="}),
        ("\ud800", "\\ud800"),
        ("\x1b", "\x1b"),
    ],
)  # fmt: skip
def test_every_value_becomes_json(value: Any, shown: Any) -> None:
    assert json.loads(text.dumps(value)) == shown


def test_json_for_people_is_indented_and_harmless() -> None:
    assert text.dumps({"a": 1}, indent=2) == '{\n  "a": 1\n}'
    assert "\x7f" not in text.dumps({"a": "\x7f"}, indent=2)


def test_a_value_in_brief() -> None:
    assert text.brief("as it is") == "as it is"
    assert text.brief({"a": "x" * 500}, 20) == '{"a":"xxxxxxxxxxxxx…'
    assert text.brief("two\nlines") == "two\\u000alines"
