"""What eventsourcing keeps: it must be importable by name, so a module has no other duty."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from uuid import UUID

from tools.race.records import Row

# Not imported by statement: the types must read the same where the peer is not installed.
_domain = import_module("eventsourcing.domain")
Aggregate: Any = _domain.Aggregate
event: Any = _domain.event
Application: Any = import_module("eventsourcing.application").Application


class Thing(Aggregate):  # type: ignore[misc]
    """A row as an event-sourced aggregate."""

    @event("Registered")  # type: ignore[untyped-decorator, unused-ignore]
    def __init__(self, number: int, name: str, data: str) -> None:
        self.number, self.name, self.data = number, name, data

    @staticmethod
    def create_id(number: int, name: str, data: str) -> UUID:  # noqa: ARG004
        return UUID(int=number + 1)

    @event("Changed")  # type: ignore[untyped-decorator, unused-ignore]
    def change(self, name: str, data: str) -> None:
        self.name, self.data = name, data

    def as_row(self) -> Row:
        """Return the row as it is now."""
        return self.number, self.name, self.data


class Aggregates(Application):  # type: ignore[misc]
    """Saves and loads things; no snapshots, as there is one event a row."""

    snapshotting_intervals = None
