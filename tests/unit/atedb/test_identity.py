"""`atedb.identity`: the server's key file, and the list of clients."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ate.crypto.sign import SigningKey
from ate.errors import AccessDenied, StorageError, UsageError
from ate.event.principal import encode
from ate.session import Session
from atedb.identity import Guests, key_id, load_or_new


@pytest.fixture(scope="module")
def alice() -> Session:
    return Session.new("alice@example.org")


def test_an_identity_is_made_once(tmp_path: Path) -> None:
    file = tmp_path / "identity"
    made, is_new = load_or_new(file)
    again, is_new_again = load_or_new(file)
    assert (is_new, is_new_again) == (True, False)
    assert made.public == again.public
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["identity"]


def test_files_that_are_no_identity(tmp_path: Path) -> None:
    file = tmp_path / "identity"
    file.touch(mode=0o600)
    head = "ate-server-identity-1\n"
    for content in (
        "",
        "x",
        head,
        f"{head}seed zz\n",
        f"{head}seed 00\n",
        f"{head}sead {'00' * 64}",
    ):
        file.write_text(content)
        with pytest.raises(UsageError, match="no identity"):
            load_or_new(file)
    file.chmod(0o644)
    with pytest.raises(StorageError, match="read by others"):
        load_or_new(file)


def test_clients_are_named_by_principal_or_key_id(tmp_path: Path, alice: Session) -> None:
    other = SigningKey.generate()
    file = tmp_path / "clients"
    file.write_text(
        f"# ours\n{encode(alice.public)} alice\n\n{other.public.key_id.hex()} # a robot\n"
    )
    guests = Guests.load(file)
    guests(alice.own.sign.public)
    guests(other.public)
    stranger = SigningKey.generate().public
    with pytest.raises(AccessDenied, match=stranger.key_id.hex()):
        guests(stranger)
    with pytest.raises(AccessDenied, match="proved no key") as caught:
        guests(None)
    assert "session=" in caught.value.hint


def test_a_line_that_is_no_client_is_named(tmp_path: Path) -> None:
    file = tmp_path / "clients"
    file.write_text(f"{'00' * 16}\nalice\n")
    with pytest.raises(UsageError, match="clients line 2"):
        Guests.load(file)
    with pytest.raises(FileNotFoundError):
        Guests.load(tmp_path / "none")


def test_a_list_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atedb.identity._CLIENTS_BYTES_MAX", 10)
    file = tmp_path / "clients"
    file.write_text("#" * 11)
    with pytest.raises(UsageError, match="too large"):
        Guests.load(file)


@pytest.mark.parametrize("text", ["", "zz", "00", "00" * 17, "ate-principal-1:AAAA"])
def test_what_names_no_key(text: str) -> None:
    with pytest.raises(UsageError):
        key_id(text)


def test_who_makes_an_identity_too_late_takes_the_one_that_is_there(tmp_path: Path) -> None:
    """A server that was stopped while it made one must not replace that of its successor."""
    path, made = tmp_path / "identity", list[bytes]()

    def late(count: int) -> bytes:
        key, _ = load_or_new(path)
        made.append(key.seed)
        return bytes(count)

    key, is_new = load_or_new(path, late)
    assert not is_new
    assert key.seed == made[0]
    assert [one.name for one in tmp_path.iterdir()] == ["identity"]
