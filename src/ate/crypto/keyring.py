"""A ring of keys: finds private keys by key id; it knows nothing of sessions, chains or rules."""

from __future__ import annotations

import struct
from typing import Final

from ate.crypto import kem, sign
from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.hash import Buffer
from ate.crypto.kdf import COST, Cost, open_with_passphrase, seal_with_passphrase
from ate.crypto.kem import SealingKey
from ate.crypto.sign import KEY_ID_BYTES, SigningKey
from ate.errors import CannotOpen, UsageError

_MAGIC: Final = b"ATERING1"
_COUNTS: Final = struct.Struct("<II")
_SEALING: Final = struct.Struct(f"{KEY_ID_BYTES}s{kem.SEED_BYTES}s")


class Keyring:
    """Signing keys, sealing keys and, as a cache, the epoch keys opened with them.

    A sealing key may be filed under the id of the signing key it belongs to. Epoch keys are not
    exported: the chain gives them again.
    """

    __slots__ = ("_epochs", "_sealing", "_signing")

    def __init__(self) -> None:
        self._signing: dict[bytes, SigningKey] = {}
        self._sealing: dict[bytes, SealingKey] = {}
        self._epochs: dict[tuple[bytes, int], bytes] = {}

    def __repr__(self) -> str:
        return (
            f"Keyring({len(self._signing)} signing, {len(self._sealing)} sealing, "
            f"{len(self._epochs)} epoch keys)"
        )

    def add_signing(self, key: SigningKey) -> bytes:
        """Take up a signing key; returns its id."""
        self._signing[key.public.key_id] = key
        return key.public.key_id

    def add_sealing(self, key: SealingKey, key_id: bytes | None = None) -> bytes:
        """Take up a sealing key under `key_id`, by default its own; returns the id.

        Raises:
            UsageError: the id is not 16 bytes long.
        """
        chosen = key.public.key_id if key_id is None else bytes(key_id)
        if len(chosen) != KEY_ID_BYTES:
            raise UsageError(f"a key id has {KEY_ID_BYTES} bytes, this has {len(chosen)}")
        self._sealing[chosen] = key
        return chosen

    def signing(self, key_id: bytes) -> SigningKey | None:
        """Return the signing key of that id, or None."""
        return self._signing.get(key_id)

    def sealing(self, key_id: bytes) -> SealingKey | None:
        """Return the sealing key of that id, or None."""
        return self._sealing.get(key_id)

    def signing_ids(self) -> tuple[bytes, ...]:
        """Return the ids of all signing keys, oldest first."""
        return tuple(self._signing)

    def sealing_ids(self) -> tuple[bytes, ...]:
        """Return the ids of all sealing keys, oldest first."""
        return tuple(self._sealing)

    def remember_epoch(self, domain: bytes, epoch: int, key: bytes) -> None:
        """Cache the opened key of one epoch of a read domain."""
        self._epochs[domain, epoch] = key

    def epoch_key(self, domain: bytes, epoch: int) -> bytes | None:
        """Return a cached epoch key, or None."""
        return self._epochs.get((domain, epoch))

    def forget_epochs(self, domain: bytes | None = None) -> None:
        """Drop the cached epoch keys of one read domain, or of all."""
        self._epochs = {
            place: key
            for place, key in self._epochs.items()
            if domain is not None and place[0] != domain
        }

    def export(
        self, passphrase: str, *, cost: Cost = COST, entropy: Entropy = system_entropy
    ) -> bytes:
        """Return all signing and sealing keys, sealed under `passphrase`."""
        parts = [_COUNTS.pack(len(self._signing), len(self._sealing))]
        parts += [key.seed for key in self._signing.values()]
        parts += [_SEALING.pack(key_id, key.seed) for key_id, key in self._sealing.items()]
        box = seal_with_passphrase(b"".join(parts), passphrase, cost=cost, entropy=entropy)
        return _MAGIC + box

    @classmethod
    def load(cls, blob: Buffer, passphrase: str) -> Keyring:
        """Read what `export` returned.

        Raises:
            CannotOpen: wrong passphrase, altered bytes, or no keyring.
        """
        if bytes(blob[: len(_MAGIC)]) != _MAGIC:
            raise CannotOpen("this is no keyring")
        raw = open_with_passphrase(blob[len(_MAGIC) :], passphrase)
        signing, sealing = _COUNTS.unpack_from(raw) if len(raw) >= _COUNTS.size else (0, 0)
        split = _COUNTS.size + signing * sign.SEED_BYTES
        if len(raw) != split + sealing * _SEALING.size:
            raise CannotOpen("the keyring has an unknown form")
        ring = cls()
        for at in range(_COUNTS.size, split, sign.SEED_BYTES):
            ring.add_signing(SigningKey.from_seed(raw[at : at + sign.SEED_BYTES]))
        for key_id, seed in _SEALING.iter_unpack(raw[split:]):
            ring.add_sealing(SealingKey.from_seed(seed), key_id)
        return ring
