"""What hangs below what in a unit of work: whole subtrees are deleted, and no cycle is made.

It looks at rows and at the changes of one Dio; it decodes nothing and commits nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ate import limits
from ate.chain.view import View
from ate.dio.dao import Dao
from ate.dio.overlay import Upcoming
from ate.errors import UsageError
from ate.event.draft import Draft
from ate.event.row import Kind
from ate.ids import ROOT


def fell(
    view: View, changed: Mapping[bytes, Dao[Any]], waiting: Iterable[Upcoming] = ()
) -> list[Draft]:
    """Return tombstones for all that hangs below deleted objects, so that no orphan stays.

    Args:
        view: the chain as it is.
        changed: the changes of the Dio; what they leave below a deleted object is marked deleted
            too, what they move away stays.
        waiting: own changes that the chain does not hold yet.
    """
    upcoming = {one.draft.id: one for one in waiting}
    below: dict[bytes, list[Dao[Any]]] = {}
    for dao in changed.values():
        if not dao._deleted:
            below.setdefault(dao.place[0], []).append(dao)
    pending = [bytes(dao.id) for dao in changed.values() if dao._deleted]
    done: set[bytes] = set()
    drafts: list[Draft] = []
    while pending:
        parent = pending.pop()
        for dao in below.pop(parent, ()):
            dao._deleted = True
            pending.append(dao.id)
        for one in upcoming.values():
            draft = one.draft
            if draft.parent == parent and draft.kind == Kind.DATA and not (
                draft.id in done or draft.id in changed
            ):  # fmt: skip
                done.add(draft.id)
                pending.append(draft.id)
                drafts.append(
                    Draft(int(Kind.TOMBSTONE), draft.id, draft.parent, draft.collection, one.seq,
                          draft.created or one.seq, draft.schema, 0, b"")
                )  # fmt: skip
        for row, seq, created in view.below(parent):
            if row.id not in done and row.id not in changed and row.id not in upcoming:
                done.add(row.id)
                pending.append(row.id)
                drafts.append(
                    Draft(int(Kind.TOMBSTONE), row.id, row.parent, row.collection, seq, created,
                          row.schema, 0, b"")
                )  # fmt: skip
    return drafts


def check_move(view: View, changed: Mapping[bytes, Dao[Any]], moved: bytes, parent: bytes) -> None:
    """Raise UsageError when `parent` hangs below the object that is to hang under it.

    Raises:
        LimitExceeded: the tree is deeper than any rule is followed.
    """
    above, depth = parent, 0
    while above != ROOT:
        if above == moved:
            raise UsageError(f"object {moved.hex()} cannot hang below itself")
        limits.check("depth of the tree", depth, limits.TREE_DEPTH_MAX)
        depth += 1
        dao = changed.get(above)
        if dao is not None:
            above = dao.place[0]
            continue
        stored = view.stored(above)
        if stored is None:
            return
        above = stored.row.parent
