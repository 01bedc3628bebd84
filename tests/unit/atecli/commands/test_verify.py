"""`ate verify` says what it checked, and ends with 5 when anything is wrong."""

from __future__ import annotations

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
    assert found.status == 5
    assert "wrong    CURRENT does not name a generation\n" in found.out
    assert ate("verify", "c", "--json").document["checked"] == []
    assert ate("verify", "nothing").status == 3
