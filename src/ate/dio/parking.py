"""`Parking`: commits that are accepted here before the server has them: outbox, overlay, conflicts.

It checks them against the chain and what waits already, and keeps them; the forwarder sends them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ate import limits
from ate.chain.index import DEAD, SEQ_MASK
from ate.chain.ledger import Ledger
from ate.dio.overlay import PROVISIONAL, Overlay
from ate.dio.work import Work
from ate.errors import AteError, Conflict
from ate.event.draft import Draft
from ate.event.row import SYSTEM_FIRST, Kind
from ate.ids import ROOT, ObjectId
from ate.log.outbox import Entry, Outbox

if TYPE_CHECKING:
    from ate.session import Session


class Parking:
    """What waits for the server.

    Args:
        ledger: the local copy.
        outbox: where it is kept.
    """

    def __init__(self, ledger: Ledger, outbox: Outbox) -> None:
        self.ledger, self.outbox = ledger, outbox
        self.overlay = Overlay()

    def admits(self, drafts: Sequence[Draft], session: Session | None) -> bool:
        """Whether such a commit can wait: only the chain's own session can make it later."""
        return session is self.ledger.session and all(d.kind < SYSTEM_FIRST for d in drafts)

    def park(self, drafts: list[Draft]) -> tuple[int, int]:
        """Keep a commit; returns its number in the outbox and its first provisional seq.

        Raises:
            Conflict: it does not fit what is here or waits already.
            LimitExceeded: the outbox is full.
            StorageError: it could not be kept.
        """
        limits.check("rows in a commit", len(drafts), limits.COMMIT_ROWS_MAX,
                     hint="commit in smaller portions")  # fmt: skip
        for draft in drafts:
            self._check(draft)
        self._check_parents(drafts)
        first = self.overlay.put([], 0)
        entry = self.keep(drafts, first)
        self.overlay.put(drafts, self.ledger.now_us(), first=first)
        return entry, first

    def keep(self, drafts: Sequence[Draft], first: int) -> int:
        """Put a commit into the outbox; returns its number there."""
        ledger = self.ledger
        work = Work(first, drafts, ledger.now_us())
        return self.outbox.add(work.seal(ledger.session, ledger.entropy))

    def lay(self, drafts: Sequence[Draft]) -> int:
        """Show a commit that is on its way; returns its first provisional seq."""
        return self.overlay.put(drafts, self.ledger.now_us())

    def newest(self, object_id: bytes) -> tuple[int, bool]:
        """Return the seq of an object's newest version, waiting ones included, and if it lives."""
        waiting = self.overlay.get(object_id)
        if waiting is not None:
            return waiting.seq, waiting.draft.kind != Kind.TOMBSTONE
        flagged = self.ledger.view.index.locate(object_id)
        return flagged & SEQ_MASK, bool(flagged) and not flagged & DEAD

    def _check(self, draft: Draft) -> None:
        seq, lives = self.newest(draft.id)
        base = self.overlay.real(draft.base) or draft.base
        if base == seq:
            return
        if draft.overwrite and lives:
            draft.base = seq
            return
        if not lives and not base:
            draft.base = seq
            return
        what = "exists already" if not base else "was changed since it was loaded"
        raise Conflict(
            f"object {draft.id.hex()} {what}", object=ObjectId(draft.id),
            theirs=seq if seq < PROVISIONAL else 0,
        )  # fmt: skip

    def _check_parents(self, drafts: Sequence[Draft]) -> None:
        here = {draft.id: draft.kind for draft in drafts}
        for draft in drafts:
            if draft.kind != Kind.DATA or draft.parent == ROOT:
                continue
            kind = here.get(draft.parent)
            lives = self.newest(draft.parent)[1] if kind is None else kind == Kind.DATA
            if not lives:
                raise Conflict(
                    f"the parent {draft.parent.hex()} is not in this chain, or was deleted",
                    object=ObjectId(draft.parent), hint="store it under another parent",
                )  # fmt: skip

    def ready(self, drafts: Sequence[Draft]) -> None:
        """Give drafts the seqs that what they replace has got by now.

        Raises:
            Conflict: what they replace was refused.
        """
        for draft in drafts:
            if draft.base >= PROVISIONAL:
                base = self.overlay.real(draft.base)
                if not base:
                    raise Conflict(
                        f"the version of object {draft.id.hex()} that this one replaces "
                        "was refused", object=ObjectId(draft.id),
                    )  # fmt: skip
                draft.base = base
            if draft.created >= PROVISIONAL:
                draft.created = self.overlay.real(draft.created)

    def restore(self) -> tuple[list[tuple[Entry, Work | None]], list[tuple[Entry, Work | None]]]:
        """Return what waited when the chain was closed, and what was refused.

        Raises:
            CannotOpen: it was committed by another session.
        """
        waiting: list[tuple[Entry, Work | None]] = []
        refused: list[tuple[Entry, Work | None]] = []
        for entry in self.outbox.entries:
            work = Work.open(entry.work, self.ledger.session) if entry.work else None
            if entry.state == "conflict":
                refused.append((entry, work))
                continue
            waiting.append((entry, work))
            if work is not None:
                self.overlay.put(work.drafts, work.time_us, first=work.first)
        return waiting, refused

    def refuse(self, entry: int, drafts: Sequence[Draft], first: int, error: AteError) -> None:
        """Somebody has to decide what becomes of a commit."""
        self.overlay.lift(drafts, first)
        text = f"{error.code}\n{error.message}"[: limits.OUTBOX_NOTE_BYTES_MAX // 4]
        self.outbox.mark(entry, "conflict", text.encode())
        self.outbox.flush()
