"""Default methods: get, put, list and delete any object, here or through `rpc`; they know no types.

    serve_generic(chain)                       # on the side that answers
    item = await get.call(chain, Get(id))      # from the side that asks

Records cross as dicts; what is written back keeps the name of its type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ate.dio.dao import Dao
from ate.dio.dio import Dio
from ate.dio.method import method
from ate.dio.schema import Schema
from ate.ids import ROOT, ObjectId

if TYPE_CHECKING:
    from ate.dio.chain import Chain


class Item(msgspec.Struct, frozen=True):
    """One object as anybody can read it: records are dicts."""

    id: ObjectId
    type: str
    value: Any
    parent: ObjectId
    seq: int


class Get(msgspec.Struct, frozen=True):
    """Ask for one object."""

    id: ObjectId


class Put(msgspec.Struct, frozen=True):
    """Store a value, or replace the value of an object.

    Args:
        value: records as dicts.
        type: name of the type a new object is stored as; None is what the value is by itself.
        id: of the object to replace; None makes a new one.
        parent: of a new object; None is the top of the chain.
    """

    value: Any
    type: str | None = None
    id: ObjectId | None = None
    parent: ObjectId | None = None


class List(msgspec.Struct, frozen=True):
    """Ask for the children of an object.

    Args:
        parent: None is the top of the chain.
        type: of this type name only.
        most: how many at most.
    """

    parent: ObjectId | None = None
    type: str | None = None
    most: int = 1000


class Delete(msgspec.Struct, frozen=True):
    """Delete an object and what is below it."""

    id: ObjectId


@method
async def get(dio: Dio, request: Get) -> Item:
    """Return an object; raises as `dio.load`."""
    return _item(await dio.load(dict, request.id))


@method
async def put(dio: Dio, request: Put) -> ObjectId:
    """Store a value and return its id; raises as `dio.load` when it replaces another."""
    if request.id is not None:
        dao: Dao[Any] = await dio.load(object, request.id)
        dao.value = request.value
    else:
        dao = dio.store(request.value, parent=request.parent)
        if request.type is not None:
            dao._schema = Schema(object, request.type)
    return dao.id


@method
async def list_(dio: Dio, request: List) -> list[Item]:
    """Return children, in the order of creation; what the server cannot read is left out."""
    found: list[Item] = []
    async for dao in dio.children(request.parent or ROOT, dict):
        if len(found) >= request.most:
            break
        if request.type in (None, dao.type_name):
            found.append(_item(dao))
    return found


@method
async def delete(dio: Dio, request: Delete) -> None:
    """Delete an object; raises NotFound or Deleted."""
    (await dio.load(object, request.id)).delete()


def serve_generic(chain: Chain, **options: Any) -> None:
    """Serve all four; `options` are those of `serve`. Who may write here acts as its session."""
    for one in (get, put, list_, delete):
        one.serve(chain, **options)


def _item(dao: Dao[Any]) -> Item:
    return Item(dao.id, dao.type_name, dao.value, dao.parent, dao.seq)
