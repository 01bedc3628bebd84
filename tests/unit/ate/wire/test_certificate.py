from __future__ import annotations

from pathlib import Path

import pytest
from tests.wire import key

from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import SigningKey
from ate.errors import CannotOpen, NotFound, StorageError, TrustError, UntrustedRoot, UsageError
from ate.session import Session
from ate.wire.certificate import (
    PREFIX,
    allowed,
    load_identity,
    new_identity,
    parse_pin,
    pin_of,
    pinned,
)

ONE, TWO = key(1).public, key(2).public


def test_a_pin_names_a_key() -> None:
    text = pin_of(ONE)
    assert text.startswith(PREFIX)
    assert len(text) == len(PREFIX) + 32
    assert parse_pin(text) == ONE.key_id
    assert parse_pin(f"  {text.upper()}\n") == ONE.key_id
    assert parse_pin(text.removeprefix(PREFIX)) == ONE.key_id
    assert pin_of(TWO) != text
    # As the command line prints a key id.
    assert parse_pin(ONE.key_id.hex()) == parse_pin(f" {ONE.key_id.hex().upper()}\n") == ONE.key_id
    with pytest.raises(UsageError):
        parse_pin(PREFIX + ONE.key_id.hex())


@pytest.mark.parametrize(
    "text", ["", PREFIX, "ate-key:abc", "x" * 32, "ä" * 32, "ate-key:" + "a" * 40, "a" * 31 + "="]
)
def test_what_is_no_pin(text: str) -> None:
    with pytest.raises(UsageError, match="not the name of a key"):
        parse_pin(text)


def test_every_slip_of_one_letter_is_found() -> None:
    text = pin_of(ONE)
    for at in range(len(PREFIX), len(text)):
        wrong = text[:at] + ("a" if text[at] != "a" else "b") + text[at + 1 :]
        with pytest.raises(UsageError):
            parse_pin(wrong)


def test_a_client_expects_a_key() -> None:
    judge = pinned([pin_of(ONE)])
    judge(ONE)
    with pytest.raises(UntrustedRoot, match=pin_of(TWO)):
        judge(TWO)
    with pytest.raises(UntrustedRoot, match="not shown"):
        judge(None)
    pinned([pin_of(ONE), pin_of(TWO)])(TWO)


def test_a_server_lets_some_in() -> None:
    judge = allowed([pin_of(ONE)])
    judge(ONE)
    with pytest.raises(TrustError, match="may not connect"):
        judge(TWO)
    with pytest.raises(TrustError, match="without a key"):
        judge(None)


def test_a_list_of_nobody_is_a_mistake() -> None:
    for make in (pinned, allowed):
        with pytest.raises(UsageError):
            make([])
        with pytest.raises(UsageError):
            make(["ate-key:wrong"])


# --- the file -----------------------------------------------------------------------------------


def test_an_identity_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "server.key"
    made = new_identity(path, SeededEntropy(1))
    assert load_identity(path).public == made.public
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["server.key"]
    assert path.read_text().startswith("ate-identity-1 ")


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "server.key"
    made = new_identity(path)
    with pytest.raises(UsageError, match="already"):
        new_identity(path)
    assert load_identity(path).public == made.public
    assert len(list(tmp_path.iterdir())) == 1


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "server.key"
    new_identity(path)
    path.chmod(0o640)
    with pytest.raises(TrustError, match="others") as found:
        load_identity(path)
    assert found.value.hint == "chmod 600 server.key"


@pytest.mark.parametrize("cut", [0, 5, 20, 60, 120])
def test_a_damaged_file(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "server.key"
    new_identity(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:cut])
    with pytest.raises(CannotOpen):
        load_identity(path)
    changed = bytearray(raw)
    changed[cut] ^= 1
    path.write_bytes(changed)
    with pytest.raises(CannotOpen):
        load_identity(path)


def test_files_that_are_not_there_or_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_identity(tmp_path / "none")
    with pytest.raises(StorageError):
        load_identity(tmp_path)
    with pytest.raises(StorageError):
        new_identity(tmp_path / "no folder" / "key")


def test_a_sessions_key_file_serves_as_well(tmp_path: Path) -> None:
    path = tmp_path / "me.key"
    session = Session.new("me")
    session.save(path, "open sesame")
    assert load_identity(path, "open sesame").public == session.own.sign.public
    with pytest.raises(CannotOpen):
        load_identity(path, "wrong")
    with pytest.raises(CannotOpen) as found:
        load_identity(path)
    assert found.value.hint == "give its passphrase"


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "server.key"
    made: SigningKey = new_identity(path)
    assert made.seed.hex() not in repr(made)
