"""The rows of an open chain as people read them; the one door to what `Chain` keeps inside.

It opens bodies only to learn the name of a type, once for each type, and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from ate.chain.ledger import Ledger
from ate.chain.past import is_kept, lineage
from ate.chain.reader import Reader
from ate.client import Chain
from ate.crypto.hash import digest
from ate.dio.bell import Bell
from ate.dio.fork import fork_of
from ate.dio.schema import decode_any, name_of
from ate.dio.values import BUILTINS
from ate.dio.watch import Event, changes
from ate.errors import Compacted, NoReadKey, WrongType
from ate.event.commit import Record
from ate.event.row import Kind, Row
from ate.trust.state import Trust

#: How often another process's log is looked at; a person waiting for a line does not notice.
_POLL_S: Final = 0.1
_BATCH: Final = 256


class Entry(NamedTuple):
    """One row in the order, with names instead of numbers.

    Args:
        kind: new, update, delete, or the kind of a system row.
        type: name of the type; `#` and the schema's number when no key opens it; - for system rows.
        author: who signed, or "".
    """

    seq: int
    time_us: int
    kind: str
    type: str
    row: Row
    author: str


def ledger_of(chain: Chain) -> Ledger:
    """Return what an open chain is made of."""
    return chain._ledger


async def heads(chain: Chain, *, follow: bool) -> AsyncIterator[int]:
    """Yield the head of a chain that is only read, and each later one when it is to be followed."""
    seen = -1
    if not chain.readonly:  # it is shared, and tells by itself
        with Bell(chain) as bell:
            while True:
                if chain.head != seen:
                    seen = chain.head
                    yield seen
                if not follow:
                    return
                await bell.rest()
    never = asyncio.Event()
    while True:
        if chain.head != seen:
            seen = chain.head
            yield seen
        if not follow:
            return
        try:
            async with asyncio.timeout(_POLL_S):
                await never.wait()
        except TimeoutError:
            await chain.refresh()


class History:
    """Reads rows of a chain with the keys of its session."""

    def __init__(self, chain: Chain) -> None:
        self._reader = Reader(ledger_of(chain), chain.session)
        self.view = self._reader.view
        self._types = {schema_id(cls.__name__): cls.__name__ for cls in BUILTINS}
        self._closed: set[tuple[int, bytes]] = set()
        #: Whether older versions of an object were dropped by compaction.
        self.has_gaps = False

    async def entries(self, first: int, last: int) -> AsyncIterator[Entry]:
        """Yield rows `first` to `last`."""
        for seq, record, at in self.view.rows(first, last):
            yield await self._entry(seq, record, at)

    async def versions(self, object_id: bytes, first: int, last: int) -> AsyncIterator[Entry]:
        """Yield the rows of one object from `first` to `last`; the log is not searched for them.

        Raises:
            NotFound: there is no such object.
        """
        found: list[int] = []
        try:
            for seq, _, _ in lineage(self.view, object_id):
                if seq < first:
                    break
                if seq <= last:
                    found.append(seq)
        except Compacted:
            self.has_gaps = True
        for seq in reversed(found):
            yield await self.entry(seq)

    def knows(self, object_id: bytes) -> bool:
        """Tell whether there ever was an object or a system row of this id."""
        return self.view.index.locate(object_id) > 0

    async def entry(self, seq: int) -> Entry:
        """Return one row; raises Compacted when it is not held any more."""
        return await self._entry(seq, *self.view.find(seq))

    async def value(self, seq: int) -> Any:
        """Return the value of a data row; raises NoReadKey."""
        opened = await self._reader.open(seq)
        return decode_any(opened.plain, opened.codec)

    async def _entry(self, seq: int, record: Record, at: int) -> Entry:
        row = record.row(at)
        return Entry(
            seq, record.sequencer.time_us, kind_of(row), await self._type(seq, row), row,
            self.author(record.author.key_id),
        )  # fmt: skip

    async def events(self, first: int, last: int) -> AsyncIterator[tuple[Entry, Event]]:
        """Yield the changes of objects among rows `first` to `last`, with their values."""
        for start in range(first, last + 1, _BATCH):
            for change in await changes(self._reader, start, min(last, start + _BATCH - 1)):
                name = await self._type(change.seq, change.row)
                entry = Entry(
                    change.seq, change.time_us, kind_of(change.row), name, change.row,
                    self.author(change.author),
                )  # fmt: skip
                yield entry, Event(change, None)

    def author(self, key_id: bytes) -> str:
        """Return the name of who signed, by the keys the chain has published."""
        return author_of(self.view.trust, key_id)

    async def _type(self, seq: int, row: Row) -> str:
        if row.kind > Kind.TOMBSTONE:
            return "-"
        known = self._types.get(row.schema)
        if known is not None:
            return known
        # A tombstone has no body; what it deleted has.
        bearer = seq if row.kind == Kind.DATA else row.base
        if bearer and is_kept(self.view, bearer) and (row.schema, row.domain) not in self._closed:
            try:
                name = name_of((await self._reader.open(bearer)).plain)
                self._types[row.schema] = name
                return name
            except (NoReadKey, WrongType):
                self._closed.add((row.schema, row.domain))
        return f"#{row.schema:08x}"


def kind_of(row: Row) -> str:
    """Return what a row does, in a word."""
    if row.kind == Kind.DATA:
        return "update" if row.created else "new"
    if row.kind == Kind.TOMBSTONE:
        return "delete"
    try:
        return Kind(row.kind).name.lower()
    except ValueError:
        return f"kind {row.kind}"


def schema_id(name: str) -> int:
    """Return the number under which rows file a type."""
    return int.from_bytes(digest(name.encode())[:4], "little")


def author_of(trust: Trust, key_id: bytes) -> str:
    """Return the identity behind a key id, or "" for unsigned commits."""
    certified = trust.certified.get(key_id)
    for one in certified.issuers if certified else (key_id,):
        if one in trust.keys:
            return trust.keys[one].identity
    return key_id.hex()[:8] if any(key_id) else ""


def is_signed(chain: Chain) -> bool:
    """Tell whether a chain takes signed commits only."""
    return ledger_of(chain).view.trust.has_roots


def facts_of(chain: Chain) -> dict[str, Any]:
    """Return what is known about an open chain, as `ate info` tells it."""
    view = ledger_of(chain).view
    trust = view.trust
    genesis = trust.genesis
    assert genesis is not None  # a chain without one does not open
    return {
        "name": str(chain.name),
        "id": chain.id.hex(),
        "objects": len(chain),
        "commits": chain.commits,
        "head": chain.head,
        "rows": view.held,
        "cut": view.cut,
        "hold": view.hold,
        "root": chain.root.hex(),
        "suite": genesis.suite,
        "mode": genesis.mode,
        "policy": dict(genesis.policy),
        "fork": fork_of(genesis.policy),
        "roots": [
            {"identity": trust.keys[one].identity, "key_id": one.hex()}
            for one in sorted(trust.root_keys())
        ],
        "checkpoint": trust.checkpoint.size if trust.checkpoint else None,
        "clock_skew": chain.clock_skew,
        "roles": {name: role.generation for name, role in sorted(trust.roles.items())},
        "time_us": view.time_us,
        "files": dict(sorted(ledger_of(chain).store.files().items())),
    }
