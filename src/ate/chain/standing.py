"""What a commit stands on besides the versions it replaces: parents, guards; it opens no row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias

from ate.chain.index import DEAD, SEQ_MASK, Index
from ate.errors import Conflict, Fenced
from ate.event.commit import Record
from ate.event.row import Kind
from ate.ids import ROOT

#: Objects with the seq that must still be their newest; 0 = there must be none.
Guards: TypeAlias = Sequence[tuple[bytes, int]]


class Placed(Protocol):
    """A draft or a row."""

    @property
    def kind(self) -> int: ...
    @property
    def id(self) -> bytes: ...
    @property
    def parent(self) -> bytes: ...


def check_guards(index: Index, guards: Guards) -> None:
    """Raise Fenced when one of these objects has another newest version."""
    for object_id, seq in guards:
        if index.locate(object_id) & SEQ_MASK != seq:
            raise Fenced(
                "the lease of this commit is in other hands; nothing was committed",
                hint="take the lease again, load again and redo the change",
            )


def check_parents(index: Index, rows: Iterable[Placed]) -> None:
    """Refuse what would hang under nothing: nobody would ever find it again.

    Raises:
        Conflict: a parent was deleted, here or before, or never was.
    """
    rows = list(rows)
    parents = {row.parent for row in rows if row.kind == Kind.DATA}
    parents.discard(ROOT)
    if not parents:
        return
    gone = {row.id for row in rows if row.kind == Kind.TOMBSTONE}
    parents -= {row.id for row in rows} - gone
    for parent in sorted(parents):
        flagged = index.locate(parent)
        if not flagged or flagged & DEAD or parent in gone:
            what = "was deleted" if flagged else "is not in this chain"
            raise Conflict(
                f"the parent {parent.hex()} {what}", object=parent, theirs=flagged & SEQ_MASK,
                hint="store it under another parent",
            )  # fmt: skip


def check_parents_of(index: Index, record: Record) -> None:
    """Do so for a commit that was made elsewhere."""
    if record.row_count == 1:  # by far the most, and an array of one row costs more than it saves
        below_root = record.parent(0) == ROOT
    else:
        table = record.table
        below_root = not (table["parent_hi"] | table["parent_lo"]).any()
    if not below_root:
        check_parents(index, map(record.row, range(record.row_count)))
