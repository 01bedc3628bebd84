"""`atedb.minting`: `atedb token` makes key files and tokens that the server takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ate.clock import SystemClock
from ate.event.principal import encode
from ate.session import Session
from atedb.tokens import Checker, TokenKey


@pytest.fixture(scope="module")
def alice() -> Session:
    return Session.new("alice@example.org")


def test_a_token_for_a_principal_a_file_and_a_key_id(
    atedb: Any, tmp_path: Path, alice: Session
) -> None:
    assert atedb("token", "--new-key", "k", "--audience", "shop").out == "made k: keep it secret\n"
    checker = Checker(TokenKey.load(tmp_path / "k"))
    holder = alice.own.sign.public.key_id
    (tmp_path / "alice.pub").write_text(encode(alice.public) + "\n")
    for name in (encode(alice.public), "alice.pub", holder.hex()):
        ran = atedb("token", "--key", "k", "--chain", "team/*", "--ops", "rw", "--for", name)
        assert ran.status == 0, ran.err
        claims = checker.check(
            ran.out.strip().encode(), name="team/a", holder=holder, now_us=SystemClock().now_us()
        )
        assert (claims.ops, claims.aud, claims.exp - claims.iat) == ("rw", "shop", 900)


def test_json_tells_what_a_token_says(atedb: Any, alice: Session) -> None:
    assert atedb("token", "--new-key", "k", "--json").document == {"file": "k", "audience": "atedb"}
    key_id = alice.own.sign.public.key_id.hex()
    ran = atedb("token", "--key", "k", "--chain", "a", "--for", key_id, "--json")
    assert ran.document["token"].startswith("ate-token-1:")
    assert (ran.document["chains"], ran.document["ops"]) == (["a"], "r")
    assert ran.document["for"] == key_id


@pytest.mark.parametrize(
    "words, status",
    [
        ([], 2),
        (["--key", "k", "--chain", "a"], 2),
        (["--key", "none", "--chain", "a", "--for", "00" * 16], 3),
        (["--key", "k", "--chain", "a", "--for", "nobody"], 2),
        (["--key", "k", "--chain", "a", "--for", "none/alice.pub"], 3),
        (["--key", "k", "--chain", "a b", "--for", "00" * 16], 2),
        (["--key", "k", "--chain", "a", "--for", "00" * 16, "--minutes", "0"], 2),
        (["--key", "k", "--chain", "a", "--for", "00" * 16, "--ops", "x"], 2),
        (["--new-key", "k"], 7),
    ],
)
def test_what_is_refused(atedb: Any, words: list[str], status: int) -> None:
    atedb("token", "--new-key", "k")
    ran = atedb("token", *words)
    assert ran.status == status, ran.err
    assert ran.out == ""
    assert ran.err.startswith("atedb: ")
