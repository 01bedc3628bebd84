"""Sealing: AES-256-GCM one by one and in batches; it never picks a key, and nonces only by index.

A nonce must not come twice under one key. Callers get that by a fresh key for each batch; inside a
batch the nonce is the index of the item. The batch calls are awaitable because a browser's cipher
is; natively they never suspend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ate.crypto.hash import Buffer
from ate.errors import CannotOpen, UsageError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
#: How much longer a sealed value is than the plain one.
TAG_BYTES: Final = 16
_INDEX_END: Final = 1 << (8 * NONCE_BYTES)


class Sealer:
    """A key that seals and opens. The key itself cannot be read back.

    Args:
        key: 32 secret bytes.

    Raises:
        UsageError: the key has another length.
    """

    __slots__ = ("_cipher",)

    def __init__(self, key: Buffer) -> None:
        if len(key) != KEY_BYTES:
            raise UsageError(f"a sealing key has {KEY_BYTES} bytes, this has {len(key)}")
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "Sealer(AES-256-GCM)"

    def seal(self, nonce: Buffer, plain: Buffer, aad: Buffer) -> bytes:
        """Return `plain` encrypted, with a tag that also covers `aad`.

        Raises:
            UsageError: the nonce is not 12 bytes long.
        """
        _check_nonce(nonce)
        return self._cipher.encrypt(nonce, plain, aad)

    def open(self, nonce: Buffer, sealed: Buffer, aad: Buffer) -> bytes:
        """Return what was sealed with this nonce and `aad`.

        Raises:
            CannotOpen: another key, nonce or `aad`, or altered bytes.
            UsageError: the nonce is not 12 bytes long.
        """
        _check_nonce(nonce)
        try:
            return self._cipher.decrypt(nonce, sealed, aad)
        except InvalidTag:
            raise CannotOpen("a sealed value does not open") from None


async def seal_many(
    key: Sealer, plains: Sequence[Buffer], aads: Sequence[Buffer], first_index: int = 0
) -> list[bytes]:
    """Seal each item under the nonce that is its index.

    Args:
        aads: what each tag covers besides its item; as many as there are items.
        first_index: index of the first item; no index may come twice under one key.

    Raises:
        UsageError: unequal numbers of items, or an index out of range.
    """
    _check_batch(plains, aads, first_index)
    # `encrypt` beats `encrypt_into` here: slicing the target costs more than the copy it saves.
    seal, nonce, size = key._cipher.encrypt, int.to_bytes, NONCE_BYTES
    return [
        seal(nonce(index, size, "little"), plain, aad)
        for index, (plain, aad) in enumerate(zip(plains, aads), first_index)
    ]


async def open_many(
    key: Sealer, sealed: Sequence[Buffer], aads: Sequence[Buffer], first_index: int = 0
) -> list[bytes]:
    """Undo `seal_many`; all items open or none is returned.

    Raises:
        CannotOpen: names the first index that does not open.
        UsageError: unequal numbers of items, or an index out of range.
    """
    _check_batch(sealed, aads, first_index)
    open_, nonce, size = key._cipher.decrypt, int.to_bytes, NONCE_BYTES
    plains: list[bytes] = []
    add = plains.append
    try:
        for index, (item, aad) in enumerate(zip(sealed, aads), first_index):
            add(open_(nonce(index, size, "little"), item, aad))
    except InvalidTag:
        raise CannotOpen(f"sealed item {first_index + len(plains)} does not open") from None
    return plains


def _check_nonce(nonce: Buffer) -> None:
    # The library would take 8 to 128 bytes; GCM is only simple and safe with 12.
    if len(nonce) != NONCE_BYTES:
        raise UsageError(f"a nonce has {NONCE_BYTES} bytes, this has {len(nonce)}")


def _check_batch(items: Sequence[Buffer], aads: Sequence[Buffer], first_index: int) -> None:
    if len(items) != len(aads):
        raise UsageError(f"{len(items)} items came with {len(aads)} associated data")
    if first_index < 0 or first_index + len(items) > _INDEX_END:
        raise UsageError(f"index {first_index} does not fit a nonce")
