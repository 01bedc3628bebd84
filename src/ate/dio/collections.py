"""Fields that stand for other objects: Vec, Map, Ref, Link, Child; they never store without a Dio.

In the bytes of their owner a Vec, Map or Child is 16 salt bytes, a Ref an id or nil, a Link a pair
of chain name and id. Elements are objects of their own, children of the owner in the collection
that the field's name gives, so that adding one costs the same however many there are.

    collection number     first 8 bytes, little-endian, of BLAKE3(field name); in a nested record
                          the path, joined by dots
    id of a Map element   first 16 bytes of BLAKE3 keyed with salt + owner id, over the key's bytes
    id of a Child         the same over the byte 0xC1, which is no MessagePack value
    salt, where missing   (body older than the field) 16 bytes of BLAKE3(owner id + path)
"""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import msgspec

from ate import limits
from ate.crypto.hash import digest, keyed
from ate.dio import values
from ate.dio.merge import fields_of
from ate.errors import Deleted, LimitExceeded, NotFound, UsageError, WrongType
from ate.event.access import Access
from ate.ids import ChainName, ObjectId

T = TypeVar("T")
K = TypeVar("K")
D = TypeVar("D")
Entropy: TypeAlias = Callable[[int], bytes]


class Dao(Protocol[T]):
    """An object in a unit of work, as far as collections need it."""

    id: ObjectId
    value: T

    @property
    def parent(self) -> ObjectId: ...


class Dio(Protocol):
    """The unit of work that collections store through.

    An id may be stored again after its object was deleted, in this unit or before. A Dio that
    can open other chains has also `async resolve(chain: ChainName) -> Dio`.
    """

    def store(
        self,
        value: T, *, parent: ObjectId | None = None, access: Access | None = None,
        id: ObjectId | None = None, collection: int = 0,
    ) -> Dao[T]: ...  # fmt: skip

    async def load(self, type: type[T], id: ObjectId) -> Dao[T]: ...

    def children(
        self, parent: ObjectId, type: type[T], *, collection: int = 0
    ) -> AsyncIterator[Dao[T]]: ...

    def delete(self, id: ObjectId) -> None: ...


class Chain(Protocol):
    """Where a Link leads: an open chain."""

    @property
    def name(self) -> str: ...
    def dio(self) -> Dio: ...


@lru_cache(maxsize=4096)
def collection_number(path: str) -> int:
    """Return the number of the collection that a field's name, or dotted path, stands for."""
    return int.from_bytes(digest(path.encode())[:8], "little")


class _Field(Generic[T]):
    """A field that is bound to a unit of work after store or load."""

    __slots__ = ("_dio", "_items", "_loaded")

    def __init__(self) -> None:
        self._dio: Dio | None = None
        self._items: tuple[Any, ...] | None = None
        self._loaded = False

    def _bound(self) -> Dio:
        if self._dio is None:
            hint = "store the object first, then use its fields: dao.value.field"
            raise UsageError(f"this {type(self).__name__} is in no stored object", hint=hint)
        return self._dio

    def __ate_know__(self, items: tuple[Any, ...] | None, *, loaded: bool = False) -> None:
        """Learn what the field holds, unless known, and that its owner comes from stored bytes."""
        self._items, self._loaded = self._items or items, self._loaded or loaded

    def __ate_bind__(self, dio: Dio, owner: ObjectId, path: str, draw: Entropy | None) -> None:
        self._dio = dio

    def _element(self) -> Any:
        """Return the type that elements are stored as."""
        return object if self._items is None else self._items[-1]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return other is self or values.encoder.encode(other) == values.encoder.encode(self)

    def __hash__(self) -> int:
        return hash(values.encoder.encode(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> _Field[T]:
        return self  # a copy would name the same objects, and a unit of work is never copied

    def __reduce__(self) -> tuple[Any, ...]:
        return values.decode_hook, (type(self), values.decode(values.encoder.encode(self)))


class _Collection(_Field[T]):
    """A field whose elements are child objects of its owner."""

    __slots__ = ("_number", "_owner", "_salt")

    def __init__(self) -> None:
        super().__init__()
        self._salt: bytes | None = None
        self._owner: ObjectId | None = None
        self._number = 0

    @classmethod
    def __ate_lift__(cls, stored: Any) -> Any:
        made = cls()
        made._salt = values.to_bytes(stored, 16)
        return made

    def __ate_lower__(self) -> bytes:
        if self._salt is None:
            self._salt = bytes(ObjectId.random())
        return self._salt

    def __ate_bind__(self, dio: Dio, owner: ObjectId, path: str, draw: Entropy | None) -> None:
        name = type(self).__name__
        if "[]" in path:
            raise UsageError(
                f"{path}: a {name} must be a field, not an item of a list or dict",
                hint="store the items as objects in a Vec, each with a collection of its own",
            )
        if self._owner is not None and self._owner != owner:
            raise UsageError(
                f"{path}: this {name} belongs to another object",
                hint=f"give the copy its own: dataclasses.replace(value, {path}={name}())",
            )
        self._dio, self._owner, self._number = dio, owner, collection_number(path)
        if self._salt is None and self._loaded:
            # The stored body is older than the field: every load must come to the same salt.
            self._salt = digest(owner + path.encode())[:16]
        elif self._salt is None and draw is not None:
            self._salt = draw(16)

    def _place(self) -> tuple[Dio, ObjectId]:
        dio = self._bound()
        assert self._owner is not None
        return dio, self._owner

    def _id(self, key: bytes) -> ObjectId:
        return ObjectId(keyed(self.__ate_lower__() + self._place()[1], key)[:16])

    async def _at(self, id: ObjectId) -> Dao[Any]:
        """Load an element by its id."""
        dio, owner = self._place()
        dao: Dao[Any] = await dio.load(self._element(), id)
        if dao.parent != owner:
            # Ids are visible to all: an object elsewhere may claim one, it is still no element.
            raise NotFound(f"no such element in the {type(self).__name__} of {owner}")
        return dao

    def _daos(self) -> AsyncIterator[Dao[Any]]:
        dio, owner = self._place()
        return dio.children(owner, self._element(), collection=self._number)

    async def count(self) -> int:
        """Return the number of elements; reads each."""
        return len([None async for _ in self._daos()])

    async def clear(self) -> int:
        """Delete all elements; return how many there were."""
        doomed = [dao.id async for dao in self._daos()]
        for id in doomed:
            self._bound().delete(id)
        return len(doomed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'unbound' if self._owner is None else self._owner})"


class Vec(_Collection[T]):
    """A growing sequence of child objects, in the order of their creation."""

    __slots__ = ()

    def push(self, value: T, *, access: Access | None = None) -> Dao[T]:
        """Store `value` at the end; no wait. Raises UsageError while the owner is not stored."""
        dio, owner = self._place()
        return dio.store(value, parent=owner, access=access, collection=self._number)

    def __aiter__(self) -> AsyncIterator[Dao[T]]:
        return self._daos()


class MapEntry(msgspec.Struct, Generic[K, T], array_like=True, frozen=True):
    """The object that holds one element of a Map."""

    key: K
    value: T


@lru_cache(maxsize=1024)
def _entry(key: Any, value: Any) -> Any:
    """Make the MapEntry of one pair of types: an instance must know them, and generics do not."""
    fields = {"__annotations__": {"key": key, "value": value}, "__ate_type__": "MapEntry"}
    options = {"array_like": True, "frozen": True}
    return types.new_class("MapEntry", (MapEntry,), options, lambda body: body.update(fields))


class Map(_Collection[T], Generic[K, T]):
    """Child objects by key. Two keys are the same when their stored bytes are."""

    __slots__ = ()

    def insert(self, key: K, value: T, *, access: Access | None = None) -> Dao[MapEntry[K, T]]:
        """Store `value` under a key that is not there yet; no wait.

        Raises UsageError for a key of another type, LimitExceeded for one that is too long.
        """
        dio, owner = self._place()
        key, id = self._locate(key)
        entry: MapEntry[K, T] = self._element()(key, value)
        return dio.store(entry, parent=owner, access=access, id=id, collection=self._number)

    async def find(self, key: K) -> Dao[MapEntry[K, T]]:
        """Return the object under `key`; raises NotFound or Deleted when nothing is there."""
        key, id = self._locate(key)
        dao = await self._at(id)
        if dao.value.key != key:
            raise WrongType(f"element {id} of a Map holds another key")
        return dao

    async def get(self, key: K, default: D | None = None) -> T | D | None:
        """Return the value under `key`, or `default`."""
        try:
            return (await self.find(key)).value.value
        except (NotFound, Deleted):
            return default

    async def delete(self, key: K) -> None:
        """Delete the element under `key`; raises NotFound or Deleted when nothing is there."""
        self._bound().delete((await self.find(key)).id)

    async def items(self) -> AsyncIterator[tuple[K, Dao[MapEntry[K, T]]]]:
        """Yield key and object of every element, in the order of their creation."""
        async for dao in self._daos():
            yield dao.value.key, dao

    def _element(self) -> Any:
        return _entry(*(self._items or (object, object)))

    def _locate(self, key: K) -> tuple[K, ObjectId]:
        kind = (self._items or (object,))[0]
        try:
            if kind is not object:
                key = msgspec.convert(key, kind, dec_hook=values.decode_hook)
            stored = values.encode(key)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise UsageError(f"not a key of this Map: {error}") from error
        limits.check("map key bytes", len(stored), limits.KEY_BYTES_MAX)
        return key, self._id(stored)


class Child(_Collection[T]):
    """At most one child object."""

    __slots__ = ()

    async def set(self, value: T, *, access: Access | None = None) -> Dao[T]:
        """Store `value` as the child, or as the new value of the child there, whose rule stays."""
        try:
            dao = await self.find()
        except (NotFound, Deleted):
            dio, owner = self._place()
            id = self._id(b"\xc1")
            return dio.store(value, parent=owner, access=access, id=id, collection=self._number)
        dao.value = value
        return dao

    async def find(self) -> Dao[T]:
        """Return the child object; raises NotFound or Deleted when there is none."""
        return await self._at(self._id(b"\xc1"))

    async def get(self) -> T | None:
        """Return the child's value, or None."""
        try:
            return (await self.find()).value
        except (NotFound, Deleted):
            return None


class Ref(_Field[T]):
    """The id of an object of the same chain, or nothing."""

    __slots__ = ("id",)

    def __init__(self, target: Dao[T] | bytes | None = None) -> None:
        super().__init__()
        self.id: ObjectId | None = None if target is None else _id_of(target)

    @classmethod
    def __ate_lift__(cls, stored: Any) -> Any:
        return cls(None if stored is None else values.to_bytes(stored, 16))

    def __ate_lower__(self) -> bytes | None:
        return None if self.id is None else bytes(self.id)

    async def load(self) -> Dao[T]:
        """Return the object; raises NotFound for an empty Ref, else as any load."""
        dio = self._bound()
        if self.id is None:
            raise NotFound("this Ref is empty")
        return await dio.load(self._element(), self.id)

    def __bool__(self) -> bool:
        return self.id is not None

    def __repr__(self) -> str:
        return f"Ref({self.id or ''})"


class Link(_Field[T]):
    """The id of an object in another chain; UsageError for what is no chain name or no id."""

    __slots__ = ("chain", "id")

    def __init__(self, chain: str, target: Dao[T] | bytes) -> None:
        super().__init__()
        self.chain, self.id = ChainName(chain), _id_of(target)

    @classmethod
    def __ate_lift__(cls, stored: Any) -> Any:
        if not isinstance(stored, (list, tuple)) or [type(part) for part in stored[:1]] != [str]:
            raise ValueError("a Link is a pair of chain name and id")
        try:
            return cls(stored[0], values.to_bytes(stored[-1], 16))
        except (UsageError, LimitExceeded) as error:
            raise ValueError(error.message) from None

    def __ate_lower__(self) -> list[Any]:
        return [str(self.chain), bytes(self.id)]

    async def load(self, chain: Chain | None = None) -> Dao[T]:
        """Return the object, to be read: from `chain`, or opened where the chain at hand is.

        Raises UsageError when `chain` is another, or when there is nowhere to look; see `ate.open`.
        """
        dio = self._bound()
        if chain is not None:
            if chain.name != self.chain:
                raise UsageError(f"this Link leads to {self.chain}, not to {chain.name}")
            return await chain.dio().load(self._element(), self.id)
        resolve = getattr(dio, "resolve", None)
        if resolve is None:
            hint = "open it and call link.load(chain)"
            raise UsageError(f"chain {self.chain} is not open here", hint=hint)
        there: Dio = await resolve(self.chain)
        return await there.load(self._element(), self.id)

    def __repr__(self) -> str:
        return f"Link({self.chain}, {self.id})"


def _id_of(target: Any) -> ObjectId:
    return ObjectId(target if isinstance(target, bytes) else target.id)


def bind(value: Any, dio: Dio, owner: ObjectId, entropy: Entropy | None = None) -> None:
    """Bind all fields inside a value to a unit of work and to `owner`, the object they are in.

    Args:
        entropy: where salts come from; the operating system when None.

    Raises:
        UsageError: a collection of another object, or inside a list or dict.
    """
    for field, path, items in fields_of(value):
        field.__ate_know__(items)
        field.__ate_bind__(dio, owner, path, entropy)
