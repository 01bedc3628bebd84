"""`Flight`: one commit on its way to the root, and who wants to know how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ate.errors import AteError
from ate.event.commit import Record
from ate.event.draft import Draft
from ate.merkle import Frontier


@dataclass(slots=True, eq=False)
class Flight:
    """A commit that was sealed and signed, and must be sent with these very bytes.

    Args:
        session, lsn: its number.
        payload: what is sent; its sequencer part is zero.
        rows: what was sealed, to know the commit again without checking it anew; empty if unknown.
        at, guards: see `Submit`.
        entry: its number in the outbox, 0 when it is not there.
        abandoned: nobody waits for it; it must not be sent again.
    """

    session: int
    lsn: int
    payload: bytes = field(repr=False)
    rows: Sequence[Draft] = field(default=(), repr=False)
    at: int | None = None
    guards: Sequence[tuple[bytes, int]] = ()
    entry: int = 0
    abandoned: bool = False
    #: For the author alone.
    luggage: Any = field(default=None, repr=False)


class Author(Protocol):
    """Whoever sends commits through a replica. No method may block or raise."""

    def landed(self, flight: Flight, record: Record, frontier: Frontier) -> None:
        """It is in the chain, here as well."""
        ...

    def refused(self, flight: Flight, error: AteError) -> None:
        """It is not in the chain and never will be."""
        ...

    def skipped(self, flights: Sequence[Flight]) -> None:
        """These never will be either, only because one before them was refused: make them anew."""
        ...

    def changed(self) -> None:
        """The replica went online or offline, or has failed."""
        ...
