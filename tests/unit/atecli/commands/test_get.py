"""`ate get` prints values, of now and of before."""

from __future__ import annotations

from tests.unit.atecli.conftest import Ate

ID = "0" * 31 + "1"


def test_the_value_alone(ate: Ate) -> None:
    ate("put", "notes", '{"a": [1]}', "--id", ID)
    assert ate("get", "notes", ID).out == '{\n  "a": [\n    1\n  ]\n}\n'


def test_the_past(ate: Ate) -> None:
    ate("put", "notes", '"one"', "--id", ID)
    ate("put", "notes", '"two"', "--id", ID, "--replace")
    assert ate("get", "notes", ID).out == '"two"\n'
    assert ate("get", "notes", ID, "--at", "2").out == '"one"\n'
    assert ate("get", "notes", ID, "--at", "1").status == 3
    when = ate("log", "notes", "--object", ID, "--json").documents[0]["time"]
    assert ate("get", "notes", ID, "--at", when).out == '"one"\n'
    assert ate("get", "notes", ID, "--at", "2999-01-01").out == '"two"\n'
    assert ate("get", "notes", ID, "--at", "1999-01-01").status == 3
    assert ate("get", "notes", ID, "--at", "then").status == 2


def test_what_is_known_about_it(ate: Ate, alice: str) -> None:
    ate("put", "notes", "1.5", "--id", ID, "--as", alice)
    known = ate("get", "notes", ID, "--as", alice, "--json").document
    assert known["author"] == "alice@example.org"
    assert known["parent"] is None
    assert known["created"] == known["updated"]
    assert (known["type"], known["value"]) == ("float", 1.5)


def test_what_is_not_there(ate: Ate) -> None:
    ate("put", "notes", "1")
    assert ate("get", "notes", ID).status == 3
    assert ate("get", "notes", "x").status == 2
    assert ate("get", "nothing", ID).status == 3
