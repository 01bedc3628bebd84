"""`ate check` ends with 5 whenever something is wrong, and needs nothing but the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.unit.atecli.conftest import Ate

from ate.mesh.acknowledged import Acknowledged
from ate.mesh.evidence import Shrunk, encode
from ate.testing.spokesman import Spokesman, Story


@pytest.fixture
def proof(ate: Ate, alice: str, home: Path) -> Path:
    """A proof with its value; the chain is gone."""
    note = ate("put", "c", '{"title": "milk"}', "--as", alice).out.strip()
    ate("prove", "c", note, "--with-value", "-o", "note.proof", "--as", alice)
    shutil.rmtree(home / "chains")
    return Path("note.proof")


def test_what_is_told(ate: Ate, proof: Path, home: Path) -> None:
    found = ate("check", str(proof))
    assert found.status == 0
    assert 'value       {"title":"milk"}\n' in found.out
    assert "author      alice@example.org  " in found.out
    assert found.out.endswith("verdict     proved\n")
    assert "--root" in found.err
    found = ate("check", str(proof), "--root", str(home / "keys/alice.pub"))
    assert (found.status, found.err) == (0, "")
    found = ate("check", str(proof), "--root", str(home / "keys/bob.pub"))
    assert found.status == 5
    assert "none of the root keys given" in found.out
    assert found.out.endswith("not proved\n")


def test_for_programs(ate: Ate, proof: Path, home: Path) -> None:
    told = ate("check", str(proof), "--root", str(home / "keys/alice.pub"), "--json").document
    assert told["ok"]
    (one,) = told["proofs"]
    assert (one["chain"], one["pinned"]) == ("c", True)
    assert one["row"]["value"] == {"title": "milk"}
    assert one["row"]["authors"][0]["identity"] == "alice@example.org"
    found = ate("check", str(proof), "--root", str(home / "keys/bob.pub"), "--json")
    assert found.status == 5
    assert json.loads(found.out)["problems"][0]["code"] == "untrusted_root"


def test_damage_ends_with_five(ate: Ate, proof: Path) -> None:
    raw = proof.read_bytes()
    for at in [*range(0, len(raw), 2003), *range(8)]:
        wrong = bytearray(raw)
        wrong[at] ^= 1
        Path("wrong").write_bytes(wrong)
        found = ate("check", "wrong")
        assert found.status == 5, at
        assert "Traceback" not in found.err
        assert found.out.endswith("not proved\n")
    for content in (b"", raw[:-1], raw + b"x", b"no proof"):
        Path("wrong").write_bytes(content)
        assert ate("check", "wrong").status == 5


def test_files_that_are_not_there(ate: Ate, home: Path) -> None:
    assert ate("check", "nowhere").status == 3
    assert ate("check").status == 2


def test_two_histories(ate: Ate, alice: str, home: Path) -> None:
    """The host keeps a copy, and shows one to one and the other to another."""
    note = ate("put", "c", "1", "--as", alice).out.strip()
    shutil.copytree(home / "chains", home / "copy")
    for text, chains, file in (("2", home / "chains", "one"), ("3", home / "copy", "two")):
        ate("put", "c", text, "--as", alice, "--path", str(chains))
        ate("prove", "c", note, "-o", file, "--as", alice, "--path", str(chains))
    found = ate("check", "one", "two")
    assert found.status == 5
    assert "two histories of one chain" in found.out
    assert ate("check", "one").status == ate("check", "two").status == 0


def test_evidence_against_a_server(ate: Ate, alice: str, home: Path) -> None:
    server, story = Spokesman(), Story(("a", 9))
    first = server.say(story)
    lie = server.say(story, 8, answers=first.hash)
    Path("lie").write_bytes(encode(Shrunk(first.encode(), lie.encode())))
    Path("kept").write_bytes(Acknowledged.of(story.commits[3], first, story).encode())
    found = ate("check", "lie", "kept")
    assert found.status == 0
    assert "lie       it signed 9 commits, and later 8\n" in found.out
    assert "says      it has commit 3\n" in found.out
    assert found.out.endswith("verdict   proved\n")
    assert "is that the server you mean?" in found.err
    told = ate("check", "lie", "--json").document
    assert told["ok"]
    assert told["servers"][0]["kind"] == "shrunk"
    Path("no lie").write_bytes(encode(Shrunk(lie.encode(), first.encode())))
    for one in ("no lie", "lie"):
        found = ate("check", one, "--root", str(home / "keys/alice.pub"))
        assert found.status == 5
        assert found.out.endswith("not proved\n")
