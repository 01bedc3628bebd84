"""What a replica needs of a commit on its way, and of whoever wants to know how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ate.errors import AteError
from ate.event.commit import Record
from ate.event.draft import Draft
from ate.merkle import Frontier


class Flight(Protocol):
    """A commit that was sealed and signed, and is sent with these very bytes, however often."""

    #: Its number.
    session: int
    lsn: int
    #: What is sent; its sequencer part is zero.
    payload: bytes
    #: The rows that were sealed, to know the commit again without checking it anew; may be empty.
    rows: Sequence[Draft]
    #: See `Submit`.
    at: int | None
    guards: Sequence[tuple[bytes, int]]
    #: Nobody waits for it, and it must not be sent again.
    abandoned: bool


class Author(Protocol):
    """Whoever sends commits through a replica. No method may block or raise."""

    def landed(self, parcel: Any, record: Record, frontier: Frontier) -> None:
        """It is in the chain, here as well."""
        ...

    def refused(self, parcel: Any, error: AteError) -> None:
        """It is not in the chain and never will be."""
        ...

    def skipped(self, parcels: Sequence[Any]) -> None:
        """These never will be either, only because one before them was refused: make them anew."""
        ...

    def changed(self) -> None:
        """The replica went online or offline, or has failed."""
        ...
