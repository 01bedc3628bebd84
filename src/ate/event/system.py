"""Bodies of the rows that everybody can read.

Genesis, keys, roles, certificates, grants, checkpoints.

They are MessagePack maps; decoding one raises ProtocolError and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from ate.crypto.hash import derive
from ate.errors import ProtocolError
from ate.event.access import Principal

GRANT_CONTEXT: Final = b"ate/grant/1"
CHECKPOINT_CONTEXT: Final = b"ate/checkpoint/1"
ROLE_CONTEXT: Final = b"ate/role/1"
PRESENT_BYTES: Final = 32
FLIP_BYTES: Final = 24

#: Numbers of these bodies are written into signed messages with a fixed width.
Unsigned: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Ordinal: TypeAlias = Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)]


class PublicKeys(msgspec.Struct, frozen=True, array_like=True):
    """A principal as stored."""

    identity: str
    sign: bytes
    seal: bytes

    @property
    def principal(self) -> Principal:
        return Principal(self.identity, self.sign, self.seal)

    @classmethod
    def of(cls, principal: Principal) -> PublicKeys:
        return cls(principal.identity, principal.sign, principal.seal)


class Genesis(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a chain is from birth on.

    Args:
        name: the chain's name.
        suite: 0 unsigned, 1 composite signature per commit, 2 certified session keys.
        mode: "distributed" or "centralized".
        roots: the root keys; they are generation 1 of the role "root".
        policy: e.g. {"worm": true}; unknown entries are kept and ignored.
        salt: 16 random bytes, so that equal chains have different ids.
    """

    name: str
    suite: int
    mode: str
    salt: bytes
    roots: tuple[PublicKeys, ...] = ()
    policy: dict[str, Any] = {}


class Role(msgspec.Struct, frozen=True, omit_defaults=True):
    """A role's newest generation.

    Args:
        name: e.g. "root", "Contributor".
        generation: counts from 1; members who left hold only older ones.
        keys: who may act as it: the role's own key pair, or for "root" the root principals.
        wraps: member key id → the role's two seeds, wrapped to that member (`ate.trust.roles`).
        sequencers: of the role "sequencer" alone, which has nothing else: public keys of servers.
    """

    name: str
    generation: Ordinal
    keys: tuple[PublicKeys, ...]
    wraps: dict[bytes, bytes] = {}
    sequencers: tuple[bytes, ...] = ()


class CertificateBody(msgspec.Struct, frozen=True, array_like=True):
    """A session certificate as stored; see `ate.session.Certificate`."""

    subject: bytes
    issuer: bytes
    chain_id: bytes
    until_us: Unsigned
    signature: bytes


class Grant(msgspec.Struct, frozen=True, omit_defaults=True):
    """The keys of one read domain.

    Args:
        domain: id of the object that starts the domain.
        epoch: counts from 1.
        wraps: reader key id → this epoch's key, wrapped with HPKE.
        past: keys of all earlier epochs, 32 bytes each, oldest first, sealed under this one.
    """

    domain: bytes
    epoch: Ordinal
    wraps: dict[bytes, bytes]
    past: bytes = b""


class Flip(NamedTuple):
    """Where all who hold the chain compact, and what they keep, so that all end up with the same.

    Args:
        size: commits below the cut, which is at the checkpoint that says so first.
        versions, window_us: of the past that stays; see `ate.chain.retention`.
    """

    size: int
    versions: int = 1
    window_us: int = 0

    def encode(self) -> bytes:
        """Return the bytes behind the hash of the present, 24."""
        return b"".join(number.to_bytes(8, "little") for number in self)

    @classmethod
    def decode(cls, raw: bytes) -> Flip:
        """Read what `encode` wrote."""
        numbers = [int.from_bytes(raw[at : at + 8], "little") for at in range(0, 24, 8)]
        return cls(*numbers)


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """The master's word about the chain so far.

    Args:
        size: commits covered.
        root: RFC 9162 root over them.
        time_us: when.
        key_id: the root key that signed.
        signature: composite, over `message()`.
        state: hash of the present (`ate.chain.present`), and behind it where all compact, if a
            root ever said so; empty in a checkpoint of before.
    """

    size: Unsigned
    root: bytes
    time_us: Unsigned
    key_id: bytes
    signature: bytes = b""
    state: bytes = b""

    def fields(self) -> tuple[int, bytes, int, bytes]:
        """Return what is signed, in order."""
        return self.size, self.root, self.time_us, self.key_id

    @property
    def present(self) -> bytes:
        """Hash of the present; empty when this one vouches for none."""
        return self.state[:PRESENT_BYTES]

    @property
    def flip(self) -> Flip | None:
        """Where all compact, by this checkpoint or one before it."""
        told = self.state[PRESENT_BYTES:]
        return Flip.decode(told) if told else None

    def message(self, chain_id: bytes) -> bytes:
        """Return the bytes that are signed."""
        return (
            chain_id
            + self.size.to_bytes(8, "little")
            + self.root
            + self.time_us.to_bytes(8, "little")
            + self.state
        )


_T = TypeVar("_T")
_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder[Any]] = {
    cls: msgspec.msgpack.Decoder(cls)
    for cls in (PublicKeys, Genesis, Role, CertificateBody, Grant, Checkpoint)
}


def encode(body: msgspec.Struct) -> bytes:
    """Return the bytes of a system body."""
    return _encoder.encode(body)


def decode(cls: type[_T], raw: bytes | bytearray | memoryview) -> _T:
    """Read a system body.

    Raises:
        ProtocolError: the bytes are not such a body.
    """
    try:
        return _decoders[cls].decode(raw)  # type: ignore[no-any-return]
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, RecursionError) as error:
        raise ProtocolError(f"a {cls.__name__.lower()} row does not decode: {error}") from None


def system_id(what: str, name: bytes) -> bytes:
    """Return the fixed object id of a system row.

    Equal subjects share one id, newest version wins.
    """
    return derive(f"ate system id {what}", name)[:16]
