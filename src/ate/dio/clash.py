"""Conflicts of drafts with the present, found before anything is sealed; it opens no row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ate.chain.index import DEAD, SEQ_MASK, Index
from ate.chain.standing import Guards
from ate.errors import Conflict
from ate.event.draft import Draft


class Guard(Protocol):
    """What a commit can be made under, as `dio.commit(lease=…)`."""

    @property
    def guards(self) -> Guards:
        """What must not have changed when the commit lands; raises Fenced when it is too late."""
        ...


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
