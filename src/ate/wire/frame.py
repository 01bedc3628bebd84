"""Frames: their flags, long messages cut and joined, frames on a byte stream; it does no I/O.

    frame  = flags u8 · payload
    stream = (length u32 little-endian · frame)*      where the transport has no frames of its own

On a WebSocket a frame is one binary message. A frame with MORE is continued by the next one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, TypeAlias

from ate import limits
from ate.errors import RemoteProtocolError

Buffer: TypeAlias = bytes | bytearray | memoryview

#: The payload goes on in the next frame.
MORE: Final = 1
#: The payload is sealed.
SEALED: Final = 2
#: The payload is a hello, always in clear.
HELLO: Final = 4
#: The payload is a proof: the end of the handshake.
PROOF: Final = 8
_KNOWN: Final = MORE | SEALED | HELLO | PROOF
#: What a frame has besides the plaintext: flags, and a tag when it is sealed.
OVERHEAD_BYTES: Final = 17
_LENGTH: Final = struct.Struct("<I")


def flags_of(frame: Buffer) -> int:
    """Return the flags of a frame.

    Raises:
        RemoteProtocolError: it is empty, or has flags that are unknown or do not go together.
    """
    if not len(frame):
        raise RemoteProtocolError("a frame has no bytes")
    flags = frame[0]
    if flags & ~_KNOWN:
        raise RemoteProtocolError(f"a frame has the unknown flags {flags & ~_KNOWN:#04x}")
    if flags & HELLO and flags != HELLO:
        raise RemoteProtocolError("a hello is one frame, in clear")
    if flags & PROOF and flags & MORE:
        raise RemoteProtocolError("a proof is one frame")
    return flags


def cut(plain: bytes, piece_bytes: int) -> Iterator[tuple[int, Buffer]]:
    """Yield the flags and the payload of each frame of a plaintext."""
    view = memoryview(plain)
    for start in range(0, len(plain) or 1, piece_bytes):
        piece = view[start : start + piece_bytes]
        yield (MORE if start + piece_bytes < len(plain) else 0), piece


class Joiner:
    """Puts cut messages together again, never holding more than a bound.

    Args:
        bound: bytes of a message.
    """

    __slots__ = ("_held", "bound")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._held = bytearray()

    @property
    def is_empty(self) -> bool:
        return not self._held

    def add(self, plain: Buffer, *, more: bool) -> Buffer | None:
        """Return the whole message when this was its last piece.

        Raises:
            RemoteProtocolError: a piece of nothing, or the message is longer than the bound.
        """
        if len(self._held) + len(plain) > self.bound:
            raise RemoteProtocolError(
                f"a message has more than {self.bound} bytes",
                hint="send less at once: commits of fewer or smaller objects",
            )
        if not more and not self._held:
            return plain
        if not len(plain):
            raise RemoteProtocolError("a piece of a message is empty")
        self._held += plain
        if more:
            return None
        whole, self._held = self._held, bytearray()
        return whole


class Deframer:
    """Frames out of a byte stream; a frame over the bound is refused before its bytes come.

    Args:
        bound: bytes of a frame; it may be raised while frames come, once a peer is known.
    """

    __slots__ = ("_held", "bound")

    def __init__(self, bound: int = limits.HELLO_BYTES_MAX) -> None:
        self.bound = bound
        self._held = bytearray()

    @property
    def is_empty(self) -> bool:
        """Whether the stream may end here without cutting a frame."""
        return not self._held

    def feed(self, data: Buffer) -> None:
        """Take bytes as they came; hand in no more than a read at a time."""
        self._held += data

    def frames(self) -> Iterator[bytes]:
        """Yield the frames that are complete; what is left waits for more bytes.

        Raises:
            RemoteProtocolError: a frame is empty or announced as longer than the bound.
        """
        while (frame := self.next_frame()) is not None:
            yield frame

    def next_frame(self) -> bytes | None:
        """Return the next frame, None when it is not complete yet; raises as `frames` does."""
        if len(self._held) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._held)
        if not 0 < size <= self.bound:
            raise RemoteProtocolError(f"a frame of {size} bytes, the limit is {self.bound}")
        end = _LENGTH.size + size
        if len(self._held) < end:
            return None
        with memoryview(self._held) as view:
            frame = bytes(view[_LENGTH.size : end])
        del self._held[:end]
        return frame


def framed(frame: Buffer) -> bytes:
    """Return a frame as it stands in a byte stream."""
    return _LENGTH.pack(len(frame)) + frame
