"""`ate ls` lists what may be read, and counts what may not."""

from __future__ import annotations

from tests.unit.atecli.conftest import Ate

ID = "0" * 31 + "1"


def test_a_line_for_each_object(ate: Ate) -> None:
    ate("put", "notes", '{"a": 1}', "--id", ID)
    ate("put", "notes", '"text"')
    head, one, two = ate("ls", "notes").out.splitlines()
    assert head.split() == ["id", "seq", "updated", "type", "value"]
    assert one.startswith(f"{ID}         2  ")
    assert one.endswith('  dict          {"a":1}')
    assert two.endswith("  str           text")


def test_one_type(ate: Ate) -> None:
    ate("put", "notes", '{"a": 1}', "--type", "T")
    ate("put", "notes", '{"a": 2}')
    assert ate("ls", "notes", "--type", "T", "--json").document["value"] == {"a": 1}
    assert ate("ls", "notes", "--type", "Other").out == ""


def test_what_no_key_opens_is_counted(ate: Ate, alice: str) -> None:
    ate("put", "notes", "1", "--as", alice)
    closed = ate("ls", "notes")
    assert (closed.status, closed.out) == (0, "")
    assert "1 object not shown: no key opens it\nate: hint: " in closed.err
    ate("put", "notes", "2", "--as", alice)
    assert "2 objects not shown: no key opens them" in ate("ls", "notes").err
    assert "hint" not in ate("ls", "notes", "--as", "bob").err
    assert ate("ls", "notes", "--as", alice).err == ""
