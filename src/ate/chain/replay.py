"""`Replay`: takes a log's frames one by one into a view, compacted or not; it never writes.

Opening, following and verifying all come through here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ate.chain.absorb import Absorption, check_vouched
from ate.chain.admit import admit, check_bodies
from ate.chain.view import View
from ate.errors import (
    CommitError,
    CorruptLog,
    LimitExceeded,
    ProtocolError,
    Throttled,
    TrustError,
)
from ate.event.commit import Record
from ate.event.prefix import NODES_MARK, decode_nodes, decode_prefix, is_commit
from ate.event.thinned import decode_record
from ate.trust.pipeline import Pipeline

#: Keeps a commit that was found good: returns its place in the log, and the commit as it is there.
Keep: TypeAlias = "Callable[[Record], tuple[int, Record]]"


class Replay:
    """Folds frames into a view.

    Args:
        view: the chain so far.
        pipeline: judges what is not vouched for as a whole.
        bodies: compare every stored body with its row, too.
    """

    def __init__(self, view: View, pipeline: Pipeline, *, bodies: bool = False) -> None:
        self._view, self._pipeline, self._bodies = view, pipeline, bodies
        self._absorption: Absorption | None = None
        self._state = b""

    async def take(self, place: int, payload: memoryview) -> Record | None:
        """Take the next frame of the log; returns the commit in it, None if it holds none.

        Raises:
            CorruptLog: it does not belong here.
        """
        return await self.receive(payload, lambda record: (place, record))

    async def receive(
        self, payload: memoryview, keep: Keep, *, is_mine: bool = False
    ) -> Record | None:
        """Take the next frame of somebody else's log.

        Args:
            keep: called once the commit is found good, before it becomes visible.
            is_mine: this process has made this very commit.

        Raises:
            CorruptLog: it does not belong here; the view is of no use any more.
        """
        try:
            return await self._take(payload, keep, is_mine=is_mine)
        except (ProtocolError, TrustError, LimitExceeded, CommitError, Throttled) as error:
            raise CorruptLog(
                f"commit {self._view.frontier.size} is not admissible: {error}"
            ) from error

    async def _take(
        self, payload: memoryview, keep: Keep, *, is_mine: bool
    ) -> Record | None:
        view = self._view
        if not is_commit(payload):
            if payload[0] == NODES_MARK:
                if self._absorption is None:
                    raise CorruptLog("nodes without the prefix of a compacted log")
                self._absorption.add_nodes(decode_nodes(payload))
            else:
                if self._absorption is not None:
                    raise CorruptLog("a compacted log has two prefixes")
                self._absorption = Absorption(view, decode_prefix(payload), self._pipeline)
            return None
        record = decode_record(payload)
        if self._absorption is not None:
            if record.sequencer.index < self._absorption.prefix.cut:
                if self._bodies:
                    check_bodies(view, record)
                return await self._absorption.take(record, keep)
            self._end_absorption()
        if record.is_thinned:
            raise CorruptLog(f"commit {record.sequencer.index} lost rows behind the cut")
        view.check_next(record)
        current = await admit(
            view, self._pipeline, record, time_us=record.sequencer.time_us, is_mine=is_mine
        )
        if self._state:
            check_vouched(view, record, self._state)
            self._state = b""
        if self._bodies and not is_mine:
            check_bodies(view, record)
        place, record = keep(record)
        view.apply(record, place, current)
        return record

    def _end_absorption(self) -> None:
        if self._absorption is not None:
            self._state = self._absorption.finish()
            self._absorption = None

    def end(self) -> None:
        """Say that this was the last frame for now.

        Raises:
            CorruptLog: the log is compacted and its rest, which proves the compaction, is gone.
        """
        self._end_absorption()
        if self._state:
            raise CorruptLog("the checkpoint that vouches for the compacted log is missing")
