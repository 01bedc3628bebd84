from __future__ import annotations

import pytest

from ate.crypto.entropy import SeededEntropy
from ate.crypto.kdf import Cost, seal_with_passphrase
from ate.crypto.kem import SealingKey
from ate.crypto.keyring import Keyring
from ate.crypto.sign import SigningKey
from ate.errors import CannotOpen, UsageError

CHEAP = Cost(64, 1, 1)
SIGNING = SigningKey.from_seed(b"s" * 64)
SEALING = SealingKey.from_seed(b"k" * 32)
DOMAIN = b"d" * 16


def filled() -> Keyring:
    ring = Keyring()
    ring.add_signing(SIGNING)
    ring.add_sealing(SEALING, SIGNING.public.key_id)
    ring.add_sealing(SEALING)
    return ring


def test_keys_are_found_by_id() -> None:
    ring = filled()
    assert ring.signing(SIGNING.public.key_id) is SIGNING
    assert ring.sealing(SIGNING.public.key_id) is SEALING
    assert ring.sealing(SEALING.public.key_id) is SEALING
    assert ring.signing(bytes(16)) is None
    assert ring.sealing(bytes(16)) is None
    assert ring.signing_ids() == (SIGNING.public.key_id,)
    assert ring.sealing_ids() == (SIGNING.public.key_id, SEALING.public.key_id)


def test_an_id_has_sixteen_bytes() -> None:
    with pytest.raises(UsageError):
        Keyring().add_sealing(SEALING, b"short")


def test_epoch_keys_are_a_cache() -> None:
    ring = filled()
    ring.remember_epoch(DOMAIN, 1, b"1" * 32)
    ring.remember_epoch(DOMAIN, 2, b"2" * 32)
    ring.remember_epoch(bytes(16), 1, b"3" * 32)
    assert ring.epoch_key(DOMAIN, 2) == b"2" * 32
    assert ring.epoch_key(DOMAIN, 3) is None
    ring.forget_epochs(DOMAIN)
    assert ring.epoch_key(DOMAIN, 1) is None
    assert ring.epoch_key(bytes(16), 1) == b"3" * 32
    again = Keyring.load(ring.export("x", cost=CHEAP), "x")
    assert again.epoch_key(bytes(16), 1) is None
    ring.forget_epochs()
    assert ring.epoch_key(bytes(16), 1) is None


def test_what_is_exported_is_loaded() -> None:
    ring = filled()
    again = Keyring.load(memoryview(ring.export("open sesame", cost=CHEAP)), "open sesame")
    assert again.signing_ids() == ring.signing_ids()
    assert again.sealing_ids() == ring.sealing_ids()
    loaded = again.sealing(SIGNING.public.key_id)
    assert loaded is not None
    assert loaded.seed == SEALING.seed
    empty = Keyring.load(Keyring().export("", cost=CHEAP), "")
    assert empty.signing_ids() == empty.sealing_ids() == ()


def test_an_export_repeats_from_its_entropy() -> None:
    one, two = (filled().export("x", cost=CHEAP, entropy=SeededEntropy(3)) for _ in range(2))
    assert one == two


def test_other_bytes_are_no_keyring() -> None:
    blob = filled().export("x", cost=CHEAP)
    altered = blob[:-1] + bytes([blob[-1] ^ 1])
    for wrong in (b"", blob[:20], blob[1:], altered):
        with pytest.raises(CannotOpen):
            Keyring.load(wrong, "x")
    with pytest.raises(CannotOpen):
        Keyring.load(blob, "y")


@pytest.mark.parametrize("content", [b"", b"\1" + bytes(7), bytes(9), b"\xff" * 8])
def test_a_box_with_something_else_in_it_is_no_keyring(content: bytes) -> None:
    with pytest.raises(CannotOpen):
        Keyring.load(b"ATERING1" + seal_with_passphrase(content, "x", cost=CHEAP), "x")


def test_secrets_show_nowhere() -> None:
    ring = filled()
    ring.remember_epoch(DOMAIN, 1, b"epoch secret epoch secret epoch.")
    blob = ring.export("hunter2", cost=CHEAP)
    with pytest.raises(CannotOpen) as refused:
        Keyring.load(blob, "hunter3")
    for text in (repr(ring), str(ring), repr(refused.value)):
        for secret in ("sssss", "kkkkk", "epoch secret", "hunter", b"sssss".hex()):
            assert secret not in text
    assert SIGNING.seed[:16] not in blob
    assert SEALING.seed[:16] not in blob
