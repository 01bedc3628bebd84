"""`ate prove` writes what `ate check` believes, and shows no value unasked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.atecli.conftest import Ate

from ate.chain.evidence import Evidence
from atecli import output


@pytest.fixture
def note(ate: Ate, alice: str) -> str:
    return ate("put", "c", '{"title": "milk"}', "--as", alice).out.strip()


def test_a_root_writes_the_checkpoint(ate: Ate, alice: str, note: str) -> None:
    found = ate("prove", "c", note, "-o", "p")
    assert found.status == 2
    assert "no checkpoint yet" in found.err
    assert "--as ROOT" in found.err
    found = ate("prove", "c", note, "-o", "p", "--as", alice)
    assert (found.status, found.err) == (
        0,
        "ate: no checkpoint covered it: alice has written one\n",
    )
    assert found.out == "proof of row 4 under 2 commits in p\n"
    found = ate("prove", "c", note, "-o", "q")
    assert (found.status, found.err) == (0, ""), "now anybody who has the chain can"
    assert Path("p").read_bytes() == Path("q").read_bytes()
    assert b"milk" not in Path("p").read_bytes()


def test_to_stdout_and_for_programs(ate: Ate, alice: str, note: str) -> None:
    ate("prove", "c", note, "-o", "p", "--as", alice)
    done = subprocess.run(
        [sys.executable, "-m", "atecli", "prove", "c", note], capture_output=True, check=True
    )
    assert done.stdout == Path("p").read_bytes()
    told = json.loads(ate("prove", "c", note, "-o", "p", "--json").out)
    assert told == {"file": "p", "bytes": len(done.stdout), "seq": 4, "size": 2}
    found = ate("prove", "c", note, "--json")
    assert (found.status, json.loads(found.err)["error"]["code"]) == (2, "usage")


def test_a_terminal_gets_no_bytes(ate: Ate, note: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    found = ate("prove", "c", note)
    assert found.status == 2
    assert "bytes, not text" in found.err


def test_the_value(ate: Ate, alice: str, note: str) -> None:
    found = ate("prove", "c", note, "--with-value", "--as", alice, "-o", "p")
    assert found.status == 0
    assert b"milk" not in Path("p").read_bytes(), "it stays sealed, beside its key"
    assert len(Evidence.decode(Path("p").read_bytes()).key) == 32
    assert ate("prove", "c", note, "--with-value", "-o", "p").status == 4
    Path("many.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    ate("import", "c", "many.jsonl", "--as", alice)
    ids = [one["id"] for one in ate("ls", "c", "--as", alice, "--json").documents]
    other = next(one for one in ids if one != note)
    found = ate("prove", "c", other, "--with-value", "--as", alice, "-o", "q")
    assert found.status == 2
    assert "opens 1 more" in found.err
    assert not Path("q").exists()
    found = ate("prove", "c", other, "--with-value", "--reveal", "--as", alice, "-o", "q")
    assert found.status == 0


def test_versions_and_what_was_before(ate: Ate, alice: str, note: str) -> None:
    ate("prove", "c", note, "-o", "old", "--as", alice)
    ate("put", "c", '{"title": "tea"}', "--id", note, "--replace", "--as", alice)
    ate("prove", "c", note, "--at", "4", "-o", "again", "--as", alice)
    assert Path("old").read_bytes() == Path("again").read_bytes()
    assert ate("prove", "c", note, "--consistency", "old", "-o", "new", "--as", alice).status == 0
    assert ate("prove", "c", "--consistency", "2", "-o", "sizes", "--as", alice).status == 0
    assert ate("check", "old", "new", "sizes").status == 0
    assert ate("prove", "c", note, "--to", "9", "-o", "x").status == 2
    assert ate("prove", "c", "--consistency", "none", "-o", "x").status == 3
    assert ate("prove", "c", "--consistency", "pass", "-o", "x").status == 5


@pytest.mark.parametrize(
    "words", [(), ("--with-value", "--consistency", "1"), ("zz",), ("0" * 32,)]
)
def test_what_cannot_be_proved(ate: Ate, alice: str, note: str, words: tuple[str, ...]) -> None:
    found = ate("prove", "c", *words, "-o", "p", "--as", alice)
    assert found.status in (2, 3)
    assert not Path("p").exists()


def test_a_chain_without_keys(ate: Ate) -> None:
    note = ate("put", "plain", "1").out.strip()
    found = ate("prove", "plain", note, "-o", "p")
    assert found.status == 2
    assert "no keys" in found.err
