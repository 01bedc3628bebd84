"""Hashing: BLAKE3 in its three modes and the log's short check; it never decides what is hashed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from blake3 import blake3

from ate.errors import UsageError

Buffer: TypeAlias = bytes | bytearray | memoryview
#: The incremental form: `update(data)` returns the hasher, `digest()` can be asked at any time.
Hasher: TypeAlias = blake3

DIGEST_BYTES: Final = 32
KEY_BYTES: Final = 32
#: Up to here a copy is cheaper than one more call.
_JOIN_BYTES_MAX: Final = 64 * 1024


def digest(data: Buffer) -> bytes:
    """Return the 32-byte BLAKE3 hash of `data`."""
    return blake3(data).digest()


def digest_many(items: Iterable[Buffer]) -> list[bytes]:
    """Return the hash of each item, in order."""
    # One hasher that is reset costs half of a fresh one for inputs of a hundred bytes.
    one = blake3()
    reset, update, finish = one.reset, one.update, one.digest
    digests: list[bytes] = []
    add = digests.append
    for item in items:
        update(item)
        add(finish())
        reset()
    return digests


def keyed(key: Buffer, data: Buffer) -> bytes:
    """Return the 32-byte BLAKE3 MAC of `data` under a 32-byte `key`.

    Raises:
        UsageError: the key has another length.
    """
    if len(key) != KEY_BYTES:
        raise UsageError(f"a hash key has {KEY_BYTES} bytes, this has {len(key)}")
    return blake3(data, key=key).digest()


def derive(context: str, material: Buffer) -> bytes:
    """Return 32 bytes derived from `material` for one purpose.

    Args:
        context: names the purpose, a constant of the program; two purposes never share one.
        material: secret or public input of any length.
    """
    return blake3(material, derive_key_context=context).digest()


def hasher() -> Hasher:
    """Return a fresh incremental hasher."""
    return blake3()


def check64(parts: Sequence[Buffer]) -> int:
    """Return the first 8 bytes, little-endian, of the hash over all parts joined.

    It finds accidents, not attacks: what must withstand an attacker uses `digest`.
    """
    if parts and len(parts[-1]) > _JOIN_BYTES_MAX:
        one = blake3()
        for part in parts:
            one.update(part)
        return int.from_bytes(one.digest(8), "little")
    # A frame is short, or its last part is long: hashing a short one in one piece is faster.
    return int.from_bytes(blake3(b"".join(parts)).digest(8), "little")
