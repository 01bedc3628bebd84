"""`View`: the present of a chain as a pure fold over its commits; it never writes and never judges.

The index says where each object's newest row is; rows and bodies stay in the log until they are
read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from ate import merkle
from ate.chain.commits import CommitColumns, CommitTable
from ate.chain.form import check_rows
from ate.chain.index import (
    COLLECTION_MASK,
    DEAD,
    PARENT_MASK,
    SEQ_MASK,
    SYSTEM,
    Index,
    child_key,
)
from ate.chain.listing import Listings
from ate.chain.run import U64
from ate.crypto.hash import digest
from ate.errors import BodyNotHeld, Compacted, CorruptLog, LimitExceeded, NotFound, ProtocolError
from ate.event.access import Access
from ate.event.commit import Record, link_after
from ate.event.row import (
    CREATED_MASK,
    FLAG_ACCESS,
    FLAG_HEADER,
    PLACE_ABSENT,
    PLACE_BODY_FILE,
    SYSTEM_FIRST,
    Kind,
    Row,
)
from ate.event.thinned import decode_record
from ate.ids import ROOT
from ate.log.store import LogStore
from ate.trust.plugin import Stored
from ate.trust.replay import Origins
from ate.trust.state import Trust
from ate.trust.throttle import FIELD, Pace

#: Parsed commits kept at hand; a random reader over single-row commits evicts them all anyway.
_RECORDS_MAX: Final = 4096
#: A commit as it came is in memory a second time: only small ones are kept.
_NEWS_BYTES_MAX: Final = 4096
_SMALL: Final = 64
_LASTING: Final = (Kind.GENESIS, Kind.KEY, Kind.ROLE, Kind.CERTIFICATE)


class View:
    """Folds records in order. `head` is the seq of the newest row, 0 for an empty chain."""

    def __init__(self, store: LogStore) -> None:
        self.store = store
        self.index = Index()
        self.commits = CommitTable()
        self.trust = Trust()
        self.origins = Origins()
        self.pace = Pace()
        self.head = 0
        self.time_us = 0
        self.link = bytes(32)
        self.frontier = merkle.Frontier()
        #: Rows with an access rule seen so far; 1 means that only the chain itself has one.
        self.rules = 0
        #: Commits before this one may be missing or thinned; 0 when all are there.
        self.cut = 0
        #: Rows that the log holds.
        self.held = 0
        #: Rows beyond the present, and bytes, that the last compaction left.
        self.settled_rows = self.settled_bytes = 0
        #: Seqs of the rows that later commits may need to be proved: keys, roles, certificates.
        self.lasting: list[int] = []
        self.bodies_end = 0
        #: Parsed commits by place.
        self.recent: dict[int, Record] = {}
        self.listings = Listings()
        self._root_access: tuple[int, Access] = (-1, Access())

    # --- looking up -------------------------------------------------------------------------

    def record(self, place: int) -> Record:
        """Return the commit at a log place, parsed.

        Raises:
            CorruptLog: it is not the one that was admitted, here or before the snapshot was
            written.
        """
        known = self.recent.get(place)
        if known is None:
            known = self.read(place)
            self._remember(place, known)
        return known

    def expect(self, place: int, record: Record) -> None:
        """Somebody will read this commit, which was just folded in, in a moment."""
        if len(record.payload) <= _NEWS_BYTES_MAX:
            self._remember(place, record)

    def _remember(self, place: int, record: Record) -> None:
        if len(self.recent) >= _RECORDS_MAX:
            self.recent.clear()
        self.recent[place] = record

    def read(self, place: int) -> Record:
        """Read a commit from the log again; the files may have been changed since it was judged.

        Raises:
            CorruptLog: they were.
        """
        try:
            record = decode_record(self.store.read(place))
        except (ProtocolError, LimitExceeded) as error:
            raise CorruptLog(f"a commit was altered: {error.message}") from None
        if record.leaf != self.commits.leaf_at(place):
            raise CorruptLog(f"commit {record.sequencer.index} is not the one that was here before")
        check_rows(record)
        return record

    def find(self, seq: int) -> tuple[Record, int]:
        """Return the commit that holds row `seq`, and where in it.

        Raises:
            Compacted: the row was dropped.
        """
        _, place = self.commits.find(seq)
        record = self.record(place)
        at = record.at(seq)
        if at < 0:
            raise Compacted(f"row {seq} was superseded and is not kept any more")
        return record, at

    def rows(self, first: int, last: int) -> Iterator[tuple[int, Record, int]]:
        """Yield (seq, commit, place in it) of the rows from `first` to `last` that are kept."""
        for place in self.commits.between(first, last):
            record = self.record(place)
            for at in range(record.row_count):
                seq = record.seq_at(at)
                if first <= seq <= last:
                    yield seq, record, at

    def stored(self, object_id: bytes) -> Stored | None:
        """Return what the chain holds about an object, tombstones included; None if nothing."""
        flagged = self.index.locate(object_id)
        if not flagged:
            return None
        record, at = self.find(flagged & SEQ_MASK)
        row = record.row(at)
        header = record.header(at) if row.flags & FLAG_ACCESS else None
        access = header.access if header else None
        return Stored(flagged & SEQ_MASK, bool(flagged & DEAD), row, access)

    def root_access(self) -> Access:
        """Return the chain's own rule. It can only change with a row that carries a rule."""
        known, access = self._root_access
        if known != self.rules:
            stored = self.stored(ROOT)
            access = (stored.access if stored else None) or Access()
            self._root_access = (self.rules, access)
        return access

    @property
    def hold(self) -> str | None:
        """Why nothing may be dropped from the chain; None when something may."""
        reason = self.field("hold")
        return str(reason) if reason else None

    def field(self, name: str) -> Any:
        """Return a rare field of the chain's own row, None when it has none."""
        stored = self.stored(ROOT)
        if stored is None or not stored.row.flags & FLAG_HEADER:
            return None
        record, at = self.find(stored.seq)
        header = record.header(at)
        return header.unknown.get(name) if header is not None else None

    def settle(self, store: LogStore) -> None:
        """Take what the log holds now for what a compaction leaves."""
        self.settled_rows = self.held - self.index.objects
        self.settled_bytes = store.size()

    def time_of(self, seq: int) -> int:
        """Return the sequencer's time of row `seq`, in microseconds."""
        return self.find(seq)[0].sequencer.time_us

    def seq_at(self, object_id: bytes, at_seq: int) -> int:
        """Return the seq of the version of an object that was current at `at_seq`.

        Raises:
            NotFound: it was not there yet.
        """
        seq = self.index.locate(object_id) & SEQ_MASK
        while seq > at_seq:
            record, at = self.find(seq)
            base = record.row(at).base
            seq = base if base < seq else 0  # nobody judges what a system row says
        if not seq:
            raise NotFound(f"no object {object_id.hex()} as of seq {at_seq}")
        return seq

    def schema_at(self, seq: int) -> int:
        """Return the schema id of row `seq` without unpacking the rest."""
        record, at = self.find(seq)
        return record.brief(at)[2]

    def below(self, parent: bytes) -> list[tuple[Row, int, int]]:
        """Return (row, seq, created) of all live children of an object, in any collection."""
        found: list[tuple[Row, int, int]] = []
        for flagged in self.index.below(parent):
            record, at = self.find(flagged & SEQ_MASK)
            row = record.row(at)
            if row.parent == parent and row.kind == Kind.DATA and row.id != parent:
                found.append((row, flagged & SEQ_MASK, row.created or flagged & SEQ_MASK))
        return found

    def body(self, record: Record, row: Row) -> memoryview:
        """Return the stored body of a row; it is not checked here.

        Raises:
            CorruptLog: the place points nowhere.
            BodyNotHeld: this log was not given the body.
        """
        try:
            if row.place & PLACE_BODY_FILE:
                if row.place == PLACE_ABSENT:
                    raise BodyNotHeld(f"the body of object {row.id.hex()} is not kept here")
                return self.store.body(row.place, row.length)
            return record.inline(row)
        except ProtocolError as error:
            raise CorruptLog(error.message) from None

    def grant(self, system_id: bytes) -> memoryview | None:
        """Return the body of the newest grant that stands under this id, or None.

        Raises:
            CorruptLog: the body is not the one its row names.
        """
        flagged = self.index.locate(system_id)
        if not flagged & SYSTEM:
            return None  # nothing, or an object that squats on the id before its domain begins
        record, at = self.find(flagged & SEQ_MASK)
        row = record.row(at)
        body = self.body(record, row)
        if row.kind != Kind.GRANT or digest(body) != row.body_hash:
            raise CorruptLog(f"the grant {system_id.hex()} was altered")
        return body

    # --- another generation of the log ---------------------------------------------------------

    def check_successor(self, other: View) -> None:
        """Raise CorruptLog unless `other`, of a newer generation, goes on where this view ends."""
        same = other.trust.chain_id == self.trust.chain_id
        known = self.commits.find(self.head)[1] if self.head else 0
        if known and other.head >= self.head:
            leaf, again = self.commits.leaf_at(known), other.commits.find(self.head)
            if again[0] == self.commits.find(self.head)[0]:
                same = same and other.commits.leaf_at(again[1]) == leaf
        if not same or other.head < self.head:
            raise CorruptLog("another log took the place of this one, and it does not go on here")

    def become(self, other: View) -> None:
        """Take over all of another view, which is not used any more."""
        self.listings.renew(self.find, other.index)
        trust, origins, listings, pace = self.trust, self.origins, self.listings, self.pace
        pace.__dict__.update(other.pace.__dict__)
        trust.__dict__.update(other.trust.__dict__)
        origins.table = other.origins.table
        self.__dict__.update(other.__dict__)
        # Others hold on to these.
        self.trust, self.origins, self.listings, self.pace = trust, origins, listings, pace

    def move(self, store: LogStore, columns: CommitColumns, dropped: U64) -> None:
        """Go on with another generation of the log, which says the same of the present.

        Args:
            columns: first seqs, places there and leaves of the commits it holds.
            dropped: seqs of the newest rows that it does not hold, sorted.
        """
        self.index.remove(dropped)
        self.listings.renew(self.find, self.index)
        self.store = store
        self.commits.adopt(*columns)
        self.recent.clear()
        self._root_access = (-1, Access())

    # --- folding in -------------------------------------------------------------------------

    def check_next(self, record: Record) -> None:
        """Raise CorruptLog when `record` does not follow what is here.

        Dropped, swapped, doubled.
        """
        sequencer = record.sequencer
        if sequencer.index != self.frontier.size or sequencer.first_seq != self.head + 1:
            raise CorruptLog(
                f"commit {sequencer.index} with rows from {sequencer.first_seq} does not follow "
                f"commit {self.frontier.size - 1} with rows up to {self.head}: "
                "commits were dropped, swapped or repeated"
            )
        if sequencer.link != self.link:
            raise CorruptLog(f"commit {sequencer.index} does not link to the one before it")
        if sequencer.zero or sequencer.time_us < self.time_us:
            raise CorruptLog(f"commit {sequencer.index} was altered")

    def apply(self, record: Record, place: int, current: Sequence[int] | None = None) -> None:
        """Fold one admitted commit in.

        Args:
            current: what the index says about its ids, when the caller has asked already.
        """
        first, count = record.first_seq, record.row_count
        if count < _SMALL:
            self._apply_rows(record, count)
        else:
            self._apply_table(record, current)
        author = record.author
        self.origins.apply(author.device, author.session, author.lsn, first)
        if self.pace.is_set:
            nbytes = int(record.table["length"].sum())
            self.pace.apply(record.sequencer.time_us, record.row_count, nbytes)
        self.commits.append(first, place, record.leaf)
        self.head = record.last_seq
        self.held += record.row_count
        self.time_us = record.sequencer.time_us
        self.link = link_after(self.link, record.leaf)
        self.frontier = self.frontier.append(record.leaf)

    def _apply_rows(self, record: Record, count: int) -> None:
        for at in range(count):
            row = record.row(at)
            if row.kind >= SYSTEM_FIRST:
                self._apply_system(record, at, row)
            if row.flags & FLAG_ACCESS:
                self.rules += 1
            if row.place & PLACE_BODY_FILE:
                self._saw_body(row.place, row.length)
            seq = record.seq_at(at)
            self.index.put(
                row.id, seq | flags_of(row.kind), row.created or seq,
                child_key(row.parent, row.collection),
            )  # fmt: skip

    def _apply_table(self, record: Record, current: Sequence[int] | None) -> None:
        table = record.table
        kinds = table["kind"]
        for at in np.flatnonzero(kinds >= SYSTEM_FIRST).tolist():
            self._apply_system(record, at, record.row(at))
        self.rules += int(np.count_nonzero(table["flags"] & FLAG_ACCESS))
        for at in np.flatnonzero(table["place"] >= np.uint64(PLACE_BODY_FILE)).tolist():
            self._saw_body(int(table["place"][at]), int(table["length"][at]))
        seqs = record.seqs
        created = table["stamp"] & np.uint64(CREATED_MASK)
        created = np.where(created == 0, seqs, created)
        flags = np.where(kinds == Kind.TOMBSTONE, np.uint64(DEAD), np.uint64(0))
        flags = np.where(kinds >= SYSTEM_FIRST, np.uint64(SYSTEM), flags)
        children = (table["parent_hi"] ^ table["parent_lo"]) & np.uint64(PARENT_MASK)
        children |= table["collection"] & np.uint64(COLLECTION_MASK)
        if current is None:
            current = self.index.locate_many(record.ids)
        self.index.put_many(
            table["id_hi"], table["id_lo"], seqs | flags, created, children, before=current
        )

    def _apply_system(self, record: Record, at: int, row: Row) -> None:
        if row.kind == Kind.GENESIS and not self.trust.chain_id:
            self.trust.chain_id = record.root
        if row.kind == Kind.GENESIS:
            header = record.header(at)
            self.pace.set(header.unknown.get(FIELD) if header is not None else None)
        if row.kind in _LASTING:
            self.lasting.append(record.seq_at(at))
        if row.kind != Kind.GRANT:
            self.trust.apply(row.kind, row.id, self.body(record, row))

    def _saw_body(self, place: int, length: int) -> None:
        if place != PLACE_ABSENT:
            self.bodies_end = max(self.bodies_end, place + length)


def flags_of(kind: int) -> int:
    """Return the index flags of a row kind."""
    if kind == Kind.TOMBSTONE:
        return DEAD
    return SYSTEM if kind >= SYSTEM_FIRST else 0
