"""The server's signature: in a centralized chain it stands for the author's; it judges nothing.

A sequencer is whoever numbers commits of a chain that names its key. It signs the leaf, which
covers what the author's part says, the chain's id among it, and the place and time given to it.
The author leaves the room for it, filled with zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ate.crypto.hash import derive
from ate.crypto.sign import (
    FAST_SEED_BYTES,
    FAST_SIGNATURE_BYTES,
    KEY_ID_BYTES,
    FastKey,
    FastVerifyKey,
    SigningKey,
)
from ate.errors import BadSignature

SEQUENCE_CONTEXT: Final = b"ate/sequence/1"
#: Key id of the sequencer and its signature: what is in the place of the author's signature.
SEQUENCE_BYTES: Final = KEY_ID_BYTES + FAST_SIGNATURE_BYTES
#: What an author puts there.
NO_SEQUENCE: Final = bytes(SEQUENCE_BYTES)


class Sequencer:
    """Signs what it has judged and numbered.

    Args:
        key: its own.
    """

    def __init__(self, key: FastKey) -> None:
        self._key = key
        self.public: Final[FastVerifyKey] = key.public

    def __repr__(self) -> str:
        return f"Sequencer({self.public.key_id.hex()[:8]})"

    @classmethod
    def of(cls, identity: SigningKey) -> Sequencer:
        """Return the one that belongs to a server's identity: who keeps that, keeps this."""
        seed = derive("ate sequencer key", identity.seed)
        return cls(FastKey.from_seed(seed[:FAST_SEED_BYTES]))

    def sign(self, leaf: bytes) -> bytes:
        """Return the 80 bytes that belong to a commit of this leaf."""
        return self.public.key_id + self._key.sign(leaf, SEQUENCE_CONTEXT)


class Proved(NamedTuple):
    """Who has proved its key, over a connection that stands, to a server that numbers commits.

    Args:
        key_id: of the principal.
        sequencer: id of the server's key.
    """

    key_id: bytes
    sequencer: bytes


class Vouch(NamedTuple):
    """How an unsigned commit comes to a root.

    Args:
        key: the signing key, 1984 bytes, that the connection it came over has proved.
        sign: signs the leaf.
    """

    key: bytes
    sign: Callable[[bytes], bytes]


def check_sequence(keys: Mapping[bytes, FastVerifyKey], signature: bytes, leaf: bytes) -> None:
    """Return when one of these keys has signed a leaf; raises BadSignature otherwise."""
    key = keys.get(signature[:KEY_ID_BYTES])
    if len(signature) != SEQUENCE_BYTES or key is None:
        raise BadSignature("neither its author nor a sequencer of the chain has signed the commit")
    key.verify(signature[KEY_ID_BYTES:], leaf, SEQUENCE_CONTEXT)
