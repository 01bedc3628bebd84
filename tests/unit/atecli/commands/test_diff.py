"""`ate diff` for people and for programs."""

from __future__ import annotations

import sys

import pytest
from tests.unit.atecli.conftest import Ate

from atecli.commands import diff

ID = "0" * 31 + "1"
OTHER = "0" * 31 + "2"


def test_the_newest_version_against_the_one_before(ate: Ate) -> None:
    ate("put", "notes", '{"title": "milk", "text": "a\\nb\\n", "n": 1}', "--id", ID)
    ate("put", "notes", '{"title": "oat", "text": "a\\nc\\n", "new": [1]}', "--id", ID, "--replace")
    lines = ate("diff", "notes", ID).out.splitlines()
    assert [line[:7] for line in lines[:2]] == ["- row 2", "+ row 3"]
    assert lines[2:] == [
        "~ title", '-   "milk"', '+   "oat"', "~ text", "@@ -1,2 +1,2 @@", " a", "-b", "+c",
        "- n", "-   1", "+ new", "+   [1]",
    ]  # fmt: skip
    told = ate("diff", "notes", ID, "--json").document
    assert told["patch"][0] == {"op": "replace", "path": "/title", "value": "oat", "old": "milk"}
    assert (told["change"], told["from"]["seq"], told["to"]["seq"]) == ("changed", 2, 3)


def test_points_that_are_named(ate: Ate) -> None:
    for value in ("1", "2", "3"):
        ate("put", "notes", value, "--id", ID, *(["--replace"] if value != "1" else []))
    assert "-   1\n+   3" in ate("diff", "notes", ID, "2").out
    assert "-   1\n+   2" in ate("diff", "notes", ID, "2", "3").out
    assert "the values are the same" in ate("diff", "notes", ID, "3", "3").out
    assert "- not there\n" in ate("diff", "notes", ID, "1", "2").out
    when = ate("log", "notes", "--object", ID, "--json").documents[1]["time"]
    assert "-   2\n+   3" in ate("diff", "notes", ID, when).out
    assert ate("diff", "notes", ID, "3", "2").status == 2
    assert ate("diff", "notes", ID, "then").status == 2
    assert ate("diff", "notes", OTHER).status == 3


def test_moves_deletions_and_other_types(ate: Ate) -> None:
    ate("put", "notes", "1", "--id", ID)
    ate("rm", "notes", ID)
    assert ", deleted\n- 1\n" in ate("diff", "notes", ID).out
    ate("put", "notes", '{"a": "x"}', "--id", ID, "--type", "Thing")
    assert "~ type\n- int\n+ Thing\n~ .\n-   1\n" in ate("diff", "notes", ID, "2").out
    long = ",".join(f'"line number {number}"' for number in range(60))
    ate("put", "notes", f"[{long}]", "--id", OTHER)
    shown = ate("diff", "notes", OTHER).out
    assert "… 22 more lines" in shown


def test_all_objects_between_two_points(ate: Ate) -> None:
    ate("put", "notes", '{"title": "milk"}', "--id", ID)
    ate("put", "notes", '"below"', "--id", OTHER, "--parent", ID)
    ate("put", "notes", '{"title": "oat"}', "--id", ID, "--replace")
    ate("rm", "notes", OTHER)
    ate("put", "notes", '"new\\u001b"')
    changed, deleted, added = ate("diff", "notes", "--at", "3").out.splitlines()
    assert changed == f"~ {ID}  dict  title"
    assert deleted == f"- {OTHER}  str  below"
    assert added.startswith("+ ")
    assert added.endswith("  str  new\\u001b")
    told = ate("diff", "notes", "--at", "1", "--to", "3", "--json").documents
    assert [(one["change"], one["to"]["parent"]) for one in told] == [
        ("added", None),
        ("added", ID),
    ]
    assert ate("diff", "notes", "--at", "6").out == ""
    ate("put", "notes", '{"title": "oat"}', "--id", ID, "--replace")
    assert ate("diff", "notes", "--at", "6").out == f"~ {ID}  dict  written again\n"


def test_what_is_sealed(ate: Ate, alice: str) -> None:
    ate("put", "notes", "1", "--id", ID, "--as", alice)
    ate("put", "notes", "2", "--id", ID, "--replace", "--as", alice)
    assert "no key opens both" in ate("diff", "notes", ID).out
    assert ate("diff", "notes", ID, "--json").document["patch"] is None
    assert ate("diff", "notes", "--at", "1").out == f"+ {ID}  int  (sealed)\n"
    assert "~ .\n-   1\n+   2\n" in ate("diff", "notes", ID, "--as", alice).out


def test_words_that_do_not_fit(ate: Ate) -> None:
    ate("put", "notes", "1", "--id", ID)
    for words in ((), (ID, "--at", "1"), (ID, "--to", "1"), ("--to", "1")):
        assert ate("diff", "notes", *words).status == 2


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert diff._painted("+ x") == "+ x"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert diff._painted("+ x") == "\x1b[32m+ x\x1b[0m"
    assert diff._painted("  x") == "  x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert diff._painted("+ x") == "+ x"
