r"""What a server says about a chain over its signature: it can be shown to others, and bind it.

A statement is signed by a fast key, which the server's identity has certified for some days: one
costs microseconds then and not a millisecond. It says nothing about who may write; and a server
that states nothing cannot be caught by this.

    magic "ATESTA1\n" · one MessagePack array in its shortest form
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Final, Self

import msgspec

from ate import limits
from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.hash import derive
from ate.crypto.sign import (
    FAST_PUBLIC_BYTES,
    FAST_SIGNATURE_BYTES,
    PUBLIC_BYTES,
    SIGNATURE_BYTES,
    FastKey,
    FastVerifyKey,
    SigningKey,
    VerifyKey,
)
from ate.errors import BadSignature, ProtocolError, UnsupportedFormat, UntrustedRoot, UsageError
from ate.event.system import Unsigned

MAGIC: Final = b"ATESTA1\n"
HEAD_CONTEXT: Final = b"ate/server head/1"
CERTIFICATE_CONTEXT: Final = b"ate/server certificate/1"
#: A fast key signs for this long: as long as a thief of it could speak for the server.
KEY_DAYS: Final = 7
_KEY_US: Final = KEY_DAYS * 86_400_000_000
_FAMILY: Final = MAGIC[:6]
_HASH_BYTES: Final = 32

Hash = Annotated[bytes, msgspec.Meta(min_length=_HASH_BYTES, max_length=_HASH_BYTES)]
Key = Annotated[bytes, msgspec.Meta(min_length=PUBLIC_BYTES, max_length=PUBLIC_BYTES)]
Seal = Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
FastPublic = Annotated[
    bytes, msgspec.Meta(min_length=FAST_PUBLIC_BYTES, max_length=FAST_PUBLIC_BYTES)
]
FastSeal = Annotated[
    bytes, msgspec.Meta(min_length=FAST_SIGNATURE_BYTES, max_length=FAST_SIGNATURE_BYTES)
]


class KeyCertificate(msgspec.Struct, frozen=True, array_like=True):
    """The server's identity says: this fast key makes statements for me, from then until then.

    Args:
        subject: Ed25519 public key.
        issuer: composite public key, the server's identity.
        from_us, until_us: first and last microsecond.
        signature: composite, over `message()`.
    """

    subject: FastPublic
    issuer: Key
    from_us: Unsigned
    until_us: Unsigned
    signature: Seal

    def message(self) -> bytes:
        """Return the bytes that are signed."""
        return b"".join((self.subject, self.issuer, _number(self.from_us), _number(self.until_us)))


class HeadStatement(msgspec.Struct, frozen=True, array_like=True):
    """What a server says that it holds durably of one chain.

    Args:
        chain_id: of the chain.
        size, root: so many commits, under this RFC 9162 root.
        head: the newest seq.
        time_us: the server's time.
        epoch: of its ownership of the chain.
        answers: hash of the newest statement that the client had shown, or empty. Nobody can name
            the hash of what is not said yet: so this one came later.
        certificate: of the key that signed.
        signature: by that key, over `message()`.
    """

    chain_id: Hash
    size: Unsigned
    root: Hash
    head: Unsigned
    time_us: Unsigned
    epoch: Unsigned
    answers: Annotated[bytes, msgspec.Meta(max_length=_HASH_BYTES)]
    certificate: KeyCertificate
    signature: FastSeal

    def __repr__(self) -> str:
        return (
            f"HeadStatement({self.size} commits, root {self.root.hex()[:8]}, "
            f"by {self.server.key_id.hex()[:8]})"
        )

    @property
    def server(self) -> VerifyKey:
        """The identity that answers for it."""
        return VerifyKey(self.certificate.issuer)

    @property
    def hash(self) -> bytes:
        """What a later statement names in `answers`: of what is said and by whom, and of no more.

        The key that signed is not in it, nor the signature: the same words are the same statement.
        """
        return derive("ate head statement", self.message())

    def message(self) -> bytes:
        """Return the bytes that are signed."""
        said = (
            self.chain_id, _number(self.size), self.root, _number(self.head),
            _number(self.time_us), _number(self.epoch), self.certificate.issuer, self.answers,
        )  # fmt: skip
        return b"".join(said)

    def encode(self) -> bytes:
        """Return the bytes that cross the wire and are kept."""
        return MAGIC + msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, raw: bytes | bytearray | memoryview) -> Self:
        """Read a statement; nothing in it is believed yet.

        Raises:
            UnsupportedFormat: it is none, or one of a newer version.
            LimitExceeded: it is larger than any.
            ProtocolError: it is damaged.
        """
        limits.check("bytes of a statement", len(raw), limits.STATEMENT_BYTES_MAX)
        raw = bytes(raw)
        if not raw.startswith(MAGIC):
            newer = raw.startswith(_FAMILY)
            raise UnsupportedFormat(
                "a statement of a newer version" if newer else "this is no statement of a server",
                hint="read it with a newer ate" if newer else "",
            )
        try:
            found = msgspec.msgpack.decode(raw[len(MAGIC) :], type=cls)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise ProtocolError(f"the statement does not decode: {error}") from None
        if found.encode() != raw or len(found.answers) not in (0, _HASH_BYTES):
            raise ProtocolError("the statement is not in its one and only form")
        if max(found.time_us, found.certificate.until_us) > limits.TIME_US_MAX:
            raise ProtocolError("a time of the statement is none")
        return found

    def verify(self, server: VerifyKey | None = None) -> None:
        """Return when its server has said it.

        Args:
            server: whose statement it must be; None takes anybody's.

        Raises:
            UntrustedRoot: it is another server's.
            BadSignature: nobody can have said it.
        """
        certificate = self.certificate
        if server is not None and certificate.issuer != server.raw:
            raise UntrustedRoot(
                f"the statement is of server {self.server.key_id.hex()[:8]}, "
                f"not of {server.key_id.hex()[:8]}"
            )
        if not certificate.from_us <= self.time_us <= certificate.until_us:
            raise BadSignature("the key that signed the statement was not certified for that time")
        _check_certificate(certificate)
        key = FastVerifyKey(certificate.subject)
        key.verify(self.signature, self.message(), HEAD_CONTEXT)


@lru_cache(maxsize=64)
def _check_certificate(certificate: KeyCertificate) -> None:
    """Raise BadSignature when it is not the issuer's; a good one is not verified twice."""
    VerifyKey(certificate.issuer).verify(
        certificate.signature, certificate.message(), CERTIFICATE_CONTEXT
    )


class StatementSigner:
    """Makes the statements of one server. An identity speaks for one copy of a chain at a time.

    Two servers that sign with one identity contradict each other as soon as one of them is behind,
    and so does one that was set back to a backup: that is what statements are for.

    Args:
        identity: the server's long-term key.
        entropy: where fast keys come from.
    """

    def __init__(self, identity: SigningKey, *, entropy: Entropy = system_entropy) -> None:
        self._identity = identity
        self._entropy = entropy
        self._key: FastKey | None = None
        self._certificate: KeyCertificate | None = None

    @property
    def server(self) -> VerifyKey:
        """The identity that answers for the statements."""
        return self._identity.public

    def sign(
        self,
        chain_id: bytes,
        size: int,
        root: bytes,
        head: int,
        *,
        now_us: int,
        epoch: int = 0,
        answers: bytes = b"",
    ) -> HeadStatement:
        """Return a statement; all that it covers must be durable.

        Args:
            chain_id, size, root, head: what is held.
            now_us: the time; clocks may go back.
            epoch: of the ownership.
            answers: the hash that the client has shown, 32 bytes or empty.

        Raises:
            UsageError: one of the hashes has another length, or a number cannot be.
        """
        if {len(chain_id), len(root), len(answers) or _HASH_BYTES} != {_HASH_BYTES}:
            raise UsageError(f"a hash has {_HASH_BYTES} bytes")
        if min(size, head, epoch, now_us) < 0 or now_us > limits.TIME_US_MAX - _KEY_US:
            raise UsageError("a statement has numbers that cannot be")
        key, certificate = self._certified(now_us)
        unsigned = HeadStatement(
            chain_id, size, root, head, now_us, epoch, answers, certificate,
            bytes(FAST_SIGNATURE_BYTES),
        )  # fmt: skip
        signature = key.sign(unsigned.message(), HEAD_CONTEXT)
        return msgspec.structs.replace(unsigned, signature=signature)

    def _certified(self, now_us: int) -> tuple[FastKey, KeyCertificate]:
        key, known = self._key, self._certificate
        if key is not None and known is not None and known.from_us <= now_us <= known.until_us:
            return key, known
        key = FastKey.generate(self._entropy)
        draft = KeyCertificate(
            bytes(key.public.raw), self._identity.public.raw, now_us, now_us + _KEY_US,
            bytes(SIGNATURE_BYTES),
        )  # fmt: skip
        signature = self._identity.sign(draft.message(), CERTIFICATE_CONTEXT)
        self._key, self._certificate = key, msgspec.structs.replace(draft, signature=signature)
        return key, self._certificate


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")
