"""HPKE with X-Wing against a second opening written from RFC 9180 and the X-Wing draft."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ate import errors
from ate.crypto import kem
from ate.crypto.entropy import SeededEntropy
from ate.crypto.kem import PublicSealingKey, SealingKey
from ate.errors import CannotOpen, ProtocolError, UsageError

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "crypto" / "xwing.json").read_text())
VALID = VECTORS["valid"][0]
KEY = SealingKey.from_seed(bytes.fromhex(VALID["seed"]))
SECRET = b"thirty-two bytes of a secret key"
SUITE = b"HPKE" + bytes.fromhex("647a00010002")


def labelled_extract(salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + SUITE + label + material, "sha256")


def labelled_expand(key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    text = length.to_bytes(2, "big") + b"HPKE-v1" + SUITE + label + info
    return hmac.digest(key, text + b"\1", "sha256")[:length]


def opened(seed: bytes, wrapped: bytes, info: bytes) -> bytes:
    """X-Wing decapsulation, the HPKE key schedule in base mode, one AEAD call."""
    expanded = hashlib.shake_256(seed).digest(96)
    curve = X25519PrivateKey.from_private_bytes(expanded[64:])
    lattice_part, curve_part = wrapped[:1088], wrapped[1088:1120]
    shared = hashlib.sha3_256(
        MLKEM768PrivateKey.from_seed_bytes(expanded[:64]).decapsulate(lattice_part)
        + curve.exchange(X25519PublicKey.from_public_bytes(curve_part))
        + curve_part
        + curve.public_key().public_bytes_raw()
        + bytes.fromhex("5c2e2f2f5e5c")
    ).digest()
    context = b"\0" + labelled_extract(b"", b"psk_id_hash", b"")
    context += labelled_extract(b"", b"info_hash", info)
    secret = labelled_extract(shared, b"secret", b"")
    key = labelled_expand(secret, b"key", context, 32)
    nonce = labelled_expand(secret, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, wrapped[1120:], b"")


def test_the_key_is_the_first_one_of_the_draft() -> None:
    assert KEY.public.raw.hex().startswith(
        "e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5b19cfc3d"
    )
    assert KEY.public == PublicSealingKey(bytes.fromhex(VALID["public"]))
    assert KEY.public.key_id.hex() == VALID["key_id"]


def test_the_vector_opens_here_and_by_the_book() -> None:
    wrapped, info = bytes.fromhex(VALID["wrapped"]), bytes.fromhex(VALID["info"])
    assert KEY.unwrap(wrapped, info).hex() == VALID["secret"]
    assert opened(KEY.seed, wrapped, info).hex() == VALID["secret"]


def test_what_is_wrapped_here_opens_by_the_book() -> None:
    for info in (b"", b"ate/test", bytes(200)):
        wrapped = KEY.public.wrap(SECRET, info)
        assert len(wrapped) == kem.WRAPPED_BYTES == 1168
        assert opened(KEY.seed, wrapped, info) == SECRET
        assert KEY.unwrap(memoryview(wrapped), info) == SECRET
    assert KEY.public.wrap(SECRET) != KEY.public.wrap(SECRET)


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda one: one["case"])
def test_invalid_vectors_fail_as_they_say(vector: dict[str, Any]) -> None:
    case = {name: bytes.fromhex(VALID[name]) for name in ("seed", "public", "wrapped", "info")}
    case |= {name: bytes.fromhex(vector[name]) for name in case if name in vector}
    with pytest.raises(errors.codes()[vector["failure"]]):
        PublicSealingKey(case["public"])
        SealingKey.from_seed(case["seed"]).unwrap(case["wrapped"], case["info"])


def test_a_key_without_shared_secret_takes_nothing() -> None:
    """The all-zero X25519 point would make half of the secret known to everybody."""
    poisoned = PublicSealingKey(KEY.public.raw[:1184] + bytes(32))
    with pytest.raises(ProtocolError):
        poisoned.wrap(SECRET)


def test_only_secrets_of_a_key_s_size_are_wrapped() -> None:
    with pytest.raises(UsageError):
        KEY.public.wrap(SECRET[1:])


def test_generated_keys_come_from_the_entropy() -> None:
    assert SealingKey.generate().seed != SealingKey.generate().seed
    assert SealingKey.generate(SeededEntropy(1)).public == SealingKey.generate(
        SeededEntropy(1)
    ).public  # fmt: skip


def test_public_keys_are_values() -> None:
    assert {KEY.public, PublicSealingKey(KEY.public.raw)} == {KEY.public}
    assert KEY.public != KEY.public.raw


def test_secrets_show_nowhere() -> None:
    key = SealingKey.from_seed(b"hunter2 hunter2 hunter2 hunter2.")
    with pytest.raises(CannotOpen) as refused:
        key.unwrap(KEY.public.wrap(SECRET))
    with pytest.raises(UsageError) as short:
        SealingKey.from_seed(b"hunter2")
    with pytest.raises(UsageError) as odd:
        key.public.wrap(b"hunter2")
    for text in map(repr, (key, key.public, refused.value, short.value, odd.value)):
        assert "hunter2" not in text
        assert b"hunter2".hex() not in text
    assert not hasattr(key, "__dict__")
