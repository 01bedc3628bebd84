"""Randomness as an argument: the system's, or one that repeats; it never keeps a pool."""

from __future__ import annotations

import os
from typing import Protocol

from blake3 import blake3

from ate.errors import UsageError


class Entropy(Protocol):
    """Where random bytes come from."""

    def __call__(self, n: int, /) -> bytes:
        """Return `n` bytes that nobody can foretell."""
        ...


def system_entropy(n: int, /) -> bytes:
    """Return `n` bytes from the operating system."""
    return os.urandom(n)


class SeededEntropy:
    """The same bytes in each run: for simulations and frozen vectors, never for real keys.

    Args:
        seed: a number (its decimal text is used) or bytes.
    """

    __slots__ = ("_position", "_stream")

    def __init__(self, seed: int | bytes) -> None:
        material = seed if isinstance(seed, bytes) else str(seed).encode()
        self._stream = blake3(material, derive_key_context="ate seeded entropy")
        self._position = 0

    def __call__(self, n: int, /) -> bytes:
        if n < 0:
            raise UsageError(f"cannot draw {n} bytes")
        drawn = self._stream.digest(n, seek=self._position)
        self._position += n
        return drawn
