"""The handshake: two hellos, two proofs, two keys; it keeps no state of the connection behind it.

    client → HELLO  what I speak and bear, 32 random bytes, and a fresh X-Wing key to encrypt
    server → HELLO  what we speak, 32 random bytes, and a fresh secret wrapped to that key
    server → PROOF  my public key, and its signature over both hellos
    client → PROOF  mine, and its signature over both hellos and the server's key

Both hellos enter the transcript byte by byte, and the transcript enters the keys and signatures:
whoever changes a hello ends the handshake. All behind the hellos is sealed if the client has sent a
key; it goes on only if the server has answered it.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec

from ate import limits
from ate.crypto.entropy import Entropy
from ate.crypto.hash import Buffer, derive
from ate.crypto.kem import WRAPPED_BYTES, PublicSealingKey, SealingKey
from ate.crypto.sign import SigningKey, VerifyKey
from ate.errors import (
    BadSignature,
    EncryptionRequired,
    ProtocolError,
    RemoteProtocolError,
    TrustError,
    UnsupportedFormat,
)
from ate.wire.codec import Codec
from ate.wire.failure import clean
from ate.wire.frame import HELLO
from ate.wire.secure import Direction
from ate.wire.terms import PeerSession, Role, Terms, Trust

NONCE_BYTES: Final = 32
WRAP_INFO: Final = b"ate/wire/1"
#: Contexts of the signatures.
CONTEXTS: Final[dict[Role, bytes]] = {
    "client": b"ate/wire/client/1",
    "server": b"ate/wire/server/1",
}

Nonce: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
Size: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Number: TypeAlias = Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)]
Words: TypeAlias = Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]],
                             msgspec.Meta(max_length=16)]  # fmt: skip
Numbers: TypeAlias = Annotated[list[Number], msgspec.Meta(max_length=64)]
_Hello = TypeVar("_Hello", bound=msgspec.Struct)


class AnyHello(msgspec.Struct):
    """What a hello of any version has."""

    versions: Numbers


class ClientHello(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The first frame of a connection."""

    versions: Numbers
    nonce: Nonce
    formats: Words
    frame_max: Size
    message_max: Size
    path: Annotated[str, msgspec.Meta(max_length=1024)] = "/"
    agent: Annotated[str, msgspec.Meta(max_length=256)] = ""
    seal: bytes = b""


class ServerHello(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The answer to it."""

    version: Number
    versions: Numbers
    nonce: Nonce
    format: str
    frame_max: Size
    message_max: Size
    server: bytes = b""
    agent: Annotated[str, msgspec.Meta(max_length=256)] = ""
    wrapped: bytes = b""


class Proof(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The last frame of each side's handshake."""

    transcript: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    key: bytes = b""
    signature: bytes = b""


class Handshake:
    """One end's part in it.

    A client calls `hello`, `answered`, `check`, `prove`; a server `answer`, `prove`, `check`.
    """

    def __init__(
        self,
        role: Role,
        terms: Terms,
        *,
        identity: SigningKey | None,
        trust: Trust | None,
        entropy: Entropy,
        own: PeerSession,
    ) -> None:
        self._role, self._terms, self._own = role, terms, own
        self._identity, self._trust, self._entropy = identity, trust, entropy
        self._client_hello = b""
        self._ephemeral: SealingKey | None = None
        self._transcript = b""
        self._agreed = own
        self.codec = Codec(terms.formats[0])
        #: Format of the hellos; a refusal before anything is agreed is in it, too.
        self.clear_format = terms.formats[0]
        #: What I seal and what I open with, once there are keys.
        self.sending: Direction | None = None
        self.receiving: Direction | None = None

    # --- hellos ---------------------------------------------------------------------------------

    def hello(self) -> bytes:
        """Return the client's first frame."""
        terms = self._terms
        if terms.encryption:
            self._ephemeral = SealingKey.generate(self._entropy)
        said = ClientHello(
            versions=list(terms.versions),
            nonce=self._entropy(NONCE_BYTES),
            formats=list(terms.formats),
            frame_max=terms.frame_max,
            message_max=terms.message_max,
            path=self._own.path,
            agent=self._own.agent,
            seal=self._ephemeral.public.raw if self._ephemeral else b"",
        )
        self._client_hello = _hello_frame(said, self.clear_format)
        return self._client_hello

    def answer(self, received: Buffer) -> bytes:
        """Take a client's hello and return the server's.

        Raises:
            UnsupportedFormat: no version in common.
            EncryptionRequired: the client does not encrypt and this server requires it.
            RemoteProtocolError: it is no hello.
        """
        terms, self._client_hello = self._terms, bytes(received)
        self.clear_format = _format_of(received)
        self._check_versions(received)
        heard = _decoded(received[1:], self.clear_format, ClientHello)
        version = max(set(heard.versions) & set(terms.versions))
        spoken = [name for name in heard.formats if name in terms.formats]
        if not spoken:
            raise RemoteProtocolError(f"no common format: I speak {', '.join(terms.formats)}")
        if not heard.seal and terms.encryption:
            raise EncryptionRequired(
                "this server wants an encrypted connection, and the client offers none"
            )
        wrapped = secret = b""
        if heard.seal:
            secret = self._entropy(32)
            wrapped = _public(heard.seal).wrap(secret, WRAP_INFO + _hash(self._client_hello))
        self._agree(
            heard,
            version=version,
            format_=spoken[0],
            path=heard.path,
            server_id=self._own.server_id,
        )
        said = ServerHello(
            version=version,
            versions=list(terms.versions),
            nonce=self._entropy(NONCE_BYTES),
            format=spoken[0],
            frame_max=terms.frame_max,
            message_max=terms.message_max,
            server=self._own.server_id,
            agent=self._own.agent,
            wrapped=wrapped,
        )
        answer = _hello_frame(said, self.clear_format)
        self._finish(answer, secret)
        return answer

    def answered(self, received: Buffer) -> None:
        """Take the server's hello.

        Raises:
            UnsupportedFormat: it chose a version that I do not speak.
            TrustError: I want encryption and it offers none, or it wraps to another key.
            RemoteProtocolError: it is no hello, or chooses what I did not offer.
        """
        terms = self._terms
        self._check_versions(received)
        heard = _decoded(received[1:], self.clear_format, ServerHello)
        if heard.version not in terms.versions or heard.format not in terms.formats:
            raise RemoteProtocolError("the server chose a version or format that was not offered")
        if len(heard.server) not in (0, 16):
            raise RemoteProtocolError("the id of a server has 16 bytes")
        secret, ephemeral = b"", self._ephemeral
        if ephemeral is not None:
            if len(heard.wrapped) != WRAPPED_BYTES:
                raise TrustError(
                    "the server does not encrypt, and this client does not go on without",
                    hint="somebody between may have removed the offer; do not send secrets",
                )
            secret = ephemeral.unwrap(heard.wrapped, WRAP_INFO + _hash(self._client_hello))
        elif heard.wrapped:
            raise RemoteProtocolError("the server encrypts, and was not asked to")
        self._agree(
            heard,
            version=heard.version,
            format_=heard.format,
            path=self._own.path,
            server_id=heard.server,
        )
        # Whoever takes this machine later can not open what was recorded now.
        self._ephemeral = None
        self._finish(bytes(received), secret)

    def _check_versions(self, received: Buffer) -> None:
        versions = _decoded(received[1:], _format_of(received), AnyHello).versions
        if not set(versions) & set(self._terms.versions):
            raise versions_differ(list(self._terms.versions), versions)

    def _agree(
        self,
        heard: ClientHello | ServerHello,
        *,
        version: int,
        format_: str,
        path: str,
        server_id: bytes,
    ) -> None:
        frame_max = min(heard.frame_max, self._terms.frame_max)
        message_max = min(heard.message_max, self._terms.message_max)
        if frame_max < limits.FRAME_BYTES_MIN or message_max < limits.HELLO_BYTES_MAX:
            raise RemoteProtocolError(
                f"the peer takes frames of {frame_max} and messages of {message_max} bytes only"
            )
        self._agreed = PeerSession(
            agent=clean(heard.agent),
            path=path,
            version=version,
            format=format_,
            frame_max=frame_max,
            message_max=message_max,
            server_id=server_id,
        )

    def _finish(self, server_hello: bytes, secret: bytes) -> None:
        self._transcript = derive(
            "ate wire transcript 1", _counted(self._client_hello) + _counted(server_hello)
        )
        if secret:
            client = Direction(derive("ate wire client key 1", secret + self._transcript))
            server = Direction(derive("ate wire server key 1", secret + self._transcript))
            both = (client, server) if self._role == "client" else (server, client)
            self.sending, self.receiving = both
        self.codec = Codec(self._agreed.format)

    # --- proofs ---------------------------------------------------------------------------------

    def prove(self) -> bytes:
        """Return the plaintext of my proof."""
        key = signature = b""
        if self._identity is not None:
            key = self._identity.public.raw
            signature = self._identity.sign(self._transcript, CONTEXTS[self._role])
        said = Proof(transcript=self._transcript, key=key, signature=signature)
        if self._role == "server":
            self._extend(key)
        return _encoded(said, self._agreed.format)

    def check(self, plain: Buffer) -> PeerSession:
        """Judge the peer's proof and return what is known of it now.

        Raises:
            BadSignature: it is about other hellos, or not signed by the key it shows.
            AteError: what `trust` raises about the key.
            RemoteProtocolError: it is no proof.
        """
        peer: Role = "client" if self._role == "server" else "server"
        heard = _decoded(plain, self._agreed.format, Proof)
        if not hmac.compare_digest(heard.transcript, self._transcript):
            raise BadSignature(
                "the peer has seen another handshake",
                hint="somebody between changed or replayed it",
            )
        if bool(heard.key) != bool(heard.signature):
            raise RemoteProtocolError("a proof has a key and a signature, or neither")
        key = None
        if heard.key:
            key = _key(heard.key)
            key.verify(heard.signature, self._transcript, CONTEXTS[peer])
        if self._trust is not None:
            self._trust(key)
        if peer == "server":
            self._extend(heard.key)
        return replace(self._agreed, key=key, encrypted=self.sending is not None)

    def _extend(self, server_key: bytes) -> None:
        """A client signs for this server: its proof is of no use with another one."""
        self._transcript = derive("ate wire server proved 1", self._transcript + server_key)


def versions_differ(mine: list[int], theirs: list[int]) -> UnsupportedFormat:
    """Return the error of two ends that have no version in common."""
    newer = "this end" if max(theirs, default=0) > max(mine) else "the other end"
    return UnsupportedFormat(
        f"no common version of the wire protocol: I speak {_listed(mine)}, "
        f"the peer speaks {_listed(theirs)}",
        hint=f"update {newer}",
    )


def _listed(versions: list[int]) -> str:
    return ", ".join(map(str, versions[:16])) or "none"


def _format_of(hello: Buffer) -> str:
    """Return the format of a hello: a JSON object, or else MessagePack."""
    return "json" if bytes(hello[1:2]) == b"{" else "msgpack"


def _encoded(said: msgspec.Struct, format_: str) -> bytes:
    return msgspec.json.encode(said) if format_ == "json" else msgspec.msgpack.encode(said)


def _decoded(plain: Buffer, format_: str, kind: type[_Hello]) -> _Hello:
    try:
        if format_ == "json":
            return msgspec.json.decode(plain, type=kind)
        return msgspec.msgpack.decode(plain, type=kind)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise RemoteProtocolError(
            f"this is no {kind.__name__} of the protocol: {error}",
            hint="is this address a server of this protocol?",
        ) from None


def _hello_frame(said: msgspec.Struct, format_: str) -> bytes:
    return bytes((HELLO,)) + _encoded(said, format_)


def _hash(frame: bytes) -> bytes:
    return derive("ate wire client hello 1", frame)


def _counted(frame: bytes) -> bytes:
    return len(frame).to_bytes(4, "little") + frame


def _public(raw: bytes) -> PublicSealingKey:
    try:
        return PublicSealingKey(raw)
    except ProtocolError as error:
        raise RemoteProtocolError(error.message) from None


def _key(raw: bytes) -> VerifyKey:
    try:
        return VerifyKey(raw)
    except (ProtocolError, ValueError):
        raise RemoteProtocolError("a proof shows something that is no public key") from None
