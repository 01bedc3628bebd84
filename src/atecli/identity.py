"""Identities on disk: a sealed key file and its public half beside it; it keeps no key in memory.

`NAME.key` has the session's keys, sealed with a passphrase (see `ate.session`). `NAME.pub` has the
principal as a text token: nothing secret, and nothing is decided by it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from ate.dio.opening import home
from ate.errors import NotFound, StorageError, UsageError
from ate.event.access import Principal
from ate.event.principal import decode, encode
from ate.session import Session

_NAME: Final = re.compile(r"[A-Za-z0-9_@+-][A-Za-z0-9._@+-]{0,63}")
_IDENTITY_BYTES_MAX: Final = 256

__all__ = [
    "check_exists", "create", "decode", "encode", "fingerprint", "key_file", "keys_directory",
    "load", "names", "public", "write_public",
]  # fmt: skip


def keys_directory() -> Path:
    """Return where identities are kept."""
    return home() / "keys"


def key_file(name: str) -> Path:
    """Return the key file of an identity, there or not; raises UsageError when it is no name."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"not a name for an identity: {name[:40]!r}", hint="use letters, digits and . _ - @ +"
        )
    return keys_directory() / f"{name}.key"


def names() -> list[str]:
    """Return the names of all identities, sorted."""
    return sorted(path.stem for path in keys_directory().glob("*.key"))


def create(name: str, identity: str, passphrase: str) -> Session:
    """Make fresh keys and write both files.

    Raises:
        FileExistsError: there is an identity of that name; it is untouched.
        UsageError: no such name or identity can be.
        StorageError: the files cannot be written.
    """
    target = key_file(name)
    if not 0 < len(identity.encode(errors="replace")) <= _IDENTITY_BYTES_MAX:
        raise UsageError(f"an identity has 1 to {_IDENTITY_BYTES_MAX} bytes")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Claims the name, so that two at once cannot both write it.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise
    except OSError as error:
        raise StorageError(f"cannot write below {target.parent.name}: {error.strerror}") from error
    try:
        session = Session.new(identity)
        session.save(target, passphrase)
        target.with_suffix(".pub").write_text(encode(session.public) + "\n")
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return session


def load(name: str, passphrase: str) -> Session:
    """Open the key file of an identity; raises NotFound or CannotOpen."""
    return Session.load(key_file(name), passphrase)


def check_exists(name: str) -> None:
    """Raise NotFound when there is no such identity, before anybody types a passphrase."""
    if not key_file(name).exists():
        raise NotFound(f"there is no identity {name!r}", hint=f"make it: ate keys new {name}")


def public(name: str) -> Principal:
    """Return the public half of an identity, as its .pub file has it."""
    check_exists(name)
    path = key_file(name).with_suffix(".pub")
    try:
        return decode(path.read_text())
    except FileNotFoundError:
        raise NotFound(
            f"{path.name} is missing", hint=f"make it again: ate keys show {name} --check"
        ) from None


def write_public(name: str, principal: Principal) -> None:
    """Write the .pub file again."""
    key_file(name).with_suffix(".pub").write_text(encode(principal) + "\n")


def fingerprint(key_id: str) -> str:
    """Return a key id, given in hex, for people to compare: groups of eight digits."""
    return " ".join(key_id[at : at + 8] for at in range(0, len(key_id), 8))
