"""The records that everybody in the race keeps, about 110 bytes each; it stores nothing."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final, TypeAlias

#: (number, name, text): an integer key is the peers' best case.
Row: TypeAlias = tuple[int, str, str]

_LETTERS: Final = "0123456789abcdefghijklmnopqrstuv"
_TEXT_LETTERS: Final = 84
_TEXTS: Final = 1024


@cache
def _texts() -> list[str]:
    """Return texts that compress no better than chance, five bits a letter."""
    raw = hashlib.shake_128(b"race").digest(_TEXTS * _TEXT_LETTERS)
    letters = "".join(_LETTERS[byte & 31] for byte in raw)
    return [letters[at : at + _TEXT_LETTERS] for at in range(0, len(letters), _TEXT_LETTERS)]


def row(number: int, version: int = 0) -> Row:
    """Return row `number`; each version of it has another text."""
    return number, f"user-{number:08d}", _texts()[(number * 7 + version * 13) % _TEXTS]


def rows(count: int) -> list[Row]:
    """Return the rows 0 to `count` - 1."""
    return [row(number) for number in range(count)]


def object_id(number: int) -> bytes:
    """Return the id under which the product keeps row `number`: spread as random ids are."""
    return hashlib.blake2b(number.to_bytes(8, "little"), digest_size=16).digest()


def shuffled(count: int, most: int | None = None, seed: bytes = b"order") -> list[int]:
    """Return numbers below `count`, each once, in a scrambled order that is always the same."""

    def place(number: int) -> bytes:
        return hashlib.blake2b(number.to_bytes(8, "little"), key=seed, digest_size=8).digest()

    return sorted(range(count), key=place)[:most]
