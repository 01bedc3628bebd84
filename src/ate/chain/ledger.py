"""`Ledger`: one chain's log and view kept in step.

The only place that appends. No asyncio, no objects.

    admit → number → append → flush → apply → publish

Opening runs old commits through the same `admit` and `apply`: recovery is not a second road.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from ate import limits
from ate.chain.admit import admit
from ate.chain.commits import CommitColumns
from ate.chain.feed import Feed
from ate.chain.fetched import Fetched
from ate.chain.replay import Replay
from ate.chain.run import U64
from ate.chain.snapshot import read_snapshot, write_snapshot
from ate.chain.succession import RENEWAL, Succession
from ate.chain.timeline import Timeline
from ate.chain.transfer import unpack
from ate.chain.view import View
from ate.clock import Clock
from ate.crypto.entropy import Entropy
from ate.errors import CorruptLog, ReadOnly, StorageError
from ate.event.commit import Buffer, Commit, Record, SequencerPart
from ate.event.draft import Draft
from ate.event.payload import encode_payload
from ate.event.prefix import is_commit
from ate.event.row import Kind
from ate.event.system import system_id
from ate.log.store import LogStore
from ate.session import Session
from ate.trust.domains import Domains
from ate.trust.pipeline import Pipeline
from ate.trust.prepare import Preparer
from ate.trust.roles import join_roles
from ate.trust.sequence import Proved

_log = logging.getLogger("ate")
#: A replay pauses after so many bytes, where a frame counts for some by itself: 2 milliseconds.
_PAUSE_WORK: Final = 1 << 20
_FRAME_WORK: Final = 1 << 16


class Ledger:
    """A chain in this process.

    Args:
        store: where the bytes are.
        plugins: see `ate.trust.plugin`.
        session: whose keys open and seal by default, and guard the snapshot.
        clock, entropy: handed in, so that a test can replay them.
        guard: 32 secret bytes that guard the snapshot where there is no session to do so.
    """

    def __init__(
        self, store: LogStore, *, plugins: Sequence[Any] = (), session: Session | None = None,
        clock: Clock, entropy: Entropy, guard: bytes = b"",
    ) -> None:  # fmt: skip
        self.store, self.session, self.clock, self.entropy = store, session, clock, entropy
        self.guard = guard
        self.view = View(store)
        self._timeline, self._plugins = Timeline(clock), tuple(plugins)
        self.pipeline = Pipeline(plugins, self.view.origins, self.view.pace)
        self.feed = Feed()
        self._domains: dict[int, tuple[Session | None, Domains]] = {}
        self._snapshot_head = self._last_place = 0
        self._has_appended, self.verified_commits = False, 0
        self._incoming: Replay | None = None
        self.succession = Succession()
        #: Asks for bodies that are not held here.
        self.fetched: Fetched | None = None
        #: To whom this session has proved its key; see `ate.trust.sequence`.
        self.proved: Proved | None = None
        #: Damage found while reading, when it was asked to be read all the same.
        self.damage: CorruptLog | None = None

    # --- opening ----------------------------------------------------------------------------

    async def replay(
        self, *, use_snapshot: bool = True, salvage: bool = False,
        pause: Callable[[], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        """Read what the store holds.

        Args:
            pause: awaited now and then, so that others of the same thread can work meanwhile.

        Raises:
            CorruptLog, UnsupportedFormat: damaged or foreign bytes; the store is untouched.
        """
        after = read_snapshot(self) if use_snapshot else 0
        self._snapshot_head = self.view.head
        try:
            await self._follow(after, pause)
        except CorruptLog as error:
            if not salvage or self.view.trust.genesis is None:
                raise
            self.damage = error  # what is before it verifies, and can be read
        self.now_us()  # tells of a chain whose time is ahead of this clock
        if not self.store.readonly:
            self.store.trim_bodies(self.view.bodies_end)

    async def refresh(self) -> int:
        """For readers: take in what the writer appended since; returns the new head.

        Raises:
            CorruptLog: what was appended, or put in the log's place, does not follow.
        """
        before = self.view.head
        if not self.store.readonly:
            return before  # what a writer has appended becomes visible when it is settled
        if self.store.is_superseded():
            await self._move()
        else:
            self.store.refresh()
            await self._follow(self._last_place)
        if self.view.head != before:
            self.now_us()
            self.feed.publish(self.view.head)
        return self.view.head

    async def _follow(self, after: int, pause: Callable[[], Awaitable[None]] | None = None) -> None:
        self._last_place = after
        replay, work = Replay(self.view, self.pipeline), 0
        for place, payload in self.store.scan(after):
            record = await replay.take(place, payload)
            self._last_place = place
            work += _FRAME_WORK + len(payload)
            if pause is not None and work > _PAUSE_WORK:
                work = 0
                await pause()
            if record is not None:
                self._after_apply(record)
                self.verified_commits += 1
        replay.end()

    async def _move(self) -> None:
        """Read on in the generation that took the place of the one that was read."""
        store = self.store.reopened()
        try:
            fresh = Ledger(
                store, plugins=self._plugins, session=self.session, clock=self.clock,
                entropy=self.entropy,
            )  # fmt: skip
            await fresh.replay()
            self.view.check_successor(fresh.view)
        except BaseException:
            store.close()
            raise
        self._replace(fresh)

    def _replace(self, fresh: Ledger) -> None:
        """Go on with all that another ledger of this chain holds."""
        old, self.store = self.store, fresh.store
        self.view.become(fresh.view)
        for session, domains in self._domains.values():
            domains.forget_all()
            if session is not None:
                join_roles(self.view.trust, session)
        self._last_place, self._incoming = fresh._last_place, None
        self._has_appended, self._snapshot_head = True, 0
        old.close()

    def replace_store(self, store: LogStore, columns: CommitColumns, dropped: U64) -> None:
        """Go on with the successor of the store, which has taken over.

        Args:
            columns: first seqs, places in it and leaves of the commits it holds.
            dropped: seqs of the newest rows that it does not hold, sorted.
        """
        self.store, places = store, columns[1]
        self.view.move(store, columns, dropped)
        self._last_place = int(places[-1])

    def renewal(self) -> Ledger:
        """Return an empty copy that can take this one's place with `succeed`; or Conflict."""
        self.succession.begin(RENEWAL)
        made = Ledger(
            self.store.successor(), plugins=self._plugins, session=self.session, clock=self.clock,
            entropy=self.entropy,
        )  # fmt: skip
        made.pipeline.is_copy = self.pipeline.is_copy
        return made

    def succeed(self, fresh: Ledger) -> None:
        """Go on with a copy that was made anew because what came between was compacted.

        Raises:
            CorruptLog: it is not this chain, or does not go on where this one ends.
        """
        self.view.check_successor(fresh.view)
        fresh.store.take_over(self.store)
        self._replace(fresh)
        self.succession.end(RENEWAL)
        self.store.sweep()
        self.feed.publish(self.view.head)

    def snapshot_written(self, head: int) -> None:
        """Say up to which row the snapshot beside the log goes; 0 when there is none."""
        self._snapshot_head = head

    # --- time -------------------------------------------------------------------------------

    def now_us(self) -> int:
        """Return the time that a commit would get now; along the chain it never goes back."""
        return self._timeline.now_us(self.view.time_us)

    def skew_us(self) -> int:
        """Return how far this clock is off by the chain's time, 0 within `limits.TIME_SKEW_US`."""
        return self._timeline.skew_us(self.view.time_us)

    # --- writing ----------------------------------------------------------------------------

    async def append(
        self, commit: Commit, drafts: Sequence[Draft], known: Sequence[int] = ()
    ) -> Pending:
        """Admit, number and append a commit; it is not durable and not visible yet.

        Args:
            commit, drafts: what the preparer made.
            known: what the index says about the last rows, if it was asked just before.

        Raises:
            ReadOnly, StorageError, and what `admit` raises. Nothing is half done then.
        """
        if self.store.readonly:
            raise ReadOnly("this chain was opened read-only")
        view = self.view
        limits.check("rows in the chain", view.head + len(commit.heads), limits.CHAIN_ROWS_MAX)
        time_us = self.now_us()
        sequencer = SequencerPart(view.head + 1, time_us, view.frontier.size, view.link)
        places = [
            self.store.write_body([body]) if len(body) >= limits.BODY_INLINE_BYTES_MAX else None
            for body in commit.bodies
        ]
        payload: list[Buffer] = encode_payload(commit, sequencer, places)
        record = Record(memoryview(b"".join(payload)))
        current = await admit(
            view, self.pipeline, record, time_us=time_us, drafts=drafts, known=known
        )
        place = self.store.append([record.payload])
        return Pending(record, place, current)

    def accept(self, record: Record, current: list[int]) -> Record:
        """Append what `ordering.consider` has returned, and let it count for those that follow.

        It is not durable yet, and nobody is told.

        Raises:
            OutOfSpace, StorageError: nothing was kept.
        """
        place, record = self._keep(record)
        return self.fold(Pending(record, place, current))

    async def receive(self, payload: memoryview, *, is_mine: bool = False) -> Record | None:
        """Take the next frame of the log that this one is a copy of: judge, keep, make visible.

        It is not flushed: what a cut takes away here comes from there again.

        Args:
            payload: all bodies inline, or absent.
            is_mine: this process has made this very commit.

        Raises:
            CorruptLog: it does not follow, or must not be here; nothing was kept of it.
            StorageError: it could not be kept.
        """
        if self._incoming is None:
            self._incoming = Replay(self.view, self.pipeline, bodies=True)
        if not is_commit(payload):
            await self._incoming.receive(payload, self._keep)
            self._last_place = self.store.append([payload])
            return None
        record = await self._incoming.receive(payload, self._keep, is_mine=is_mine)
        if record is not None:
            self._has_appended = True
            self._after_apply(record)
            self._tell(record)
        return record

    def end_past(self) -> None:
        """All that the other log holds has come: its thinned part has no more frames.

        Raises:
            CorruptLog: what vouches for it has not come.
        """
        if self._incoming is not None:
            self._incoming.end()

    def _keep(self, record: Record) -> tuple[int, Record]:
        payload = unpack(self.store, record)
        if payload is not record.payload:
            record = Record(payload)
        self._last_place = self.store.append([payload])
        return self._last_place, record

    def fold(self, pending: Pending) -> Record:
        """Make an appended commit count for those that follow; nobody is told yet."""
        self._has_appended = True
        self.view.apply(pending.record, pending.place, pending.current)
        self._last_place = pending.place
        self._after_apply(pending.record)
        return pending.record

    def settle(self, pending: Pending) -> Record:
        """Make an appended commit visible: fold it into the view and wake the watchers.

        Call it after `store.flush()` unless the author asked for no durability.
        """
        self.fold(pending)
        self._tell(pending.record)
        return pending.record

    def _tell(self, record: Record) -> None:
        """Wake whoever waits for news, and have them at hand."""
        if len(self.feed):
            self.view.expect(self._last_place, record)
        self.feed.publish(self.view.head)

    def _after_apply(self, record: Record) -> None:
        """New grants make keys that were opened before stale; new roles have new members."""
        kinds = record.kinds
        at = kinds.find(Kind.GRANT)
        while at >= 0:
            for _, domains in self._domains.values():
                domains.forget(record.row(at).parent)
            at = kinds.find(Kind.GRANT, at + 1)
        if Kind.ROLE in kinds:
            for session, _ in self._domains.values():
                if session is not None:
                    join_roles(self.view.trust, session)

    # --- keys -------------------------------------------------------------------------------

    def domains(self, session: Session | None) -> Domains:
        """Return the read-domain keys of one session on this chain."""
        known = self._domains.get(id(session))
        if known is None:
            if session is not None:
                join_roles(self.view.trust, session)
            made = Domains(self._grant, self.view.trust, session)
            known = self._domains[id(session)] = (session, made)
        return known[1]

    def preparer(self, session: Session | None) -> Preparer:
        """Return what turns drafts of `session` into commits."""
        return Preparer(
            self.pipeline, self.view, self.domains(session), session, self.entropy,
            proved=self.proved,
        )  # fmt: skip

    def _grant(self, domain: bytes) -> memoryview | None:
        return self.view.grant(system_id("grant", domain))

    # --- closing ----------------------------------------------------------------------------

    def snapshot(self) -> None:
        """Write the index snapshot, if this process wrote to the chain or nobody made one yet.

        There is one snapshot a chain, and it serves the session that made it.
        """
        if self.store.readonly or self.view.head == self._snapshot_head:
            return
        if not self._has_appended and self.store.read_index() is not None:
            return
        write_snapshot(self)
        self._snapshot_head = self.view.head

    def close(self) -> None:
        """Flush, write the snapshot, close the store. A failed snapshot loses nothing."""
        try:
            if not self.store.readonly:
                self.store.flush()
                try:
                    self.snapshot()
                except StorageError as error:
                    _log.warning("the next opening will read the whole log: %s", error)
        finally:
            self.store.close()

    @property
    def is_empty(self) -> bool:
        """True when no live data object is left."""
        return self.view.index.live == 0


class Pending(NamedTuple):
    """An appended commit that is not visible yet."""

    record: Record
    place: int
    current: list[int]
