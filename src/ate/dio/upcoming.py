"""What a Dio shows beyond the chain: own changes, uncommitted or waiting for the server.

It changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ate.dio.collections import bind
from ate.dio.dao import Dao, Landed
from ate.dio.overlay import Upcoming
from ate.dio.schema import Schema, schema_of
from ate.dio.typed import ANY, fits
from ate.errors import Deleted, WrongType
from ate.event.row import Kind
from ate.ids import ObjectId

if TYPE_CHECKING:
    from ate.dio.dio import Dio

T = TypeVar("T")


def shown(dio: Dio, upcoming: Upcoming, type: type[T]) -> Dao[T]:
    """Return an object that was committed here and is not in the chain yet.

    Raises:
        Deleted, WrongType: as `Dio.load`.
    """
    draft = upcoming.draft
    if draft.kind == Kind.TOMBSTONE:
        raise Deleted(f"object {draft.id.hex()} was deleted")
    schema: Schema[T] = Schema.any(draft.body) if type in ANY else schema_of(type)
    if draft.schema != schema.schema_id:
        raise WrongType(
            f"object {draft.id.hex()} is a {Schema.name_in(draft.body)}, not a {schema.name}"
        )
    dao = handle(dio, upcoming, schema)
    if schema.has_fields:
        bind(dao._value, dio, dao.id)
    return dao


def handle(dio: Dio, upcoming: Upcoming, schema: Schema[T]) -> Dao[T]:
    """Return a Dao for it."""
    draft, seq = upcoming.draft, upcoming.seq
    version = Landed(
        seq, draft.created or seq, upcoming.time_us, b"", draft.body, draft.codec, draft.schema
    )
    value = schema.decode(draft.body, draft.codec)
    dao: Dao[T] = Dao(dio, schema, ObjectId(draft.id), value, version)
    dao._place, dao._header = (draft.parent, draft.collection), draft.header
    return dao


def unlisted(
    dio: Dio, type: type[T], here: tuple[bytes, int] | None, ahead: Iterable[Upcoming]
) -> Iterator[Dao[T]]:
    """Yield what belongs to a list though the chain does not have it there yet.

    Args:
        here: parent and collection; None takes all.
        ahead: what waited when the listing began.
    """
    for dao in list(dio._changed.values()):
        if (here is None or dao.place == here) and _is_unlisted(dio, dao, type, here):
            yield dao
    for upcoming in ahead:
        draft = upcoming.draft
        if draft.kind == Kind.TOMBSTONE or draft.id in dio._changed:
            continue
        if here is not None and (draft.parent, draft.collection) != here:
            continue
        if type in ANY or schema_of(type).schema_id == draft.schema:
            yield shown(dio, upcoming, type)


def _is_unlisted(dio: Dio, dao: Dao[Any], type: type[Any], here: tuple[bytes, int] | None) -> bool:
    if dao._deleted or not fits(dao._schema, type):
        return False
    stored = dio._reader.view.stored(dao.id)
    if stored is None or stored.dead:
        return True
    row = stored.row
    moved = here is not None and (row.parent, row.collection) != here
    return moved or (type not in ANY and row.schema != dao._schema.schema_id)
