"""`Dao`: one object in the hands of a program: its value, its place, its history marks.

It does no I/O.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

import msgspec

from ate.dio.overlay import PROVISIONAL
from ate.dio.receipt import moment
from ate.errors import UsageError
from ate.event.access import Access
from ate.event.header import Header
from ate.ids import ObjectId

if TYPE_CHECKING:
    from ate.chain.reader import Opened
    from ate.dio.schema import Schema

T = TypeVar("T")


class Shown(Protocol):
    """The committed version that a Dao shows: an opened row, or what a commit has just made."""

    @property
    def seq(self) -> int: ...
    @property
    def created(self) -> int: ...
    @property
    def time_us(self) -> int: ...
    @property
    def author(self) -> bytes: ...
    @property
    def plain(self) -> bytes: ...


class Landed(msgspec.Struct, eq=False, gc=False):
    """The version that a commit of this Dio made."""

    seq: int
    created: int
    time_us: int
    author: bytes
    plain: bytes
    codec: int
    #: Where the chain cannot be asked for it.
    schema: int = 0


class Dao(msgspec.Struct, Generic[T], eq=False, weakref=True):
    """A live handle on one object. Changes wait in its Dio until `dio.commit()`.

    It is a Struct because those are made in C: a program that loads a million objects makes a
    million.
    """

    _dio: Any
    _schema: Schema[T]
    id: ObjectId
    _value: T
    _version: Any
    _place: tuple[bytes, int] | None = None
    _header: Header | None = None
    _deleted: bool = False

    def __repr__(self) -> str:
        return f"Dao({self._schema.name} {self.id.hex()[:8]}, seq {self.seq})"

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
        header = self.header
        return (header.access if header else None) or Access()

    @access.setter
    def access(self, access: Access) -> None:
        self._check_alive()
        old = self.header or Header()
        self._header = Header(access, old.author, old.reply, old.unknown)
        self._dio._touch(self)

    def move(self, parent: Dao[Any] | ObjectId | None) -> Dao[T]:
        """Put the object under another parent; None is the top of the chain."""
        self._check_alive()
        self._place = (self._dio._new_parent(self, parent), 0)
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
        return ObjectId(self.place[0])

    @property
    def place(self) -> tuple[bytes, int]:
        """Parent id and collection number."""
        if self._place is None:
            row = cast("Opened", self._version).row
            self._place = (row.parent, row.collection)
        return self._place

    @property
    def seq(self) -> int:
        """Seq of the version at hand, 0 while it is not in the chain."""
        if self._version is None:
            return 0
        seq: int = self._version.seq
        return seq if seq < PROVISIONAL else self._dio._overlay.real(seq)

    @property
    def updated(self) -> datetime | None:
        """When the version at hand was committed, by the sequencer's clock."""
        return moment(self._version.time_us) if self._version else None

    @property
    def created(self) -> datetime | None:
        """When the first version was committed."""
        if self._version is None:
            return None
        created: int = self._version.created
        if created >= PROVISIONAL:
            created = self._dio._overlay.real(created)
            if not created:
                return moment(self._version.time_us)
        return moment(self._dio._reader.view.time_of(created))

    @property
    def author(self) -> str | None:
        """Who signed the version at hand, as named by their published key; None if unsigned."""
        return self._dio._reader.view.trust.name_of(self._version.author) if self._version else None

    @property
    def header(self) -> Header | None:
        """Rare fields: access, author text, reply."""
        if self._header is None and self._version is not None:
            return getattr(self._version, "header", None)
        return self._header

    @property
    def type_name(self) -> str:
        """Name of the type it is stored as."""
        return self._schema.name

    def _check_alive(self) -> None:
        if self._deleted:
            raise UsageError(f"object {self.id.hex()} was deleted in this Dio")
