"""The class that ZODB keeps: it must be importable by name, so a module has no other duty."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tools.race.records import Row

# Not imported by statement: the types must read the same where the peer is not installed.
Persistent: Any = import_module("persistent").Persistent


class ZodbRow(Persistent):  # type: ignore[misc]
    """A row as a persistent object."""

    def __init__(self, number: int, name: str, data: str) -> None:
        self.number, self.name, self.data = number, name, data

    def as_row(self) -> Row:
        """Return the row; loads the object when it is a ghost."""
        return self.number, self.name, self.data
