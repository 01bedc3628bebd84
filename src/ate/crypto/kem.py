"""Wrapping of secrets to a public key: HPKE with X-Wing; it never chooses who may read.

HPKE base mode (RFC 9180), KEM X-Wing (ML-KEM-768 + X25519, id 0x647a), HKDF-SHA256, AES-256-GCM. A
private key is X-Wing's 32-byte seed. A wrapped secret does not say who wrapped it: sign what
carries it.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.hash import Buffer, derive
from ate.errors import CannotOpen, ProtocolError, UsageError

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 1216
SECRET_BYTES: Final = 32
#: How much longer a wrapped secret is than the secret: what the KEM sends, and the tag.
OVERHEAD_BYTES: Final = 1136
WRAPPED_BYTES: Final = SECRET_BYTES + OVERHEAD_BYTES
_LATTICE_PUBLIC: Final = 1184
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class PublicSealingKey:
    """The public half of a `SealingKey`: anybody can wrap a secret to it.

    Args:
        raw: 1216 bytes.

    Raises:
        ProtocolError: the bytes are no such key.
    """

    __slots__ = ("_key", "raw")

    def __init__(self, raw: Buffer) -> None:
        self.raw = bytes(raw)
        if len(self.raw) != PUBLIC_BYTES:
            raise ProtocolError(
                f"a public sealing key has {PUBLIC_BYTES} bytes, this has {len(self.raw)}"
            )
        try:
            lattice = MLKEM768PublicKey.from_public_bytes(self.raw[:_LATTICE_PUBLIC])
            curve = X25519PublicKey.from_public_bytes(self.raw[_LATTICE_PUBLIC:])
        except ValueError:
            raise ProtocolError("these bytes are no public sealing key") from None
        self._key = MLKEM768X25519PublicKey(lattice, curve)

    def __repr__(self) -> str:
        return f"PublicSealingKey({self.key_id.hex()[:8]})"

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, PublicSealingKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.raw)

    @property
    def key_id(self) -> bytes:
        """16 bytes that name this key."""
        return derive("ate sealing key id", self.raw)[:16]

    def wrap(self, secret: Buffer, info: Buffer = b"") -> bytes:
        """Return a 32-byte secret, wrapped so that only the private half opens it: 1168 bytes.

        Args:
            info: what the wrapped secret is for; `unwrap` must be given the same.

        Raises:
            UsageError: the secret has another length.
            ProtocolError: the key is one that gives no shared secret.
        """
        if len(secret) != SECRET_BYTES:
            raise UsageError(f"a secret to wrap has {SECRET_BYTES} bytes, this has {len(secret)}")
        try:
            return _SUITE.encrypt(secret, self._key, info)
        except ValueError:
            raise ProtocolError("nothing can be wrapped to this public sealing key") from None


class SealingKey:
    """A private X-Wing key. Make one with `generate` or `from_seed`."""

    __slots__ = ("_key", "public", "seed")

    def __init__(self, seed: Buffer) -> None:
        if len(seed) != SEED_BYTES:
            raise UsageError(
                f"the seed of a sealing key has {SEED_BYTES} bytes, this has {len(seed)}"
            )
        self.seed: Final = bytes(seed)
        expanded = hashlib.shake_256(self.seed).digest(96)
        lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        curve = X25519PrivateKey.from_private_bytes(expanded[64:])
        self._key = MLKEM768X25519PrivateKey(lattice, curve)
        self.public: Final = PublicSealingKey(
            lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        )

    def __repr__(self) -> str:
        return f"SealingKey({self.public.key_id.hex()[:8]})"

    @classmethod
    def generate(cls, entropy: Entropy = system_entropy) -> SealingKey:
        """Return a new key."""
        return cls(entropy(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: Buffer) -> SealingKey:
        """Return the key of 32 secret bytes; raises UsageError at another length."""
        return cls(seed)

    def unwrap(self, wrapped: Buffer, info: Buffer = b"") -> bytes:
        """Return the secret that was wrapped to this key for `info`.

        Raises:
            CannotOpen: wrapped to another key, for something else, or altered.
        """
        secret = b""
        if len(wrapped) == WRAPPED_BYTES:
            try:
                secret = _SUITE.decrypt(wrapped, self._key, info)
            except (InvalidTag, ValueError):
                secret = b""
        if not secret:
            raise CannotOpen("a wrapped secret does not open with this key")
        return secret
