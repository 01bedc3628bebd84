"""`Compaction`: builds the next generation of a chain's log while the chain goes on being written.

Below the cut it keeps what `ate.chain.thinning` names, thinned but still proved; from the cut on it
copies everything as it is. It needs no read key. It works in small steps, so that whoever drives it
decides when commits come first; a step that is a call may be made in another thread.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from ate import multiproof
from ate.chain.commits import CommitColumns
from ate.chain.cover import Cover
from ate.chain.erase import Erased, erase
from ate.chain.ledger import Ledger
from ate.chain.run import U64
from ate.chain.seqs import among, minus, seqs_of
from ate.chain.snapshot import encode_snapshot
from ate.chain.succession import COMPACTION
from ate.chain.thinning import Cut, Kept
from ate.crypto.hash import digest, digest_many
from ate.errors import Conflict, CorruptLog, StorageError
from ate.event import row as rows_
from ate.event import thinned
from ate.event.commit import ROWS_AT, Record
from ate.event.prefix import Prefix, encode_nodes

#: A step: None is a pause, a call is work for any thread; its result is sent back.
Step: TypeAlias = "Callable[[], Any] | None"
#: Called with (commits written, commits to write) while a compaction goes on.
Progress: TypeAlias = Callable[[int, int], None]

_ROWS_STEP: Final = 32
_BATCH_BYTES: Final = 16 * 1024
#: So much is written between two flushes: the last one, which commits wait for, is short then.
_FLUSH_BYTES: Final = 4 * 1024 * 1024
_LOCAL_PLACE: Final = rows_.SIGNED_BYTES + 8


@dataclass(frozen=True, slots=True)
class Thinned:
    """What a compaction did.

    Args:
        generation: the one that lives now.
        cut: seq of the first row that was copied as it was.
        rows_before, rows_after: how many the log held and holds.
        commits_before, commits_after: likewise.
        bytes_before, bytes_after: of frames and bodies.
        still_read: generations that other processes still read; they go when nobody does.
        erased: what was overwritten and searched, if that was asked for.
    """

    generation: int
    cut: int
    rows_before: int
    rows_after: int
    commits_before: int
    commits_after: int
    bytes_before: int
    bytes_after: int
    still_read: tuple[str, ...] = ()
    erased: Erased | None = None


class Compaction:
    """One compaction of one chain.

    Args:
        ledger: the chain, open for writing.
        cut: where; it may just have been made.
        progress: is told how far it is.
    """

    def __init__(self, ledger: Ledger, cut: Cut, progress: Progress | None = None) -> None:
        self._ledger, self.cut, self._progress = ledger, cut, progress
        self._old, self._view = ledger.store, ledger.view
        ledger.succession.begin(COMPACTION)
        try:
            self._new = self._old.successor()
        except BaseException:
            ledger.succession.end(COMPACTION)
            raise
        self._first, self._place, self._leaf = array("Q"), array("Q"), bytearray()
        self._tail = 0
        self._bodies_end = self._rows = 0
        self._batch: list[bytes] = []
        self._batch_bytes = self._unflushed = 0
        self._dropped: U64 = np.empty(0, np.uint64)
        self._lasting_kept: list[int] = []
        self._passed = self._thin_total = self._below = 0
        self._before = (ledger.view.held, len(ledger.view.commits), self._old.size())
        self.snapshot_head = 0
        self._switching = threading.Lock()
        self._lives = self._is_over = False

    # --- below the cut ----------------------------------------------------------------------

    def thin(self, extra: set[int], now_us: int) -> Iterator[Step]:
        """Write what is kept below the cut.

        Args:
            extra: seqs of older versions that retention keeps.
            now_us: for certificates that have expired.
        """
        kept = Kept(self.cut, extra)
        yield from kept.complete(now_us)
        yield None
        self._dropped = minus(np.sort(self.cut.newest), kept.seqs)
        lasting = seqs_of(seq for seq in self._view.lasting if seq < self.cut.seq)
        self._passed = len(lasting)
        self._lasting_kept = lasting[among(lasting, kept.seqs)].tolist()
        yield None
        cover = yield from Cover.build(self._view)
        nodes = yield from self._gaps(cover, kept)
        cut = self.cut
        origins = sorted((*key, *value) for key, value in cut.origins.items())
        prefix = Prefix(cut.index, cut.seq - 1, cut.time_us, cut.link, origins)
        self._new.append((prefix.encode(),))
        for payload in encode_nodes(nodes):
            self._new.append((payload,))
            yield None
        self._thin_total, self._below = len(kept.held), kept.below
        for place, seqs in kept.commits():
            yield from self._thin_one(self._verified(place), seqs)
        yield from self._write()
        self._tail = kept.below

    def _gaps(self, cover: Cover, kept: Kept) -> Generator[Step, None, bytes]:
        """Return the roots of what is dropped between the commits that stay."""
        sparse = [index for index, _ in cover.places]
        dense = cover.cut - len(sparse)
        nodes, at = bytearray(), 0
        for count, number in enumerate([*kept.held.tolist(), self.cut.index - dense]):
            index = sparse[number] if number < len(sparse) else dense + number
            parts: list[multiproof.Part] = []
            for part in cover.between(at, index):
                parts.append(part)
                yield None
            nodes += b"".join(part.hash for part in multiproof.merged(parts))
            at = index + 1
            if not count % 32:
                yield None
        return bytes(nodes)

    def _thin_one(self, record: Record, seqs: Sequence[int]) -> Iterator[Step]:
        """Write one commit with these rows alone; unchanged when it has no others."""
        at = [record.at(seq) for seq in seqs]
        yield None
        if len(at) == record.row_count and not record.is_thinned:
            yield from self._copy(record)
            return
        siblings = yield from self._siblings(record, at)
        table = record.table[at]
        thinner = thinned.Thinner(
            record,
            kept=len(at),
            outside=int(np.count_nonzero(table["place"] >= np.uint64(rows_.PLACE_BODY_FILE))),
            with_headers=bool((table["flags"] & rows_.FLAG_HEADER).any()),
            siblings=siblings,
        )
        for number, where in enumerate(at):
            head, index = record.head(where), record.indexes[where]
            _, _, _, _, _, wanted, length, place = record.brief(where)
            if place & rows_.PLACE_BODY_FILE:
                moved = yield from self._copy_body(record, where)
                thinner.add_outside(head, index, length, moved, wanted)
            else:
                body = record.inline_at(place, length)
                if digest(body) != wanted:
                    raise _altered(record, where)
                thinner.add(head, index, body)
            if number % _ROWS_STEP == _ROWS_STEP - 1:
                yield None
        yield from self._add(record, thinner.payload(), len(at))

    def _copy_body(self, record: Record, at: int) -> Generator[Step, Any, int]:
        """Copy the large body of one row, once it was compared with the row."""
        _, _, _, _, _, wanted, length, place = record.brief(at)
        body = self._old.body(place, length)
        if digest(body) != wanted:
            raise _altered(record, at)
        moved: int = yield lambda: self._new.write_body([body])
        self._bodies_end = max(self._bodies_end, moved + length)
        self._unflushed += length
        return moved

    def _siblings(self, record: Record, kept: list[int]) -> Generator[Step, None, bytes]:
        """Return the hashes that stand for the rows that go."""
        signed = record.signed_rows()
        yield None
        hashes: list[bytes] = []
        for start in range(0, len(signed), _ROWS_STEP):
            hashes += digest_many(signed[start : start + _ROWS_STEP])
            yield None
        known = record.indexes
        before = record.siblings if isinstance(record, thinned.ThinRecord) else b""
        siblings, root = yield from multiproof.fewer_siblings(
            record.author.row_count, known, hashes, before, [known[at] for at in kept]
        )
        if root != record.author.rows_root:
            raise CorruptLog(f"the rows of commit {record.sequencer.index} were altered")
        return siblings

    # --- from the cut on --------------------------------------------------------------------

    def catch_up(self) -> Iterator[Step]:
        """Copy what was committed up to now; what comes meanwhile is for another time."""
        view = self._view
        stop = len(view.commits)
        while self._tail < stop:
            yield from self._copy(self._verified(view.commits.place_at(self._tail)))
            self._tail += 1
        yield from self._write()

    def _copy(self, record: Record) -> Iterator[Step]:
        """Write a whole commit as it is, with the new places of large bodies."""
        places = record.table["place"]
        payload = record.payload
        for at in np.flatnonzero(places >= np.uint64(rows_.PLACE_BODY_FILE)).tolist():
            if payload is record.payload:
                payload = memoryview(bytearray(payload))
            moved = yield from self._copy_body(record, at)
            where = ROWS_AT + rows_.ROW_BYTES * at + _LOCAL_PLACE
            payload[where : where + 8] = moved.to_bytes(8, "little")
        if self._tail:
            self._check_bases(record)
        yield from self._add(record, payload.tobytes(), record.row_count)

    def _check_bases(self, record: Record) -> None:
        """Raise Conflict when a commit that came meanwhile goes on from a row that is dropped."""
        table = record.table
        bases = table["base"][table["kind"] < rows_.SYSTEM_FIRST]
        if among(bases, self._dropped).any():
            raise Conflict("a commit changed what the compaction was about to drop")

    def _add(self, record: Record, payload: bytes, rows: int) -> Iterator[Step]:
        self._batch.append(payload)
        self._batch_bytes += len(payload)
        self._first.append(record.first_seq)
        self._leaf += record.leaf
        self._rows += rows
        if self._batch_bytes >= _BATCH_BYTES or len(self._batch) >= _ROWS_STEP:
            yield from self._write()
        elif rows >= _ROWS_STEP:
            yield None

    def _write(self, *, last: bool = False) -> Iterator[Step]:
        """Write what was gathered, all but the last commit unless it is the last.

        That one is written when all before it is flushed, and says so: without such a word at its
        end, damage in the middle of a log looks like a torn write.
        """
        batch = self._batch if last else self._batch[:-1]
        if batch:
            self._place.extend(self._new.append_many([(payload,) for payload in batch]))
            self._unflushed += sum(map(len, batch))
            self._batch = self._batch[len(batch) :]
            self._batch_bytes = sum(map(len, self._batch))
            self._tell()
            yield None
        if self._unflushed >= _FLUSH_BYTES:
            self._unflushed = 0
            yield self._new.flush

    def _tell(self) -> None:
        if self._progress is not None:
            above = len(self._view.commits) - self._below
            self._progress(len(self._first), self._thin_total + above)

    # --- taking over ------------------------------------------------------------------------

    def _columns(self) -> CommitColumns:
        return (
            np.array(self._first, np.uint64),
            np.array(self._place, np.uint64),
            np.frombuffer(bytes(self._leaf), np.uint8),
        )

    def prepare(self) -> Iterator[Step]:
        """Write the snapshot of the present as it is now, so that the next opening is quick."""
        yield self._new.flush
        yield from self.catch_up()
        finish(self.catch_up())  # what came in the last pause; nothing comes from here on
        finish(self._write(last=True))
        parts = encode_snapshot(
            self._ledger, self._columns(), held=self._rows, cut=self.cut.index,
            lasting=self._lasting(), bodies_end=self._bodies_end, dropped=self._dropped,
            size=self._new.size(),
        )  # fmt: skip
        self.snapshot_head = self._view.head
        yield self._new.flush
        yield lambda: self._new.write_index(parts)

    def _lasting(self) -> list[int]:
        """Return the rows of keys, roles and certificates that the new generation holds."""
        return self._lasting_kept + self._view.lasting[self._passed :]

    def switch(self) -> None:
        """Let the new generation live, durably. All was copied, and no commit may be on its way."""
        with self._switching:
            if self._is_over:
                raise StorageError("the compaction was given up")
            if self._batch:
                self._new.flush()
                finish(self._write(last=True))
            self._new.take_over(self._old)
            self._lives = True

    def adopt(self) -> Thinned:
        """Let the chain go on with it."""
        ledger, view = self._ledger, self._view
        lasting = self._lasting()
        ledger.replace_store(self._new, self._columns(), self._dropped)
        view.cut, view.lasting, view.held = self.cut.index, lasting, self._rows
        view.bodies_end = self._bodies_end
        ledger.snapshot_written(self.snapshot_head)
        rows, commits, size = self._before
        return Thinned(
            self._new.generation, self.cut.seq, rows, self._rows, commits, len(self._first),
            size, 0,
        )  # fmt: skip

    def erase(self) -> Erased:
        """Overwrite the generation that was replaced, and search for what was dropped."""
        return erase(self._old, self._new)

    def _verified(self, place: int) -> Record:
        """Return a commit, all of whose bytes are what was written; its rows were not checked."""
        record = thinned.decode_record(self._old.read(place, verify=True))
        if record.leaf != self._view.commits.leaf_at(place):
            raise CorruptLog(f"commit {record.sequencer.index} is not the one that was here before")
        return record

    def tidy_up(self) -> tuple[int, tuple[str, ...]]:
        """Remove the old generation, or the new one that did not take over.

        Returns:
            The bytes of the generation that lives, and the generations that are still read.
        """
        # A thread may be taking over still, when the task that waited for it was cancelled.
        with self._switching:
            self._is_over = True
            gone, live = (self._old, self._new) if self._lives else (self._new, self._old)
        gone.close()
        try:
            return live.size(), live.sweep()
        finally:  # from here on nothing of it is touched
            self._ledger.succession.end(COMPACTION)


def _altered(record: Record, at: int) -> CorruptLog:
    return CorruptLog(f"the body of row {record.seq_at(at)} was altered: nothing was dropped")


def finish(steps: Iterator[Step]) -> None:
    """Take all steps without a pause."""
    assert isinstance(steps, Generator)
    value: Any = None
    with suppress(StopIteration):
        while True:
            step = steps.send(value)
            value = None if step is None else step()
