"""`ate verify` says what it checked, and ends with 5 when anything is wrong."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.atecli.conftest import Ate


def test_a_signed_chain(ate: Ate, alice: str) -> None:
    ate("put", "c", "1", "--as", alice)
    found = ate("verify", "c")
    assert found.status == 0
    assert "checked    frame check of every commit\n" in found.out
    assert "root key   alice@example.org  " in found.out
    assert "signed by  alice@example.org (" in found.out
    assert "1 of them sealed" in found.out
    assert found.out.endswith("verdict    sound\n")
    assert "--root" in found.err


def test_what_is_known_beforehand(ate: Ate, alice: str, home: Path) -> None:
    ate("put", "c", "1", "--as", alice)
    found = ate("verify", "c", "--as", alice, "--root", str(home / "keys/alice.pub"))
    assert (found.status, found.err) == (0, "")
    assert "snapshot of what was seen before" in found.out
    assert "note       agrees with" in found.out
    found = ate("verify", "c", "--root", str(home / "keys/bob.pub"))
    assert found.status == 5
    assert "wrong      none of the root keys given" in found.out
    assert found.out.endswith("verdict    not sound\n")
    assert ate("verify", "c", "--root", "nowhere").status == 3


def test_a_chain_without_keys(ate: Ate) -> None:
    ate("put", "c", "1")
    found = ate("verify", "c")
    assert found.status == 0
    assert found.err == "ate: this chain has no keys: damage is found, forgery is not\n"


def test_for_programs(ate: Ate, alice: str) -> None:
    ate("put", "c", "1", "--as", alice)
    found = ate("verify", "c", "--json").document
    assert found["ok"]
    assert (found["suite"], found["commits"], found["problems"]) == (2, 2, [])
    assert found["roots"][0]["identity"] == "alice@example.org"
    assert found["signatures"] == {"1": 1, "2": 1}


def test_damage(ate: Ate, home: Path) -> None:
    ate("put", "c", "1")
    ate("put", "c", "2")
    head = home / "chains/c/000001/head.000001"
    content = bytearray(head.read_bytes())
    content[200] ^= 1
    head.write_bytes(content)
    found = ate("verify", "c")
    assert found.status == 5
    assert "ate: hint: do not write to it" in found.err
    assert not ate("verify", "c", "--json").document["ok"]


def test_files_that_are_no_log(ate: Ate, home: Path) -> None:
    ate("put", "c", "1")
    (home / "chains/c/CURRENT").write_text("odd\n")
    found = ate("verify", "c")
    assert (found.status, found.out) == (5, "")
    assert "ate: CURRENT does not name a generation\n" in found.err
    assert "ate: hint: open it with the version that wrote it" in found.err
    (home / "chains/c/CURRENT").unlink()
    found = ate("verify", "c", "--receipt", "seen")
    assert found.status == 5
    assert "wrong    there are frames in 000001 but no CURRENT\n" in found.out
    assert "no receipt was written" in found.err
    assert not Path("seen").exists()
    assert ate("verify", "c", "--json").document["checked"] == []
    assert ate("verify", "nothing").status == 3


def test_the_deep_look(ate: Ate, alice: str, home: Path) -> None:
    ate("put", "c", "1", "--as", alice)
    (home / "chains/c/odd.txt").touch()
    found = ate("verify", "c", "--deep", "--as", alice)
    assert found.status == 0
    assert "inside     1 opened, 0 plain, 1 decoded, 0 checkpoints\n" in found.out
    assert "note       odd.txt: not a file of the chain\n" in found.out
    assert "not checked" not in found.out
    found = ate("verify", "c", "--deep")
    assert "not checked  1 bodies in 1 read domain are sealed to others\n" in found.out
    told = ate("verify", "c", "--deep", "--json").document
    assert (told["closed"], told["opened"], len(told["unchecked"])) == (1, 0, 2)


def test_a_receipt_is_kept_and_compared(ate: Ate, alice: str, home: Path) -> None:
    ate("put", "c", "1", "--as", alice)
    assert ate("verify", "c", "--as", alice, "--deep", "--receipt", "seen").status == 0
    told = json.loads(Path("seen").read_text())["statement"]
    assert (told["chain"], told["commits"], told["deep"], told["ok"]) == ("c", 2, True, True)
    assert told["counts"]["opened"] == 1
    assert not Path("seen.new").exists()
    ate("put", "c", "2", "--as", alice)
    found = ate("verify", "c", "--since", "seen")
    assert found.status == 0
    assert "the 2 commits of the receipt, by their root\n" in found.out
    assert "is signed by alice@example.org (" in found.out
    ate("put", "other", "1", "--as", alice)
    assert ate("verify", "other", "--since", "seen").status == 5
    Path("seen").write_text(Path("seen").read_text().replace('"head": ', '"head": 1'))
    found = ate("verify", "c", "--since", "seen")
    assert (found.status, found.out) == (4, "")
    assert "the receipt was altered" in found.err


def test_who_signed_a_receipt_is_told(ate: Ate, alice: str) -> None:
    ate("put", "c", "1")
    ate("verify", "c", "--receipt", "plain")
    assert "is not signed: whoever" in ate("verify", "c", "--since", "plain").out
    ate("verify", "c", "--as", alice, "--receipt", "seen")
    assert "by a key that is not known here" in ate("verify", "c", "--since", "seen").out
    assert "signed by alice" in ate("verify", "c", "--since", "seen", "--as", alice).out
    assert ate("verify", "c", "--since", "nowhere").status == 2
