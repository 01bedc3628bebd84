"""Identities are two files; what is given away is text with a check."""

from __future__ import annotations

from pathlib import Path

import pytest

from ate.errors import CannotOpen, NotFound, StorageError, UsageError
from ate.session import Session
from atecli import identity


@pytest.fixture(scope="module")
def session() -> Session:
    return Session.new("zoë@example.org")


def test_a_principal_is_a_word(session: Session) -> None:
    token = identity.encode(session.public)
    assert identity.decode(token) == session.public
    assert identity.decode(f" {token}\n") == session.public
    assert token.isascii()
    assert not any(one.isspace() for one in token)


@pytest.mark.parametrize(
    "change", ["", "x", "ate-principal-1:", "ate-principal-1:é", "cut", "swap"]
)
def test_what_is_no_principal_is_refused(session: Session, change: str) -> None:
    token = identity.encode(session.public)
    if change == "cut":
        change = token[:-9]
    elif change == "swap":
        change = token[:99] + ("A" if token[99] != "A" else "B") + token[100:]
    with pytest.raises(UsageError, match="no principal"):
        identity.decode(change)


def test_a_fingerprint_is_in_groups() -> None:
    assert identity.fingerprint("00" * 16) == "00000000 00000000 00000000 00000000"


def test_made_listed_and_opened(home: Path) -> None:
    assert identity.names() == []
    made = identity.create("zoe", "zoë@example.org", "word")
    assert identity.names() == ["zoe"]
    assert identity.public("zoe") == made.public
    assert identity.load("zoe", "word").public == made.public
    with pytest.raises(CannotOpen):
        identity.load("zoe", "other")
    key = home / "keys/zoe.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        identity.create("zoe", "somebody else", "word")
    assert identity.public("zoe") == made.public


def test_what_cannot_be_made_leaves_nothing(home: Path) -> None:
    for name in ("", ".", "..", "a/b", "a b", "x" * 65):
        with pytest.raises(UsageError, match="not a name"):
            identity.create(name, "x", "word")
    for who in ("", "x" * 300):
        with pytest.raises(UsageError, match="1 to 256 bytes"):
            identity.create("zoe", who, "word")
    with pytest.raises(UsageError):
        identity.create("zoe", "zoe", "\ud800")
    assert identity.names() == []
    home.mkdir(exist_ok=True)
    (home / "keys").rmdir()
    (home / "keys").write_text("a file")
    with pytest.raises((StorageError, FileExistsError)):
        identity.create("zoe", "zoe", "word")


def test_missing_files_are_told_apart(home: Path, session: Session) -> None:
    with pytest.raises(NotFound, match="no identity 'zoe'"):
        identity.public("zoe")
    (home / "keys").mkdir(parents=True)
    (home / "keys/zoe.key").write_bytes(b"")
    identity.check_exists("zoe")
    with pytest.raises(NotFound, match=r"zoe\.pub is missing") as raised:
        identity.public("zoe")
    assert "--check" in raised.value.hint
    identity.write_public("zoe", session.public)
    assert identity.public("zoe") == session.public
