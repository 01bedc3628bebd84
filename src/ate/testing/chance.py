"""Choices that repeat from a seed, for simulations; it never touches the system's randomness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ate.crypto.entropy import SeededEntropy

T = TypeVar("T")


class Chance:
    """A stream of choices.

    Args:
        seed: a number or a text; equal seeds give equal choices.
    """

    __slots__ = ("_draw",)

    def __init__(self, seed: int | str) -> None:
        self._draw = SeededEntropy(str(seed).encode())

    def below(self, bound: int) -> int:
        """Return a number from 0 to `bound` - 1."""
        return int.from_bytes(self._draw(8), "little") % bound

    def happens(self, percent: int) -> bool:
        """Tell whether something with this probability happens."""
        return self.below(100) < percent

    def choice(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.below(len(options))]

    def bytes(self, count: int) -> bytes:
        """Return so many bytes."""
        return self._draw(count)
