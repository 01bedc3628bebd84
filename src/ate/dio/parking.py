"""`Parking`: commits that are accepted here before the server has them: outbox, overlay, conflicts.

It checks them against the chain and what waits already, and keeps them; the forwarder sends them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ate import limits
from ate.chain.index import DEAD, SEQ_MASK
from ate.chain.ledger import Ledger
from ate.dio.overlay import PROVISIONAL, Overlay
from ate.dio.work import Work
from ate.errors import AteError, Conflict, StorageError, UsageError
from ate.event.draft import Draft
from ate.event.row import SYSTEM_FIRST, Kind
from ate.ids import ROOT, ObjectId
from ate.log.outbox import Entry, Outbox

if TYPE_CHECKING:
    from ate.dio.parcel import Parcel
    from ate.session import Session

_log = logging.getLogger("ate")


class Parking:
    """What waits for the server.

    Args:
        ledger: the local copy.
        outbox: where it is kept.
    """

    def __init__(self, ledger: Ledger, outbox: Outbox) -> None:
        self.ledger, self.outbox = ledger, outbox
        self.overlay = Overlay()
        #: Entries that have landed, with the objects of which a newer version waits; and back.
        self._kept: dict[int, set[bytes]] = {}
        self._under: dict[bytes, int] = {}

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

    def prepare(self, parcel: Parcel) -> None:
        """Keep what is about to be sent, as it is sent.

        What stands on a head or a lease is worth nothing to a later process: it is not kept.

        Raises:
            LimitExceeded, StorageError: it is not known whether it is kept.
        """
        number = parcel.session, parcel.lsn
        if parcel.adopted:
            self.outbox.prepare([one.entry for one in parcel.group], *number, parcel.payload)
            self.outbox.flush()  # a later process sends it by this number, or not at all
        elif parcel.at is None and not parcel.guards:
            parcel.entry = self.outbox.add_prepared(*number, parcel.payload)

    def adopt(
        self, works: Sequence[Sequence[Draft]], number: tuple[int, int], payload: bytes
    ) -> list[tuple[int, int]]:
        """Keep and show what is on its way already as one commit; returns for each as `park`.

        Raises:
            LimitExceeded, StorageError: it could not be kept.
        """
        places: list[tuple[int, int]] = []
        first = self.overlay.put([], 0)
        try:
            for drafts in works:
                places.append((self.keep(drafts, first), first))
                first += len(drafts)
            self.outbox.prepare([entry for entry, _ in places], *number, payload)
        except AteError:
            for entry, _ in places:
                self.outbox.remove(entry)
            raise
        for drafts, (_, first) in zip(works, places, strict=True):
            self.overlay.put(drafts, self.ledger.now_us(), first=first)
        return places

    # --- what has become of it ---

    def leave(self, drafts: Sequence[Draft], entry: int) -> None:
        """A commit is in the chain, and what it changes is not laid over it any more.

        Its entries go when nothing that waits replaces what it made: until then a later process
        has to learn from them which seqs it got.

        Args:
            drafts: all of those who share the commit; empty when it was not kept to wait.
            entry: of one of them.
        """
        waited = set()
        for draft in drafts:
            before = self._under.pop(draft.id, 0)
            if entry and self.overlay.get(draft.id) is not None:
                self._under[draft.id] = entry
                waited.add(bytes(draft.id))
            if before:
                self._release(before, draft.id)
        if waited:
            self._kept[entry] = waited
        else:
            self.forget(entry)

    def _release(self, entry: int, object_id: bytes) -> None:
        waited = self._kept.get(entry)
        if waited is not None:
            waited.discard(object_id)
            if not waited:
                del self._kept[entry]
                self.forget(entry)

    def forget(self, entry: int) -> None:
        """Remove the entries of a commit.

        If that fails it is found to have landed when the chain is opened.
        """
        if entry:
            try:
                self.outbox.settle(entry)
            except StorageError as error:
                _log.warning("an entry of the outbox was not removed: %s", error)

    def take_back(self, parcel: Parcel) -> None:
        """Nothing of a commit is in the chain, nor will be under its number."""
        if parcel.adopted:
            self.withdraw(parcel.entry)
        else:
            self.forget(parcel.entry)

    def withdraw(self, entry: int) -> None:
        """Nothing will land under the number of this commit: those who share it wait again."""
        try:
            self.outbox.mark(entry, "waiting")
            # Before a later number lands: a later process would take this one for landed as well.
            self.outbox.flush()
        except (StorageError, UsageError) as error:
            _log.warning("an entry of the outbox was not changed: %s", error)

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
                found = self.overlay.real(draft.created)
                draft.created = found or self.ledger.view.index.created_at(draft.id)

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

    def refuse(self, entry: int, drafts: Sequence[Draft], first: int, error: AteError) -> int:
        """Somebody has to decide what becomes of a commit; returns its number in the outbox."""
        self.overlay.lift(drafts, first)
        for draft in drafts:
            if self.overlay.get(draft.id) is None and draft.id in self._under:
                self._release(self._under.pop(draft.id), draft.id)
        text = f"{error.code}\n{error.message}"[: limits.OUTBOX_NOTE_BYTES_MAX // 4]
        try:
            # Written anew: what its changes replace may have got another seq since it was kept.
            number = self.keep(drafts, first)
            self.outbox.mark(number, "conflict", text.encode())
            self.outbox.remove(entry)
            self.outbox.flush()
        except AteError as trouble:  # it waits as it was, and is refused again the next time
            _log.warning("a refused commit could not be marked as such: %s", trouble)
            return entry
        return number
