"""The aggregate eventsourcing keeps; it must be importable by name, so it has a module to itself."""

from __future__ import annotations

from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from tools.race.records import Row


class Thing(Aggregate):  # type: ignore[misc]  # the peer ships no types
    """A row as an event-sourced aggregate."""

    @event("Registered")  # type: ignore[untyped-decorator]
    def __init__(self, number: int, name: str, data: str) -> None:
        self.number, self.name, self.data = number, name, data

    @staticmethod
    def create_id(number: int, name: str, data: str) -> UUID:
        return UUID(int=number + 1)

    @event("Changed")  # type: ignore[untyped-decorator]
    def change(self, name: str, data: str) -> None:
        self.name, self.data = name, data

    def as_row(self) -> Row:
        """Return the row as it is now."""
        return self.number, self.name, self.data


class Aggregates(Application):  # type: ignore[misc]
    """Saves and loads things; no snapshots, as there is one event a row."""

    snapshotting_intervals = None
