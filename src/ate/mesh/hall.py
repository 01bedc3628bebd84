"""`Hall`: serves chains to visitors: who has which one open, and what they ask.

It orders nothing: a root does. A gate says who may, a roster has the chains, and the driver moves
bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from msgspec.structs import replace

from ate import limits
from ate.chain.ledger import Ledger
from ate.chain.paths import Paths
from ate.clock import Clock, SystemClock
from ate.crypto.entropy import Entropy, system_entropy
from ate.errors import (
    AteError,
    Compacted,
    Disconnected,
    ProtocolError,
    ReadOnly,
    TrustError,
    UntrustedRoot,
    UsageError,
    WriteDenied,
)
from ate.ids import ChainName
from ate.mesh.changes import Changes
from ate.mesh.flipping import Flipping
from ate.mesh.gate import Gate, OpenGate, Rights
from ate.mesh.guest import Guest
from ate.mesh.meter import Meter, SilentMeter
from ate.mesh.newsroom import Newsroom
from ate.mesh.root import Root
from ate.mesh.roster import Making, Roster, Shelf
from ate.mesh.rules import Rules
from ate.mesh.sequencing import Sequencing
from ate.mesh.subscriber import Subscriber
from ate.mesh.topology import Place
from ate.wire.message import (
    Bodies,
    Close,
    Closed,
    Credit,
    Evidence,
    Failed,
    Fetch,
    Lookup,
    Message,
    Moved,
    Open,
    Opened,
    Proved,
    Submit,
    Sync,
    Throttle,
)

_CHANNELS_MAX: Final = 65_536
#: Whoever had a chain open that failed comes back after so long.
_AGAIN_MS: Final = 1000
#: Bodies that are looked up before others have their turn.
_FETCHED: Final = 32
#: Roles of servers that follow the chain's master.
COPIES: Final = ("relay", "archive")
#: What an office returns that will answer by itself.
HANDLED: Final = Place("", -1)


class Office(Protocol):
    """What servers of a cluster settle among them; see `ate.mesh.handover`."""

    async def asked(self, visitor: Guest, message: Open) -> Place | None:
        """Do what another server asks; return the place that it is given, None if it asks nothing.

        Raises:
            WriteDenied: it may not ask.
        """
        ...


class Channel(NamedTuple):
    """A chain that a visitor has open."""

    name: str
    root: Root
    rights: Rights
    subscriber: Subscriber | None
    place: Place


class Hall:
    """Serves chains to visitors.

    Args:
        shelf: where they are kept.
        gate, meter: who may what; what is going on.
        where: says which server has a chain; by default this one has all.
        state: makes the signed statement about a chain; see `Root`.
        idle_close_s: a chain that nobody has open is closed after so long.
        max_open: so many chains are open at most; those that nobody has open are closed early.
        follow: makes what serves the copy of another server's chain; see `ate.mesh.mirror`.
        guard: 32 secret bytes that the server keeps: with them a large chain opens at once. Whoever
            knows them and writes to the disk can deceive the server, and no client.
        sequencing: for whose centralized chains it signs; None takes none that are new.
        compacts: chains, where a root's checkpoint says so.
        plugins: validators that each commit is shown to before it is ordered here; see
            `ate.mesh.rules`.
        clock, entropy: handed in by tests.

    Attributes:
        server_id: 16 bytes, new at each start.
    """

    def __init__(
        self, shelf: Shelf, *, gate: Gate | None = None, meter: Meter | None = None,
        where: Callable[[str], Place] = lambda _: Place(),
        state: Callable[[Ledger, bytes], bytes] | None = None, idle_close_s: float = 60.0,
        max_open: int = limits.CHAINS_OPEN_MAX, guard: bytes = b"", compacts: bool = True,
        follow: Callable[[ChainName, Place], Awaitable[Root]] | None = None,
        sequencing: Sequencing | None = None, plugins: Sequence[Any] = (),
        clock: Clock | None = None, entropy: Entropy = system_entropy,
    ) -> None:  # fmt: skip
        self.where, self._compacts = where, compacts
        self.gate: Gate = gate or OpenGate()
        self.meter: Meter = meter or SilentMeter()
        self._sequencing = sequencing
        self.server_id = entropy(16)
        self.changes = Changes(self.server_id)
        self._news = Newsroom(self)
        #: Asked first about each chain that is to be opened; None where there is one server.
        self.office: Office | None = None
        making = Making(
            clock or SystemClock(), entropy, guard, self.gate, self.meter, state, follow,
            sequencing, Rules(plugins) if plugins else None,
        )  # fmt: skip
        self.roster = Roster(
            shelf, making, idle_close_s=idle_close_s, max_open=max_open,
            on_opened=self._opened, on_failure=self.failed,
        )  # fmt: skip
        self._channels: dict[Guest, dict[int, Channel]] = {}

    @property
    def roots(self) -> dict[str, Root]:
        """The chains that are open now."""
        return self.roster.roots

    # --- visitors ---

    async def arrived(self, visitor: Guest) -> None:
        """Welcome a connection; raises what the gate has against it."""
        self._channels[visitor] = {}
        if self.roster.is_closing:
            raise Disconnected("the server is about to stop", hint="connect again in a moment")
        self.gate.admitted(visitor)

    async def left(self, visitor: Guest) -> None:
        """Forget a connection and all that it had open."""
        for ch in tuple(self._channels.get(visitor, ())):
            self._leave(visitor, ch)
        self._channels.pop(visitor, None)
        self.gate.left(visitor)

    async def handle(self, visitor: Guest, message: Message) -> None:
        """Do what a visitor asks; an AteError that this raises is the answer."""
        match message:
            case Submit():
                channel = self._channel(visitor, message.ch)
                if channel.rights.write:
                    await channel.root.submit(visitor, message)
                else:
                    visitor.send(channel.root.refusal(message, _unwritable(channel.place)))
            case Credit():
                known = self._channels[visitor].get(message.ch)
                if known is not None and known.subscriber is not None:
                    known.subscriber.give(message.bytes)
            case Open():
                await self._open(visitor, message)
            case Close():
                self._leave(visitor, message.ch)
                visitor.send(Closed(message.ch))
            case Lookup():
                root = self._channel(visitor, message.ch).root
                visitor.send(await root.look_up(message))
            case Fetch():
                await self._fetch(visitor, message)
            case Evidence():
                self._prove(visitor, message)
            case Sync():
                visitor.send(await self._news.answer(visitor, message, self._channels[visitor]))
            case _:
                raise ProtocolError(f"a client does not send {type(message).__name__}")

    # --- opening ---

    async def _open(self, visitor: Guest, message: Open) -> None:
        channels = self._channels[visitor]
        if message.ch in channels:
            raise ProtocolError(f"channel {message.ch} is open already")
        limits.check("channels of a connection", len(channels) + 1, _CHANNELS_MAX)
        name = ChainName(message.name)
        asked = await self.office.asked(visitor, message) if self.office is not None else None
        if asked is HANDLED:
            return
        place = asked if asked is not None else self.where(name)
        exists = self.roster.exists(name)
        if place.role == "legacy" and not exists and not place.url:
            place = place._replace(url=place.owner)
        if place.url:
            visitor.send(Moved(message.ch, place.url, place.epoch))
            return
        is_copy = place.role in COPIES
        rights = self.gate.may_open(visitor, name, message.token, exists=exists or is_copy)
        try:
            if rights.elsewhere:
                visitor.send(Moved(message.ch, rights.elsewhere, place.epoch))
                self.gate.closed(visitor, name)
                return
            rights = rights._replace(write=rights.write and place.role in ("master", "relay"))
            while True:
                root = await self.roster.root(name, create=rights.write, place=place)
                await root.welcome(message)
                if is_copy and root.ledger.view.trust.genesis is None:
                    # Only now it is known that there is no such chain: who may make it?
                    self.gate.may_open(visitor, name, message.token, exists=False)
                    self.gate.closed(visitor, name)
                async with root.alone:  # what it is told must be durable
                    if asked is None and self.where(name) != place:
                        raise Disconnected("the chain was just moved", hint="open it again")
                    if self.roots.get(name) is root:
                        self._enter(visitor, message, root, rights, place)
                        return
        except BaseException:
            self.gate.closed(visitor, name)
            raise

    def _enter(
        self, visitor: Guest, message: Open, root: Root, rights: Rights, place: Place
    ) -> None:
        view = root.ledger.view
        chain_id = view.trust.chain_id
        if message.chain_id and chain_id and message.chain_id != chain_id:
            raise UntrustedRoot(f"the chain {root.name!r} of this server is another one")
        commits = message.commits
        start = 0 if commits < view.cut else min(commits, root.durable)
        subscriber = None
        if message.follow and rights.read:
            subscriber = Subscriber(
                root, visitor, message.ch, start, credit=message.credit, sparse=message.sparse
            )
        channel = Channel(root.name, root, rights, subscriber, place)
        self._channels[visitor][message.ch] = channel
        self.meter.channels(1)
        self.roster.enter(root)
        last = [view.origins.table.get((d, s), (0, 0)) for d, s in message.sources]
        offer = self._sequencing.offer(visitor) if self._sequencing is not None else {}
        visitor.send(
            Opened(
                message.ch, chain_id, root.durable, view.head, view.frontier.root(), view.cut,
                start, last, root.epoch, rights.write, place.role, root.statement(message.seen),
                root.ledger.now_us(), {**self._more(root, message, place), **offer},
            )
        )  # fmt: skip
        if rights.commits_s or rights.bytes_s:
            visitor.send(Throttle(message.ch, rights.commits_s, rights.bytes_s))
        if subscriber is not None:
            root.subscribers[subscriber] = None
            subscriber.start()

    def _more(self, root: Root, message: Open, place: Place) -> dict[str, Any]:
        if message.more.get("ask") == "yield" and place.role == "legacy":
            return {"yielded": place.epoch}
        said = root.more()
        return {**said, "owner": place.owner} if place.owner else said

    def _opened(self, root: Root) -> None:
        """Keep track of the head of a chain that was just opened."""
        ledger = root.ledger
        ledger.feed.subscribe(lambda: self.changes.note(root.name, ledger.view.head))
        if ledger.view.head:
            self.changes.note(root.name, ledger.view.head)
        if self._compacts:
            Flipping(root)  # its ledger's feed keeps it

    # --- what is asked of an open chain ---

    def _channel(self, visitor: Guest, ch: int) -> Channel:
        channel = self._channels[visitor].get(ch)
        if channel is None:
            raise ProtocolError(f"channel {ch} is not open")
        return channel

    async def _fetch(self, visitor: Guest, message: Fetch) -> None:
        channel = self._channel(visitor, message.ch)
        view, bodies, size = channel.root.ledger.view, list[bytes | None](), 0
        if not channel.rights.read:
            raise TrustError("this connection may not read the chain")
        for number, seq in enumerate(message.seqs):
            body: bytes | None = None
            if number % _FETCHED == _FETCHED - 1:
                await asyncio.sleep(0)
                self._channel(visitor, message.ch)  # it may have failed meanwhile
            if 0 < seq <= view.head:
                try:
                    record, at = view.find(seq)
                    body = bytes(view.body(record, record.row(at)))
                except Compacted:
                    body = None
            size += len(body or b"")
            if size > limits.BODY_BYTES_MAX and bodies:
                break
            bodies.append(body)
        visitor.send(Bodies(message.ch, message.ref, bodies))

    def _prove(self, visitor: Guest, message: Evidence) -> None:
        root = self._channel(visitor, message.ch).root
        if not 0 < message.old <= message.new <= root.durable:
            raise UsageError(f"the chain has {root.durable} commits")
        path = Paths(root.ledger.view, message.new).consistency(message.old)
        visitor.send(Proved(message.ch, message.ref, list(path)))

    # --- closing ---

    def _leave(self, visitor: Guest, ch: int) -> None:
        channel = self._channels[visitor].pop(ch, None)
        if channel is None:
            return
        if channel.subscriber is not None:
            channel.root.leave(channel.subscriber)
        self.meter.channels(-1)
        self.gate.closed(visitor, channel.name)
        self.roster.leave(channel.root)

    def failed(self, root: Root, error: AteError) -> None:
        """Tell all who have a chain open that it can not go on; they come again."""
        text = f"the server could not go on with the chain: {error.message}"[:1000]
        failed = Failed(0, 0, error.code, text, "", _AGAIN_MS)
        self.part(root, lambda ch: replace(failed, ch=ch))

    def part(self, root: Root, say: Callable[[int], Message]) -> None:
        """Close a chain to all who have it open; each is told."""
        for visitor, channels in tuple(self._channels.items()):
            for ch in [ch for ch, one in channels.items() if one.root is root]:
                visitor.send(say(ch))
                self._leave(visitor, ch)

    async def review(self) -> None:
        """Send all whose chains have another place now there."""
        for root in tuple(self.roots.values()):
            try:
                place = self.where(root.name)
            except AteError:  # it is on its way
                place = Place()
            if place.role != root.role or (place.url and root.role == "master"):
                await self.send_on(root, place)

    async def send_on(
        self, root: Root, place: Place, settle: Callable[[], None] = lambda: None
    ) -> None:
        """Send all who have a chain open to another place, and close it.

        Args:
            settle: called when nothing is ordered any more; if it raises, the chain stays here.
        """
        async with root.alone:
            root.retire()
            try:
                settle()
            except AteError as failure:
                self.roster.failed(root, failure)
                raise
        url = place.url or place.owner
        error = Disconnected("the chain has another place now", hint="open it again")
        failed = Failed(0, 0, error.code, error.message, error.hint, 1)
        say = Moved(0, url, place.epoch) if url else failed
        self.part(root, lambda ch: replace(say, ch=ch))
        await self.roster.dismiss(root)

    async def close(self) -> None:
        """Order what was submitted, flush, and close all chains."""
        await self.roster.close()
        for visitor in tuple(self._channels):
            for ch in tuple(self._channels[visitor]):
                self._leave(visitor, ch)


def _unwritable(place: Place) -> AteError:
    if place.role == "master":
        return WriteDenied("this connection may not write to the chain")
    return ReadOnly(
        f"this server keeps a copy of the chain that is only read ({place.role})",
        hint=f"its master is at {place.owner}" if place.owner else "write to its master",
    )
