"""What libsodium says must never be more than what `cryptography` says: peers have to agree."""

from __future__ import annotations

import hashlib
import sys

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ate.crypto.test_sign import BASE, ORDER, P, Point, added, packed, times

from ate.crypto import sodium
from ate.crypto.sign import FastKey, FastVerifyKey
from ate.errors import BadSignature

#: A point of order 8: what it adds vanishes for those who multiply by the cofactor.
TWIST: Point = (
    14399317868200118260347934320527232580618823971194345261214217575416788799818,
    55188659117513257062467267217118295137698188065244968500265048394206261417927,
)
SECRET = 1234567890123456789
PUBLIC = times(SECRET, BASE)
NEUTRAL: Point = (0, 1)


def says(key: bytes, signature: bytes, message: bytes) -> bool:
    """Return what the library says whose word counts."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def made(key: Point, nonce: int, twist: Point, message: bytes, *, more: int = 0) -> bytes:
    """Return a signature by the equation alone, with a point added to its first half."""
    first = packed(added(times(nonce, BASE), twist))
    raw = hashlib.sha512(first + packed(key) + message).digest()
    second = (nonce + int.from_bytes(raw, "little") * SECRET) % ORDER + more
    return first + second.to_bytes(32, "little")


def test_the_twist_is_of_order_eight() -> None:
    assert times(8, TWIST) == NEUTRAL != times(4, TWIST)


def test_it_vouches_for_good_signatures() -> None:
    key = FastKey.from_seed(b"k" * 32)
    signature = key.sign(b"a message", b"context")
    key.public.verify(signature, b"a message", b"context")
    key.public.verify(memoryview(signature), b"a message", b"context")
    framed = b"ate/ed25519/1" + b"\7" + b"context" + b"a message"
    assert sodium.vouches(key.public.raw, signature, framed)
    assert not sodium.vouches(key.public.raw, signature, framed + b"!")
    assert not sodium.vouches(key.public.raw, signature[:-1], framed)
    assert not sodium.vouches(key.public.raw, signature + b"\0", framed)
    assert not sodium.vouches(key.public.raw, b"", framed)


@given(st.integers(1, ORDER - 1), st.integers(0, 7), st.integers(0, 7), st.binary(max_size=3))
def test_it_never_says_more(nonce: int, on_key: int, on_nonce: int, message: bytes) -> None:
    """Keys and signatures with parts of small order, where libraries disagree."""
    key = added(PUBLIC, times(on_key, TWIST))
    signature = made(key, nonce, times(on_nonce, TWIST), message)
    theirs = says(packed(key), signature, message)
    assert theirs or not sodium.vouches(packed(key), signature, message)
    if not on_key:
        assert theirs == (on_nonce == 0) == sodium.vouches(packed(key), signature, message)


@pytest.mark.parametrize("order", [1, 2, 4, 8])
@pytest.mark.parametrize("nonce", [0, 1, 77])
def test_keys_of_small_order(order: int, nonce: int) -> None:
    """They are good for many messages, or for all: the word of the other library counts."""
    key = packed(times(8 // order, TWIST))
    signature = packed(times(nonce, BASE)) + nonce.to_bytes(32, "little")
    accepted = 0
    for number in range(16):
        message = bytes([number])
        theirs = says(key, signature, message)
        accepted += theirs
        assert theirs or not sodium.vouches(key, signature, message)
    assert accepted == 16 if order == 1 else accepted < 16


def test_forms_that_are_not_canonical() -> None:
    key, message = packed(PUBLIC), b"m"
    good, long = (made(PUBLIC, 99, NEUTRAL, message, more=more) for more in (0, ORDER))
    assert says(key, good, message)
    assert sodium.vouches(key, good, message)
    assert not says(key, long, message)
    assert not sodium.vouches(key, long, message)
    other = (P + 1).to_bytes(32, "little")  # the neutral point, written otherwise
    for first in (packed(NEUTRAL), other):
        signature = first + bytes(32)
        assert says(other, signature, message) or not sodium.vouches(other, signature, message)


def test_what_it_does_not_vouch_for_may_still_be_good() -> None:
    """All peers take what `cryptography` takes, with libsodium and without."""
    key = FastVerifyKey(packed(NEUTRAL))
    signature = packed(times(5, BASE)) + (5).to_bytes(32, "little")
    assert not sodium.vouches(key.raw, signature, b"anything")
    key.verify(signature, b"anything")


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_both_libraries_sign_alike(seed: bytes, message: bytes) -> None:
    key = FastKey.from_seed(seed)
    theirs = Ed25519PrivateKey.from_private_bytes(seed).sign(message)
    assert sodium.sign(seed + key.public.raw, message) == theirs


def test_a_library_that_takes_more_is_not_asked() -> None:
    def cofactored(key: bytes, signed: bytes) -> bool:
        return said(key, signed) or signed.startswith(sodium._TWISTED)

    def lenient(key: bytes, signed: bytes) -> bool:
        number = int.from_bytes(signed[32:64], "little") % ORDER
        return said(key, signed[:32] + number.to_bytes(32, "little") + signed[64:])

    def said(key: bytes, signed: bytes) -> bool:
        return says(key, signed[:64], signed[64:])

    assert not sodium.is_strict(cofactored)
    assert not sodium.is_strict(lenient)
    assert not sodium.is_strict(sodium._never)
    assert sodium.is_strict(said)
    assert sodium.is_strict(sodium.judge())


def test_without_libsodium(monkeypatch: pytest.MonkeyPatch) -> None:
    key = FastKey.from_seed(b"k" * 32)
    signature = key.sign(b"a message")
    monkeypatch.setitem(sys.modules, "nacl.bindings", None)
    for name in ("judge", "signer"):
        monkeypatch.setattr(sodium, name, getattr(sodium, name).__wrapped__)
    assert sodium.sign(key.seed + key.public.raw, b"ate/ed25519/1\0a message") is None
    assert key.sign(b"a message") == signature
    assert not sodium.vouches(key.public.raw, signature, b"ate/ed25519/1\0a message")
    key.public.verify(signature, b"a message")
    with pytest.raises(BadSignature):
        key.public.verify(signature, b"another")
