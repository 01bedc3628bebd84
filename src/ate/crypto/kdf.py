"""Keys from passphrases: Argon2id and a box sealed with it; it never keeps a passphrase.

The box: `ATEPASS1` · memory in KiB u32 · iterations u32 · lanes u32 · salt (16) · commitment (16) ·
AES-256-GCM of the secret, little-endian. The stretched passphrase gives the key and, apart from it,
the commitment: GCM alone would let one box open under two passphrases.
"""

from __future__ import annotations

import hmac
import struct
import unicodedata
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ate.crypto.aead import NONCE_BYTES, TAG_BYTES, Sealer
from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.hash import Buffer, derive
from ate.errors import CannotOpen, UsageError

_MAGIC: Final = b"ATEPASS1"
_HEADER: Final = struct.Struct("<8sIII16s16s")
_SALT_BYTES: Final = 16
_COMMITMENT_BYTES: Final = 16
# The salt makes each key fresh, so it seals once and its nonce may be constant.
_NONCE: Final = bytes(NONCE_BYTES)


class Cost(NamedTuple):
    """What one guess of a passphrase costs.

    Args:
        memory_kib: memory that a guess occupies.
        iterations: passes over it.
        lanes: parts of it that may be filled in parallel.
    """

    memory_kib: int
    iterations: int
    lanes: int


#: The second choice of RFC 9106: 64 MiB, three passes; about a tenth of a second.
COST: Final = Cost(64 * 1024, 3, 4)
#: A box that asks for more is refused: opening a stranger's file must not occupy the machine.
COST_MAX: Final = Cost(1024 * 1024, 16, 16)


def stretch(passphrase: str, salt: bytes, cost: Cost = COST) -> bytes:
    """Return 32 bytes that only `passphrase` and `salt` give.

    Args:
        passphrase: any text; it is normalised (NFC), so that all keyboards give the same bytes.
        salt: at least 16 random bytes, stored beside what the key protects.

    Raises:
        UsageError: the salt is short, the cost out of bounds, or the text cannot be encoded.
    """
    if len(salt) < _SALT_BYTES:
        raise UsageError(f"a salt has at least {_SALT_BYTES} bytes, this has {len(salt)}")
    if not _is_bearable(cost):
        raise UsageError(f"{cost} is outside of what is allowed", hint=f"at most {COST_MAX}")
    text = _encoded(passphrase)
    stretcher = Argon2id(
        salt=salt,
        length=32,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    )
    return stretcher.derive(text)


def seal_with_passphrase(
    secret: Buffer, passphrase: str, *, cost: Cost = COST, entropy: Entropy = system_entropy
) -> bytes:
    """Return `secret` in a box that opens with `passphrase`; what it cost is stored inside.

    Raises:
        UsageError: the cost is out of bounds, or the passphrase cannot be encoded.
    """
    salt = entropy(_SALT_BYTES)
    key, commitment = _keys(stretch(passphrase, salt, cost))
    header = _HEADER.pack(_MAGIC, *cost, salt, commitment)
    return header + Sealer(key).seal(_NONCE, secret, header)


def open_with_passphrase(blob: Buffer, passphrase: str) -> bytes:
    """Return the secret in a box made by `seal_with_passphrase`.

    Raises:
        CannotOpen: wrong passphrase, altered bytes, or no such box.
        UsageError: the passphrase cannot be encoded.
    """
    if len(blob) < _HEADER.size + TAG_BYTES:
        raise CannotOpen("this is no box sealed with a passphrase")
    header = bytes(blob[: _HEADER.size])
    magic, memory_kib, iterations, lanes, salt, commitment = _HEADER.unpack(header)
    cost = Cost(memory_kib, iterations, lanes)
    if magic != _MAGIC or not _is_bearable(cost):
        raise CannotOpen("this is no box sealed with a passphrase")
    key, expected = _keys(stretch(passphrase, salt, cost))
    if not hmac.compare_digest(commitment, expected):
        raise CannotOpen("the passphrase does not open this")
    return Sealer(key).open(_NONCE, blob[_HEADER.size :], header)


def _keys(stretched: bytes) -> tuple[bytes, bytes]:
    commitment = derive("ate passphrase commitment", stretched)[:_COMMITMENT_BYTES]
    return derive("ate passphrase key", stretched), commitment


def _is_bearable(cost: Cost) -> bool:
    # Argon2 itself wants 8 KiB for each lane.
    return (
        all(1 <= asked <= bound for asked, bound in zip(cost, COST_MAX))
        and cost.memory_kib >= 8 * cost.lanes
    )


def _encoded(passphrase: str) -> bytes:
    try:
        return unicodedata.normalize("NFC", passphrase).encode()
    except UnicodeEncodeError:
        # Raised below: the codec's own error carries the text and must not hang on ours.
        pass
    raise UsageError("the passphrase holds characters that cannot be encoded")
