"""What happened to the objects of a chain between two rows, and to one object; it changes nothing.

Values are those that the session's keys open; what they do not open is there without its value.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from ate.chain.past import lineage
from ate.client import Chain
from ate.errors import Compacted, NoReadKey, NotFound
from ate.event.row import Kind, Row
from ate.ids import ObjectId
from atecli.difference import Change, changes
from atecli.history import History

ADDED: Final = "added"
CHANGED: Final = "changed"
DELETED: Final = "deleted"


class Side(NamedTuple):
    """An object at a point.

    Args:
        seq: its version, 0 when it was not there yet.
        row: None when it was not there yet.
        time_us, author: of the version.
        type: name of the type.
        value: as stored.
        is_sealed: no key opens the value.
    """

    seq: int = 0
    row: Row | None = None
    time_us: int = 0
    author: str = ""
    type: str = ""
    value: Any = None
    is_sealed: bool = False

    @property
    def is_alive(self) -> bool:
        return self.row is not None and self.row.kind == Kind.DATA


class Pair(NamedTuple):
    """An object at two points.

    Args:
        is_known: False when compaction dropped what it was before.
    """

    id: ObjectId
    before: Side
    after: Side
    is_known: bool = True

    @property
    def what(self) -> str:
        """Added, changed or deleted; empty when it is at neither point."""
        if self.is_known and not self.before.is_alive:
            return ADDED if self.after.is_alive else ""
        return CHANGED if self.after.is_alive else DELETED

    @property
    def is_moved(self) -> bool:
        here, there = self.before.row, self.after.row
        if here is None or there is None or self.what != CHANGED:
            return False
        return (here.parent, here.collection) != (there.parent, there.collection)

    @property
    def is_sealed(self) -> bool:
        return self.before.is_sealed or self.after.is_sealed

    def steps(self) -> list[Change]:
        """Return the changes of the value, none when it cannot be compared."""
        if self.is_sealed or self.what != CHANGED or not self.is_known:
            return []
        return changes(self.before.value, self.after.value)


class Between:
    """Compares two points of a chain with the keys of its session."""

    def __init__(self, chain: Chain) -> None:
        self._history = History(chain)
        self._view = self._history.view
        #: Whether rows between the points are missing, because compaction dropped them.
        self.has_gaps = False

    async def one(self, object_id: ObjectId, first: int | None, last: int | None) -> Pair:
        """Return one object at two points.

        Args:
            first: None is the version before the one at `last`.
            last: None is now.

        Raises:
            NotFound: it was at neither.
            Compacted: the version is not held any more.
        """
        after = before = 0
        for seq, _, _ in lineage(self._view, object_id):
            if not after and (last is None or seq <= last):
                after = seq
                if first is not None and seq <= first:
                    before = seq  # nothing happened in between
                    break
            elif after and (first is None or seq <= first):
                before = seq
                break
        if not after:
            raise NotFound(f"no object {object_id.hex()} as of row {last}")
        return Pair(object_id, await self._side(before), await self._side(after))

    async def all(self, first: int, last: int) -> AsyncIterator[Pair]:
        """Yield what differs between two rows, in the order in which it first changed."""
        touched: dict[bytes, tuple[int, int]] = {}
        count = 0
        for seq, record, at in self._view.rows(first + 1, last):
            count += 1
            row = record.row(at)
            if row.kind <= Kind.TOMBSTONE:
                base, _ = touched.get(row.id, (row.base, 0))
                touched[row.id] = (base, seq)
        self.has_gaps = count < last - first
        for object_id, (base, seq) in touched.items():
            before, is_known = Side(), base <= first
            try:
                before = await self._side(base if is_known else 0)
            except Compacted:
                is_known = False
            pair = Pair(ObjectId(object_id), before, await self._side(seq), is_known)
            if pair.what:
                yield pair

    async def _side(self, seq: int) -> Side:
        if not seq:
            return Side()
        entry = await self._history.entry(seq)
        value, is_sealed = None, False
        if entry.row.kind == Kind.DATA:
            try:
                value = await self._history.value(seq)
            except NoReadKey:
                is_sealed = True
        return Side(seq, entry.row, entry.time_us, entry.author, entry.type, value, is_sealed)
