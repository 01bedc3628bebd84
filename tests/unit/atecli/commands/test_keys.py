"""`ate keys` makes, lists and shows identities, and prints no secret."""

from __future__ import annotations

from pathlib import Path

from tests.unit.atecli.conftest import Ate

from atecli import identity


def test_a_new_identity(ate: Ate) -> None:
    assert ate("keys", "list").out == ""
    made = ate("keys", "new", "zoe", "--identity", "z@example.org", "--passphrase-file", "-",
               stdin="the word")  # fmt: skip
    assert made.status == 0
    assert "identity     z@example.org\n" in made.out
    assert "the word" not in made.out + made.err
    listed = ate("keys", "list", "--json").document
    assert (listed["name"], listed["identity"]) == ("zoe", "z@example.org")
    again = ate("keys", "new", "zoe", "--passphrase-file", "-", stdin="the word")
    assert again.status == 7
    assert again.err == "ate: zoe: there is an identity of this name already\n"


def test_listed_and_shown(ate: Ate, alice: str, home: Path) -> None:
    head, one, two = ate("keys", "list").out.splitlines()
    assert head.split() == ["name", "fingerprint", "identity"]
    assert one.startswith("alice  ")
    assert two.endswith("  bob@example.org")
    shown = ate("keys", "show", alice, "--json").document
    assert identity.decode(shown["principal"]).key_id.hex() == shown["key_id"]
    (home / "keys/bob.pub").unlink()
    listed = ate("keys", "list", "--json")
    assert listed.document["name"] == "alice"
    assert listed.err == "ate: bob: bob.pub is missing\n"


def test_a_public_half_is_checked_and_made_again(ate: Ate, alice: str, home: Path) -> None:
    public = home / "keys/alice.pub"
    before = public.read_text()
    assert ate("keys", "show", alice, "--check").status == 0
    public.unlink()
    assert ate("keys", "show", alice).status == 3
    assert ate("keys", "show", alice, "--check").status == 0
    assert public.read_text() == before
    public.write_text((home / "keys/bob.pub").read_text())
    changed = ate("keys", "show", alice, "--check")
    assert changed.status == 5
    assert changed.out == ""
    assert "alice.pub is not the public half of these keys" in changed.err


def test_wrong_words_open_nothing(ate: Ate, alice: str) -> None:
    ended = ate("keys", "show", alice, "--check", "--passphrase-file", "-", stdin="guess")
    assert ended.status == 4
    assert "guess" not in ended.err
    assert ate("keys", "show", "nobody", "--check").status == 3


def test_help_for_those_who_need_it(ate: Ate) -> None:
    ended = ate("keys")
    assert ended.status == 2
    assert "list  " in ended.err
