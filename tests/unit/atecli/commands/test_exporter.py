"""`ate export` writes what `ate import` reads."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.unit.atecli.conftest import Ate

from atecli.commands import exporter

ONE, TWO, THREE = (f"{number:032x}" for number in range(1, 4))


@pytest.fixture
def filled(ate: Ate) -> str:
    ate("put", "c", '{"name": "Ada", "tags": ["x"], "ok": true}', "--type", "P", "--id", ONE)
    ate("put", "c", '{"name": "Bob", "none": null}', "--id", TWO, "--parent", ONE)
    ate("put", "c", '"2024-01-02"', "--type", "date", "--id", THREE)
    return "c"


ROWS = [
    {"_id": ONE, "_type": "P", "name": "Ada", "tags": ["x"], "ok": True},
    {"_id": TWO, "_type": "dict", "_parent": ONE, "name": "Bob", "none": None},
    {"_id": THREE, "_type": "date", "_value": "2024-01-02"},
]


def test_json_lines(ate: Ate, filled: str) -> None:
    assert ate("export", filled).documents == ROWS
    assert ate("export", filled, "-").documents == ROWS
    assert ate("export", filled, "--plain", "--type", "P").document == {
        "name": "Ada", "tags": ["x"], "ok": True,
    }  # fmt: skip


def test_csv(ate: Ate, filled: str) -> None:
    assert ate("export", filled, "--format", "csv").out.splitlines() == [
        "_id,_type,name,tags,ok,_parent,none,_value",
        f'{ONE},P,Ada,"[""x""]",true,,,',
        f"{TWO},dict,Bob,,,{ONE},,",
        f"{THREE},date,,,,,,2024-01-02",
    ]
    assert ate("export", filled, "--format", "csv", "--type", "nothing").out == ""


def test_a_file_appears_when_it_is_complete(
    ate: Ate, filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ate("export", filled, "out.jsonl").out == "3 rows in out.jsonl\n"
    assert list(map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())) == ROWS
    assert ate("export", filled, "out.csv", "--json").document == {"file": "out.csv", "rows": 3}
    assert (tmp_path / "out.csv").read_text().startswith("_id,_type,")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporter, "_line", fail)
    before = (tmp_path / "out.jsonl").read_bytes()
    assert ate("export", filled, "out.jsonl").status == 8
    assert (tmp_path / "out.jsonl").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))
    assert ate("export", filled, "nowhere/out.csv").status == 3


def test_names_of_our_own_are_kept_apart(ate: Ate) -> None:
    ate("put", "c", '{"_id": 1}')
    assert ate("export", "c").document["_value"] == {"_id": 1}
    assert ate("export", "c", "--plain").document == {"_value": {"_id": 1}}


def test_what_no_key_opens_is_told(ate: Ate, alice: str) -> None:
    ate("put", "c", "1", "--as", alice)
    assert "1 object not shown" in ate("export", "c").err


def test_steps_are_told(ate: Ate, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "_STEP", 1)
    assert len(ate("export", filled).documents) == 3


def test_a_terminal_is_not_steered_by_csv(ate: Ate, monkeypatch: pytest.MonkeyPatch) -> None:
    ate("put", "c", '{"a": "\\u001b[2J"}')
    assert "\x1b[2J" in ate("export", "c", "--format", "csv").out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    shown = ate("export", "c", "--format", "csv").out
    assert "\x1b" not in shown
    assert shown.endswith("\\u001b[2J\n")
