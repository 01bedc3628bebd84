"""Conflicts of drafts with the present, found before anything is sealed; it opens no row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from ate.chain.index import DEAD, SEQ_MASK, Index
from ate.errors import Conflict, Fenced
from ate.event.draft import Draft
from ate.event.row import Kind
from ate.ids import ROOT

#: Objects with the seq that must still be their newest; 0 = there must be none.
Guards: TypeAlias = Sequence[tuple[bytes, int]]


class Guard(Protocol):
    """What a commit can be made under, as `dio.commit(lease=…)`."""

    @property
    def guards(self) -> Guards:
        """What must not have changed when the commit lands; raises Fenced when it is too late."""
        ...


def check_guards(index: Index, guards: Guards) -> None:
    """Raise Fenced when one of these objects has another newest version."""
    for object_id, seq in guards:
        if index.locate(object_id) & SEQ_MASK != seq:
            raise Fenced(
                "the lease of this commit is in other hands; nothing was committed",
                hint="take the lease again, load again and redo the change",
            )


def check_versions(index: Index, drafts: Sequence[Draft], current: Sequence[int]) -> None:
    """Compare the versions that drafts replace with the newest ones.

    A draft that overwrites, or uses the id of a deleted object again, gets its base here.

    Args:
        current: what the index says about their ids.

    Raises:
        Conflict: one of them is not the newest any more.
    """
    for draft, flagged in zip(drafts, current, strict=True):
        seq = flagged & SEQ_MASK
        if seq == draft.base:
            continue
        if flagged & DEAD and not draft.base:
            draft.base = seq  # the id is used again, under the rule that the tombstone keeps
            continue
        if flagged & DEAD:
            raise Conflict(
                f"object {draft.id.hex()} was deleted", object=draft.id, theirs=seq,
                hint="its id stays taken; store the value under a new one",
            )  # fmt: skip
        if draft.overwrite and flagged:
            draft.base, draft.created = seq, index.created_at(draft.id)
            continue
        what = "exists already" if not draft.base else "was changed since it was loaded"
        raise Conflict(f"object {draft.id.hex()} {what}", object=draft.id, theirs=seq)


def check_parents(index: Index, drafts: Sequence[Draft]) -> None:
    """Refuse what would hang under nothing: nobody would ever find it again.

    Raises:
        Conflict: a parent was deleted, here or before, or never was.
    """
    parents = {draft.parent for draft in drafts if draft.kind == Kind.DATA}
    parents.discard(ROOT)
    if not parents:
        return
    gone = {draft.id for draft in drafts if draft.kind == Kind.TOMBSTONE}
    parents -= {draft.id for draft in drafts} - gone
    for parent in parents:
        flagged = index.locate(parent)
        if not flagged or flagged & DEAD or parent in gone:
            what = "was deleted" if flagged else "is not in this chain"
            raise Conflict(
                f"the parent {parent.hex()} {what}", object=parent, theirs=flagged & SEQ_MASK,
                hint="store it under another parent",
            )  # fmt: skip
