"""`Hall`: the chains that a server keeps, opened on demand and closed when nobody needs them.

It dispatches what visitors ask; a root orders, a gate says who may, and the driver moves bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, Protocol

from ate import limits
from ate.chain.ledger import Ledger
from ate.chain.paths import Paths
from ate.clock import Clock, SystemClock
from ate.crypto.entropy import Entropy, system_entropy
from ate.errors import (
    AteError,
    Compacted,
    Disconnected,
    NotFound,
    ProtocolError,
    ReadOnly,
    UntrustedRoot,
    UsageError,
    WriteDenied,
)
from ate.ids import ChainName
from ate.log.store import LogStore
from ate.mesh.changes import Changes
from ate.mesh.gate import Gate, OpenGate, Rights
from ate.mesh.guest import Guest
from ate.mesh.meter import Meter, SilentMeter
from ate.mesh.root import Root
from ate.mesh.subscriber import Subscriber
from ate.wire.message import (
    Bodies,
    Close,
    Closed,
    Credit,
    Evidence,
    Fetch,
    Found,
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


class Shelf(Protocol):
    """Where a hall's chains are kept."""

    def exists(self, name: ChainName) -> bool:
        """Tell whether there is a chain of this name."""
        ...

    def open(self, name: ChainName, *, create: bool) -> LogStore:
        """Return its log, open for writing; raises NotFound and StorageErrors."""
        ...


class Place(NamedTuple):
    """Which server has a chain: `url` empty = this one. See `ate.mesh.topology`."""

    url: str = ""
    epoch: int = 0
    role: str = "master"


class Channel(NamedTuple):
    """A chain that a visitor has open."""

    name: str
    root: Root
    rights: Rights
    subscriber: Subscriber | None


class Hall:
    """Serves chains to visitors.

    Args:
        shelf: where they are kept.
        gate, meter: who may what; what is going on.
        where: says which server has a chain; by default this one has all.
        state: makes the signed statement about a chain; see `Root`.
        idle_close_s: a chain that nobody has open is closed after so long.
        server_id: 16 bytes, new at each start.
        clock, entropy: handed in by tests.
    """

    def __init__(
        self, shelf: Shelf, *, gate: Gate | None = None, meter: Meter | None = None,
        where: Callable[[str], Place] = lambda _: Place(),
        state: Callable[[Ledger, bytes], bytes] | None = None, idle_close_s: float = 60.0,
        clock: Clock | None = None, entropy: Entropy = system_entropy,
    ) -> None:  # fmt: skip
        self.shelf, self.where, self.idle_close_s = shelf, where, idle_close_s
        self.gate: Gate = gate or OpenGate()
        self.meter: Meter = meter or SilentMeter()
        self.clock, self.entropy = clock or SystemClock(), entropy
        self.server_id = entropy(16)
        self.changes = Changes(self.server_id)
        self.roots: dict[str, Root] = {}
        self._state = state
        self._opening: dict[str, asyncio.Task[Root]] = {}
        self._channels: dict[Guest, dict[int, Channel]] = {}
        self._idle: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    # --- visitors ---

    async def arrived(self, visitor: Guest) -> None:
        """Welcome a connection; raises what the gate has against it."""
        self._channels[visitor] = {}
        if self._closing:
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
                await self._submit(visitor, message)
            case Credit():
                channel = self._channels[visitor].get(message.ch)
                if channel is not None and channel.subscriber is not None:
                    channel.subscriber.give(message.bytes)
            case Open():
                await self._open(visitor, message)
            case Close():
                self._leave(visitor, message.ch)
                visitor.send(Closed(message.ch))
            case Lookup():
                root = self._channel(visitor, message.ch).root
                known = root.completions.lookup(message.device, message.session, message.lsn)
                last = root.ledger.view.origins.last(message.device, message.session)
                first = known.first_seq if known is not None else 0
                visitor.send(Found(message.ch, message.ref, first, last, root.durable))
            case Fetch():
                self._fetch(visitor, message)
            case Evidence():
                self._prove(visitor, message)
            case Sync():
                names = message.names or [one.name for one in self._channels[visitor].values()]
                allowed = [name for name in names if self._may_read(visitor, name)]
                visitor.send(self.changes.answer(message.ref, message.cursor, allowed))
            case _:
                raise ProtocolError(f"a client does not send {type(message).__name__}")

    def _may_read(self, visitor: Guest, name: str) -> bool:
        """Only of chains that it has open is a visitor told anything."""
        return any(one.name == name and one.rights.read for one in self._channels[visitor].values())

    # --- opening ---

    async def _open(self, visitor: Guest, message: Open) -> None:
        channels = self._channels[visitor]
        if message.ch in channels:
            raise ProtocolError(f"channel {message.ch} is open already")
        limits.check("channels of a connection", len(channels) + 1, _CHANNELS_MAX)
        name = ChainName(message.name)
        place = self.where(name)
        if place.url:
            visitor.send(Moved(message.ch, place.url, place.epoch))
            return
        exists = name in self.roots or self.shelf.exists(name)
        rights = self.gate.may_open(visitor, name, message.token, exists=exists)
        try:
            if rights.elsewhere:
                visitor.send(Moved(message.ch, rights.elsewhere, place.epoch))
                self.gate.closed(visitor, name)
                return
            writes = rights.write and place.role == "master"
            root = await self.root(name, create=writes, epoch=place.epoch)
            if visitor not in self._channels:
                raise Disconnected("the visitor has left")
            self._enter(visitor, message, root, rights._replace(write=writes), place)
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
        self._channels[visitor][message.ch] = Channel(root.name, root, rights, subscriber)
        self.meter.channels(1)
        timer = self._idle.pop(root.name, None)
        if timer is not None:
            timer.cancel()
        last = [view.origins.table.get((d, s), (0, 0)) for d, s in message.sources]
        visitor.send(
            Opened(
                message.ch, chain_id, root.durable, view.head, view.frontier.root(), view.cut,
                start, last, root.epoch, rights.write, place.role, root.statement(message.seen),
                root.ledger.now_us(),
            )
        )  # fmt: skip
        if rights.commits_s or rights.bytes_s:
            visitor.send(Throttle(message.ch, rights.commits_s, rights.bytes_s))
        if subscriber is not None:
            root.subscribers.add(subscriber)
            subscriber.start()

    async def root(self, name: ChainName, *, create: bool = False, epoch: int = 0) -> Root:
        """Return the root of a chain, opened if need be.

        Raises:
            NotFound: there is none, and none is to be made.
            StorageError: it cannot be opened.
        """
        while True:
            known = self.roots.get(name)
            if known is not None:
                return known
            task = self._opening.get(name)
            if task is None:
                if self._closing:
                    raise Disconnected("the server is about to stop")
                task = asyncio.ensure_future(self._read(name, create=create, epoch=epoch))
                self._opening[name] = task
                task.add_done_callback(lambda _: self._opening.pop(name, None))
            await asyncio.shield(task)

    async def _read(self, name: ChainName, *, create: bool, epoch: int) -> Root:
        if not create and not self.shelf.exists(name):
            raise NotFound(f"there is no chain {name!r} here")
        store = self.shelf.open(name, create=create)
        try:
            ledger = Ledger(store, clock=self.clock, entropy=self.entropy)
            await ledger.replay()
        except BaseException:
            store.close()
            raise
        root = Root(
            name, ledger, gate=self.gate, meter=self.meter, state=self._state,
            on_failure=self._failed, epoch=epoch,
        )  # fmt: skip
        ledger.feed.subscribe(lambda: self.changes.note(name, ledger.view.head))
        if ledger.view.head:
            self.changes.note(name, ledger.view.head)
        self.roots[name] = root
        self.meter.chains(len(self.roots))
        return root

    # --- what is asked of an open chain ---

    def _channel(self, visitor: Guest, ch: int) -> Channel:
        channel = self._channels[visitor].get(ch)
        if channel is None:
            raise ProtocolError(f"channel {ch} is not open")
        return channel

    async def _submit(self, visitor: Guest, message: Submit) -> None:
        channel = self._channel(visitor, message.ch)
        if not channel.rights.write:
            raise WriteDenied("this connection may not write to the chain")
        if channel.root.failure is not None:
            raise channel.root.failure
        await channel.root.submit(visitor, message)

    def _fetch(self, visitor: Guest, message: Fetch) -> None:
        channel = self._channel(visitor, message.ch)
        view, bodies, size = channel.root.ledger.view, list[bytes | None](), 0
        if not channel.rights.read:
            raise ReadOnly("this connection may not read the chain")
        for seq in message.seqs:
            body: bytes | None = None
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
        self._rest(channel.root)

    def _rest(self, root: Root) -> None:
        """Close a chain after a while that nobody has open."""
        if self._is_open(root) or self._closing or self.roots.get(root.name) is not root:
            return
        loop = asyncio.get_running_loop()
        old = self._idle.pop(root.name, None)
        if old is not None:
            old.cancel()
        self._idle[root.name] = loop.call_later(self.idle_close_s, self._close_idle, root)

    def _is_open(self, root: Root) -> bool:
        return any(
            one.root is root for channels in self._channels.values() for one in channels.values()
        )

    def _close_idle(self, root: Root) -> None:
        self._idle.pop(root.name, None)
        if not self._is_open(root) and self.roots.get(root.name) is root:
            self._spawn(self._drop(root))

    def _failed(self, root: Root, error: AteError) -> None:
        for visitor, channels in self._channels.items():
            for ch in [ch for ch, one in channels.items() if one.root is root]:
                self._leave(visitor, ch)
        self._spawn(self._drop(root))

    async def _drop(self, root: Root) -> None:
        """Close a root; whoever opens the chain meanwhile waits until that is done."""
        self.roots.pop(root.name, None)
        done: asyncio.Future[Root] = asyncio.get_running_loop().create_future()
        self._opening[root.name] = asyncio.ensure_future(_once(done))
        try:
            is_empty = root.ledger.view.trust.genesis is None and root.failure is None
            await root.close()
            if is_empty:
                root.ledger.store.destroy()
        finally:
            self._opening.pop(root.name, None)
            done.set_result(root)
            self.meter.chains(len(self.roots))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Order what was submitted, flush, and close all chains."""
        self._closing = True
        for timer in self._idle.values():
            timer.cancel()
        self._idle.clear()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        for root in tuple(self.roots.values()):
            await self._drop(root)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for visitor in tuple(self._channels):
            for ch in tuple(self._channels[visitor]):
                self._leave(visitor, ch)


async def _once(done: asyncio.Future[Root]) -> Root:
    return await done
