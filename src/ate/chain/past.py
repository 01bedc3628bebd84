"""The past of a chain: versions of an object, what stood at a row, which row a time means.

It opens no body and decides nothing. An object's versions hang together by `base`, so nobody has to
scan a log for them; what stood at a row is computed from what came after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from ate.chain.cover import Cover
from ate.chain.index import SEQ_MASK
from ate.chain.run import U64
from ate.chain.view import View
from ate.errors import Compacted, NotFound
from ate.event.commit import Record
from ate.event.row import HEAD_BYTES, ROW, Kind

#: The first 80 bytes of a row: all that it says about an object besides the body.
HEAD: Final = np.dtype([(name, ROW[name].str) for name in (ROW.names or ())[:14]])

Heads = npt.NDArray[np.void]

_TOMBSTONE: Final = int(Kind.TOMBSTONE)
#: Rows of smaller commits are gathered, so that arrays are worth their setting up.
_SMALL: Final = 64
_BATCH: Final = 8192


def lineage(view: View, object_id: bytes) -> Iterator[tuple[int, Record, int]]:
    """Yield (seq, commit, place in it) of the versions of an object, newest first.

    Deletions are versions too, and an id that was used again goes on to what it was before.

    Raises:
        NotFound: there never was such an object.
        Compacted: behind the last version that is kept, when there were older ones.
    """
    seq = view.index.locate(object_id) & SEQ_MASK
    if not seq:
        raise NotFound(f"no object {object_id.hex()}")
    while True:
        record, at = view.find(seq)
        row = record.row(at)
        if row.id != object_id:
            return  # nobody judges what the base of a system row says
        yield seq, record, at
        if not 0 < row.base < seq:
            return
        seq = row.base


def is_kept(view: View, seq: int) -> bool:
    """Tell whether a row of the chain is still held."""
    try:
        view.find(seq)
    except Compacted:
        return False
    return True


def time_us(moment: datetime) -> int:
    """Return a time as the chain counts it; one without a zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def seq_at_time(view: View, when_us: int) -> int:
    """Return the seq of the last row that was there at a time, 0 when the chain began later.

    Commits that were dropped have no time any more: then it is the last row before them.
    """
    if when_us >= view.time_us:
        return view.head
    commits, low, high = view.commits, 0, len(view.commits)
    while low < high:
        middle = (low + high) // 2
        if view.record(commits.place_at(middle)).sequencer.time_us <= when_us:
            low = middle + 1
        else:
            high = middle
    return view.record(commits.place_at(low - 1)).last_seq if low else 0


def standing_at(view: View, at: int) -> tuple[U64, Heads]:
    """Return the rows that showed the living objects as of row `at`: their seqs, and their heads.

    What is newest today and not newer than `at` stood then; what stood then and is not newest today
    is the base of a later row.

    Raises:
        Compacted: not all that is needed is kept; the hint names a row from which it is.
    """
    newest = np.array(view.index.all(), np.uint64) & np.uint64(SEQ_MASK)
    parts, before = [newest[newest <= at]], at
    for seqs, heads in _rows_behind(view, at):
        if int(seqs[-1]) - before != len(seqs):
            raise not_held(view, at)
        before = int(seqs[-1])
        base = heads["base"].astype(np.uint64)
        parts.append(base[(base > 0) & (base <= at) & (heads["kind"] <= _TOMBSTONE)])
    if before != view.head:
        raise not_held(view, at)
    seqs = np.concatenate(parts)
    seqs.sort()
    try:
        heads = heads_of(view, seqs)
    except Compacted:
        raise not_held(view, at) from None
    alive = heads["kind"] == int(Kind.DATA)
    return seqs[alive], heads[alive]


def heads_of(view: View, seqs: U64) -> Heads:
    """Return the heads of some rows, whose seqs rise; raises Compacted when one is not kept."""
    raw, start = bytearray(), 0
    while start < len(seqs):
        record, at = view.find(int(seqs[start]))
        end = int(np.searchsorted(seqs, np.uint64(record.last_seq), "right"))
        if end - start == 1:
            raw += record.head(at)
        else:
            kept = record.seqs
            ats = np.searchsorted(kept, seqs[start:end])
            inside = np.minimum(ats, len(kept) - 1)
            if (kept[inside] != seqs[start:end]).any():
                raise Compacted("a row was superseded and is not kept any more")
            rows = record.table[ats].view(np.uint8).reshape(len(ats), -1)
            raw += rows[:, :HEAD_BYTES].tobytes()
        start = end
    return np.frombuffer(bytes(raw), HEAD)


def _rows_behind(view: View, at: int) -> Iterator[tuple[U64, Heads]]:
    """Yield seqs and heads of the rows behind `at` that are kept, many at a time.

    The heads may have the fields of whole rows.
    """
    seqs: list[int] = []
    raw = bytearray()
    for place in view.commits.between(at + 1, view.head):
        record = view.record(place)
        if record.row_count < _SMALL:
            for inside in range(record.row_count):
                if (seq := record.seq_at(inside)) > at:
                    seqs.append(seq)
                    raw += record.head(inside)
            if len(seqs) < _BATCH:
                continue
        if seqs:
            yield np.array(seqs, np.uint64), np.frombuffer(bytes(raw), HEAD)
            seqs, raw = [], bytearray()
        if record.row_count >= _SMALL:
            behind = record.seqs > at
            if behind.any():
                yield record.seqs[behind], record.table[behind]
    if seqs:
        yield np.array(seqs, np.uint64), np.frombuffer(bytes(raw), HEAD)


def oldest_whole(view: View, after: int = 0) -> int:
    """Return the first row from `after` on from which the state at every row is known.

    It walks over all rows behind `after`: it is for telling people, not for asking first.
    """
    gap = before = after
    for seqs, _ in _rows_behind(view, after):
        kept = np.concatenate([np.array([before], np.uint64), seqs])
        holes = np.flatnonzero(np.diff(kept) != 1)
        if len(holes):
            gap = int(kept[holes[-1] + 1]) - 1
        before = int(kept[-1])
    if before != view.head:
        return view.head
    oldest = gap
    for seqs, heads in _rows_behind(view, gap):
        base = heads["base"]
        # The chain's own rule is part of the state, too.
        reaching = (base > 0) & (base <= gap) & (heads["kind"] <= Kind.GENESIS)
        for place in np.flatnonzero(reaching).tolist():
            if not is_kept(view, int(base[place])):
                oldest = int(seqs[place])
    return oldest


def not_held(view: View, at: int) -> Compacted:
    """Return the error for a state that compaction made incomplete."""
    oldest = oldest_whole(view, at)
    return Compacted(
        f"the state at row {at} is not held any more: versions that were superseded were dropped",
        hint=f"the oldest row whose state is held is {oldest}",
    )


def root_at(view: View, seq: int) -> bytes | None:
    """Return the root of the tree over all commits up to the one with row `seq`.

    None when compaction dropped what it needs.
    """
    if seq >= view.head:
        return view.frontier.root()
    try:
        record, _ = view.find(seq)
        return Cover.of(view).root(record.sequencer.index + 1)
    except Compacted:
        return None
