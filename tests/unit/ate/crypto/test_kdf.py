"""Passphrase boxes: Argon2id against RFC 9106, and boxes opened by hand."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ate import errors
from ate.crypto.entropy import SeededEntropy
from ate.crypto.kdf import (
    COST,
    COST_MAX,
    Cost,
    open_with_passphrase,
    seal_with_passphrase,
    stretch,
)
from ate.errors import CannotOpen, UsageError

VECTORS = json.loads(
    (Path(__file__).parents[3] / "vectors" / "crypto" / "argon2id.json").read_text()
)
CHEAP = Cost(64, 1, 1)
SALT = bytes(16)


def opened_by_hand(box: bytes, passphrase: str) -> bytes:
    """The box as its specification reads, without any of our code."""
    magic, memory, iterations, lanes, salt, commitment = struct.unpack("<8sIII16s16s", box[:52])
    assert magic == b"ATEPASS1"
    stretched = Argon2id(
        salt=salt, length=32, iterations=iterations, lanes=lanes, memory_cost=memory
    ).derive(passphrase.encode())
    derived = blake3(stretched, derive_key_context="ate passphrase commitment").digest()
    assert derived[:16] == commitment
    key = blake3(stretched, derive_key_context="ate passphrase key").digest()
    return AESGCM(key).decrypt(bytes(12), box[52:], box[:52])


def test_the_library_s_argon2id_is_that_of_the_rfc() -> None:
    rfc = VECTORS["rfc9106"]
    password, salt, secret, ad = (
        bytes.fromhex(rfc[name]) for name in ("password", "salt", "secret", "ad")
    )
    made = Argon2id(
        salt=salt,
        length=32,
        iterations=rfc["iterations"],
        lanes=rfc["lanes"],
        memory_cost=rfc["memory_kib"],
        ad=ad,
        secret=secret,
    )
    assert made.derive(password).hex() == rfc["tag"]


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda one: one["salt"][:8])
def test_vectors_open_here_and_by_hand(vector: dict[str, Any]) -> None:
    box, passphrase = bytes.fromhex(vector["box"]), vector["passphrase"]
    cost = Cost(vector["memory_kib"], vector["iterations"], vector["lanes"])
    assert stretch(passphrase, bytes.fromhex(vector["salt"]), cost).hex() == vector["stretched"]
    assert open_with_passphrase(box, passphrase).hex() == vector["secret"]
    assert opened_by_hand(box, passphrase).hex() == vector["secret"]


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda one: one["case"])
def test_invalid_vectors_fail_as_they_say(vector: dict[str, Any]) -> None:
    with pytest.raises(errors.codes()[vector["failure"]]):
        open_with_passphrase(bytes.fromhex(vector["box"]), vector["passphrase"])


def test_a_box_opens_with_its_passphrase_only() -> None:
    box = seal_with_passphrase(bytearray(b"the secret"), "open sesame", cost=CHEAP)
    assert open_with_passphrase(memoryview(box), "open sesame") == b"the secret"
    with pytest.raises(CannotOpen):
        open_with_passphrase(box, "open barley")


def test_salt_comes_from_the_entropy() -> None:
    def sealed(seed: int) -> bytes:
        return seal_with_passphrase(b"", "x", cost=CHEAP, entropy=SeededEntropy(seed))

    assert sealed(1) == sealed(1)
    assert sealed(1)[20:36] != sealed(2)[20:36]


def test_the_same_text_from_another_keyboard_is_the_same_passphrase() -> None:
    assert stretch("Caf\u00e9", SALT, CHEAP) == stretch("Cafe\u0301", SALT, CHEAP)
    assert stretch("Cafe", SALT, CHEAP) != stretch("Caf\u00e9", SALT, CHEAP)


def test_the_usual_cost_is_not_cheap() -> None:
    assert Cost(64 * 1024, 3, 1) <= COST
    assert len(stretch("x", SALT)) == 32


@pytest.mark.parametrize(
    "cost",
    [
        Cost(0, 1, 1),
        Cost(64, 0, 1),
        Cost(64, 1, 0),
        Cost(15, 1, 2),
        COST_MAX._replace(memory_kib=COST_MAX.memory_kib + 1),
        COST_MAX._replace(iterations=COST_MAX.iterations + 1),
        COST_MAX._replace(lanes=COST_MAX.lanes + 1),
    ],
)
def test_a_cost_out_of_bounds_is_refused(cost: Cost) -> None:
    with pytest.raises(UsageError):
        stretch("x", SALT, cost)


def test_a_short_salt_is_refused() -> None:
    with pytest.raises(UsageError):
        stretch("x", bytes(15), CHEAP)


def test_passphrase_and_secret_show_in_no_error() -> None:
    """The whole chain of causes is searched: a codec's error would carry the text."""
    box = seal_with_passphrase(b"top secret", "hunter2", cost=CHEAP)
    caught: list[BaseException] = []
    for passphrase in ("hunter3", "hunter2\ud800"):
        with pytest.raises((CannotOpen, UsageError)) as raised:
            open_with_passphrase(box, passphrase)
        caught.append(raised.value)
    with pytest.raises(UsageError) as raised:
        seal_with_passphrase(b"top secret", "hunter2\ud800", cost=CHEAP)
    caught.append(raised.value)
    for error in caught:
        link: BaseException | None = error
        while link is not None:
            assert "hunter" not in repr(link)
            assert "top secret" not in repr(link)
            assert not isinstance(link, UnicodeError)
            link = link.__cause__ or link.__context__
