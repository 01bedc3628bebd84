"""What an end is about to send: messages gathered into frames, cut and sealed; it never waits."""

from __future__ import annotations

from typing import Final

from ate import limits
from ate.wire.codec import Buffer, Codec
from ate.wire.frame import OVERHEAD_BYTES, PROOF, SEALED, cut
from ate.wire.secure import Direction

#: What the array around the messages of a frame may take.
ARRAY_BYTES: Final = 8


class Outbound:
    """Frames in the order in which they were queued; sealed when they are made.

    Args:
        codec: of the messages, until `keyed` gives another.

    Attributes:
        message_max: bytes of a message that the peer takes.
    """

    __slots__ = ("_batch_bytes", "_bytes", "_count", "_frames", "_parts", "_piece_bytes",
                 "_sending", "codec", "message_max")  # fmt: skip

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._sending: Direction | None = None
        self._frames: list[bytes] = []
        self._parts: list[bytes] = []
        self._count = self._bytes = 0
        self._piece_bytes = limits.HELLO_BYTES_MAX - OVERHEAD_BYTES
        self._batch_bytes = limits.BATCH_BYTES_MAX
        self.message_max = limits.MESSAGE_BYTES_MAX

    def keyed(self, codec: Codec, sending: Direction | None) -> None:
        """From now on use this format, and seal if there is something to seal with."""
        self.codec, self._sending = codec, sending

    def agreed(self, *, frame_max: int, message_max: int) -> None:
        """Take what both ends bear."""
        self._piece_bytes = frame_max - OVERHEAD_BYTES
        self.message_max = message_max
        self._batch_bytes = min(limits.BATCH_BYTES_MAX, message_max - ARRAY_BYTES)

    def hello(self, frame: bytes) -> None:
        """Queue a hello, which is always in clear."""
        self._frames.append(frame)

    def proof(self, plain: bytes) -> None:
        """Queue a proof."""
        self._frames.append(self._sealed(PROOF, plain))

    def add(self, parts: tuple[bytes, bytes]) -> None:
        """Queue an encoded message; it shares a frame with others as far as that helps."""
        size = len(parts[0]) + len(parts[1]) + 1
        if self._count and (
            self._count == limits.BATCH_MESSAGES_MAX or self._bytes + size > self._batch_bytes
        ):
            self._flush()
        self._parts += parts
        self._count += 1
        self._bytes += size

    def forget(self) -> None:
        """Drop the messages that are in no frame yet."""
        self._parts, self._count, self._bytes = [], 0, 0

    def take(self) -> list[bytes]:
        """Return the frames and forget them."""
        if self._count:
            self._flush()
        frames, self._frames = self._frames, []
        return frames

    def _flush(self) -> None:
        plain = self.codec.join(self._parts, self._count)
        self.forget()
        if len(plain) <= self._piece_bytes:
            self._frames.append(self._sealed(0, plain))
            return
        for flags, piece in cut(plain, self._piece_bytes):
            self._frames.append(self._sealed(flags, piece))

    def _sealed(self, flags: int, plain: Buffer) -> bytes:
        if self._sending is not None:
            return self._sending.seal(flags | SEALED, plain)
        return b"".join((bytes((flags,)), plain))
