"""`Replica`: a client's side of one chain.

It opens it on a line, takes the stream into the local copy, sends commits and learns what became of
them, across any number of connections.

It trusts the server with order and availability alone: every record is judged again here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from ate.chain.ledger import Ledger
from ate.errors import (
    AteError,
    BodyNotHeld,
    Conflict,
    CorruptLog,
    Disconnected,
    Fenced,
    Forked,
    RemoteProtocolError,
    Throttled,
    TrustError,
    UntrustedRoot,
    codes,
)
from ate.errors import (
    Refused as RefusedError,
)
from ate.event.commit import AUTHOR_BYTES, Record
from ate.mesh.flight import Author, Flight
from ate.mesh.line import Line
from ate.wire.connection import PeerSession
from ate.wire.message import (
    Accepted,
    Bodies,
    Close,
    Credit,
    Evidence,
    Failed,
    Fetch,
    Found,
    Lagged,
    Lookup,
    Message,
    Moved,
    Open,
    Opened,
    Proved,
    Records,
    Refused,
    Stated,
    Submit,
)

#: Bytes of records that may be on their way to us; half of it is given back at a time.
CREDIT_BYTES: Final = 8 << 20
_ORDER_END: Final = AUTHOR_BYTES + 64
#: A chain that the server could not give us is asked for again after so long, doubling.
_AGAIN_S: Final = 0.25
_AGAIN_MAX_S: Final = 30.0
_MOVES_MAX: Final = 8
#: Codes that end all hope: what the server has is not our chain, or we may not have it.
_FINAL: Final = (TrustError, RemoteProtocolError)


class Witness(Protocol):
    """Remembers and checks what a server has stated about a chain; see `ate.mesh.witness`."""

    @property
    def seen(self) -> bytes:
        """Hash of the newest statement; empty when there is none."""
        ...

    def check(self, statement: bytes, ledger: Ledger) -> None:
        """Compare a statement with the replica; raises Forked when the server has lied."""
        ...


class Replica:
    """One chain, followed and written to through a server.

    Args:
        name: of the chain.
        ledger: the local copy, read already; may be empty.
        line: the connection to the server.
        author: who sends commits through here.
        reline: gives the line to another server when the chain has moved.
        device: of the origins under which commits are sent.
        sparse: leave bodies that are longer on the server; 0 leaves none.
        token: for the server's gate.
        witness: None believes the server's order without keeping its words.
    """

    def __init__(
        self, name: str, ledger: Ledger, line: Line, author: Author, *,
        reline: Callable[[str], Line] | None = None, device: int = 0, sparse: int = 0,
        token: Callable[[], bytes] = bytes, witness: Witness | None = None,
    ) -> None:  # fmt: skip
        self.name, self.ledger, self.line, self.author = str(name), ledger, line, author
        self.device, self.sparse, self._token, self._witness = device, sparse, token, witness
        self._reline = reline
        self.peer: PeerSession | None = None
        #: The server's answer to `Open` on this connection; None while there is none.
        self.opened: Opened | None = None
        #: All that the server had when it answered is here.
        self.is_current = False
        #: Why the server is not followed any more; final.
        self.failure: AteError | None = None
        #: Why there is no connection, or no chain on it.
        self.trouble: AteError | None = None
        self.epoch = 0
        self.lagged = False
        self._flights: dict[tuple[int, int], Flight] = {}
        self._inbox: deque[Message | tuple[int, AteError | None]] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._sources: list[tuple[int, int]] = []
        self._ref = 0
        self._used = 0
        self._again_s = _AGAIN_S
        self._again: asyncio.TimerHandle | None = None
        self._resending: asyncio.TimerHandle | None = None
        self._moves = 0
        self._ch = -1
        self._watchers: list[Callable[[], None]] = []

    # --- for the chain ---

    def start(self) -> None:
        """Connect, and go on for ever."""
        self._task = asyncio.get_running_loop().create_task(self._work())
        self._ch = self.line.attach(self)

    @property
    def is_online(self) -> bool:
        """Whether commits can be sent."""
        return self.opened is not None and self.failure is None

    @property
    def address(self) -> str:
        """Where the chain is."""
        return str(self.line.url)

    def watch(self, tell: Callable[[], None]) -> None:
        """Call `tell` whenever the connection or what it brings has changed."""
        self._watchers.append(tell)

    def _tell(self) -> None:
        self.author.changed()
        for tell in self._watchers:
            tell()

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    def sources(self) -> list[tuple[int, int]]:
        """Return the sessions whose flights are open."""
        return list(dict.fromkeys((self.device, session) for session, _ in self._flights))

    def send(self, flight: Flight) -> None:
        """Send a commit, now or when there is a connection; the author is told what follows."""
        self._flights[flight.session, flight.lsn] = flight
        if self.opened is not None and self._resending is None:
            self._submit(flight)

    def abandon(self, flight: Flight) -> None:
        """Never send it again; whether it has landed is still found out."""
        flight.abandoned = True

    async def lookup(self, session: int, lsn: int) -> int:
        """Return the first seq of a commit, 0 when the chain has not got it."""
        ref, answer = self._ask()
        self.line.send(Lookup(self._ch, ref, self.device, session, lsn))
        found: Found = await answer
        return found.first_seq

    async def fetch(self, seqs: Sequence[int]) -> list[bytes | None]:
        """Return stored bodies that are not kept here; the caller checks them.

        Raises:
            BodyNotHeld: there is no connection to ask on.
        """
        bodies: list[bytes | None] = []
        while len(bodies) < len(seqs):
            if not self.is_online:
                raise BodyNotHeld("the body is on the server, and there is no connection to it")
            ref, answer = self._ask()
            self.line.send(Fetch(self._ch, ref, list(seqs[len(bodies) :])))
            try:
                found: Bodies = await answer
            except Disconnected as error:
                raise BodyNotHeld(f"the body is on the server: {error.message}") from error
            if not found.bodies:
                raise RemoteProtocolError("the server sends none of the bodies asked for")
            bodies += found.bodies
        return bodies

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the server's proof that its tree of `new` commits continues that of `old`."""
        ref, answer = self._ask()
        self.line.send(Evidence(self._ch, ref, old, new))
        proved: Proved = await answer
        return proved.path

    def _ask(self) -> tuple[int, asyncio.Future[Any]]:
        if not self.is_online:
            raise Disconnected("there is no connection to the server")
        self._ref += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[self._ref] = answer
        return self._ref, answer

    async def close(self) -> None:
        """Leave the line; what is in flight stays in the outbox."""
        if self._ch >= 0:
            if self.line.is_up:
                self.line.send(Close(self._ch))
            self.line.detach(self._ch)
        for timer in (self._again, self._resending):
            if timer is not None:
                timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._lose(Disconnected("the chain was closed"))

    # --- the line's port ---

    def connected(self, peer: PeerSession) -> None:
        """The line is up."""
        self.peer = peer
        self._open()

    def received(self, message: Message) -> None:
        """Take a message of this channel."""
        self._inbox.append(message)
        self._wake.set()

    def disconnected(self, error: AteError) -> None:
        """The line is down; it comes up again by itself."""
        self._inbox.clear()
        self._lose(error)

    def _lose(self, error: AteError) -> None:
        self.trouble = error
        self.opened, self.is_current = None, False
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            if not answer.done():
                answer.set_exception(Disconnected(f"the connection was lost: {error.message}"))
                answer.exception()
        self._tell()

    def _open(self) -> None:
        if self.failure is not None or not self.line.is_up:
            return
        view = self.ledger.view
        commits = view.frontier.size
        root = view.frontier.root() if commits else bytes(32)
        self._used, self._sources = 0, self.sources()
        self.line.send(
            Open(
                self._ch, self.name, view.trust.chain_id, commits, root, self._sources,
                sparse=self.sparse, token=self._token(), credit=CREDIT_BYTES,
                seen=self._witness.seen if self._witness is not None else b"",
            )
        )  # fmt: skip

    # --- working through what came ---

    async def _work(self) -> None:
        while True:
            while self._inbox:
                message = self._inbox.popleft()
                try:
                    await self._take(message)
                except _FINAL as error:
                    self._give_up(error)
                except AteError as error:
                    self._come_again(error, 0)
            self._wake.clear()
            await self._wake.wait()

    async def _take(self, message: Any) -> None:
        if self.failure is not None:
            return
        match message:
            case Records():
                await self._take_records(message)
            case Accepted():
                pass  # the record itself is the acknowledgement
            case Refused():
                self._take_refusal(message)
            case Opened():
                self._take_opened(message)
            case Stated():
                if self._witness is not None:
                    self._witness.check(message.statement, self.ledger)
            case Found() | Bodies() | Proved():
                answer = self._asked.pop(message.ref, None)
                if answer is not None and not answer.done():
                    answer.set_result(message)
            case Failed():
                self._take_failure(message)
            case Moved():
                self._move(message)
            case Lagged():
                self.lagged = True
            case _:
                pass

    def _take_opened(self, opened: Opened) -> None:
        view = self.ledger.view
        mine = view.trust.chain_id
        if mine and opened.chain_id and mine != opened.chain_id:
            raise UntrustedRoot(f"the server has another chain under the name {self.name!r}")
        commits = view.frontier.size
        if commits > opened.commits or (commits == opened.commits and commits and (
            view.frontier.root() != opened.root
        )):  # fmt: skip
            if self._witness is not None and opened.statement:
                self._witness.check(opened.statement, self.ledger)
            raise Forked(
                f"the server has {opened.commits} commits, and they are not the first of the "
                f"{commits} that are here"
            )
        if opened.start != commits:
            raise Forked(f"the server begins with commit {opened.start}, here are {commits}")
        if self._witness is not None and opened.statement:
            self._witness.check(opened.statement, self.ledger)
        self.opened, self.trouble, self.epoch = opened, None, opened.epoch
        self._again_s, self._moves, self.lagged = _AGAIN_S, 0, False
        for (session, lsn), flight in sorted(self._flights.items()):
            self._settle_known(session, lsn, flight)
        last = dict(zip((s for _, s in self._sources), opened.last, strict=False))
        for (session, lsn), flight in sorted(self._flights.items()):
            if lsn > last.get(session, (0, 0))[0]:
                if flight.abandoned:
                    self._flights.pop((session, lsn))
                    self.author.refused(flight, Disconnected("it was never sent again"))
                else:
                    self._submit(flight)
        self._check_current()
        self._tell()

    def _settle_known(self, session: int, lsn: int, flight: Flight) -> None:
        """Find a flight whose record came while nobody looked: before this process was started."""
        view = self.ledger.view
        if lsn > view.origins.last(self.device, session):
            return
        record = self._find(session, lsn)
        if record is not None and _same(record, flight.payload):
            self._flights.pop((session, lsn))
            self.author.landed(flight, record, view.frontier)

    def _find(self, session: int, lsn: int) -> Record | None:
        from ate.mesh.completion import Completions

        known = Completions(self.ledger).lookup(self.device, session, lsn)
        return self.ledger.view.find(known.first_seq)[0] if known is not None else None

    def _check_current(self) -> None:
        opened = self.opened
        if opened is not None and not self.is_current:
            self.is_current = self.ledger.view.frontier.size >= opened.commits

    async def _take_records(self, message: Records) -> None:
        was_current = self.is_current
        for frame in message.frames:
            payload = memoryview(frame)
            flight = self._flight_of(payload)
            try:
                record = await self.ledger.receive(payload, flight.rows if flight else None)
            except CorruptLog as error:
                raise Forked(f"the server sent what is no continuation: {error.message}") from error
            if record is not None:
                source = record.author.session, record.author.lsn
                if record.author.device == self.device and source in self._flights:
                    self._land(source, record)
            self._used += len(frame)
        if self._used >= CREDIT_BYTES // 2:
            self.line.send(Credit(self._ch, self._used))
            self._used = 0
        self._check_current()
        if self.is_current and not was_current:
            self._tell()

    def _flight_of(self, payload: memoryview) -> Flight | None:
        """Return the flight whose very bytes these are, but for their place in the order."""
        if len(payload) < _ORDER_END or not self._flights:
            return None
        session = int.from_bytes(payload[48:56], "little")
        lsn = int.from_bytes(payload[56:64], "little")
        flight = self._flights.get((session, lsn))
        if flight is None or not flight.rows or len(flight.payload) != len(payload):
            return None
        sent = memoryview(flight.payload)
        if sent[:AUTHOR_BYTES] != payload[:AUTHOR_BYTES]:
            return None
        return flight if sent[_ORDER_END:] == payload[_ORDER_END:] else None

    def _land(self, source: tuple[int, int], record: Record) -> None:
        flight = self._flights.pop(source)
        if _same(record, flight.payload):
            self.author.landed(flight, record, self.ledger.view.frontier)
        else:
            self.author.refused(flight, RefusedError("another commit took its number"))

    # --- what the server would not take ---

    def _take_refusal(self, message: Refused) -> None:
        flight = self._flights.get((message.session, message.lsn))
        if flight is None or message.device != self.device:
            return
        before = any(
            session == message.session and lsn < message.lsn for session, lsn in self._flights
        )
        if message.again or (message.code == "lsn_gap" and before):
            if message.again:
                self._resend_in(max(message.retry_ms, 1) / 1000)
            return
        self._flights.pop((message.session, message.lsn))
        behind = [
            one for (session, lsn), one in sorted(self._flights.items())
            if session == message.session and lsn > message.lsn
        ]  # fmt: skip
        for one in behind:
            self._flights.pop((one.session, one.lsn))
        if message.code == "lsn_gap":
            self.author.skipped([flight, *behind])
            return
        if behind:
            self.author.skipped(behind)
        self.author.refused(flight, error_of(message))

    def _resend_in(self, wait_s: float) -> None:
        """Send all that is in flight again after a while, in order."""
        if self._resending is None:
            loop = asyncio.get_running_loop()
            self._resending = loop.call_later(wait_s, self._resend)

    def _resend(self) -> None:
        self._resending = None
        if self.opened is not None:
            for _, flight in sorted(self._flights.items()):
                if not flight.abandoned:
                    self._submit(flight)

    def _submit(self, flight: Flight) -> None:
        guards = [(bytes(one), seq) for one, seq in flight.guards]
        self.line.send(Submit(self._ch, flight.payload, flight.at, guards))

    # --- when the chain is not to be had ---

    def _take_failure(self, message: Failed) -> None:
        error = error_of(message)
        if message.ref:
            answer = self._asked.pop(message.ref, None)
            if answer is not None and not answer.done():
                answer.set_exception(error)
            return
        if isinstance(error, _FINAL) and not message.retry_ms:
            raise error
        self._come_again(error, message.retry_ms / 1000)

    def _come_again(self, error: AteError, wait_s: float) -> None:
        """Open the chain anew on this line after a while."""
        self._lose(error)
        if self._again is None:
            wait_s = wait_s or self._again_s
            self._again_s = min(2 * self._again_s, _AGAIN_MAX_S)
            self._again = asyncio.get_running_loop().call_later(wait_s, self._open_again)

    def _open_again(self) -> None:
        self._again = None
        if not self.line.is_up or self.failure is not None:
            return
        self.line.send(Close(self._ch))
        self.line.detach(self._ch)
        self._inbox.clear()
        self._ch = self.line.attach(self)

    def _give_up(self, error: AteError) -> None:
        self.failure = error
        self._lose(error)

    def _move(self, moved: Moved) -> None:
        self._moves += 1
        if self._reline is None or self._moves > _MOVES_MAX:
            self._come_again(Disconnected(f"the chain is at {moved.url}"), 0)
            return
        self._lose(Disconnected(f"the chain has moved to {moved.url}"))
        old = self.line
        old.detach(self._ch)
        self._inbox.clear()
        self.line = self._reline(moved.url)
        self._ch = self.line.attach(self)


def _same(record: Record, payload: bytes) -> bool:
    return record.payload[1:AUTHOR_BYTES] == memoryview(payload)[1:AUTHOR_BYTES]


def error_of(message: Refused | Failed) -> AteError:
    """Return what a server said as an error of its class."""
    cls = codes().get(message.code, AteError)
    hint = message.hint or None
    if isinstance(message, Refused) and issubclass(cls, Conflict):
        from ate.ids import ObjectId

        about = ObjectId(message.object) if len(message.object) == 16 else None
        return Conflict(message.text, object=about, theirs=message.theirs, hint=hint)
    if cls in (Fenced, Throttled):
        return cls(message.text, hint=hint)
    try:
        error = cls(message.text, hint=hint)
    except TypeError:
        error = AteError(message.text, hint=hint)
    return error
