"""Which rows a compaction keeps below its cut; it reads the chain and writes nothing.

Kept is the present as it was at the cut, what retention asks for, and what the rest needs to be
proved or read: keys, roles, certificates of those who signed, bases of deltas.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from ate.chain.index import SEQ_MASK, SYSTEM
from ate.chain.lineage import base_held
from ate.chain.present import CHECKPOINT_ID, hash_of, vouched
from ate.chain.run import U64
from ate.chain.seqs import among, minus, seqs_of, union
from ate.chain.view import View, flags_of
from ate.crypto.sign import FastVerifyKey
from ate.errors import CorruptLog, UsageError
from ate.event.prefix import decode_prefix, is_commit
from ate.event.row import Kind
from ate.event.system import CertificateBody, Checkpoint, decode

_STEP: Final = 32
_KEY_ID: Final = slice(72, 88)
_RARE_SIZE: Final = slice(260, 264)


class Cut:
    """Where a compaction cuts, and what the chain looked like there.

    Made without a pause, so that the view can not move on meanwhile.

    Args:
        view: the chain.
        dropped: seqs of newest rows that retention drops.
        seq: of the checkpoint to cut at; the newest one if 0.

    Raises:
        UsageError: the chain has roots, and no checkpoint vouches for anything.
    """

    def __init__(self, view: View, dropped: set[int], seq: int = 0) -> None:
        self.view, self.dropped = view, dropped
        #: Ids, as two numbers, of the objects of which nothing may stay: what is older would come
        #: back to life.
        self.gone: set[tuple[int, int]] = set()
        self.head = view.head
        self.index, self.seq, self.state = view.frontier.size, view.head + 1, b""
        if view.trust.has_roots:
            stored = view.stored(CHECKPOINT_ID)
            if stored is None:
                raise _nobody_vouches()
            record, at = view.find(seq or stored.seq)
            checkpoint = decode(Checkpoint, view.body(record, record.row(at)))
            if not checkpoint.present:
                raise _nobody_vouches()
            self.index, self.seq = record.sequencer.index, record.first_seq
            self.state = checkpoint.present
        self._run = view.index.run()
        self.origins = dict(view.origins.table)
        self.time_us, self.link = view.time_us, view.link
        if self.state:
            before = view.record(view.commits.find(self.seq - 1)[1])
            self.time_us, self.link = before.sequencer.time_us, record.sequencer.link

    def present(self) -> Iterator[None]:
        """Work out the newest row of each object before the cut; the result is `entries`."""
        view, run = self.view, self._run
        seq = run.seq.copy()
        gone = np.zeros(len(seq), np.bool_)
        late = np.flatnonzero((seq & np.uint64(SEQ_MASK)) >= np.uint64(self.seq))
        for number, at in enumerate(late.tolist()):
            found = int(seq[at]) & SEQ_MASK
            kind = 0
            while found >= self.seq:
                record, where = view.find(found)
                found = record.row(where).base
            if found:
                record, where = view.find(found)
                kind = record.row(where).kind
            gone[at] = not found
            seq[at] = found | flags_of(kind)
            if not number % _STEP:
                yield
        yield from self._rewind_origins()
        held = ~gone
        self.entries: tuple[U64, U64, U64] = (run.high[held], run.low[held], seq[held])
        #: Their seqs, whatever is dropped of them later on.
        self.newest: U64 = seq[held] & np.uint64(SEQ_MASK)
        if self.dropped:
            self.drop(self.dropped)

    def _rewind_origins(self) -> Iterator[None]:
        """Take back what the commits from the cut on say about origins."""
        view, wanted = self.view, {}
        for number, place in enumerate(view.commits.between(self.seq, self.head)):
            record = view.read(place)
            author, key = record.author, (record.author.device, record.author.session)
            if key not in wanted and record.first_seq >= self.seq:
                wanted[key] = author.prev
                self.origins.pop(key, None)
            if not number % _STEP:
                yield
        wanted = {key: lsn for key, lsn in wanted.items() if lsn}
        places = list(view.commits.between(1, self.seq - 1))
        for number, place in enumerate(reversed(places)):
            if not wanted:
                return
            record = view.read(place)
            key = (record.author.device, record.author.session)
            if wanted.get(key) == record.author.lsn:
                self.origins[key] = (wanted.pop(key), record.first_seq)
            if not number % _STEP:
                yield
        for device, session, lsn, seq in _prefix_origins(view) if wanted else ():
            if wanted.get((device, session)) == lsn:
                self.origins[device, session] = (lsn, seq)

    def drop(self, seqs: set[int]) -> None:
        """Leave out rows that nothing vouches for."""
        high, low, seq = self.entries
        held = ~among(seq & np.uint64(SEQ_MASK), seqs_of(seqs))
        self.gone.update(zip(high[~held].tolist(), low[~held].tolist(), strict=True))
        self.entries = high[held], low[held], seq[held]

    def check(self) -> None:
        """Raise CorruptLog unless the checkpoint vouches for just these entries."""
        if not self.state:
            return
        covered = vouched(self.view, *self.entries)
        high, low, seq = (column[covered] for column in self.entries)
        if hash_of(self.origins, high, low, seq) != self.state:
            raise CorruptLog(
                "the newest checkpoint does not vouch for the present as it was then",
                hint="let a root make another one: chain.checkpoint()",
            )


def _prefix_origins(view: View) -> list[tuple[int, int, int, int]]:
    _, payload = next(view.store.scan(0))
    return [] if is_commit(payload) else decode_prefix(payload).origins


def _nobody_vouches() -> UsageError:
    return UsageError(
        "no checkpoint vouches for what a compaction would leave",
        hint="compact as one of its roots, or let a root call chain.checkpoint()",
    )


def newest_rows(cut: Cut) -> list[int]:
    """Return the seqs, with flags, of the objects alive or deleted at the cut; no system rows."""
    seq = cut.entries[2]
    found: list[int] = seq[(seq & np.uint64(SYSTEM)) == 0].tolist()
    return found


class Kept:
    """The rows that stay below the cut.

    Args:
        cut: where; its entries are known.
        extra: seqs that retention adds.
    """

    def __init__(self, cut: Cut, extra: set[int]) -> None:
        self._view, self._cut = cut.view, cut
        first, place, _ = cut.view.commits.columns()
        #: How many commits there are below the cut.
        self.below = int(first.searchsorted(np.uint64(cut.seq)))
        self._first, self._place = first[: self.below], place[: self.below]
        self._extra = sorted(seq for seq in extra if seq < cut.seq)
        self.seqs: U64 = np.sort(cut.entries[2] & np.uint64(SEQ_MASK))

    def complete(self, now_us: int) -> Iterator[None]:
        """Add what these rows need to be proved and read, in small steps."""
        yield from self._older()
        certificates = yield from self._lasting(now_us)
        seen = np.zeros(len(self._first), np.bool_)
        while True:
            at = self._first.searchsorted(self.seqs, side="right") - 1
            held = np.zeros(len(self._first), np.bool_)
            held[at] = True
            fresh: list[int] = []
            for number, commit in enumerate(np.flatnonzero(held & ~seen).tolist()):
                payload = self._view.store.read(int(self._place[commit]))
                fresh += certificates.pop(payload[_KEY_ID].tobytes(), ())
                if not number % _STEP:
                    yield
            seen |= held
            yield from self._bases(at, fresh)
            new = minus(seqs_of(fresh), self.seqs)
            if not len(new):
                break
            self.seqs = union(self.seqs, new)
        self.held = np.flatnonzero(held)

    def _older(self) -> Iterator[None]:
        """Add what retention keeps of objects that stay."""
        stays: list[int] = []
        for number, seq in enumerate(self._extra):
            record, at = self._view.find(seq)
            row = record.row(at)
            key = int.from_bytes(row.id[:8], "little"), int.from_bytes(row.id[8:], "little")
            if key not in self._cut.gone:
                stays.append(seq)
            if not number % _STEP:
                yield
        self.seqs = union(self.seqs, seqs_of(stays))

    def _lasting(self, now_us: int) -> Generator[None, None, dict[bytes, list[int]]]:
        """Keep keys, roles and certificates in force; returns the other certificates by key id."""
        certificates: dict[bytes, list[int]] = {}
        stays: list[int] = []
        for number, seq in enumerate(self._view.lasting):
            if seq >= self._cut.seq:
                break
            record, at = self._view.find(seq)
            row = record.row(at)
            if row.kind == Kind.CERTIFICATE:
                body = decode(CertificateBody, self._view.body(record, row))
                if body.until_us < now_us:
                    key_id = FastVerifyKey(body.subject).key_id
                    certificates.setdefault(key_id, []).append(seq)
                    continue
            stays.append(seq)
            if not number % _STEP:
                yield
        expired = seqs_of(seq for some in certificates.values() for seq in some)
        self.seqs = union(minus(self.seqs, expired), seqs_of(stays))
        return certificates

    def _bases(self, at: npt.NDArray[np.int64], found: list[int]) -> Iterator[None]:
        """Find the rows that the bodies of kept rows are deltas of."""
        starts = np.flatnonzero(np.diff(at, prepend=-1))
        for number, (start, stop) in enumerate(pairwise([*starts.tolist(), len(at)])):
            place = int(self._place[at[start]])
            payload = self._view.store.read(place)
            if not number % _STEP:
                yield
            if not int.from_bytes(payload[_RARE_SIZE], "little"):
                continue
            record = self._view.read(place)
            for seq in self.seqs[start:stop].tolist():
                base = base_held(self._view, seq, record, record.at(seq))
                if base:
                    found.append(base)

    def commits(self) -> Iterator[tuple[int, list[int]]]:
        """Yield (place, seqs that stay in it) of each commit that stays, in order."""
        at = self._first.searchsorted(self.seqs, side="right") - 1
        borders = np.flatnonzero(np.diff(at)) + 1
        for commit, rows in zip(self.held.tolist(), np.split(self.seqs, borders), strict=True):
            yield int(self._place[commit]), rows.tolist()
