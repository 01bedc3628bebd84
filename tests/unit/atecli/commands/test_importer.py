"""`ate import` reports what it stored, and stores nothing of a file with a bad line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.atecli.conftest import Ate

from atecli.loading import Loader


@pytest.fixture
def people(tmp_path: Path) -> str:
    path = tmp_path / "people.csv"
    path.write_text("name,age\nAda,36\nBob,\n")
    return str(path)


def test_a_report_for_people(ate: Ate, people: str) -> None:
    done = ate("import", "c", people)
    assert done.status == 0
    first, second = done.out.splitlines()
    assert first == "people: name str, age int"
    assert second.startswith("2 rows in 1 commit, ")
    assert second.endswith(" rows/s")
    assert ate("import", "c", people).out.endswith(
        "0 rows in 0 commits, 2 rows were there already\n"
    )


def test_a_report_for_programs(ate: Ate, people: str) -> None:
    told = ate("import", "c", people, "--type", "Person", "--batch", "1", "--json").document
    assert (told["rows"], told["stored"], told["skipped"], told["commits"]) == (2, 2, 0, 2)
    assert told["types"] == {"Person": {"name": "str", "age": "int"}}
    assert {row["type"] for row in ate("ls", "c", "--json").documents} == {"Person"}


def test_a_bad_line_stops_it_before_anything(ate: Ate, people: str) -> None:
    with Path(people).open("a") as file:
        file.write("Eve\n")
    ended = ate("import", "c", people)
    assert ended.status == 2
    assert ended.err == "ate: people.csv line 4: has 1 cells, the first line has 2\n"
    assert ate("chains").out == ""


def test_a_file_must_be_there(ate: Ate, tmp_path: Path) -> None:
    assert ate("import", "c", "nothing.csv").status == 2
    assert ate("import", "c", str(tmp_path)).status == 2
    assert ate("import", "c", "nothing.csv", "--batch", "70000").status == 2


def test_what_was_stored_before_it_failed_is_told(
    ate: Ate, people: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Loader._commit

    async def fail_later(self: Loader, *rest: object) -> None:
        if self.commits:
            raise OSError(28, "No space left on device")
        await commit(self, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Loader, "_commit", fail_later)
    ended = ate("import", "c", people, "--batch", "1")
    assert ended.status == 8
    assert "1 row is in the chain; the same command again goes on from there\n" in ended.err
    monkeypatch.undo()


def test_an_empty_file_makes_no_rows(ate: Ate, tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("")
    assert ate("import", "c", "none.jsonl").out == "0 rows in 0 commits\n"
