"""From the rows of a file to objects: a look at all of them, then batches; it prints nothing.

A batch is one commit. Each row has an id that follows from the row, so a second run goes on where
the first one ended, and adds nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ate.client import Chain
from ate.crypto.hash import digest, keyed
from ate.dio.dio import Dio
from ate.errors import UsageError
from ate.ids import ObjectId
from atecli.columns import PLAIN_TYPES, Table, plain
from atecli.source import Row, Source
from atecli.text import dumps

#: A batch is cut early when its lines are this long together: a commit has its own bound.
_BATCH_BYTES: Final = 16 * 1024 * 1024
_STEP: Final = 1024


class Plan:
    """What all rows of a file look like.

    Args:
        source: the file.
        type_name: of rows that do not name their own type.
        id_field: the field that tells rows apart; without one a row's line does.
    """

    def __init__(self, source: Source, type_name: str, id_field: str | None) -> None:
        self.source, self.type_name, self.id_field = source, type_name, id_field
        self.rows = 0
        self.tables: dict[str, Table] = {}
        self._seen: set[bytes] = set()

    def look(self, advance: Callable[[int], None]) -> None:
        """Read the whole file once; raises UsageError for the first line that cannot be stored."""
        done = 0
        for row in self.source:
            self.rows += 1
            if self.id_field is not None:
                self._check_unique(row)
            self._see(row)
            if not self.rows % _STEP:
                advance(self.source.consumed - done)
                done = self.source.consumed
        self._seen.clear()

    def id_text(self, row: Row) -> bytes:
        """Return what the id of a row is made from."""
        name = self._type(row)
        if self.id_field is None:
            return f"{name}\0{row.line}\0{dumps(row.value)}".encode()
        fields = row.value if isinstance(row.value, dict) else {}
        if fields.get(self.id_field) is None:
            raise self.source.fault(row.line, f"there is no {self.id_field}")
        return f"{name}\0{self.id_field}\0{dumps(fields[self.id_field])}".encode()

    def value(self, row: Row) -> Any:
        """Return what is stored for a row."""
        name = self._type(row)
        table = self.tables.get(name)
        try:
            return plain(row.value, name) if table is None else table.make(row.value)
        except msgspec.ValidationError as error:
            raise self.source.fault(row.line, str(error)) from None

    def object_id(self, row: Row, text: str) -> ObjectId:
        """Return an id that a row names."""
        try:
            return ObjectId.parse(text)
        except UsageError as error:
            raise self.source.fault(row.line, error.message, hint=error.hint) from None

    def _type(self, row: Row) -> str:
        return row.type or self.type_name

    def _see(self, row: Row) -> None:
        name = self._type(row)
        for named in (row.id, row.parent):
            if named is not None:
                self.object_id(row, named)
        if name in PLAIN_TYPES:
            try:
                plain(row.value, name)
            except UsageError as error:
                raise self.source.fault(row.line, error.message) from None
            return
        if not isinstance(row.value, dict):
            raise self.source.fault(row.line, f"its value is no object, so it is no {name}")
        table = self.tables.get(name)
        if table is None:
            table = self.tables[name] = Table(name)
        if row.is_text:
            table.see_text(row.value)
        else:
            table.see(row.value)

    def _check_unique(self, row: Row) -> None:
        """Two rows of one id would become one object, and nobody would miss the other."""
        mark = digest(self.id_text(row))[:16]
        if mark in self._seen:
            hint = "choose a field that no two rows share"
            raise self.source.fault(row.line, f"the {self.id_field} of an earlier line", hint=hint)
        self._seen.add(mark)


class Loader:
    """Stores the rows of a plan; `stored`, `skipped` and `commits` tell how far it came."""

    def __init__(self, chain: Chain, plan: Plan, batch: int) -> None:
        self._chain, self._plan, self._batch = chain, plan, batch
        # Ids are no secret, rows may be: without the session's key nobody guesses a row by its id.
        session = chain.session
        self._key = session.local_key(chain.id) if session else digest(chain.id)
        self.stored = self.skipped = self.commits = 0

    async def load(self, advance: Callable[[int], None]) -> None:
        """Store all rows that are not there yet, batch by batch."""
        plan, source, dio = self._plan, self._plan.source, self._chain.dio()
        waiting = begun = 0
        for at, row in enumerate(source):
            if not at % _STEP:
                await asyncio.sleep(0)  # ctrl-c gets its turn
            chosen = self._id(row)
            if await dio.exists(chosen):
                self.skipped += 1
            else:
                parent = None if row.parent is None else plan.object_id(row, row.parent)
                dio.store(plan.value(row), id=chosen, parent=parent)
                waiting += 1
            if waiting >= self._batch or source.consumed - begun >= _BATCH_BYTES:
                await self._commit(dio, waiting)
                advance(source.consumed - begun)
                waiting, begun = 0, source.consumed
        await self._commit(dio, waiting)
        advance(source.consumed - begun)

    async def _commit(self, dio: Dio, waiting: int) -> None:
        if waiting:
            await dio.commit()
            self.stored += waiting
            self.commits += 1

    def _id(self, row: Row) -> ObjectId:
        if row.id is not None:
            return self._plan.object_id(row, row.id)
        return ObjectId(keyed(self._key, self._plan.id_text(row))[:16])
