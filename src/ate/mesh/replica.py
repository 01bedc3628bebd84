"""`Replica`: a client's side of one chain.

It opens it on a line, takes the stream into the local copy, sends commits and learns what became of
them, across any number of connections. It trusts the server with order and availability alone:
every record is judged again here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ate.chain.ledger import Ledger
from ate.chain.succession import RENEWAL
from ate.errors import (
    AccessDenied,
    AteError,
    CorruptLog,
    Disconnected,
    Forked,
    RemoteError,
    RemoteProtocolError,
    TrustError,
    UntrustedRoot,
)
from ate.mesh.continuing import begins_anew
from ate.mesh.credential import Credential, Token
from ate.mesh.flight import Author, Flight, Flights
from ate.mesh.line import Line
from ate.mesh.listener import Listener, unwritable
from ate.mesh.pump import report
from ate.mesh.request import Requests, error_of
from ate.mesh.sequencing import proved
from ate.mesh.settling import Settling
from ate.wire.message import (
    Bodies,
    Close,
    Credit,
    Failed,
    Found,
    Lagged,
    Moved,
    Open,
    Opened,
    Proved,
    Records,
    Refused,
    Stated,
    Submit,
)
from ate.wire.terms import PeerSession

if TYPE_CHECKING:
    from ate.dio.receipt import Receipt

#: Bytes of records that may be on their way to us; half of it is given back at a time.
CREDIT_BYTES: Final = 8 << 20
#: A chain that the server could not give us is asked for again after so long, doubling.
_AGAIN_S: Final = 0.25
_AGAIN_MAX_S: Final = 8.0
_MOVES_MAX: Final = 8
#: Whoever sent us where the chain is not to be had is asked again after so many tries.
_TRIES: Final = 4
#: Errors that end all hope, and words of a server that do. Rights, for example, may come back.
_FINAL: Final = (TrustError, RemoteProtocolError)
_FINAL_WORDS: Final = (UntrustedRoot, Forked)


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
        token: for the server's gate; see `Credential`.
        listener: hears what the server states; without one its order is believed.
    """

    def __init__(
        self, name: str, ledger: Ledger, line: Line, author: Author, *,
        reline: Callable[[str], Line] | None = None, device: int = 0, sparse: int = 0,
        token: Token = b"", listener: Listener | None = None,
    ) -> None:  # fmt: skip
        self.name, self.ledger, self.line, self.author = str(name), ledger, line, author
        self.sparse, self.device, self._credential = sparse, device, Credential(token)
        self._listener = listener or Listener()
        self._reline = reline
        #: The server that was asked for, and the one that it sent us to last.
        self._home, self._away = line, line
        #: What else is said in `Open`.
        self.more: dict[str, Any] = {}
        self.flights = Flights(author, self._submit, self._tell)
        self.requests = Requests(self)
        #: The server's answer to `Open` on this connection; None while there is none.
        self.opened: Opened | None = None
        #: All that the server had when it answered is here.
        self.is_current = False
        #: Why the server is not followed any more; final.
        self.failure: AteError | None = None
        #: Why there is no connection, or no chain on it.
        self.trouble: AteError | None = None
        self.lagged = False
        #: Held while a message is worked on: the ledger must not change then.
        self.taking = asyncio.Lock()
        self._settling = Settling(ledger, self.taking)
        #: A copy from the start, when what is missing here was compacted there.
        self._renewed: Ledger | None = None
        self._sources: list[tuple[int, int]] = []
        self._inbox: deque[Any] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._watchers: list[Callable[[], None]] = []
        self._used, self._moves, self._tries, self._ch = 0, 0, 0, -1
        self._again_s = _AGAIN_S
        self._again: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Connect, and go on."""
        self._task = asyncio.get_running_loop().create_task(self._work())
        self._ch = self.line.attach(self)

    @property
    def is_online(self) -> bool:
        """Whether commits can be sent."""
        return self.opened is not None and self.failure is None

    @property
    def refusal(self) -> AteError | None:
        """Why no commits are taken, however long one waits; None when they are."""
        if self.failure is not None or self.opened is None or self.opened.writable:
            return self.failure
        return unwritable(self.name, self.opened)

    @property
    def address(self) -> str:
        """Where the chain is."""
        return str(self.line.url)

    @property
    def channel(self) -> int:
        return self._ch

    def hurry(self) -> None:
        self.line.hurry()

    async def newest(self) -> int:
        """Return how many commits the server has now; see `Requests.newest`."""
        return await self.requests.newest()

    def acknowledge(self, receipt: Receipt) -> bytes | None:
        """See `Listener.acknowledge`."""
        return self._listener.acknowledge(receipt, self.opened, self.ledger)

    def watch(self, tell: Callable[[], None]) -> None:
        """Call `tell` whenever the connection or what it brings has changed."""
        self._watchers.append(tell)

    def send(self, flight: Flight) -> None:
        """Send a commit, now or when there is a connection; the author is told what follows."""
        self.flights.add(flight, send=self.opened is not None)

    def recall(self, flight: Flight) -> bool:
        """See `Flights.recall`."""
        return self.flights.recall(flight, self.ledger)

    async def close(self) -> None:
        """Leave the line; what is in flight stays in the outbox."""
        if self._ch >= 0:
            if self.line.is_up:
                self.line.send(Close(self._ch))
            self.line.detach(self._ch)
        self.flights.close()
        await self._settling.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._again is not None:  # the task may have asked for it while it ended
            self._again.cancel()
        self._drop_renewed()
        self._listener.keep()
        self._lose(Disconnected("the chain was closed"))

    # --- the line's port ---

    def connected(self, peer: PeerSession) -> None:
        """The line is up."""
        self.received(peer)

    def received(self, message: Any) -> None:
        """Take a message of this channel."""
        self._inbox.append(message)
        self._wake.set()

    def disconnected(self, error: AteError) -> None:
        """The line is down; it comes up again by itself, but the chain may be elsewhere then."""
        self._inbox.clear()
        if self._away is self._home:
            self._lose(error)
        else:
            self._come_again(error, 0)

    def _lose(self, error: AteError) -> None:
        self.trouble = error
        self.opened, self.is_current = None, False
        self.requests.lose(error)
        self._tell()

    def _tell(self) -> None:
        self.author.changed()
        for tell in self._watchers:
            tell()

    # --- working through what came, one by one ---

    async def _work(self) -> None:
        while True:
            while self._inbox:
                message = self._inbox.popleft()
                try:
                    if self.failure is None:
                        async with self.taking:
                            await self._take(message)
                except _FINAL as error:
                    self.failure = error
                    self._lose(error)
                except AteError as error:
                    self._come_again(error, 0)
                except Exception as error:
                    report(f"{self.name!r} could not take a {type(message).__name__}", error)
                    self._come_again(RemoteError(f"the client made a mistake: {error!r}"), 0)
            self._wake.clear()
            if not self._inbox:
                await self._wake.wait()

    async def _take(self, message: Any) -> None:
        match message:
            case Records():
                if self.opened is not None:  # else it follows one that could not be taken
                    await self._take_records(message)
            case Refused():
                self.flights.refuse(message)
            case PeerSession():
                self._listener.peer = message
                self._open()
            case Opened():
                self._take_opened(message)
            case Stated():
                self._listener.hear(message.statement, self.ledger)
                self._tell()
            case Found() | Bodies() | Proved():
                self.requests.answer(message.ref, message)
            case Failed(ref=0):
                error = error_of(message)
                if isinstance(error, _FINAL_WORDS) and not message.retry_ms:
                    raise error
                if isinstance(error, AccessDenied):
                    self._credential.refuse(self._listener.peer)
                self._come_again(error, message.retry_ms / 1000)
            case Failed():
                self.requests.answer(message.ref, error_of(message))
            case Moved():
                self._move(message)
            case Lagged():
                self.lagged = True

    def _open(self) -> None:
        self._drop_renewed()
        view = self.ledger.view
        commits = view.frontier.size
        root = view.frontier.root() if commits else bytes(32)
        self._used, self._sources = 0, self.flights.sources()
        self.line.send(
            Open(
                self._ch, self.name, view.trust.chain_id, commits, root, self._sources,
                sparse=self.sparse, token=self._credential.show(), credit=CREDIT_BYTES,
                seen=self._listener.show(self.ledger), more=self.more,
            )
        )  # fmt: skip

    def _take_opened(self, opened: Opened) -> None:
        if not self._listener.learn(opened, self.ledger):
            self.line.send(Close(self._ch))
            self._open()
            return
        if opened.chain_id in (b"", self.ledger.view.trust.chain_id):
            # Its own words first: they are evidence.
            self._listener.hear(opened.statement, self.ledger, is_answer=True)
        if begins_anew(self.name, self.ledger.view, opened):
            self._renewed = self.ledger.renewal()
        self.opened, self.trouble = opened, None
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self.ledger.proved = proved(opened, self._listener.peer, self.ledger)
        if opened.time_us:
            self.ledger._timeline.follow(opened.time_us)
        self._again_s, self._moves, self._tries, self.lagged = _AGAIN_S, 0, 0, False
        if self._renewed is None:
            self.flights.find(self.ledger)
        last = {source: one[0] for source, one in zip(self._sources, opened.last, strict=False)}
        self.flights.resume(last, self.refusal)
        self._check_current()
        self._tell()

    def _check_current(self) -> None:
        opened = self.opened
        if opened is None or self.is_current:
            return
        if self._renewed is not None:
            if self._renewed.view.frontier.size < opened.commits:
                return
            renewed, self._renewed = self._renewed, None
            self.ledger.succeed(renewed)
            self.flights.find(self.ledger)
        self.is_current = self.ledger.view.frontier.size >= opened.commits

    async def _take_records(self, message: Records) -> None:
        was_current, ledger = self.is_current, self._renewed or self.ledger
        if not message.frames:
            ledger.end_past()
        for frame in message.frames:
            payload = memoryview(frame)
            flight = self.flights.of(payload)
            try:
                record = await ledger.receive(payload, is_mine=flight is not None)
            except CorruptLog as error:
                raise Forked(f"the server sent what is no continuation: {error.message}") from error
            if record is not None and ledger is self.ledger:
                self.flights.land(record, ledger.view.frontier)
                self._listener.look(ledger)
            self._used += len(frame)
        if self._used >= CREDIT_BYTES // 2:
            self.line.send(Credit(self._ch, self._used))
            self._used = 0
        self._settling.soon()
        self._check_current()
        if self.is_current and not was_current:
            self._tell()

    def _submit(self, flight: Flight) -> None:
        if self.opened is not None:
            guards = [(bytes(one), seq) for one, seq in flight.guards]
            epoch = self.opened.epoch if self.opened.role == "master" else 0
            self.line.send(Submit(self._ch, flight.payload, flight.at, guards, epoch))

    # --- when the chain is not to be had ---

    def _come_again(self, error: AteError, wait_s: float) -> None:
        """Open the chain anew after a while."""
        self._lose(error)
        if self._again is None:
            wait_s = wait_s or self._again_s
            self._again_s = min(2 * self._again_s, _AGAIN_MAX_S)
            self._again = asyncio.get_running_loop().call_later(wait_s, self._reattach)

    def _reattach(self) -> None:
        self._again, self._moves = None, 0
        line, trouble = self.line, self.trouble
        if line.is_up and trouble is not None and self._credential.is_spent(self._listener.peer):
            self._come_again(trouble, 0)  # the same question would get the same answer
            return
        self._tries += 1
        if self.failure is None:
            if line.is_up:
                line.send(Close(self._ch))
            if not line.is_up or self._tries % _TRIES == 0:
                line = self._away if line is self._home else self._home
            self._change_line(line)

    def _move(self, moved: Moved) -> None:
        self._moves += 1
        error = Disconnected(f"the chain has moved to {moved.url}")
        if self._reline is None or self._moves > _MOVES_MAX:
            self._come_again(error, 0)
            return
        self._lose(error)
        self._away = self._reline(moved.url)
        self._change_line(self._away)

    def _change_line(self, line: Line) -> None:
        """Take a new channel; what comes on the old one is nobody's any more."""
        self.line.detach(self._ch)
        self._inbox.clear()
        if line is not self.line:
            self._listener.forget()
        self.line = line
        self._ch = line.attach(self)

    def _drop_renewed(self) -> None:
        if self._renewed is not None:
            self._renewed.store.close()
            self._renewed = None
            self.ledger.succession.end(RENEWAL)
