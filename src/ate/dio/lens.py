"""`Lens`: reads objects as seen by somebody; it shapes what is shown, it protects nothing.

    def look(person: Person, claims: Mapping[str, Any]) -> Person | None: …

    people = ate.Lens(Person, look)
    shown = await people.load(dio, id)

The context is the claims of the Dio's session. Who may read at all is said by keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Generic, TypeVar

from ate.dio.dao import Dao
from ate.dio.dio import Dio
from ate.errors import NotFound
from ate.ids import ObjectId

T = TypeVar("T")
V = TypeVar("V")


class Lens(Generic[T, V]):
    """A read view of one type that depends on who looks.

    Args:
        type: what is stored.
        look: gets a value and the claims of the session; returns what to show, None for nothing.
    """

    def __init__(self, type: type[T], look: Callable[[T, Mapping[str, Any]], V | None]) -> None:
        self.type, self._look = type, look

    def see(self, dio: Dio, value: T) -> V | None:
        """Return what the session of `dio` is shown of a value."""
        return self._look(value, dio.session.claims if dio.session else {})

    async def load(self, dio: Dio, id: ObjectId) -> V:
        """Return what is shown of an object; NotFound when it is nothing, else as `dio.load`."""
        shown = self.see(dio, (await dio.load(self.type, id)).value)
        if shown is None:
            raise NotFound(f"no object {id.hex()}")
        return shown

    async def all(self, dio: Dio) -> AsyncIterator[V]:
        """Yield what is shown of all objects of the type."""
        async for shown in self._each(dio, dio.all(self.type)):
            yield shown

    async def children(self, dio: Dio, parent: Dao[Any] | ObjectId | None) -> AsyncIterator[V]:
        """Yield what is shown of the children of an object."""
        async for shown in self._each(dio, dio.children(parent, self.type)):
            yield shown

    async def _each(self, dio: Dio, daos: AsyncIterator[Dao[T]]) -> AsyncIterator[V]:
        async for dao in daos:
            shown = self.see(dio, dao.value)
            if shown is not None:
                yield shown
