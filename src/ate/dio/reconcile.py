"""Bringing a change up to date with what somebody else committed meanwhile; it never commits.

Value, place and rule are each compared three ways: what both started from, ours, theirs. So a
merge of one field undoes neither a move nor a new rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ate.dio.dao import Dao
from ate.errors import Conflict, Deleted

if TYPE_CHECKING:
    from ate.dio.dio import Dio

T = TypeVar("T")


async def reconcile(dio: Dio, dao: Dao[Any], conflict: Conflict) -> None:
    """Make `dao` a change of the version that is current now.

    Raises:
        Conflict: it was deleted by either side, or both changed the same thing, each differently.
    """
    if dao._deleted or dao._version is None:
        raise conflict
    try:
        theirs = await dio.chain.dio(dio.session).load(dao._schema.type, dao.id)
    except Deleted:
        raise conflict from None
    if dao.seq:
        record, at = dio._reader.view.find(dao.seq)
        row, was = record.row(at), record.header(at)
        place, header = (row.parent, row.collection), was and was.lasting
    elif (dao.place, dao.header) == (theirs.place, theirs.header):
        place, header = dao.place, dao.header  # what was changed waits for the server itself
    else:
        raise conflict
    base = dao._schema.decode(dao._version.plain, dao._version.codec)
    try:
        value = dao._schema.merge(base, dao.value, theirs.value)
        place = _chosen(place, dao.place, theirs.place, "moved it")
        header = _chosen(header, dao.header, theirs.header, "changed its rule")
    except Conflict as clash:
        raise Conflict(clash.message, object=dao.id, theirs=theirs.seq) from None
    dao._value, dao._place, dao._header, dao._version = value, place, header, theirs._version
    dio._bind(dao)


def _chosen(base: T, ours: T, theirs: T, what: str) -> T:
    if ours == base:
        return theirs
    if theirs in (base, ours):
        return ours
    raise Conflict(f"both sides {what}, each differently")
