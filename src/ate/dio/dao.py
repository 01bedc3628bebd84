"""`Dao`: one object in the hands of a program: its value, its place, its history marks; it does no I/O."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ate.dio.receipt import moment
from ate.errors import UsageError
from ate.event.access import Access
from ate.event.header import Header
from ate.ids import ObjectId

if TYPE_CHECKING:
    from ate.dio.dio import Dio
    from ate.dio.schema import Schema

T = TypeVar("T")


class Dao(Generic[T]):
    """A live handle on one object. Changes wait in its Dio until `dio.commit()`."""

    __slots__ = (
        "__weakref__", "_base", "_collection", "_created", "_deleted", "_dio", "_header", "_parent",
        "_plain", "_schema", "_signer", "_time_us", "_value", "id",
    )  # fmt: skip

    def __init__(
        self, dio: Dio, schema: Schema[T], object_id: ObjectId, value: T, parent: bytes
    ) -> None:
        self.id = object_id
        self._dio, self._schema, self._value, self._parent = dio, schema, value, parent
        self._collection = self._base = self._created = self._time_us = 0
        self._deleted = False
        self._header: Header | None = None
        self._plain: bytes | None = None
        self._signer = b""

    def __repr__(self) -> str:
        return f"Dao({self._schema.name} {self.id.hex()[:8]}, seq {self._base})"

    @property
    def value(self) -> T:
        """The object. Assign a new one, or call `update`, to change it."""
        return self._value

    @value.setter
    def value(self, value: T) -> None:
        self._check_alive()
        self._value = self._schema.check(value)
        self._dio._bind(self)
        self._dio._touch(self)

    def update(self, **fields: Any) -> Dao[T]:
        """Change some fields; without any, say that the value was changed in place.

        Raises:
            UsageError: the object has no such field, or was deleted.
        """
        self._check_alive()
        if fields:
            self._value = self._schema.replace(self._value, fields)
            self._dio._bind(self)
        self._dio._touch(self)
        return self

    @property
    def access(self) -> Access:
        """The object's own rule; `Access()` when it only inherits."""
        known = self._header.access if self._header else None
        return known or Access()

    @access.setter
    def access(self, access: Access) -> None:
        self._check_alive()
        old = self._header or Header()
        self._header = Header(access, old.author, old.reply, old.unknown)
        self._dio._touch(self)

    def move(self, parent: Dao[Any] | ObjectId | None) -> Dao[T]:
        """Put the object under another parent; None is the top of the chain."""
        self._check_alive()
        self._parent = self._dio._parent_id(parent)
        self._collection = 0
        self._dio._touch(self)
        return self

    def delete(self) -> None:
        """Delete the object and everything below it, at the next commit."""
        self._check_alive()
        self._deleted = True
        self._dio._touch(self)

    @property
    def parent(self) -> ObjectId:
        """Id of the parent; all zeros at the top."""
        return ObjectId(self._parent)

    @property
    def seq(self) -> int:
        """Seq of the version at hand, 0 while it was never committed."""
        return self._base

    @property
    def updated(self) -> datetime | None:
        """When the version at hand was committed, by the sequencer's clock."""
        return moment(self._time_us) if self._time_us else None

    @property
    def created(self) -> datetime | None:
        """When the first version was committed."""
        return self._dio._time_of(self._created or self._base)

    @property
    def author(self) -> str | None:
        """Who signed the version at hand, as named by their published key; None if unsigned."""
        return self._dio._author_of(self._signer)

    @property
    def header(self) -> Header | None:
        """Rare fields: access, author text, reply."""
        return self._header

    @property
    def type_name(self) -> str:
        """Name of the type it is stored as."""
        return self._schema.name

    def _check_alive(self) -> None:
        if self._deleted:
            raise UsageError(f"object {self.id.hex()} was deleted in this Dio")


