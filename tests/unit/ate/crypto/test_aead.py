"""AES-256-GCM against the vectors of its specification and a GHASH done in plain integers."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ate import errors
from ate.crypto.aead import TAG_BYTES, Sealer, open_many, seal_many
from ate.errors import CannotOpen, UsageError

VECTORS = json.loads(
    (Path(__file__).parents[3] / "vectors" / "crypto" / "aes256gcm.json").read_text()
)
KEY = b"an AES key of thirty-two bytes.."
T = TypeVar("T")


def driven(call: Coroutine[Any, Any, T]) -> T:
    """Run a batch call without an event loop: it must not suspend."""
    with pytest.raises(StopIteration) as stopped:
        call.send(None)
    value: T = stopped.value.value
    return value


def raw(vector: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]


def multiplied(x: int, y: int) -> int:
    product = 0
    for bit in range(127, -1, -1):
        if y >> bit & 1:
            product ^= x
        x = x >> 1 ^ (0xE1 << 120 if x & 1 else 0)
    return product


def reference(key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
    """GCM from the block cipher up, as its specification defines it."""
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    hash_key = int.from_bytes(block.update(bytes(16)), "big")
    first = nonce + b"\0\0\0\1"
    stream = Cipher(algorithms.AES(key), modes.CTR(nonce + b"\0\0\0\2")).encryptor()
    sealed = stream.update(plain)
    lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(sealed)).to_bytes(8, "big")
    hashed = aad + bytes(-len(aad) % 16) + sealed + bytes(-len(sealed) % 16) + lengths
    total = 0
    for at in range(0, len(hashed), 16):
        total = multiplied(total ^ int.from_bytes(hashed[at : at + 16], "big"), hash_key)
    mask = int.from_bytes(block.update(first), "big")
    return sealed + (total ^ mask).to_bytes(16, "big")


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda one: one["case"])
def test_vectors_hold_and_agree_with_the_reference(vector: dict[str, Any]) -> None:
    key, nonce, plain, aad, sealed = raw(vector, "key", "nonce", "plain", "aad", "sealed")
    sealer = Sealer(key)
    assert sealer.seal(nonce, plain, aad) == sealed == reference(key, nonce, plain, aad)
    assert sealer.open(nonce, sealed, aad) == plain
    assert len(sealed) == len(plain) + TAG_BYTES


def test_the_vectors_of_the_specification_are_the_published_ones() -> None:
    tags = [vector["sealed"][-32:] for vector in VECTORS["valid"][:3]]
    assert tags == [
        "530f8afbc74536b9a963b4f1c4cb738b",
        "d0d1c8a799996bf0265b98b5d48ab919",
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ]


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda one: one["case"])
def test_invalid_vectors_fail_as_they_say(vector: dict[str, Any]) -> None:
    key, nonce, aad, sealed = raw(vector, "key", "nonce", "aad", "sealed")
    with pytest.raises(errors.codes()[vector["failure"]]):
        Sealer(key).open(nonce, sealed, aad)


def test_a_batch_counts_its_nonces_up() -> None:
    batch = VECTORS["batch"]
    sealer, first = Sealer(bytes.fromhex(batch["key"])), batch["first_index"]
    plains, aads, sealed = ([bytes.fromhex(one) for one in batch[name]] for name in
                            ("plains", "aads", "sealed"))  # fmt: skip
    assert driven(seal_many(sealer, plains, aads, first)) == sealed
    assert driven(open_many(sealer, sealed, aads, first)) == plains
    for index, item in enumerate(sealed):
        nonce = (first + index).to_bytes(12, "little")
        assert sealer.open(nonce, item, aads[index]) == plains[index]


def test_batches_take_any_buffer_and_none_at_all() -> None:
    sealer = Sealer(bytearray(KEY))
    sealed = driven(seal_many(sealer, [memoryview(b"a"), bytearray(b"b")], [b"", b"x"]))
    assert driven(open_many(sealer, [memoryview(one) for one in sealed], [b"", b"x"])) == [
        b"a",
        b"b",
    ]
    assert driven(seal_many(sealer, [], [])) == []
    assert driven(open_many(sealer, [], [])) == []


def test_a_batch_opens_whole_or_not_at_all_and_names_the_item() -> None:
    sealer, aads = Sealer(KEY), [b""] * 3
    sealed = driven(seal_many(sealer, [b"a", b"b", b"c"], aads, 40))
    sealed[1], sealed[2] = sealed[2], sealed[1]
    with pytest.raises(CannotOpen, match="item 41 "):
        open_many(sealer, sealed, aads, 40).send(None)


@pytest.mark.parametrize("call", [seal_many, open_many])
def test_batches_check_their_shape(call: Any) -> None:
    for plains, aads, first in (([b"a"], [], 0), ([], [], -1), ([b"a"], [b""], 1 << 96)):
        with pytest.raises(UsageError):
            call(Sealer(KEY), plains, aads, first).send(None)


def test_sealing_checks_the_nonce_too() -> None:
    with pytest.raises(UsageError):
        Sealer(KEY).seal(bytes(8), b"", b"")


def test_the_key_shows_nowhere() -> None:
    sealer = Sealer(KEY)
    with pytest.raises(CannotOpen) as refused:
        sealer.open(bytes(12), b"sealed nonsense, long enough", b"")
    with pytest.raises(UsageError) as short:
        Sealer(b"hunter2")
    for text in (repr(sealer), str(sealer), repr(refused.value), repr(short.value)):
        assert "AES key" not in text
        assert "hunter2" not in text
        assert KEY.hex() not in text
    assert not hasattr(sealer, "__dict__")
