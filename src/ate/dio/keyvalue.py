"""`KeyValue`, a default type: text keys to values of any kind, in one table; it never commits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec

from ate.crypto.hash import derive, keyed
from ate.dio.collections import Map
from ate.dio.dio import Dio
from ate.errors import Deleted, NotFound
from ate.ids import ObjectId

_TABLE_KEY: Final = derive("ate key-value table", b"")


@dataclass(frozen=True)
class Table:
    """The object that holds a table's entries."""

    __ate_type__: ClassVar[str] = "ate.Table"

    name: str
    entries: Map[str, Any] = field(default_factory=Map)


class KeyValue:
    """A table in the hands of one unit of work; get it from `await KeyValue.open(dio, "settings")`.

    Every entry is an object of its own: setting one costs the same however many there are, and two
    programs that set different keys do not meet.
    """

    def __init__(self, table: Table) -> None:
        self._entries = table.entries

    @classmethod
    async def open(cls, dio: Dio, name: str = "default") -> KeyValue:
        """Return the chain's table of this name; a new one is made by the next commit of `dio`."""
        table_id = ObjectId(keyed(_TABLE_KEY, name.encode())[:16])
        try:
            dao = await dio.load(Table, table_id)
        except (NotFound, Deleted):
            dao = dio.store(Table(name), id=table_id)
        return cls(dao.value)

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value under `key`, or `default`."""
        return await self._entries.get(key, default)

    async def set(self, key: str, value: Any) -> None:
        """Put `value` under `key`, new or not."""
        try:
            entry = await self._entries.find(key)
        except (NotFound, Deleted):
            self._entries.insert(key, value)
        else:
            entry.value = msgspec.structs.replace(entry.value, value=value)

    async def delete(self, key: str) -> None:
        """Remove a key; raises NotFound or Deleted when it is not there."""
        await self._entries.delete(key)

    async def items(self) -> AsyncIterator[tuple[str, Any]]:
        """Yield key and value of every entry, in the order of their creation."""
        async for key, entry in self._entries.items():
            yield key, entry.value.value

    async def count(self) -> int:
        """Return the number of entries; reads each."""
        return await self._entries.count()
