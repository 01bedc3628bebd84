"""What an end of a connection asks for and what it knows of its peer; it does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from ate import limits
from ate.crypto.sign import VerifyKey
from ate.errors import UsageError
from ate.wire.codec import Codec

Role: TypeAlias = Literal["client", "server"]
#: Judges the key that a peer has proved, None when it shows none; raises a TrustError to refuse.
Trust: TypeAlias = Callable[[VerifyKey | None], None]

VERSION: Final = 1
SERVER_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Terms:
    """What this end offers and bears; of sizes, the smaller of both ends is agreed.

    Args:
        frame_max: bytes of a frame that I take.
        message_max: bytes of a message that I take, as plaintext of the agreed format.
        keepalive_s: after so much silence I ask, after twice as much the peer is gone.
        handshake_s: the peer has to be known by then.
        encryption: client: I want it, and do not go on without; server: I require it.
        formats: that I speak, the preferred one first; a client's hello is in its first.
        versions: of the protocol that I speak.
    """

    frame_max: int = limits.FRAME_BYTES_MAX
    message_max: int = limits.MESSAGE_BYTES_MAX
    keepalive_s: float = 15.0
    handshake_s: float = 10.0
    encryption: bool = False
    formats: tuple[str, ...] = Codec.NAMES
    versions: tuple[int, ...] = (VERSION,)

    def __post_init__(self) -> None:
        if not limits.FRAME_BYTES_MIN <= self.frame_max <= limits.FRAME_BYTES_MAX:
            raise UsageError(
                f"frame_max is {self.frame_max}: between {limits.FRAME_BYTES_MIN} and "
                f"{limits.FRAME_BYTES_MAX}, please"
            )
        if not limits.HELLO_BYTES_MAX <= self.message_max <= limits.MESSAGE_BYTES_MAX:
            raise UsageError(
                f"message_max is {self.message_max}: between {limits.HELLO_BYTES_MAX} and "
                f"{limits.MESSAGE_BYTES_MAX}, please"
            )
        if not (self.keepalive_s > 0 and self.handshake_s > 0):
            raise UsageError("keepalive_s and handshake_s are more than nothing")
        if not self.formats or set(self.formats) - set(Codec.NAMES):
            raise UsageError(f"formats are of {Codec.NAMES}, these are {self.formats}")
        if not self.versions:
            raise UsageError("an end speaks at least one version")


@dataclass(frozen=True, slots=True)
class PeerSession:
    """What a live peer has said, and proved.

    Args:
        key: the public key whose private half it holds; None when it showed none.
        agent: what it calls itself.
        path: of the service that the client asked for.
        encrypted: nobody between the ends could read or change the frames.
        frame_max, message_max: what both ends take.
        server_id: 16 bytes that name the server process's data, or empty.
    """

    key: VerifyKey | None = None
    agent: str = ""
    path: str = "/"
    version: int = VERSION
    format: str = "msgpack"
    encrypted: bool = False
    frame_max: int = field(default=limits.FRAME_BYTES_MAX, repr=False)
    message_max: int = field(default=limits.MESSAGE_BYTES_MAX, repr=False)
    server_id: bytes = b""

    @property
    def key_id(self) -> bytes:
        """16 bytes that name the key; empty without one."""
        return self.key.key_id if self.key else b""
