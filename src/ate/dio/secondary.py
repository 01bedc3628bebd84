"""`SecondaryIndex`: finds objects by something in them; rebuilt from the log, it is never stored.

    by_city = ate.SecondaryIndex(Person, key=lambda person: person.city)
    async with ate.open("people", plugins=[by_city]) as chain:
        ids = by_city.find("Delft")

What was committed a moment ago is in it once `await chain.seen(by_city)` has returned.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, TypeVar

from ate.dio.schema import schema_of
from ate.errors import UsageError
from ate.ids import ObjectId
from ate.trust.plugin import Change

T = TypeVar("T")

_NONE: Any = object()


class SecondaryIndex(Generic[T]):
    """A projection from a key of the values of one type to their ids.

    Args:
        type: which objects.
        key: what to find them by; None leaves an object out.
        name: of the plug-in; two indexes of one chain need different ones.

    It holds what the chain's session can read.
    """

    def __init__(
        self, type: type[T], key: Callable[[T], Hashable | None], *, name: str | None = None
    ) -> None:
        self._schema, self._key = schema_of(type), key
        self.name = name or f"index of {self._schema.name}"
        self._keys: dict[bytes, Any] = {}
        self._ids: dict[Any, dict[bytes, None]] = {}
        self._sorted: list[Any] | None = None

    def __repr__(self) -> str:
        return f"SecondaryIndex({self.name!r}, {len(self)} objects, {len(self._ids)} keys)"

    def __len__(self) -> int:
        """Return how many objects are in it."""
        return len(self._keys)

    # --- asking -----------------------------------------------------------------------------

    def find(self, key: Hashable) -> list[ObjectId]:
        """Return the ids of the objects with this key, in the order in which they came to it."""
        return [ObjectId(one) for one in self._ids.get(key, ())]

    def keys(self) -> list[Any]:
        """Return all keys in their order; raises UsageError when they cannot be compared."""
        if self._sorted is None:
            try:
                self._sorted = sorted(self._ids)
            except TypeError as error:
                raise UsageError(f"the keys of {self.name!r} have no order: {error}") from None
        return list(self._sorted)

    def range(self, start: Any = None, stop: Any = None) -> Iterator[tuple[Any, ObjectId]]:
        """Yield (key, id) in the order of the keys.

        Args:
            start: first key, None from the least.
            stop: the first key that is not wanted, None to the end.
        """
        keys = self.keys()
        first = 0 if start is None else bisect_left(keys, start)
        last = len(keys) if stop is None else bisect_left(keys, stop)
        for key in keys[first:last]:
            for one in self.find(key):
                yield key, one

    # --- folding ----------------------------------------------------------------------------

    def apply(self, change: Change) -> None:
        """Fold one change in; part of the Projection protocol."""
        row, key = change.row, None
        if change.plain is not None and row.schema == self._schema.schema_id:
            key = self._key(self._schema.decode(change.plain, change.codec))
        if key is None:
            self._remove(row.id)
        elif self._keys.get(row.id, _NONE) != key:
            self._remove(row.id)
            self._add(row.id, key)

    def _add(self, object_id: bytes, key: Any) -> None:
        ids = self._ids.get(key)
        if ids is None:
            ids = self._ids[key] = {}
            self._sorted = None
        ids[object_id] = None
        self._keys[object_id] = key

    def _remove(self, object_id: bytes) -> None:
        key = self._keys.pop(object_id, _NONE)
        if key is _NONE:
            return
        del self._ids[key][object_id]
        if not self._ids[key]:
            del self._ids[key]
            self._sorted = None
