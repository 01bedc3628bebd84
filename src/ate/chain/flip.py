"""Flips: a root's checkpoint at which all who hold a chain compact, each for itself.

The same cut, the same time and the same rule for the past give the same generation everywhere. A
later checkpoint repeats the newest flip, so that whoever was away still finds it. Nothing is
compacted here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from ate import limits
from ate.chain.present import CHECKPOINT_ID
from ate.chain.retention import Retention
from ate.chain.view import View
from ate.errors import CorruptLog, UsageError
from ate.event.row import Kind
from ate.event.system import Checkpoint, Flip

if TYPE_CHECKING:
    from ate.chain.ledger import Ledger

_STEP = timedelta(microseconds=1)
_WINDOW_MAX = timedelta(days=limits.RETENTION_DAYS_MAX)


class Due(NamedTuple):
    """A compaction that this copy has yet to make.

    Args:
        seq: of the checkpoint to cut at.
        now_us: its time, which counts for all: for what is within a window, what has expired.
        retention: what stays.
    """

    seq: int
    now_us: int
    retention: Retention


def flip_at(size: int, keep: Retention, view: View) -> Flip:
    """Return the flip of a checkpoint over `size` commits.

    Raises:
        UsageError: it would drop tombstones, and a commit on its way may still rest on one; or the
            window is too long.
    """
    if keep.tombstones is not None:
        raise UsageError("tombstones are not dropped at a flip: compact each copy by itself")
    genesis = view.trust.genesis
    wide = keep.widened(genesis.policy if genesis else {})
    window = wide.window or timedelta()
    if window > _WINDOW_MAX:
        raise UsageError(f"a window of at most {limits.RETENTION_DAYS_MAX} days")
    return Flip(size, wide.versions, window // _STEP)


def check_flip(view: View, checkpoint: Checkpoint) -> None:
    """Raise CorruptLog unless a checkpoint is a flip, or repeats the one there was."""
    flip = checkpoint.flip
    if flip is not None and flip.size == checkpoint.size:
        if not 0 < flip.versions < 1 << 63 or flip.window_us > _WINDOW_MAX // _STEP:
            raise CorruptLog("a flip keeps an impossible part of the past")
        return
    before = view.trust.checkpoint
    if flip != (before.flip if before is not None else None):
        raise CorruptLog("a checkpoint does not repeat where the chain was to be compacted")


def due(view: View) -> Due | None:
    """Return the compaction that the newest flip wants and this copy has not made, if any."""
    sealed = view.trust.checkpoint
    flip = sealed.flip if sealed is not None else None
    if flip is None or not view.cut < flip.size < view.frontier.size:
        return None
    number = len(view.commits) - (view.frontier.size - flip.size)
    record = view.record(view.commits.place_at(number))
    at = record.kinds.find(Kind.CHECKPOINT)
    while at >= 0 and record.row(at).id != CHECKPOINT_ID:
        at = record.kinds.find(Kind.CHECKPOINT, at + 1)
    if at < 0:
        raise CorruptLog(f"commit {flip.size} is no checkpoint")
    window = timedelta(microseconds=flip.window_us) or None
    return Due(record.seq_at(at), record.sequencer.time_us, Retention(flip.versions, window))


class Flips:
    """Calls `begin` when a checkpoint has left this copy something to compact.

    A checkpoint that comes later is another reason to look: what failed is tried again then.
    """

    def __init__(self, ledger: Ledger, begin: Callable[[], None]) -> None:
        self._ledger, self._begin = ledger, begin
        self._seen: Checkpoint | None = None
        ledger.feed.subscribe(self.look)

    def look(self) -> None:
        """Look at the newest checkpoint, unless it was looked at before."""
        view = self._ledger.view
        sealed = view.trust.checkpoint
        if sealed is self._seen or sealed is None:
            return
        self._seen = sealed
        flip = sealed.flip
        if flip is not None and view.cut < flip.size < view.frontier.size:
            self._begin()

    def end(self) -> None:
        """Look no more."""
        self._ledger.feed.unsubscribe(self.look)
