"""Ed25519 by libsodium, where that is installed: it signs, and gives a quick yes to a signature.

It never says no. What it does not vouch for is asked of the library whose word counts everywhere,
so that all peers agree on what is valid, with libsodium and without; see ADR 0016.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, TypeAlias

from ate.crypto.hash import Buffer

_SIGNATURE_BYTES: Final = 64
#: Of the group in which Ed25519 counts.
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
#: Returns whether (key, signature followed by message) is good.
_Open: TypeAlias = Callable[[bytes, bytes], bool]
#: Returns the signature of a message by (seed followed by public key), and the message.
_Sign: TypeAlias = Callable[[bytes, bytes], bytes]

_PROBE_KEY: Final = bytes.fromhex(
    "f2c14010eec221e74d77d4932e1bc515c1c67450ad62d07146928f7aa6aa1d7b"
)
_PROBE: Final = b"ate/probe"
_GOOD: Final = bytes.fromhex(
    "551c7b90a7a286916e8ed7dd1ec810cead24df9331102593d2d6c0bcbdfa706a"
    "b969bd473d72e5de045c8f4ac6c39f7964607748887b485c1a8c7f53ed85700b"
)
#: The same with a point of order 8 added to its first half: some versions of Ed25519 take it.
_TWISTED: Final = bytes.fromhex(
    "2b2bfe0d6d69566db8005324f408c1a5103aab65bf35c2028f8d35f737a807e3"
    "14cb301d3f72fb5179e7eeed733decc8964054a30bacc533f5d5f521f912db01"
)


def vouches(key: bytes, signature: Buffer, message: bytes) -> bool:
    """Return True only when `signature` is certainly one of `key` over `message`.

    Args:
        key: 32 bytes.
    """
    return len(signature) == _SIGNATURE_BYTES and judge()(key, b"".join((signature, message)))


def sign(secret: bytes, message: bytes) -> bytes | None:
    """Return the one signature of a key over `message`; None without libsodium.

    Args:
        secret: the seed, and the public key that belongs to it.
    """
    how = signer()
    return how(message, secret)[:_SIGNATURE_BYTES] if how is not None else None


@cache
def signer() -> _Sign | None:
    """Return libsodium's function that signs, or None."""
    try:
        from nacl.bindings import crypto_sign
    except ImportError:
        return None
    return crypto_sign


@cache
def judge() -> _Open:
    """Return what asks libsodium, or never vouches when there is none that can be believed."""
    try:
        from nacl.bindings import crypto_sign_open
        from nacl.exceptions import BadSignatureError
    except ImportError:
        return _never

    def ask(key: bytes, signed: bytes) -> bool:
        try:
            crypto_sign_open(signed, key)
        except BadSignatureError:
            return False
        return True

    return ask if is_strict(ask) else _never


def is_strict(ask: _Open) -> bool:
    """Return whether a library takes nothing that others refuse, as far as a probe can tell.

    Those that multiply by the cofactor, as the standard allows, take more than those that do not,
    and so do those that were built to take a number that could be shorter, as old ones did.
    """
    number = int.from_bytes(_GOOD[32:], "little") + _ORDER
    longer = _GOOD[:32] + number.to_bytes(32, "little")
    return ask(_PROBE_KEY, _GOOD + _PROBE) and not (
        ask(_PROBE_KEY, _TWISTED + _PROBE) or ask(_PROBE_KEY, longer + _PROBE)
    )


def _never(_key: bytes, _signed: bytes) -> bool:
    return False
