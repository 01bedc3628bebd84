"""Rows come out of files in order, and a bad line is named by its number."""

from __future__ import annotations

from pathlib import Path

import pytest

from ate import limits
from ate.errors import UsageError
from atecli.source import Row, Source


def source(tmp_path: Path, name: str, content: bytes | str) -> Source:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Source(path)


def test_json_lines(tmp_path: Path) -> None:
    rows = source(tmp_path, "a.jsonl", '\ufeff{"a": 1}\n\n  \n{"_id": "x", "_type": "T", "b": [2]}')
    expected = [Row(1, {"a": 1}), Row(4, {"b": [2]}, "x", "T")]
    assert list(rows) == expected
    assert list(rows) == expected
    assert rows.consumed == rows.size


def test_csv(tmp_path: Path) -> None:
    text = 'a,"b c",_parent\n1,"x\ny",p\n,,\n\n'
    assert list(source(tmp_path, "a.CSV", text)) == [
        Row(3, {"a": "1", "b c": "x\ny"}, parent="p", is_text=True),
        Row(4, {}, is_text=True),
    ]


def test_a_value_that_is_no_map(tmp_path: Path) -> None:
    rows = source(tmp_path, "a.jsonl", '{"_type": "list", "_value": [1]}\n{"_value": null}')
    assert [(row.type, row.value) for row in rows] == [("list", [1]), (None, None)]
    rows = source(
        tmp_path, "a.csv", '_type,_value\nstr,12\nlist,[1]\nint,12\nOdd,"{""a"": 1}"\nodd,{\n'
    )
    assert [row.value for row in rows] == ["12", [1], 12, {"a": 1}, "{"]
    assert not any(row.is_text for row in rows)


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("a.jsonl", '{"a": 1}\n{"a":', "a.jsonl line 2: not JSON: "),
        ("a.jsonl", "[1]", "line 1: a list, not an object"),
        ("a.jsonl", "[" * 100_000, "line 1: nested too deeply"),
        ("a.jsonl", b'{"a": 1}\n\xff\n', "line 2: not UTF-8 text"),
        ("a.jsonl", '{"_id": 1}', "line 1: _id, _type and _parent are text"),
        ("a.jsonl", '{"_value": 1, "a": 2}', "line 1: has _value and other columns"),
        ("a.csv", "", "line 1: there are no columns"),
        ("a.csv", "a,a\n", "line 1: column 2 has no name of its own"),
        ("a.csv", "a,\n", "line 1: column 2 has no name of its own"),
        ("a.csv", "a,b\n1,2\n1\n", "line 3: has 1 cells, the first line has 2"),
        ("a.csv", 'a\n"x" y\n', "line 2: not CSV: "),
    ],
)
def test_bad_lines(tmp_path: Path, name: str, content: bytes | str, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        list(source(tmp_path, name, content))
    assert told in raised.value.message


def test_a_line_without_an_end_is_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_BYTES_MAX", 100)
    with pytest.raises(UsageError, match="line 1: longer than 100 bytes"):
        list(source(tmp_path, "a.jsonl", "x" * 200))


def test_the_format_is_in_the_name_or_given(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="its name does not say"):
        source(tmp_path, "a.data", "")
    (tmp_path / "a.data").write_text("a\n1\n")
    assert [row.value for row in Source(tmp_path / "a.data", "csv")] == [{"a": "1"}]
