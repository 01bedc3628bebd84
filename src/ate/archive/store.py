"""The contract of a destination: objects that are written once; it never knows what is in them.

`DirectoryStore`, `MemoryStore` and `S3Store` keep it, and so does every other one that passes
`ate.testing.object_suite`. Every method may be called from several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """One object of a listing."""

    key: str
    size: int


class ObjectStore(Protocol):
    """Objects by key. A key is a path of words joined by `/`; no word begins with a dot.

    Every method raises StorageError, or OutOfSpace when there is no room, and NetworkError
    (Disconnected, TimedOut, Throttled) when asking again may help.
    """

    @property
    def name(self) -> str:
        """Where it is, for messages; no secret in it."""
        ...

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object that is not there yet, whole and durable when the call returns.

        Returns:
            False when there is an object of this key, which stays as it is.
        """
        ...

    def get(self, key: str, limit: int) -> bytes:
        """Return the bytes of an object, at most `limit` + 1 of them; NotFound when it is gone."""
        ...

    def walk(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose keys begin with `prefix`, a path that ends in `/`."""
        ...

    def folders(self) -> list[str]:
        """Return the first words of all keys, sorted."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; it may be gone already."""
        ...
