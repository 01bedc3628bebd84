"""Whether what is stored is of the type that was asked for, and the error when it is not.

It opens nothing: it is given what was opened.
"""

from __future__ import annotations

from typing import Any, Final

from ate.chain.reader import Opened
from ate.dio.dao import Dao
from ate.dio.schema import Schema, schema_of
from ate.errors import Deleted, LoadError, UsageError, WrongType
from ate.event.row import Kind
from ate.ids import ObjectId

#: Types that stand for whatever is there.
ANY: Final = (object, dict)


def fits(schema: Schema[Any], type: type[Any]) -> bool:
    """Tell whether values of a schema are what is meant by a type."""
    return type in ANY or schema.schema_id == schema_of(type).schema_id


def not_of(opened: Opened, schema: Schema[Any]) -> LoadError:
    """Return the error for a row that holds no value of a schema."""
    row = opened.row
    if row.kind == Kind.TOMBSTONE:
        return Deleted(f"object {row.id.hex()} was deleted there")
    if row.kind != Kind.DATA:
        return WrongType(f"object {row.id.hex()} belongs to the chain itself")
    return WrongType(
        f"object {row.id.hex()} is a {Schema.name_in(opened.plain)}, not a {schema.name}"
    )


def check_pending(dao: Dao[Any], type: type[Any]) -> Dao[Any]:
    """Return an uncommitted object; raises Deleted or WrongType."""
    if dao._deleted:
        raise Deleted(f"object {dao.id.hex()} was deleted in this Dio")
    if not fits(dao._schema, type):
        raise WrongType(f"object {dao.id.hex()} is a {dao._schema.name}")
    return dao


def checked(id: Any) -> ObjectId:
    """Return an id that a program chose; raises UsageError when it is none."""
    if not isinstance(id, bytes):
        raise UsageError(f"an id is an ObjectId, not {type(id).__name__}")
    return id if isinstance(id, ObjectId) else ObjectId(id)
