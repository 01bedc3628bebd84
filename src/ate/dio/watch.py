"""Watching: the backlog from the log, then what comes, read from the log as well.

Nothing is buffered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import TYPE_CHECKING, Any

from ate.chain.reader import Reader
from ate.dio.schema import Schema, schema_of
from ate.errors import Compacted, LimitExceeded, NoReadKey, ProtocolError
from ate.event.row import Kind
from ate.trust.plugin import Change

if TYPE_CHECKING:
    from ate.dio.chain import Chain

#: Rows taken from the log in one go; a watcher holds no more than these.
_BATCH = 256


class Watch:
    """Wakes one watcher; `end()` lets it finish what it has and stop."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self.ended = False

    def wake(self) -> None:
        self._woken.set()

    def end(self) -> None:
        self.ended = True
        self._woken.set()

    async def wait(self) -> None:
        await self._woken.wait()
        self._woken.clear()


class Event:
    """One change as a program sees it.

    Args:
        change: seq, time, row, plaintext.
    """

    __slots__ = ("_schema", "_value", "change")

    def __init__(self, change: Change, type: type[Any] | None) -> None:
        self.change = change
        self._schema = schema_of(type) if type not in (None, object, dict) else None
        self._value: Any = _UNSET

    def __repr__(self) -> str:
        what = "deleted" if self.is_delete else "new" if self.is_new else "updated"
        return f"Event({what} {self.id.hex()[:8]}, seq {self.seq})"

    @property
    def id(self) -> Any:
        from ate.ids import ObjectId

        return ObjectId(self.change.row.id)

    @property
    def seq(self) -> int:
        return self.change.seq

    @property
    def is_delete(self) -> bool:
        return self.change.row.kind == Kind.TOMBSTONE

    @property
    def is_new(self) -> bool:
        return self.change.row.base == 0 and not self.is_delete

    @property
    def parent(self) -> Any:
        from ate.ids import ObjectId

        return ObjectId(self.change.row.parent)

    @property
    def value(self) -> Any:
        """The new value; None for deletions and for what this session may not read."""
        plain = self.change.plain
        if plain is None:
            return None
        if self._value is _UNSET:
            schema = self._schema or Schema.any(plain)
            self._value = schema.decode(plain, self.change.codec)
        return self._value


_UNSET = object()


async def watch(
    chain: Chain,
    reader: Reader,
    *,
    type: type[Any] | None,
    parent: bytes | None,
    since: int,
) -> AsyncIterator[Event]:
    """Yield changes after `since`; see `Chain.watch`."""
    view = reader.view
    wanted = None if type in (None, object, dict) else (schema_of(type).schema_id,)
    seq = since + 1
    bell = Watch()
    chain._ledger.feed.subscribe(bell.wake)
    chain._watches[bell] = None
    try:
        while True:
            while seq <= view.head:
                last = min(view.head, seq + _BATCH - 1)
                for change in await changes(reader, seq, last, schemas=wanted, parent=parent):
                    yield Event(change, type)
                seq = last + 1
            if bell.ended:
                return
            await bell.wait()
    finally:
        chain._ledger.feed.unsubscribe(bell.wake)
        chain._watches.pop(bell, None)


async def changes(
    reader: Reader,
    first: int,
    last: int,
    *,
    schemas: Collection[int] | None = None,
    parent: bytes | None = None,
) -> list[Change]:
    """Return the data changes of rows `first` to `last` that match and are kept."""
    found: list[Change] = []
    view = reader.view
    while first <= last:
        store = view.store
        for seq, record, at in view.rows(first, last):
            row = record.row(at)
            first = seq + 1
            if row.kind > Kind.TOMBSTONE:
                continue
            if schemas is not None and row.schema not in schemas:
                continue
            if parent is not None and row.parent != parent:
                continue
            header, author = record.header(at), record.author.key_id
            time_us, plain, codec = record.sequencer.time_us, None, row.codec
            if row.kind == Kind.DATA:
                try:
                    opened = await reader.open(seq)
                    plain, codec = opened.plain, opened.codec
                except (NoReadKey, ProtocolError, LimitExceeded):
                    pass  # one author's broken delta must not stop those who follow the whole chain
                except Compacted:
                    continue  # superseded, and dropped while its body was on its way
            found.append(Change(seq, time_us, row, header, plain, author, codec))
            if view.store is not store:
                break  # the log was compacted meanwhile: what is left is in its successor
        else:
            break
    return found
