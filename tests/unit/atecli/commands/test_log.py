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


def test_the_versions_of_an_object(ate: Ate) -> None:
    ate("put", "notes", '"one"', "--id", ID)
    ate("put", "notes", '"twelve"', "--id", ID, "--replace")
    ate("rm", "notes", ID)
    head, *rows = ate("log", "notes", "--object", ID).out.splitlines()
    assert head.split() == ["seq", "time", "kind", "type", "size", "author"]
    assert [row.split()[0] for row in rows] == ["2", "3", "4"]
    assert [row.split()[3:6] for row in rows] == [
        ["new", "str", "8"], ["update", "str", "11"], ["delete", "str", "0"],
    ]  # fmt: skip
    rows = ate("log", "notes", "--object", ID, "--since", "2", "--json").documents
    assert [(row["seq"], row["bytes"]) for row in rows] == [(3, 11), (4, 0)]
    assert ate("log", "notes", "--object", "0" * 32).out.count("genesis") == 1
    assert ate("log", "notes", "--object", "9" * 32).status == 3
