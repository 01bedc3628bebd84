"""The class ZODB keeps; it must be importable by name, so it has a module to itself and no other duty."""

from __future__ import annotations

from persistent import Persistent

from tools.race.records import Row


class ZodbRow(Persistent):  # type: ignore[misc]  # the peer ships no types
    """A row as a persistent object."""

    def __init__(self, number: int, name: str, data: str) -> None:
        self.number, self.name, self.data = number, name, data

    def as_row(self) -> Row:
        """Return the row; loads the object when it is a ghost."""
        return self.number, self.name, self.data
