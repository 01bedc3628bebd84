"""The server's own key: in a file that only its owner can read; it is never shown, only its id.

With it the server proves to clients that it is the one they know, and signs what it orders.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.sign import SEED_BYTES, SigningKey, VerifyKey
from ate.errors import AccessDenied, UsageError
from ate.event.principal import decode
from ate.log.disk import RealDisk
from atedb.tokens import read_private, write_private

_HEAD: Final = "ate-server-identity-1"
_CLIENTS_BYTES_MAX: Final = 64 * 1024 * 1024


def load_or_new(path: str | Path, entropy: Entropy = system_entropy) -> tuple[SigningKey, bool]:
    """Return the key in a file, made if there is none, and whether it was made.

    Raises:
        StorageError: the file cannot be read or written, or others can read it.
        UsageError: it is no such file.
    """
    file = Path(path)
    if not file.exists():
        key = SigningKey.generate(entropy)
        partial = file.with_name(f"{file.name}.{os.getpid()}.new")
        write_private(partial, f"{_HEAD}\nseed {key.seed.hex()}\n")
        if RealDisk().rename_new(str(partial), str(file)):
            return key, True
        partial.unlink()  # another server was faster, and may have shown its key already
    lines = read_private(file, "identity file").split("\n")
    word, _, value = lines[1].partition(" ") if len(lines) > 1 else ("", "", "")
    try:
        seed = bytes.fromhex(value)
    except ValueError:
        seed = b""
    if lines[0] != _HEAD or word != "seed" or len(seed) != SEED_BYTES:
        raise UsageError(
            f"{file.name} is no identity of a server",
            hint="name a file that is not there: it is made",
        )
    return SigningKey.from_seed(seed), False


class Guests:
    """The clients that may connect.

    Args:
        key_ids: of the keys that they prove.
    """

    def __init__(self, key_ids: frozenset[bytes]) -> None:
        self.key_ids = key_ids

    def __call__(self, key: VerifyKey | None) -> None:
        """Return when the key is on the list; raises AccessDenied."""
        if key is None:
            raise AccessDenied(
                "this server takes clients that it knows only, and this connection proved no key",
                hint="act as one of them: session=…, or `ate … --as NAME`",
            )
        if key.key_id not in self.key_ids:
            raise AccessDenied(
                f"this server does not know your key, which is {key.key_id.hex()}",
                hint="have it put on the server's list of clients",
            )

    @classmethod
    def load(cls, path: str | Path) -> Guests:
        """Read a file with one client in each line: a principal, or the id of its key as hex.

        Raises:
            UsageError: a line is neither; the message has its number.
            OSError: the file cannot be read.
        """
        file, found = Path(path), set()
        if file.stat().st_size > _CLIENTS_BYTES_MAX:
            raise UsageError(f"{file.name} is too large for a list of clients")
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            words = line.partition("#")[0].split()
            if words:
                try:
                    found.add(key_id(words[0]))
                except UsageError as error:
                    raise UsageError(
                        f"{file.name} line {number}: {error.message}", hint=error.hint
                    ) from None
        return cls(frozenset(found))


def key_id(text: str) -> bytes:
    """Return the id of the key that a client proves: from its principal, or from 32 hex digits.

    Raises:
        UsageError: it is neither.
    """
    if text.startswith("ate-principal-"):
        return VerifyKey(decode(text).sign).key_id
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 16:
        raise UsageError(
            "neither a principal nor a key id",
            hint="`ate keys show NAME` prints the principal; it begins with ate-principal-1:",
        )
    return found
