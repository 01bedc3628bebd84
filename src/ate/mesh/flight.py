"""`Flights`: commits on their way to the root, what the server said of them, and who wants to know.

It sends nothing itself and never looks into the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from ate.chain.ledger import Ledger
from ate.chain.transfer import is_same
from ate.errors import AteError, OutOfSpace
from ate.event.commit import AUTHOR_BYTES, SEQUENCER_BYTES, Record
from ate.event.draft import Draft
from ate.merkle import Frontier
from ate.mesh.completion import Completions
from ate.mesh.continuing import frontier_of
from ate.mesh.request import error_of
from ate.wire.message import Refused, Source

_ORDER_END: Final = AUTHOR_BYTES + SEQUENCER_BYTES
_DEVICE_AT: Final = 40
_SESSION_AT: Final = 48
#: After so long the commits on their way are sent again when one of them came too early.
_RESEND_S: Final = 1.0
#: A server without room is asked again after its time, doubling, and after this at the latest.
_FULL_MAX_S: Final = 5.0


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

    @property
    def is_kept(self) -> bool:
        """Whether it was promised to wait here until it lands, however long that takes."""
        ...


class Author(Protocol):
    """Whoever sends commits through a replica. No method may block or raise."""

    def landed(self, parcel: Any, record: Record, frontier: Frontier) -> None:
        """It is in the chain, here as well."""
        ...

    def passed(self, parcel: Any) -> None:
        """It was in the chain, and what it made was superseded and compacted since."""
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


def _source_of(flight: Flight) -> Source:
    """Return device and session of a commit; several who act in one program share the session."""
    device = int.from_bytes(flight.payload[_DEVICE_AT : _DEVICE_AT + 8], "little")
    return device, flight.session


class Flights:
    """The commits of one program that are on their way on one chain.

    Args:
        author: who made them.
        submit: sends one.
        tell: called when `hindrance` has changed.
    """

    def __init__(
        self, author: Author, submit: Callable[[Flight], None],
        tell: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.author, self._submit, self._tell = author, submit, tell
        self._open: dict[tuple[int, int], Flight] = {}
        #: Sent on this connection, and not answered: to send these again would bring two answers.
        self._asked: set[tuple[int, int]] = set()
        self._resending: asyncio.TimerHandle | None = None
        self._full_s = 0.0
        #: Refusals for want of the one before, since the last one landed.
        self._gaps = 0
        #: Why those that are kept do not land, although there is a connection.
        self.hindrance: AteError | None = None

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Flight]:
        """In the order of their numbers."""
        return iter([self._open[number] for number in sorted(self._open)])

    def add(self, flight: Flight, *, send: bool) -> None:
        """Count a commit as on its way; it is sent at once unless all are to be sent again soon."""
        self._open[flight.session, flight.lsn] = flight
        if send and self._resending is None:
            self._send(flight)

    def _send(self, flight: Flight) -> None:
        self._asked.add((flight.session, flight.lsn))
        self._submit(flight)

    def sources(self) -> list[tuple[int, int]]:
        """Return the device and session of those on their way."""
        return list(dict.fromkeys(_source_of(flight) for flight in self._open.values()))

    def remove(self, flight: Flight) -> None:
        self._open.pop((flight.session, flight.lsn), None)

    def resume(self, last: dict[Source, int], refusal: AteError | None = None) -> None:
        """There is a connection again: send what the server has not got.

        Args:
            last: the newest lsn that it has, for each device and session.
            refusal: why it takes no commits, if it takes none.
        """
        self._asked.clear()
        self._has_room()
        for flight in self:
            if flight.lsn <= last.get(_source_of(flight), 0):
                continue  # it comes in the stream
            if refusal is not None:
                self.remove(flight)
                self.author.refused(flight, refusal)
            else:
                # Also what nobody waits for any more: an old connection may still bring it, and
                # those behind it are numbered as if it were there.
                self._send(flight)

    # --- what came in the stream ---

    def of(self, payload: memoryview) -> Flight | None:
        """Return the flight whose very bytes these are, but for their place in the order."""
        if len(payload) < _ORDER_END or not self._open:
            return None
        session = int.from_bytes(payload[_SESSION_AT : _SESSION_AT + 8], "little")
        lsn = int.from_bytes(payload[_SESSION_AT + 8 : _SESSION_AT + 16], "little")
        flight = self._open.get((session, lsn))
        if flight is None or not flight.rows or len(flight.payload) != len(payload):
            return None
        return flight if is_same(memoryview(flight.payload), payload) else None

    def land(self, record: Record, frontier: Frontier) -> None:
        """A commit has come: tell its author if it is one of these."""
        author = record.author
        flight = self._open.get((author.session, author.lsn))
        if flight is None or _source_of(flight) != (author.device, author.session):
            return
        self.remove(flight)
        self._has_room()
        self._gaps = 0
        if bytes(record.payload[1:AUTHOR_BYTES]) == flight.payload[1:AUTHOR_BYTES]:
            self.author.landed(flight, record, frontier)
        else:
            self.author.refused(flight, AteError("another commit of its number is in the chain"))

    def find(self, ledger: Ledger) -> None:
        """Find flights whose record is here: it came before this process was started."""
        for flight in self:
            is_past = flight.lsn <= ledger.view.origins.last(*_source_of(flight))
            if is_past and not self.recall(flight, ledger):
                self.remove(flight)
                self.author.passed(flight)

    def recall(self, flight: Flight, ledger: Ledger) -> bool:
        """Tell the author of a commit that is in the chain; returns whether it is."""
        known = Completions(ledger).lookup(*_source_of(flight), flight.lsn)
        if known is None:
            return False
        self._open[flight.session, flight.lsn] = flight
        record = ledger.view.find(known.first_seq)[0]
        self.land(record, frontier_of(ledger.view, known.index + 1))
        return True

    # --- what the server would not take ---

    def refuse(self, message: Refused) -> None:
        """Work out what a refusal means for this commit and for those behind it."""
        flight = self._open.get((message.session, message.lsn))
        source = message.device, message.session
        if flight is None or _source_of(flight) != source:
            return
        self._asked.discard((flight.session, flight.lsn))
        mine = [one for one in self if _source_of(one) == source]
        if message.again and message.code == OutOfSpace.code:
            self._wait_for_room(mine[mine.index(flight) :], message)
            return
        if message.again:
            self._resend_in(max(message.retry_ms, 1) / 1000)
            return
        if message.code == "lsn_gap" and mine[0] is not flight:
            # It is sent again behind the one that it waits for: that comes soon, or was put off.
            self._resend_in(_RESEND_S)
            return
        behind = [one for one in mine if one.lsn > message.lsn]
        if message.code == "lsn_gap":
            behind, flight = [flight, *behind], None
            self._gaps += 1
            if self._gaps > 1:  # to number it anew did not help: do not hurry
                self._resend_in(_RESEND_S)
        for one in behind:
            self.remove(one)
        if flight is not None:
            self.remove(flight)
        if behind:
            self.author.skipped(behind)
        if flight is not None:
            self.author.refused(flight, error_of(message))

    def _wait_for_room(self, flights: Sequence[Flight], message: Refused) -> None:
        """The server's disk is full: what is kept here is sent again, other authors are told."""
        error = error_of(message)
        told = [one for one in flights if not one.is_kept]
        first = flights.index(told[0]) if told else len(flights)
        behind = [one for one in flights[first:] if one.is_kept]
        if first:
            self.hindrance = error
            self._full_s = min(max(2 * self._full_s, message.retry_ms / 1000), _FULL_MAX_S)
            self._resend_in(self._full_s)
            self._tell()
        for one in told + behind:
            self.remove(one)
        if behind:
            self.author.skipped(behind)
        for one in reversed(told):
            self.author.refused(one, error)

    def _has_room(self) -> None:
        if self.hindrance is not None:
            self.hindrance, self._full_s = None, 0.0
            self._tell()

    def _resend_in(self, wait_s: float) -> None:
        """Send all that is on its way again after a while, in order."""
        if self._resending is None:
            loop = asyncio.get_running_loop()
            self._resending = loop.call_later(wait_s, self._resend)

    def _resend(self) -> None:
        self._resending = None
        for flight in self:
            if (flight.session, flight.lsn) not in self._asked:
                self._send(flight)

    def close(self) -> None:
        """Send nothing any more."""
        if self._resending is not None:
            self._resending.cancel()
