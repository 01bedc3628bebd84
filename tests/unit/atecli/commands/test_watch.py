"""`ate watch` prints changes with their values."""

from __future__ import annotations

from tests.unit.atecli.conftest import Ate

ID = "0" * 31 + "1"


def test_changes_so_far(ate: Ate) -> None:
    ate("put", "notes", '{"a": 1}', "--id", ID, "--type", "T")
    ate("rm", "notes", ID)
    head, new, delete = ate("watch", "notes", "--since", "0", "--once").out.splitlines()
    assert head.split() == ["seq", "time", "kind", "type", "id", "value"]
    assert new.split()[3:] == ["new", "T", ID, '{"a":1}']
    assert delete.split()[3:] == ["delete", "T", ID]


def test_for_programs_and_of_one_type(ate: Ate) -> None:
    ate("put", "notes", '{"a": 1}', "--type", "T")
    ate("put", "notes", '"text"')
    found = ate("watch", "notes", "--since", "0", "--once", "--json", "--type", "T").document
    assert (found["kind"], found["value"], found["sealed"]) == ("new", {"a": 1}, False)


def test_it_begins_now(ate: Ate) -> None:
    ate("put", "notes", "1")
    assert ate("watch", "notes", "--once", "--json").out == ""


def test_what_no_key_opens(ate: Ate, alice: str) -> None:
    ate("put", "notes", "1", "--as", alice)
    assert "(sealed)" in ate("watch", "notes", "--since", "0", "--once").out
    found = ate("watch", "notes", "--since", "0", "--once", "--json").document
    assert found["sealed"]
    assert found["value"] is None
