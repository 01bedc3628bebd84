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


def test_large_values_are_shown_whole_though_they_are_kept_as_deltas(ate: Ate) -> None:
    texts = ["".join(f"{line} sheep, then {more}; " for line in range(1000)) for more in "abb"]
    texts[1] = texts[0].replace("77 sheep", "77 cows")
    texts[2] = texts[1] + "the end"
    for number, text in enumerate(texts):
        ate("put", "c", f'"{text}"', "--id", ID, *(["--replace"] if number else []))
    rows = [row for commit in ate("dump", "c", "--json").documents for row in commit["rows"]]
    assert [row.get("header", {}).get("delta") for row in rows[-3:]] == [None, 2, 2]
    assert rows[-1]["body_bytes"] < rows[1]["body_bytes"] // 2
    for number, text in enumerate(texts, 2):
        assert ate("get", "c", ID, "--at", str(number)).out == f'"{text}"\n'
    assert ate("get", "c", ID).out == f'"{texts[-1]}"\n'
    assert ate("export", "c").document["_value"] == texts[-1]
    assert ate("verify", "c").status == 0
