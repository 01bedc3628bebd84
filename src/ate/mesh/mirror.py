"""`Mirror`: a chain that another server orders, followed and served here: a relay or an archive.

It orders nothing, signs nothing and renumbers nothing: commits go up as their authors made them,
and what comes down is handed on as it came.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ate import limits
from ate.chain.ledger import Ledger
from ate.chain.transfer import pack
from ate.clock import Clock
from ate.crypto.entropy import Entropy
from ate.crypto.sign import SigningKey
from ate.errors import (
    AteError,
    Disconnected,
    NotFound,
    StorageError,
    Throttled,
    TrustError,
    UsageError,
)
from ate.event.commit import ROWS_AT, AuthorPart
from ate.ids import ChainName
from ate.log.memory import MemoryLog
from ate.log.store import LogStore
from ate.mesh.gate import Gate
from ate.mesh.guest import Guest
from ate.mesh.line import Line
from ate.mesh.meter import Meter
from ate.mesh.registry import Registry
from ate.mesh.root import Root
from ate.mesh.roster import Shelf
from ate.mesh.topology import Place
from ate.mesh.uplink import TERMS, Question, Uplink
from ate.trust.attest import HeadStatement
from ate.wire.message import Accepted, Failed, Found, Lookup, Open, Refused, Stated, Submit
from ate.wire.terms import PeerSession, Terms, Trust

if TYPE_CHECKING:
    from ate.mesh.hall import Hall

#: Whoever opens a chain whose master does not answer is told after so long.
_UNREACHED_S: Final = 1.5
#: A copy that is still being made is waited for so long; then the visitor comes again.
_LOADING_S: Final = 10.0
#: Answers of the master that are kept for the visitors that asked.
_ANSWERS: Final = 1024

_Source = tuple[int, int, int]


class Mirror(Root):
    """One chain of another server.

    Args:
        place: its owner and the role it has here.
        lost: tells all who have it open here.
        others: see `Root`.
    """

    def __init__(
        self, name: str, ledger: Ledger, place: Place, *, gate: Gate, meter: Meter,
        lost: Callable[[Root, AteError], None], on_failure: Callable[[Root, AteError], None],
    ) -> None:  # fmt: skip
        super().__init__(
            name, ledger, gate=gate, meter=meter, on_failure=on_failure, epoch=place.epoch,
            role=place.role,
        )  # fmt: skip
        self.uplink: Uplink
        self.release: Callable[[], None] = lambda: None
        self.is_kept = place.role == "archive"
        self._lost = lost
        self._changed = asyncio.Event()
        self._asked: dict[_Source, tuple[Guest, int, int]] = {}
        self._asked_bytes = 0
        self._newest, self._newest_size = b"", -1
        self._answers: OrderedDict[bytes, bytes] = OrderedDict()

    # --- from above -------------------------------------------------------------------------

    def met(self, peer: PeerSession) -> None:
        """The master is connected."""
        self._answers.clear()
        self._newest, self._newest_size = b"", -1

    async def advance(self) -> None:
        """Hand on what has just come; whoever calls it holds `alone`."""
        view, first = self.ledger.view, self.durable
        opened = self.uplink.opened
        if opened is not None:
            self.epoch = opened.epoch
        if view.frontier.size != first:
            try:
                await self._flush()
            except StorageError as error:
                self.fail(error)
                return
            self.durable = view.frontier.size
            if first < view.cut or self.durable < first:
                for subscriber in tuple(self.subscribers):
                    subscriber.at_tail = False
                    subscriber.start()
            else:
                frames = [bytes(pack(view, self.frame(at))) for at in range(first, self.durable)]
                self._stream(frames, first)
        self._changed.set()

    def hear(self, statement: bytes) -> None:
        """Hand on what the master states, unless it is older than what was handed on before."""
        self._changed.set()
        if not statement:
            return
        size = HeadStatement.decode(statement).size
        if size < self._newest_size:
            return
        self._newest, self._newest_size = statement, size
        for subscriber in tuple(self.subscribers):
            subscriber.guest.send(Stated(subscriber.ch, statement))

    def answer(self, message: Accepted | Refused) -> None:
        """Hand the answer to a commit to whoever sent it."""
        found = self._asked.pop((message.device, message.session, message.lsn), None)
        if found is None:
            return
        guest, ch, nbytes = found
        self._asked_bytes -= nbytes
        self._room.set()
        if isinstance(message, Accepted) and not message.again:
            self.gate.stored(guest, self.name, nbytes)
        guest.send(msgspec.structs.replace(message, ch=ch))

    def lost(self, error: AteError) -> None:
        """The master is lost: whoever writes or reads here must know at once."""
        self._changed.set()
        asked, self._asked, self._asked_bytes = self._asked, {}, 0
        self._room.set()
        final = self.uplink.failure
        if self.is_kept:
            for guest, ch, _ in asked.values():
                guest.send(Failed(ch, 0, "disconnected", "the master is lost", "", 1000))
        elif final is not None:
            self.fail(final)  # the copy is of no use: the next one begins anew
        elif not self._closing:
            self._lost(self, Disconnected(f"the master is lost: {error.message}"))

    # --- from below -------------------------------------------------------------------------

    async def welcome(self, message: Open) -> None:
        """Be as current as the master is, and have its word for it.

        Raises:
            NotFound: the master has no such chain.
            Disconnected: it does not answer; an archive then serves what it has.
        """
        try:
            await self._be_current(message)
        except Disconnected:
            if not self.is_kept or self.ledger.view.trust.genesis is None:
                raise

    async def _be_current(self, message: Open) -> None:
        uplink = self.uplink
        await self._until(lambda: uplink.is_online, _UNREACHED_S)
        await self._until(lambda: uplink.is_current, _LOADING_S)
        if message.commits > self.durable:
            newest = await self._within(uplink.requests.newest())
            await self._until(lambda: self.durable >= newest, _LOADING_S)
        if message.seen and self._newest:
            chain_id = self.ledger.view.trust.chain_id
            question = Question(uplink.line, self.name, chain_id, message.seen)
            self._answers[message.seen] = await self._within(question.ask())
            while len(self._answers) > _ANSWERS:
                self._answers.popitem(last=False)

    async def _within(self, work: Any) -> Any:
        try:
            async with asyncio.timeout(_UNREACHED_S):
                return await work
        except TimeoutError:
            raise Disconnected("the chain's master does not answer") from None

    async def _until(self, happened: Callable[[], bool], wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                while not happened():
                    trouble = self.uplink.failure or self.uplink.trouble or self.failure
                    if isinstance(trouble, NotFound):
                        raise trouble
                    if isinstance(trouble, TrustError):
                        # The visitor has done nothing wrong.
                        raise Disconnected(f"the master serves no copy: {trouble.message}")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            what = "is still being copied" if self.uplink.is_online else "has no master to ask"
            raise Disconnected(f"the chain {what}", hint="come again in a moment") from None

    def statement(self, answers: bytes = b"") -> bytes:
        """Return what the master stated, in answer to `answers` if it was asked."""
        return self._answers.get(answers, b"") if answers else self._newest

    def more(self) -> dict[str, Any]:
        """Return whose statements these are."""
        peer = self.uplink.master
        if peer is None or peer.key is None:
            return {}
        return {"master": str(self.uplink.line.url), "key": peer.key.raw.hex()}

    async def look_up(self, message: Lookup) -> Found:
        """Return what the master says became of a commit."""
        answer = self.uplink.requests.look_up(message.device, message.session, message.lsn)
        found: Found = await self._within(answer)
        # Whoever asked will wait for so many commits: they are on their way here.
        return msgspec.structs.replace(found, ch=message.ch, ref=message.ref)

    async def submit(self, guest: Guest, message: Submit) -> None:
        """Send a commit up; its answer comes back by `answer`."""
        nbytes = len(message.commit)
        while self._asked_bytes > limits.INBOX_BYTES_MAX:
            self._room.clear()
            await self._room.wait()
        try:
            if nbytes < ROWS_AT:
                raise UsageError("it is shorter than a header")
            wait_s = self.gate.may_submit(guest, self.name, nbytes)
            if wait_s > 0:
                raise Throttled(f"too much at once: come back in {wait_s:.2f} s")
        except AteError as error:
            refusal = self.refusal(message, error)
            if isinstance(error, Throttled):
                wait_ms = int(wait_s * 1000) + 1
                refusal = msgspec.structs.replace(refusal, again=True, retry_ms=wait_ms)
            guest.send(refusal)
            return
        if not self.uplink.is_online:
            raise Disconnected("the chain's master is lost")
        author = AuthorPart.decode(memoryview(message.commit))
        source = author.device, author.session, author.lsn
        before = self._asked.get(source)
        self._asked[source] = guest, message.ch, nbytes
        self._asked_bytes += nbytes - (before[2] if before is not None else 0)
        self.uplink.line.send(msgspec.structs.replace(message, ch=self.uplink.channel))
        await self.uplink.line.drain()

    async def close(self) -> None:
        """Leave the master, then close the copy."""
        self._closing = True
        await self.uplink.close()
        self.release()
        await super().close()


class Following:
    """Makes the mirrors of a hall.

    Args:
        shelf: where an archive keeps its copies; a relay keeps none.
        identity: the key that this server proves to masters.
        trust: judges the keys of masters.
        lines: the connections to masters.
    """

    def __init__(
        self, shelf: Shelf, *, identity: SigningKey | None, trust: Callable[[str], Trust | None],
        gate: Gate, meter: Meter, lines: Registry, clock: Clock, entropy: Entropy,
        terms: Terms = TERMS,
    ) -> None:  # fmt: skip
        self._shelf, self._identity, self._trust, self._terms = shelf, identity, trust, terms
        self._gate, self._meter, self.lines = gate, meter, lines
        self._clock, self._entropy = clock, entropy
        self.on_lost: Callable[[Root, AteError], None] = lambda _root, _error: None
        self.on_failure: Callable[[Root, AteError], None] = lambda _root, _error: None

    def serve(self, hall: Hall) -> None:
        """Make mirrors for this hall."""
        self.on_lost, self.on_failure = hall.failed, hall.roster.failed

    def line(self, url: str, held: dict[str, Line]) -> Line:
        """Return the line to a server, and remember to give it back."""
        if url not in held:
            held[url] = self.lines.line(
                url, identity=self._identity, trust=self._trust(url), terms=self._terms
            )
        return held[url]

    async def __call__(self, name: ChainName, place: Place) -> Root:
        """Return the mirror of a chain, which begins to follow it."""
        is_kept = place.role == "archive"
        store: LogStore = self._shelf.open(name, create=True) if is_kept else MemoryLog()
        try:
            ledger = Ledger(store, clock=self._clock, entropy=self._entropy)
            await ledger.replay()
        except BaseException:
            store.close()
            raise
        held: dict[str, Line] = {}
        mirror = Mirror(
            str(name), ledger, place, gate=self._gate, meter=self._meter,
            lost=self.on_lost, on_failure=self.on_failure,
        )  # fmt: skip

        def release() -> None:
            while held:
                self.lines.release(held.popitem()[1])

        mirror.release = release
        mirror.uplink = Uplink(
            name, ledger, self.line(place.owner, held), mirror,
            reline=lambda url: self.line(url, held),
        )  # fmt: skip
        mirror.uplink.start()
        return mirror
