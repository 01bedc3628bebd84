"""Who a peer must be: keys as text to pin, and the file of an end's own key; it never asks anybody.

A pin names a composite public key: `ate-key:` and 32 letters and digits, which are base32 of its
16-byte key id and 4 bytes of hash against slips of the pen. It can stand in a file, in DNS, on
paper. An identity file is one line of text with the private seed, readable for its owner only:
a server has nobody to type a passphrase. A session's sealed key file serves as well.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.hash import derive
from ate.crypto.sign import KEY_ID_BYTES, SEED_BYTES, SigningKey, VerifyKey
from ate.errors import CannotOpen, NotFound, StorageError, TrustError, UntrustedRoot, UsageError
from ate.session import Session
from ate.wire.terms import Trust

PREFIX: Final = "ate-key:"
_CHECK_BYTES: Final = 4
_HEX: Final = re.compile(r"[0-9a-f]{32}")
_MAGIC: Final = b"ate-identity-1 "
_SEALED: Final = b"ATEKEYS1"
_FILE_BYTES_MAX: Final = 1 << 20


def pin_of(key: VerifyKey) -> str:
    """Return the text that names `key`."""
    return _pin(key.key_id)


def parse_pin(text: str) -> bytes:
    """Return the key id in a pin; the id itself, as 32 hex digits, will do as well.

    Raises:
        UsageError: it is no pin, or has a slip in it.
    """
    body = text.strip().lower().removeprefix(PREFIX)
    try:
        raw = base64.b32decode(body.upper().encode("ascii"))
    except (binascii.Error, ValueError):
        raw = b""
    key_id, check = raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:]
    if len(raw) != KEY_ID_BYTES + _CHECK_BYTES or check != _check(key_id):
        if _HEX.fullmatch(text.strip().lower()):
            return bytes.fromhex(text.strip())
        raise UsageError(
            f"not the name of a key: {text[:60]!r}",
            hint=f"it looks like {PREFIX} and 32 letters and digits: copy it whole",
        )
    return key_id


def pinned(pins: Iterable[str]) -> Trust:
    """Return the judge of a client that expects one of these keys at the server.

    Raises:
        UsageError: one of them is no pin, or there is none.
    """
    wanted = _wanted(pins)

    def judge(key: VerifyKey | None) -> None:
        if key is None or key.key_id not in wanted:
            raise UntrustedRoot(
                f"the server's key is {pin_of(key) if key else 'not shown'}, "
                f"and {' or '.join(map(_pin, sorted(wanted)))} was expected",
                hint="this is another server, or its key was replaced: ask who runs it",
            )

    return judge


def allowed(pins: Iterable[str]) -> Trust:
    """Return the judge of a server that lets only these clients in.

    Raises:
        UsageError: one of them is no pin, or there is none.
    """
    wanted = _wanted(pins)

    def judge(key: VerifyKey | None) -> None:
        if key is None or key.key_id not in wanted:
            raise TrustError(
                f"{pin_of(key) if key else 'a client without a key'} may not connect here",
                hint="ask who runs the server to allow this key",
            )

    return judge


# --- the file -----------------------------------------------------------------------------------


def new_identity(path: str | Path, entropy: Entropy = system_entropy) -> SigningKey:
    """Make a key and write it to a new file, mode 0600; an existing file is never replaced.

    Raises:
        UsageError: there is such a file already.
        StorageError: it cannot be written.
    """
    key, target = SigningKey.generate(entropy), Path(path)
    line = _MAGIC + base64.b32encode(key.seed + _check(key.seed)).lower() + b"\n"
    draft = target.with_name(f"{target.name}.{entropy(8).hex()}")
    try:
        _write(draft, line)
        try:
            os.link(draft, target)
        finally:
            draft.unlink()
        _flush_folder(target.parent)
    except FileExistsError:
        raise UsageError(f"there is a file {target.name} already, and it stays") from None
    except OSError as error:
        raise StorageError(f"cannot write the identity file: {error.strerror}") from None
    return key


def load_identity(path: str | Path, passphrase: str | None = None) -> SigningKey:
    """Read a key made by `new_identity`, or the one of a session's key file.

    Args:
        passphrase: of a session's key file.

    Raises:
        NotFound: there is no such file.
        TrustError: others may read it.
        CannotOpen: it is neither, or the passphrase is wrong.
        StorageError: it cannot be read.
    """
    name = Path(path).name
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(_FILE_BYTES_MAX)
    except FileNotFoundError:
        raise NotFound(f"no identity file {name}") from None
    except OSError as error:
        raise StorageError(f"cannot read the identity file: {error.strerror}") from None
    if raw.startswith(_SEALED):
        if passphrase is None:
            raise CannotOpen(f"{name} is sealed", hint="give its passphrase")
        return Session.load(path, passphrase).own.sign
    if mode & 0o077:
        raise TrustError(f"others than its owner may read {name}", hint=f"chmod 600 {name}")
    opened = b""
    if raw.startswith(_MAGIC):
        with suppress(binascii.Error, ValueError):
            opened = base64.b32decode(raw.removeprefix(_MAGIC).strip().upper())
    seed, check = opened[:SEED_BYTES], opened[SEED_BYTES:]
    if len(seed) != SEED_BYTES or check != _check(seed):
        raise CannotOpen(f"{name} is no identity file", hint="restore it, or make a new one")
    return SigningKey.from_seed(seed)


def _pin(key_id: bytes) -> str:
    return PREFIX + base64.b32encode(key_id + _check(key_id)).decode().lower()


def _check(data: bytes) -> bytes:
    return derive("ate key text check", data)[:_CHECK_BYTES]


def _wanted(pins: Iterable[str]) -> frozenset[bytes]:
    wanted = frozenset(map(parse_pin, pins))
    if not wanted:
        raise UsageError("no key is expected", hint="give at least one")
    return wanted


def _write(path: Path, line: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
