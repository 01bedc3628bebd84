"""Signatures: the composite ML-DSA-65 + Ed25519 and plain Ed25519; it never says whom to trust.

The composite holds as long as one of its halves does. Its construction is that of
draft-ietf-lamps-pq-composite-sigs for MLDSA65-Ed25519-SHA512: both halves sign

    M' = prefix ‖ label ‖ len(context) ‖ context ‖ SHA-512(message)

and the label is also the context of the ML-DSA half. Seeds, public keys and signatures are the
ML-DSA part followed by the Ed25519 part. A fast key signs `ate/ed25519/1 ‖ len(context) ‖ context ‖
message`, so that neither kind of signature can ever be taken for the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from ate.crypto import sodium
from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.hash import Buffer, derive
from ate.errors import BadSignature, ProtocolError, UsageError

SEED_BYTES: Final = 64
PUBLIC_BYTES: Final = 1984
SIGNATURE_BYTES: Final = 3373
FAST_SEED_BYTES: Final = 32
FAST_PUBLIC_BYTES: Final = 32
FAST_SIGNATURE_BYTES: Final = 64
KEY_ID_BYTES: Final = 16
CONTEXT_BYTES_MAX: Final = 255

_PREFIX: Final = b"CompositeAlgorithmSignatures2025"
_LABEL: Final = b"COMPSIG-MLDSA65-Ed25519-SHA512"
_FAST_PREFIX: Final = b"ate/ed25519/1"
_LATTICE_SEED: Final = 32
_LATTICE_PUBLIC: Final = 1952
_LATTICE_SIGNATURE: Final = 3309


class VerifyKey:
    """The public half of a `SigningKey`.

    Args:
        raw: 1984 bytes.

    Raises:
        ProtocolError: the bytes are no such key.
    """

    __slots__ = ("_curve", "_id", "_lattice", "raw")

    def __init__(self, raw: Buffer) -> None:
        _check_public(raw, PUBLIC_BYTES)
        self.raw = bytes(raw)
        self._lattice = MLDSA65PublicKey.from_public_bytes(self.raw[:_LATTICE_PUBLIC])
        self._curve = Ed25519PublicKey.from_public_bytes(self.raw[_LATTICE_PUBLIC:])
        self._id = b""

    def __repr__(self) -> str:
        return f"VerifyKey({self.key_id.hex()[:8]})"

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, VerifyKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.raw)

    @property
    def key_id(self) -> bytes:
        """The 16 bytes by which a chain names this key."""
        if not self._id:
            self._id = _key_id(self.raw)
        return self._id

    def verify(self, signature: Buffer, message: Buffer, context: bytes = b"") -> None:
        """Return when both halves of `signature` are of this key over `message` in `context`.

        Raises:
            BadSignature: one of them is not.
            UsageError: the context is longer than 255 bytes.
        """
        composed = _compose(message, context)
        if len(signature) != SIGNATURE_BYTES:
            raise BadSignature(f"a composite signature has {SIGNATURE_BYTES} bytes")
        raw = bytes(signature)
        try:
            self._curve.verify(raw[_LATTICE_SIGNATURE:], composed)
            self._lattice.verify(raw[:_LATTICE_SIGNATURE], composed, _LABEL)
        except InvalidSignature:
            raise BadSignature(f"not a signature of key {self.key_id.hex()[:8]}") from None


class FastVerifyKey:
    """The public half of a `FastKey`; same verbs as `VerifyKey`.

    Args:
        raw: 32 bytes.

    Raises:
        ProtocolError: the bytes are no such key.
    """

    __slots__ = ("_curve", "_id", "raw")

    def __init__(self, raw: Buffer) -> None:
        _check_public(raw, FAST_PUBLIC_BYTES)
        self.raw = bytes(raw)
        self._curve = Ed25519PublicKey.from_public_bytes(self.raw)
        self._id = b""

    def __repr__(self) -> str:
        return f"FastVerifyKey({self.key_id.hex()[:8]})"

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, FastVerifyKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.raw)

    @property
    def key_id(self) -> bytes:
        """The 16 bytes by which a chain names this key."""
        if not self._id:
            self._id = _key_id(self.raw)
        return self._id

    def verify(self, signature: Buffer, message: Buffer, context: bytes = b"") -> None:
        """Return when `signature` is of this key over `message` in `context`.

        Raises:
            BadSignature: it is not.
            UsageError: the context is longer than 255 bytes.
        """
        framed = _frame(message, context)
        if sodium.vouches(self.raw, signature, framed):
            return
        try:
            self._curve.verify(signature, framed)
        except InvalidSignature:
            raise BadSignature(f"not a signature of key {self.key_id.hex()[:8]}") from None


AnyVerifyKey: TypeAlias = VerifyKey | FastVerifyKey
#: What `verify_many` takes: key, signature, message, context.
VerifyItem: TypeAlias = tuple[AnyVerifyKey, Buffer, Buffer, bytes]


class SigningKey:
    """A composite ML-DSA-65 + Ed25519 key: slow (about 1 ms), made to last.

    Make one with `generate` or `from_seed`. Signatures are randomised: two of one message differ.
    """

    __slots__ = ("_curve", "_lattice", "public", "seed")

    def __init__(self, seed: Buffer) -> None:
        _check_seed(seed, SEED_BYTES)
        self.seed: Final = bytes(seed)
        self._lattice = MLDSA65PrivateKey.from_seed_bytes(self.seed[:_LATTICE_SEED])
        self._curve = Ed25519PrivateKey.from_private_bytes(self.seed[_LATTICE_SEED:])
        self.public: Final = VerifyKey(
            self._lattice.public_key().public_bytes_raw()
            + self._curve.public_key().public_bytes_raw()
        )

    def __repr__(self) -> str:
        return f"SigningKey({self.public.key_id.hex()[:8]})"

    @classmethod
    def generate(cls, entropy: Entropy = system_entropy) -> SigningKey:
        """Return a new key."""
        return cls(entropy(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: Buffer) -> SigningKey:
        """Return the key of 64 secret bytes; raises UsageError at another length."""
        return cls(seed)

    def sign(self, message: Buffer, context: bytes = b"") -> bytes:
        """Return 3373 bytes that prove `message` in `context`.

        Raises:
            UsageError: the context is longer than 255 bytes.
        """
        composed = _compose(message, context)
        return self._lattice.sign(composed, _LABEL) + self._curve.sign(composed)


class FastKey:
    """An Ed25519 key for one session: fast, small, and certified by a `SigningKey`."""

    __slots__ = ("_curve", "public", "seed")

    def __init__(self, seed: Buffer) -> None:
        _check_seed(seed, FAST_SEED_BYTES)
        self.seed: Final = bytes(seed)
        self._curve = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.public: Final = FastVerifyKey(self._curve.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"FastKey({self.public.key_id.hex()[:8]})"

    @classmethod
    def generate(cls, entropy: Entropy = system_entropy) -> FastKey:
        """Return a new key."""
        return cls(entropy(FAST_SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: Buffer) -> FastKey:
        """Return the key of 32 secret bytes; raises UsageError at another length."""
        return cls(seed)

    def sign(self, message: Buffer, context: bytes = b"") -> bytes:
        """Return 64 bytes that prove `message` in `context`.

        Raises:
            UsageError: the context is longer than 255 bytes.
        """
        framed = _frame(message, context)
        return sodium.sign(self.seed + self.public.raw, framed) or self._curve.sign(framed)


def verify_key(raw: Buffer) -> AnyVerifyKey:
    """Return the public key in `raw`, its kind told by its length.

    Raises:
        ProtocolError: no kind of key has this length.
    """
    return FastVerifyKey(raw) if len(raw) == FAST_PUBLIC_BYTES else VerifyKey(raw)


async def verify_many(items: Iterable[VerifyItem]) -> None:
    """Return when every signature verifies.

    Raises:
        BadSignature: names the first item that does not.
    """
    for index, (key, signature, message, context) in enumerate(items):
        try:
            key.verify(signature, message, context)
        except BadSignature as error:
            raise BadSignature(f"item {index}: {error.message}") from None


def _compose(message: Buffer, context: bytes) -> bytes:
    _check_context(context)
    hashed = hashlib.sha512(message).digest()
    return b"".join((_PREFIX, _LABEL, bytes((len(context),)), context, hashed))


def _frame(message: Buffer, context: bytes) -> bytes:
    _check_context(context)
    return b"".join((_FAST_PREFIX, bytes((len(context),)), context, message))


def _key_id(public: bytes) -> bytes:
    return derive("ate key id", public)[:KEY_ID_BYTES]


def _check_context(context: bytes) -> None:
    size = len(context)
    if size > CONTEXT_BYTES_MAX:
        raise UsageError(f"a context has at most {CONTEXT_BYTES_MAX} bytes, this has {size}")


def _check_public(raw: Buffer, size: int) -> None:
    if len(raw) != size:
        raise ProtocolError(f"a public key of this kind has {size} bytes, this has {len(raw)}")


def _check_seed(seed: Buffer, size: int) -> None:
    if len(seed) != size:
        raise UsageError(f"the seed of such a key has {size} bytes, this has {len(seed)}")
