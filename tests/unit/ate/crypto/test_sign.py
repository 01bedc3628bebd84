"""Signatures against Ed25519 done in plain integers, RFC 8032, and the halves taken apart."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from ate import errors
from ate.crypto import sign
from ate.crypto.entropy import SeededEntropy
from ate.crypto.hash import derive
from ate.crypto.sign import (
    FastKey,
    FastVerifyKey,
    SigningKey,
    VerifyItem,
    VerifyKey,
    verify_key,
    verify_many,
)
from ate.errors import BadSignature, ProtocolError, UsageError

FOLDER = Path(__file__).parents[3] / "vectors" / "crypto"
FAST = json.loads((FOLDER / "ed25519.json").read_text())
COMPOSITE = json.loads((FOLDER / "composite.json").read_text())
KEY = SigningKey.from_seed(bytes.fromhex(COMPOSITE["valid"][0]["seed"]))

# --- Ed25519 from its definition -------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Y = 4 * pow(5, -1, P) % P
BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202, Y)
Point = tuple[int, int]


def added(one: Point, two: Point) -> Point:
    (x1, y1), (x2, y2) = one, two
    t = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + t, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - t, -1, P)
    return x % P, y % P


def times(count: int, point: Point) -> Point:
    total = (0, 1)
    while count:
        if count & 1:
            total = added(total, point)
        point, count = added(point, point), count >> 1
    return total


def packed(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def hashed(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


def reference_sign(seed: bytes, message: bytes) -> bytes:
    secret = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(secret[:32], "little") & (1 << 254) - 8 | 1 << 254
    public = packed(times(scalar, BASE))
    nonce = hashed(secret[32:], message) % ORDER
    point = packed(times(nonce, BASE))
    answer = (nonce + hashed(point, public, message) * scalar) % ORDER
    return point + answer.to_bytes(32, "little")


# --- fast keys -------------------------------------------------------------------------------


def raw(vector: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]


def framed(message: bytes, context: bytes) -> bytes:
    return b"ate/ed25519/1" + bytes([len(context)]) + context + message


@pytest.mark.parametrize("vector", FAST["rfc8032"], ids=lambda one: one["message"] or "empty")
def test_keys_and_reference_are_those_of_the_rfc(vector: dict[str, Any]) -> None:
    seed, public, message, signature = raw(vector, "seed", "public", "message", "signature")
    assert reference_sign(seed, message) == signature
    assert FastKey.from_seed(seed).public.raw == public


@pytest.mark.parametrize("vector", FAST["valid"], ids=lambda one: one["signature"][:8])
def test_fast_vectors_hold_and_agree_with_the_reference(vector: dict[str, Any]) -> None:
    seed, public, message, context = raw(vector, "seed", "public", "message", "context")
    key_id, signature = raw(vector, "key_id", "signature")
    key = FastKey.from_seed(seed)
    assert key.public == FastVerifyKey(public)
    assert key.public.key_id == key_id == derive("ate key id", public)[:16]
    assert key.sign(message, context) == signature
    assert signature == reference_sign(seed, framed(message, context))
    FastVerifyKey(public).verify(signature, message, context)


@pytest.mark.parametrize("vector", FAST["invalid"], ids=lambda one: one["case"])
def test_invalid_fast_vectors_fail_as_they_say(vector: dict[str, Any]) -> None:
    public, message, context, signature = raw(vector, "public", "message", "context", "signature")
    with pytest.raises(errors.codes()[vector["failure"]]):
        FastVerifyKey(public).verify(signature, message, context)


# --- composite keys --------------------------------------------------------------------------


def composed(message: bytes, context: bytes) -> bytes:
    """M' as the draft defines it, in bytes written out."""
    return (
        bytes.fromhex("436f6d706f73697465416c676f726974686d5369676e61747572657332303235")
        + bytes.fromhex("434f4d505349472d4d4c44534136352d456432353531392d534841353132")
        + bytes([len(context)])
        + context
        + hashlib.sha512(message).digest()
    )


def test_composite_vector_holds() -> None:
    (vector,) = COMPOSITE["valid"]
    public, key_id, message, context, signature = raw(
        vector, "public", "key_id", "message", "context", "signature"
    )
    assert KEY.public == VerifyKey(public)
    assert KEY.public.key_id == key_id == derive("ate key id", public)[:16]
    VerifyKey(public).verify(signature, message, context)


def test_each_half_of_the_composite_stands_alone() -> None:
    """Taken apart, the halves are an ML-DSA-65 and an Ed25519 signature of the same M'."""
    message, context = b"the message", b"the context"
    signature = KEY.sign(message, context)
    assert len(signature) == 3373
    lattice = MLDSA65PublicKey.from_public_bytes(KEY.public.raw[:1952])
    whole = composed(message, context)
    lattice.verify(signature[:3309], whole, b"COMPSIG-MLDSA65-Ed25519-SHA512")
    assert signature[3309:] == reference_sign(KEY.seed[32:], whole)


@pytest.mark.parametrize("vector", COMPOSITE["invalid"], ids=lambda one: one["case"])
def test_invalid_composite_vectors_fail_as_they_say(vector: dict[str, Any]) -> None:
    case = {**COMPOSITE["valid"][0], **vector}
    public, message, context, signature = raw(case, "public", "message", "context", "signature")
    with pytest.raises(errors.codes()[vector["failure"]]):
        VerifyKey(public).verify(signature, message, context)


def test_signatures_differ_and_all_verify() -> None:
    one, two = KEY.sign(b"m"), KEY.sign(b"m")
    assert one != two
    KEY.public.verify(memoryview(one), bytearray(b"m"))
    KEY.public.verify(two, b"m")


# --- both ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SigningKey, FastKey])
def test_generated_keys_come_from_the_entropy(kind: type[SigningKey | FastKey]) -> None:
    assert kind.generate().seed != kind.generate().seed
    seeded = kind.generate(SeededEntropy(1))
    assert seeded.seed == kind.from_seed(seeded.seed).seed
    assert seeded.public == kind.generate(SeededEntropy(1)).public
    with pytest.raises(UsageError):
        kind.from_seed(seeded.seed[1:])
    with pytest.raises(UsageError):
        seeded.sign(b"", bytes(sign.CONTEXT_BYTES_MAX + 1))


def test_a_public_key_is_told_by_its_length() -> None:
    fast = FastKey.generate().public
    assert verify_key(KEY.public.raw) == KEY.public
    assert verify_key(memoryview(fast.raw)) == fast
    for length in (0, 31, 33, 1952, 1985):
        with pytest.raises(ProtocolError):
            verify_key(bytes(length))


def test_public_keys_are_values() -> None:
    fast = FastKey.generate().public
    assert {KEY.public, VerifyKey(KEY.public.raw)} == {KEY.public}
    assert {fast, FastVerifyKey(fast.raw)} == {fast}
    assert KEY.public != fast
    assert fast != KEY.public


async def test_many_are_verified_in_one_call() -> None:
    fast = FastKey.generate()
    good: list[VerifyItem] = [
        (KEY.public, KEY.sign(b"a", b"x"), b"a", b"x"),
        (fast.public, fast.sign(b"b"), b"b", b""),
    ]
    await verify_many(good)
    await verify_many([])
    with pytest.raises(BadSignature, match="item 1"):
        await verify_many([good[0], (fast.public, good[1][1], b"c", b"")])


def test_seeds_show_nowhere() -> None:
    """Neither a key's text nor an error holds any eight bytes of its seed."""
    for key in (KEY, FastKey.generate()):
        texts = [repr(key), str(key), f"{key}", repr(key.public)]
        with pytest.raises(BadSignature) as refused:
            key.public.verify(key.sign(b"a"), b"b")
        with pytest.raises(UsageError) as short:
            type(key).from_seed(key.seed[:-1])
        texts += [repr(refused.value), repr(short.value)]
        for text in texts:
            assert not any(key.seed[at : at + 4].hex() in text for at in range(0, 28, 4))
            assert repr(key.seed)[2:20] not in text
        assert not hasattr(key, "__dict__")
