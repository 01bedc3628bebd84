"""Names of things: `ObjectId` (128 bit) and `ChainName`; it never touches keys or storage."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Final, Self

from ate import limits
from ate.errors import UsageError


class ObjectId(bytes):
    """16 bytes that name one object within its chain; prints as 32 hex digits.

    Raises:
        UsageError: the input is not 16 bytes.
    """

    __slots__ = ()

    def __new__(cls, raw: bytes) -> Self:
        if len(raw) != 16:
            raise UsageError(f"an object id has 16 bytes, this has {len(raw)}")
        return super().__new__(cls, raw)

    @classmethod
    def parse(cls, text: str) -> ObjectId:
        """Read the printed form; raises UsageError when it is not 32 hex digits."""
        try:
            return cls(bytes.fromhex(text))
        except ValueError:
            raise UsageError(
                f"not an object id: {text[:40]!r}",
                hint="an id is 32 hex digits, as `ate ls` prints it",
            ) from None

    @classmethod
    def random(cls) -> ObjectId:
        """Return a fresh id from the operating system's entropy."""
        return bytes.__new__(cls, os.urandom(16))

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"ObjectId({self.hex()})"


class IdSource:
    """Fresh random ids, drawn from the entropy source a few hundred at a time."""

    __slots__ = ("_at", "_draw", "_pool")

    def __init__(self, draw: Callable[[int], bytes]) -> None:
        self._draw, self._pool, self._at = draw, b"", 0

    def next(self) -> ObjectId:
        """Return an id that was never given before."""
        at = self._at
        if at >= len(self._pool):
            self._pool, at = self._draw(_POOL_BYTES), 0
        self._at = at + 16
        return bytes.__new__(ObjectId, self._pool[at : at + 16])


#: Parent of the objects at the top of a chain, and the id of the chain's own root rule.
ROOT: Final = ObjectId(bytes(16))

_POOL_BYTES: Final = 4096
#: Names inside a chain's own directory; a chain below another must not look like one of them.
_TAKEN = re.compile(r"[0-9]{6}|doomed\..*|LOCK|CURRENT(\.new)?|outbox(\.new)?|witness\..*|evidence")
_SEGMENT = re.compile(r"[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*")


class ChainName(str):
    """The name of a chain: one or more segments of letters, digits and `. _ - @ +`, joined by `/`.

    Raises:
        UsageError: a segment is empty, starts with a dot, or has other characters.
        LimitExceeded: longer than 256 bytes.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not isinstance(text, str):
            raise UsageError(f"a chain name is text, not {type(text).__name__}")
        limits.check("chain name bytes", len(text.encode(errors="replace")), limits.NAME_BYTES_MAX)
        segments = text.removeprefix("/").split("/")
        for segment in segments:
            if not _SEGMENT.fullmatch(segment) or _TAKEN.fullmatch(segment):
                raise UsageError(
                    f"not a chain name: {text!r}",
                    hint="use letters, digits and . _ - @ +, with / between the parts",
                )
        return super().__new__(cls, "/".join(segments))


def device_of(key_id: bytes) -> int:
    """Return the device under which the commits of a long-term key are numbered."""
    return int.from_bytes(key_id[:8], "little")
