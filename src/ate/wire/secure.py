"""Sealed frames: one direction of an encrypted connection; it never chooses keys.

Each frame is sealed by AES-256-GCM under the direction's key; the nonce is the frame's number under
that key, the flags are covered by the tag. After a number of frames or bytes the key is replaced by
one derived from it. Both ends count alike, so nothing about it is sent.
"""

from __future__ import annotations

from typing import Final

from ate.crypto.aead import NONCE_BYTES, TAG_BYTES, Sealer
from ate.crypto.hash import Buffer, derive
from ate.errors import CannotOpen

REKEY_FRAMES: Final = 1 << 20
REKEY_BYTES: Final = 64 << 30


class Direction:
    """The sealing of what one end sends: one object at the sender, its like at the receiver.

    Args:
        key: 32 secret bytes.
        rekey_frames, rekey_bytes: what one key seals at most; both ends must agree.
    """

    __slots__ = ("_bytes", "_frames", "_key", "_rekey_bytes", "_rekey_frames", "_sealer")

    def __init__(
        self, key: bytes, *, rekey_frames: int = REKEY_FRAMES, rekey_bytes: int = REKEY_BYTES
    ) -> None:
        self._rekey_frames, self._rekey_bytes = rekey_frames, rekey_bytes
        self._take(key)

    def __repr__(self) -> str:
        return f"Direction(frame {self._frames})"

    def seal(self, flags: int, plain: Buffer) -> bytes:
        """Return the next frame."""
        head = bytes((flags,))
        nonce = self._next(len(plain))  # it may replace the sealer: before the sealer is looked up
        return head + self._sealer.seal(nonce, plain, head)

    def open(self, frame: Buffer) -> bytes:
        """Return the plaintext of the next frame.

        Raises:
            CannotOpen: it is not the next frame that the peer sealed.
        """
        view = memoryview(frame)
        plain_bytes = len(view) - 1 - TAG_BYTES
        if plain_bytes < 0:
            raise CannotOpen("a sealed frame is shorter than its tag")
        nonce = self._next(plain_bytes)
        try:
            return self._sealer.open(nonce, view[1:], view[:1])
        except CannotOpen:
            raise CannotOpen(
                "a sealed frame does not open: altered, repeated, missing or out of order",
                hint="somebody tampers with the connection, or the peer has other keys",
            ) from None

    def _next(self, plain_bytes: int) -> bytes:
        """Count a frame and return its nonce, under a fresh key where one is due."""
        if self._frames == self._rekey_frames or (
            self._frames and self._bytes + plain_bytes > self._rekey_bytes
        ):
            self._take(derive("ate wire next key", self._key))
        nonce = self._frames.to_bytes(NONCE_BYTES, "little")
        self._frames += 1
        self._bytes += plain_bytes
        return nonce

    def _take(self, key: bytes) -> None:
        self._key, self._sealer = key, Sealer(key)
        self._frames = self._bytes = 0
