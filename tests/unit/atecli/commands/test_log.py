"""`ate log` lists rows, for people and for programs."""

from __future__ import annotations

from tests.unit.atecli.conftest import Ate

ID = "0" * 31 + "1"


def test_rows_for_people(ate: Ate) -> None:
    ate("put", "notes", "1", "--id", ID)
    head, genesis, new = ate("log", "notes").out.splitlines()
    assert head.split() == ["seq", "time", "kind", "type", "id", "author"]
    assert genesis.split()[3:5] == ["genesis", "-"]
    assert new.split()[3:] == ["new", "int", ID]


def test_rows_for_programs(ate: Ate, alice: str) -> None:
    ate("put", "notes", "1", "--id", ID, "--as", alice)
    ate("put", "notes", "2", "--parent", ID, "--as", alice)
    rows = ate("log", "notes", "--as", alice, "--json").documents
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["type"] is None
    assert rows[-1] == {
        **rows[-1], "kind": "new", "type": "int", "parent": ID, "author": "alice@example.org",
    }  # fmt: skip


def test_a_part_of_them(ate: Ate) -> None:
    ate("put", "notes", "1", "--id", ID)
    ate("put", "notes", "2")
    ate("put", "notes", "3", "--id", ID, "--replace")
    assert [row["seq"] for row in ate("log", "notes", "--json", "--since", "3").documents] == [4]
    kinds = [row["kind"] for row in ate("log", "notes", "--json", "--object", ID).documents]
    assert kinds == ["new", "update"]
    assert ate("log", "notes", "--since", "99", "--json").documents == []
    assert ate("log", "notes", "--object", "x").status == 2
