"""Compression: a zstd filter for bodies (RFC 8878).

It runs before sealing and never on small bodies.
"""

from __future__ import annotations

from typing import Any

from ate import limits
from ate.errors import CannotOpen, UsageError
from ate.event.row import CODEC_ZSTD


class Zstd:
    """Compresses bodies of `least_bytes` and more when that saves at least an eighth.

    Args:
        level: zstd level, 1 to 19.
        least_bytes: smaller bodies stay as they are.

    Raises:
        UsageError: the extra `compress` is not installed.
    """

    name = "compression"

    def __init__(self, level: int = 3, least_bytes: int = 512) -> None:
        try:
            import zstandard
        except ImportError:
            raise UsageError("zstd is not installed", hint="pip install 'ate[compress]'") from None
        self._error: Any = zstandard.ZstdError
        self._compress = zstandard.ZstdCompressor(level=level).compress
        self._decompressor = zstandard.ZstdDecompressor()
        self._content_size = zstandard.frame_content_size
        self.least_bytes = least_bytes

    def encode(self, codec: int, body: bytes) -> tuple[int, bytes]:
        if len(body) < self.least_bytes:
            return codec, body
        smaller = self._compress(body)
        if len(smaller) > len(body) - len(body) // 8:
            return codec, body
        return codec | CODEC_ZSTD, smaller

    def decode(self, codec: int, body: bytes) -> tuple[int, bytes]:
        """Undo `encode`; raises CannotOpen on damaged data or more than 16 MiB of content."""
        if not codec & CODEC_ZSTD:
            return codec, body
        try:
            # The library trusts a size that the frame itself states and allocates it at once.
            if self._content_size(body) > limits.BODY_BYTES_MAX:
                raise self._error
            plain = self._decompressor.decompress(body, max_output_size=limits.BODY_BYTES_MAX)
        except self._error:
            raise CannotOpen("a compressed body is damaged or too large") from None
        return codec & ~CODEC_ZSTD, plain
