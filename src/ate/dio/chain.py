"""`Chain`: one open chain: hands out units of work, watches, and facts about itself.

It does not know whether it is ordered here or by a server: its writer does.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from ate.chain import past
from ate.chain.checkpoint import checkpoint_row
from ate.chain.compact import Progress, Thinned
from ate.chain.ledger import Ledger
from ate.chain.reader import Reader
from ate.chain.retention import Retention
from ate.dio.compactor import Compactor
from ate.dio.dio import Dio
from ate.dio.follower import Followers
from ate.dio.governance import (
    RoleChange,
    set_access,
    set_hold,
    set_role,
    set_sequencers,
    set_throttle,
)
from ate.dio.heartbeat import Heartbeat
from ate.dio.neighbours import Neighbours
from ate.dio.opening import chain_directory
from ate.dio.overlay import EMPTY, Overlay
from ate.dio.policy import CompactPolicy
from ate.dio.proving import prove
from ate.dio.receipt import Receipt
from ate.dio.remote import Remote, Status
from ate.dio.setback import Setback
from ate.dio.transaction import Durability
from ate.dio.watch import Watch, watch
from ate.dio.writer import Writer
from ate.errors import CorruptLog, UsageError
from ate.event.access import Access, Principal
from ate.ids import ChainName, IdSource, ObjectId
from ate.session import Session

if TYPE_CHECKING:
    from ate.chain.evidence import Evidence
    from ate.dio.fork import Fork
    from ate.dio.leasing import NamedLease
    from ate.dio.mailbox import Mailbox
    from ate.dio.rpc import Service
    from ate.dio.stock import Stock


class Chain:
    """One open chain: hands out units of work, watches, and facts about itself."""

    def __init__(
        self, name: ChainName, ledger: Ledger, durability: Durability, *, destroy_when_empty: bool,
        compact: CompactPolicy, writer: Writer, remote: Remote | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:  # fmt: skip
        self.name, self.durability = name, durability
        self._ledger = ledger
        self._destroy_when_empty = destroy_when_empty
        self._writer, self._remote = writer, remote
        self._ids = IdSource(ledger.entropy)
        self._readers: dict[int, Reader] = {}
        self._neighbours = neighbours or Neighbours()
        self._neighbours.join(self)
        self._watches: dict[Watch, None] = {}
        #: What ends with the chain while commits are still taken.
        self._services: list[Service | Stock[Any]] = []
        self._mailbox: Mailbox | None = None
        self._followers = Followers(self)
        self._heartbeat: Heartbeat | None = None
        self._compactor = Compactor(self, compact)
        self._closed = False

    def __repr__(self) -> str:
        return f"Chain({str(self.name)!r}, {len(self)} objects, head {self.head})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- using ------------------------------------------------------------------------------

    def dio(self, session: Session | None = None, *, codec: int = 1) -> Dio:
        """Return a new unit of work.

        Args:
            session: acts instead of the session the chain was opened with.
            codec: format of new bodies: 1 MessagePack, 2 JSON, 3 raw bytes.
        """
        self._check_open()
        return Dio(self, session or self._ledger.session, codec=codec)

    def watch(
        self,
        *,
        type: type[Any] | None = None,
        parent: ObjectId | None = None,
        since: int | None = None,
        session: Session | None = None,
    ) -> AsyncIterator[Any]:
        """Yield changes.

        First what is in the log after `since`, then what comes, in order, each once.

        Args:
            type: of this type only.
            parent: children of this object only.
            since: a seq; None means from now on, 0 from the start.

        A watcher that stops reading holds nobody up and keeps nothing in memory.
        """
        self._check_open()
        reader = self._reader(session or self._ledger.session)
        start = self.head if since is None else since
        return watch(self, reader, type=type, parent=parent, since=start)

    async def seen(self, plugin: Any, seq: int | None = None) -> None:
        """Return when a projection or worker of this chain has seen row `seq` (default: the head).

        Raises:
            UsageError: it is none of this chain's, or the chain closes before.
            Exception: whatever ended the projection.
        """
        await self._followers.wait(plugin, self.head if seq is None else seq)

    def lease(self, name: str, **options: Any) -> NamedLease:
        """Return a lease to hold: `async with chain.lease("nightly") as lease:`.

        `dio.commit(lease=lease)` lands only while nobody else has taken it. For the options see
        `ate.dio.leasing.NamedLease`.
        """
        from ate.dio.leasing import NamedLease

        self._check_open()
        return NamedLease(self, name, **options)

    async def set_role(
        self, name: str, members: Sequence[Principal], *, session: Session | None = None
    ) -> RoleChange:
        """Give a role a new generation with exactly these members.

        See `ate.dio.governance.set_role`.
        """
        self._check_open()
        return await set_role(self, name, members, session=session)

    async def set_access(self, access: Access, *, session: Session | None = None) -> Receipt:
        """Replace the chain's own rule; see `ate.dio.governance.set_access`."""
        self._check_open()
        return await set_access(self, access, session=session)

    def seq_at_time(self, moment: datetime) -> int:
        """Return the seq of the last row that was there at a time; 0 is before the first.

        For `load(…, at_seq=)` and `fork(…, at=)`. Without a zone the time is UTC.
        """
        return past.seq_at_time(self._ledger.view, past.time_us(moment))

    async def fork(
        self,
        name: str,
        *,
        at: int | datetime | None = None,
        path: str | os.PathLike[str] | None = None,
        session: Session | None = None,
        **options: Any,
    ) -> Fork:
        """Make a new chain that begins with what is here, or was as of the row or time `at`.

        `path` holds the new chain's directory, `session` founds it instead of the chain's own.
        What is kept, the other options and the errors: see `ate.dio.fork.fork`.
        """
        from ate.dio.fork import fork

        self._check_open()
        seq = self.seq_at_time(at) if isinstance(at, datetime) else self.head if at is None else at
        chosen, who = ChainName(name), session or self._ledger.session
        where = chain_directory(chosen, path)
        return await fork(self._ledger, chosen, where, at=seq, session=who, **options)

    async def refresh(self) -> int:
        """Read-only chains: take in what the writing process appended; returns the head."""
        return await self._ledger.refresh()

    async def compact(
        self, retention: Retention | None = None, *, erase: bool = False,
        progress: Progress | None = None,
    ) -> Thinned:  # fmt: skip
        """Drop what was superseded, while readers and writers go on; see `Compactor.compact`.

        Args:
            retention: what stays beyond the present, besides what the chain's policy demands.
            erase: overwrite what was dropped, and search all files for copies: see `.erased`.
            progress: is called with the commits written so far, and how many there will be.
        """
        self._check_open()
        return await self._compactor.compact(retention, erase=erase, progress=progress)

    async def set_sequencers(
        self, keys: Sequence[bytes], *, session: Session | None = None
    ) -> Receipt:
        """Name the servers that sign for authors; see `ate.dio.governance.set_sequencers`."""
        return await set_sequencers(self, keys, session=session)

    async def set_hold(self, reason: str | None, *, session: Session | None = None) -> Receipt:
        """Forbid compaction until it is released with None; see `ate.dio.governance.set_hold`."""
        self._check_open()
        return await set_hold(self, reason, session=session)

    async def set_throttle(
        self, *, rows_s: int = 0, bytes_s: int = 0, session: Session | None = None
    ) -> Receipt:
        """Say how fast commits may come; see `ate.dio.governance.set_throttle`."""
        self._check_open()
        return await set_throttle(self, rows_s=rows_s, bytes_s=bytes_s, session=session)

    async def checkpoint(
        self, *, compact: bool | Retention = False, session: Session | None = None
    ) -> None:
        """Seal all commits so far with a root key's composite signature.

        Args:
            compact: let all who hold the chain compact at this checkpoint, and do so here; what
                stays beyond the present is a `Retention` or that of the chain's `CompactPolicy`.

        Raises:
            UsageError: the session holds no root key.
            Refused: nothing may be compacted: the chain is write-once, or under a legal hold.
        """
        ledger, acting = self._ledger, session or self.session
        keep = self._compactor.kept(compact)
        await self._writer.submit_made(
            lambda: [checkpoint_row(ledger, acting, keep=keep)], acting, self.durability
        )
        if keep is not None:
            await self._compactor.flip()

    async def prove(self, object_id: ObjectId | None = None, **options: Any) -> Evidence:
        """Return a proof that can be checked without the chain; see `ate.dio.proving.prove`."""
        self._check_open()
        return await prove(self, object_id, **options)

    @property
    def status(self) -> Status:
        """How the chain stands with its server."""
        if self._remote is not None:
            return self._remote.status()
        return Status("", online=True, current=True, pending=0, conflicts=0, head=self.head)

    async def sync(self, timeout: float | None = 30.0) -> Status:
        """Return when all that was committed here is at the server, and all it has is here.

        Raises:
            TimedOut: it took longer than so many seconds; None waits for ever.
        """
        self._check_open()
        return self.status if self._remote is None else await self._remote.sync(timeout)

    async def acknowledged(self, receipt: Receipt, timeout: float | None = 30.0) -> bytes:
        """Return a file that shows anybody, with `ate check`, that the server has a commit.

        Raises:
            UsageError: the commit waits for the server, or nobody signs that it is there.
            TimedOut: the server did not say so in that many seconds; None waits for ever.
        """
        self._check_open()
        if self._remote is None:
            raise UsageError("this chain has no server", hint="`receipt.proof()` is enough here")
        return await self._remote.acknowledged(receipt, timeout)

    @property
    def conflicts(self) -> list[Setback]:
        """Commits made offline that the chain would not take, for the program to decide about."""
        return [] if self._remote is None else self._remote.forwarder.setbacks.all()

    async def statuses(self) -> AsyncIterator[Status]:
        """Yield the status now and whenever it changes: online, offline, conflicts, trouble."""
        if self._remote is None:
            yield self.status
            return
        async for status in self._remote.events():
            yield status

    # --- facts ------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of live objects."""
        return self._ledger.view.index.live

    @property
    def head(self) -> int:
        """Seq of the newest row."""
        return self._ledger.view.head

    @property
    def id(self) -> bytes:
        """Hash of the genesis commit, 32 bytes."""
        return self._ledger.view.trust.chain_id

    @property
    def root(self) -> bytes:
        """Root of the RFC 9162 tree over all commits."""
        return self._ledger.view.frontier.root()

    @property
    def commits(self) -> int:
        return self._ledger.view.frontier.size

    @property
    def session(self) -> Session | None:
        return self._ledger.session

    @property
    def clock_skew(self) -> float:
        """Seconds by which this machine's clock is off by the chain's time; 0.0 when all is well.

        Above 0 it has jumped ahead and is not believed yet; below 0 it was set back, or commits
        were made by a clock that was ahead. Up to ten minutes are accepted.
        """
        return self._ledger.skew_us() / 1_000_000

    @property
    def damage(self) -> CorruptLog | None:
        """What is wrong with a log opened with `salvage`; everything before it can be read."""
        return self._ledger.damage

    @property
    def readonly(self) -> bool:
        return self._ledger.store.readonly

    @property
    def is_sequencer(self) -> bool:
        """True when nobody but this process can append to the chain."""
        return not self.readonly and self._remote is None

    # --- opening and closing ----------------------------------------------------------------

    async def _start(self, beat_s: float) -> None:
        if beat_s:
            self._heartbeat = Heartbeat(self, beat_s)
        for plugin in self._ledger.pipeline.plugins:
            attach = getattr(plugin, "attach", None)
            if attach is not None:
                attach(self)
        await self._followers.start()
        if self._heartbeat is not None:
            self._heartbeat.start()
        self._compactor.start()

    async def close(self) -> None:
        """End services, finish what was submitted, write the snapshot, release the files."""
        if self._closed:
            return
        await self._compactor.stop()
        self._closed = True
        for service in tuple(self._services):
            await service.stop()
        if self._heartbeat is not None:
            await self._heartbeat.stop()
        await self._neighbours.close(self)
        await self._writer.close()
        if self._remote is not None:
            await self._remote.close()
        await self._followers.stop()
        for one in tuple(self._watches):
            one.end()
        ledger = self._ledger
        if self._destroy_when_empty and ledger.is_empty and not ledger.store.readonly:
            ledger.store.destroy()
        else:
            ledger.close()

    def _reader(self, session: Session | None) -> Reader:
        known = self._readers.get(id(session))
        if known is None:
            known = self._readers[id(session)] = Reader(self._ledger, session)
        return known

    def _overlay(self, session: Session | None) -> Overlay | None:
        """Return what waits for the server; None where nothing ever does."""
        if self._remote is None:
            return None
        return self._remote.forwarder.parking.overlay if session is self.session else EMPTY

    def _check_readable(self) -> None:
        if self._remote is not None:
            self._remote.check_readable()

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("the chain is closed")
