"""`ate put` stores JSON and prints the id."""

from __future__ import annotations

import pytest
from tests.unit.atecli.conftest import Ate

ID = "0" * 31 + "1"


def test_a_value_is_stored_under_a_new_id(ate: Ate) -> None:
    made = ate("put", "notes", '{"title": "milk"}')
    assert made.status == 0
    assert ate("get", "notes", made.out.strip(), "--json").document["value"] == {"title": "milk"}


def test_all_that_can_be_said_about_it(ate: Ate) -> None:
    ate("put", "notes", "[1]", "--id", ID)
    made = ate("put", "notes", "-", "--type", "T", "--parent", ID, "--json", stdin='{"a": 1}')
    assert made.document["type"] == "T"
    assert set(made.document) == {"id", "type", "seq", "time", "commit"}
    assert ate("get", "notes", made.document["id"], "--json").document["parent"] == ID


def test_a_new_value_for_an_object(ate: Ate) -> None:
    ate("put", "notes", '{"a": 1}', "--id", ID, "--type", "T")
    assert (
        ate("put", "notes", '{"a": 2}', "--id", ID, "--replace", "--json").document["type"] == "T"
    )
    assert ate("get", "notes", ID, "--json").document["value"] == {"a": 2}
    assert ate("put", "notes", "1", "--id", ID).status == 7


@pytest.mark.parametrize(
    "words, told",
    [
        (["hello"], "the value is not JSON"),
        (["[" * 100_000], "nested too deeply"),
        (["null"], "null is no object"),
        (["[1]", "--type", "T"], "only a JSON object can be a T"),
        (["1", "--id", "x"], "not an object id"),
        (["1", "--replace"], "--replace goes with --id alone"),
        (["1", "--replace", "--id", ID, "--type", "T"], "--replace goes with --id alone"),
    ],
)
def test_what_cannot_be_stored_makes_no_chain(ate: Ate, words: list[str], told: str) -> None:
    ended = ate("put", "notes", *words)
    assert ended.status in (2, 3)
    if "--replace" not in words:
        assert told in ended.err
    assert not ate("chains").out


def test_a_parent_must_be_there(ate: Ate) -> None:
    assert ate("put", "notes", "1", "--parent", ID).status == 3
    assert ate("chains").out == ""
    ate("put", "notes", "1")
    assert ate("put", "notes", "1", "--parent", ID).err == f"ate: no object {ID}\n"


def test_stdin_has_one_use(ate: Ate, alice: str) -> None:
    ended = ate("put", "notes", "-", "--as", alice, "--passphrase-file", "-", stdin="1")
    assert "at once" in ended.err
    assert ended.status == 2
