"""The deep half of verifying: what is inside the bodies, and how the objects hang together.

It rides along with `verify`, which judges each commit, and it says what it could not look at.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ate.chain.index import DEAD
from ate.chain.ledger import Ledger
from ate.chain.verify import Verification
from ate.chain.view import View
from ate.crypto.aead import Sealer
from ate.errors import AteError, CannotOpen, Compacted, NoReadKey
from ate.event.commit import Record
from ate.event.row import CODEC_FORMAT, EPOCH_SHIFT, PLACE_BODY_FILE, Kind
from ate.event.system import Grant, decode
from ate.ids import ROOT
from ate.log import segment
from ate.trust.roles import join_roles

#: Told one by one; the rest is counted.
_TOLD_MAX: Final = 100
_KNOWN: Final = re.compile(r"[0-9]{6}/(?:(?:head|body)\.[0-9]{6,}|index)")
_BODIES: Final = re.compile(r"[0-9]{6}/body\.([0-9]{6,})")
_FIELDS: Final = ("head", "time_us", "link", "rules", "bodies_end")

#: Raises an AteError when these plain bytes, of this format, are no value of this type number.
Judge: TypeAlias = Callable[[bytes, int, int], object]


@dataclass(slots=True)
class Depth:
    """What was found inside.

    Args:
        opened: sealed bodies that were opened.
        plain: bodies that nobody sealed.
        values: bodies that hold a value of their type.
        closed: read domain → sealed bodies that this session cannot open.
        filtered: bodies encoded by a filter that is not loaded.
        grants: grants that this session opened.
        checkpoints: how many there are.
        orphan_bytes: in body segments, named by no row.
        strays: files that are none of the log's.
    """

    opened: int = 0
    plain: int = 0
    values: int = 0
    closed: Counter[bytes] = field(default_factory=Counter)
    filtered: int = 0
    grants: int = 0
    checkpoints: int = 0
    orphan_bytes: int = 0
    strays: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


class Deep:
    """Looks into one chain while it is verified; give `visit` to `verify`, then call `finish`.

    Args:
        ledger: a fresh one with the session that opens; `verify` folds into its view.
        judge: decodes a value.
        witness: a ledger that has read the snapshot and nothing else, if there is one.
    """

    def __init__(self, ledger: Ledger, judge: Judge, witness: Ledger | None = None) -> None:
        self.depth = Depth()
        self._ledger, self._judge, self._witness = ledger, judge, witness
        self._view: View = ledger.view
        self._domains = ledger.domains(ledger.session)
        self._closed: set[bytes] = set()
        self._places: list[int] = []
        self._problems = 0
        self._compared = False

    async def visit(self, found: Verification, record: Record, place: int) -> None:
        """Look into one commit that was just folded in."""
        kinds = record.kinds
        if max(kinds) > Kind.TOMBSTONE:
            self._visit_system(found, record, kinds)
        table = record.table
        if table["base"].any():
            self._visit_bases(found, record)
        outside = np.flatnonzero(table["place"] >= np.uint64(PLACE_BODY_FILE))
        for at in outside.tolist():
            self._places += (int(table["place"][at]), int(table["length"][at]))
        await self._visit_bodies(found, record)
        witness = self._witness
        if witness is not None and self._view.head == witness.view.head:
            self._compare(found, witness.view)

    def _tell(self, found: Verification, problem: str) -> None:
        self._problems += 1
        if self._problems <= _TOLD_MAX:
            found.problems.append(problem)

    # --- keys -------------------------------------------------------------------------------

    def _visit_system(self, found: Verification, record: Record, kinds: bytes) -> None:
        session = self._ledger.session
        self.depth.checkpoints += kinds.count(Kind.CHECKPOINT)
        if Kind.ROLE in kinds and session is not None:
            join_roles(self._view.trust, session)
            self._closed.clear()
        for at in (at for at, kind in enumerate(kinds) if kind == Kind.GRANT):
            row = record.row(at)
            self._domains.forget(row.parent)
            self._closed.discard(row.parent)
            if session is None:
                continue
            grant = decode(Grant, self._view.body(record, row))
            if not grant.wraps.keys() & session.opening_keys().keys():
                continue
            try:
                self._domains.newest(row.parent)
                self.depth.grants += 1
            except (NoReadKey, CannotOpen):
                seq = record.seq_at(at)
                self._tell(found, f"row {seq}: the grant names this session, and does not open")

    # --- versions ---------------------------------------------------------------------------

    def _visit_bases(self, found: Verification, record: Record) -> None:
        """Every new version leads to one of the same object, and both to the same first one."""
        for at in np.flatnonzero(record.table["base"]).tolist():
            row, seq = record.row(at), record.seq_at(at)
            if row.kind > Kind.TOMBSTONE:
                continue
            try:
                other, there = self._view.find(row.base)
            except Compacted:
                continue
            before = other.row(there)
            if before.id != row.id:
                self._tell(found, f"row {seq}: the version before it is of another object")
            elif row.created not in (before.created or row.base, 0):
                self._tell(found, f"row {seq}: the two versions name different first ones")

    # --- bodies -----------------------------------------------------------------------------

    async def _visit_bodies(self, found: Verification, record: Record) -> None:
        rows = (record.row(at) for at in range(record.row_count))
        bodies = [self._view.body(record, row) for row in rows]
        run: list[int] = []
        last: tuple[bytes, int] | None = None
        indexes = record.indexes
        for at in np.flatnonzero(record.table["kind"] == Kind.DATA).tolist():
            brief = record.brief(at)
            key = (brief[3], brief[4] >> EPOCH_SHIFT)
            if run and (key != last or indexes[at] != indexes[run[-1]] + 1):
                await self._open(found, record, run, [bodies[one] for one in run])
                run = []
            run.append(at)
            last = key
        if run:
            await self._open(found, record, run, [bodies[one] for one in run])

    async def _open(
        self, found: Verification, record: Record, run: list[int], bodies: list[memoryview]
    ) -> None:
        """Open rows of one commit, domain and epoch that follow each other."""
        domain, stamp = record.brief(run[0])[3:5]
        epoch, depth = stamp >> EPOCH_SHIFT, self.depth
        if not epoch:
            depth.plain += len(run)
            self._decode(found, record, run, [bytes(body) for body in bodies])
            return
        if domain in self._closed:
            depth.closed[domain] += len(run)
            return
        try:
            key = self._domains.key(domain, epoch)
        except NoReadKey:
            self._closed.add(domain)
            depth.closed[domain] += len(run)
            return
        how = self._ledger.pipeline.confidentiality
        chain_id = self._view.trust.chain_id
        sealer = how.sealer(chain_id, record.author.salt, domain, epoch, key)
        try:
            heads = [record.head(at) for at in run]
            plains = await how.open(sealer, bodies, heads, record.indexes[run[0]])
        except CannotOpen:
            run, plains = await self._open_singly(found, record, sealer, run, bodies)
        depth.opened += len(run)
        self._decode(found, record, run, plains)

    async def _open_singly(
        self,
        found: Verification,
        record: Record,
        sealer: Sealer,
        run: list[int],
        bodies: list[memoryview],
    ) -> tuple[list[int], list[bytes]]:
        """Return those rows of a run that open, and tell the others."""
        how, good, plains = self._ledger.pipeline.confidentiality, [], []
        for at, body in zip(run, bodies, strict=True):
            try:
                index = record.indexes[at]
                plains.append(await how.open_one(sealer, body, record.head(at), index))
                good.append(at)
            except CannotOpen:
                self._tell(found, f"row {record.seq_at(at)}: the sealed body does not open")
        return good, plains

    def _decode(
        self, found: Verification, record: Record, run: Sequence[int], plains: Sequence[bytes]
    ) -> None:
        undo, depth = self._ledger.pipeline.decode, self.depth
        for at, plain in zip(run, plains, strict=True):
            _, codec, schema, *_ = record.brief(at)
            try:
                codec, value = undo(codec, plain) if codec > CODEC_FORMAT else (codec, plain)
                if codec > CODEC_FORMAT:
                    depth.filtered += 1
                    continue
                self._judge(value, codec, schema)
                depth.values += 1
            except AteError as error:
                self._tell(found, f"row {record.seq_at(at)}: {error.message}")

    # --- the whole --------------------------------------------------------------------------

    def _compare(self, found: Verification, known: View) -> None:
        """Tell where a snapshot says something else than the fold of the log."""
        self._compared, view = True, self._view
        different = [name for name in _FIELDS if getattr(view, name) != getattr(known, name)]
        if view.index.live != known.index.live:
            different.append("live")
        if view.origins.table != known.origins.table:
            different.append("origins")
        if any(
            getattr(view.trust, name) != getattr(known.trust, name)
            for name in ("chain_id", "genesis", "keys", "roles", "checkpoint")
        ):
            different.append("keys and roles")
        mine, theirs = view.index.columns(), known.index.columns()
        names = ("id", "id", "newest rows", "first rows", "children")
        different += [
            name
            for name, one, other in zip(names, mine, theirs, strict=False)
            if not np.array_equal(one, other)
        ]
        if not np.array_equal(_filed(mine), _filed(theirs)):
            different.append("order of children")
        ours: Sequence[Any] = view.commits.columns()
        seen: Sequence[Any] = known.commits.columns()
        if not all(np.array_equal(one, other) for one, other in zip(ours, seen, strict=True)):
            different.append("commits")
        if different:
            what = ", ".join(dict.fromkeys(different))
            self._tell(found, f"the snapshot is not the fold of the log: {what}")

    def finish(self, found: Verification) -> Depth:
        """Look at the present as a whole, and add to the findings what was checked."""
        if found.ok:
            self._check_tree(found)
        self._count_bodies()
        depth = self.depth
        more = self._problems - _TOLD_MAX
        if more > 0:
            found.problems.append(f"and {more} more")
        depth.strays = [name for name in self._ledger.store.files() if not _KNOWN.fullmatch(name)]
        found.checks = (
            *found.checks,
            "seal of every body that this session can open",
            "format and type of every value",
            "way back from every version to the one before",
            "parents of all living objects, without circles",
        )
        if self._compared:
            found.checks = (*found.checks, "snapshot against the fold of the log")
        found.notes += self._notes()
        depth.unchecked = self._unchecked()
        return depth

    def _notes(self) -> list[str]:
        depth, notes = self.depth, []
        if depth.orphan_bytes:
            notes.append(f"{depth.orphan_bytes} bytes in body segments that no row names")
        notes += [f"{name}: not a file of the log" for name in depth.strays]
        return notes

    def _unchecked(self) -> list[str]:
        depth, told = self.depth, []
        total = sum(depth.closed.values())
        if total:
            domains = len(depth.closed)
            what = "domain" if domains == 1 else "domains"
            told.append(f"{total} bodies in {domains} read {what} are sealed to others")
        if depth.filtered:
            told.append(f"{depth.filtered} bodies were encoded by a filter that is not loaded")
        if not self._compared and self._ledger.store.read_index() is not None:
            told.append("the snapshot belongs to another session")
        return told

    def _check_tree(self, found: Verification) -> None:
        """Follow the parents of all living objects at once."""
        ids, parents = self._living()
        if not len(ids):
            return
        order = np.argsort(ids)
        ranked = ids[order]
        at = np.minimum(np.searchsorted(ranked, parents), len(ids) - 1)
        above = np.where(ranked[at] == parents, order[at], -1)
        known = above >= 0
        missing = ~known & (parents != np.bytes_(ROOT))
        dead = lost = 0
        for parent in np.unique(parents[missing]).tolist():
            flagged = self._view.index.locate(parent.ljust(len(ROOT), b"\0"))
            dead += bool(flagged & DEAD)
            lost += not flagged
        if dead:
            found.notes.append(f"{dead} deleted objects still have living children")
        if lost:
            found.notes.append(f"{lost} parents are named that were never stored")
        steps = above
        for _ in range(len(ids).bit_length() + 1):
            steps = np.where(steps >= 0, steps[np.maximum(steps, 0)], -1)
        circular = int(np.count_nonzero(steps >= 0))
        if circular:
            self._tell(found, f"the parents of {circular} objects lead in a circle")

    def _living(self) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.bytes_]]:
        """Return ids and parents of all living objects."""
        ids, parents = bytearray(), bytearray()
        for seq in self._view.index.all():
            record, at = self._view.find(seq)
            row = record.row(at)
            ids += row.id
            parents += row.parent
        return np.frombuffer(bytes(ids), "S16"), np.frombuffer(bytes(parents), "S16")

    def _count_bodies(self) -> None:
        """Find how much of the body segments no row names."""
        pairs = np.array(self._places, np.uint64).reshape(-1, 2)
        _, first = np.unique(pairs[:, 0], return_index=True)
        named: Counter[int] = Counter()
        for place, length in pairs[first].tolist():
            named[segment.split(place)[0]] += (length + 7) & ~7
        for name, size in self._ledger.store.files().items():
            match = _BODIES.fullmatch(name)
            if match:
                rest = ((size + 7) & ~7) - segment.HEADER_BYTES - named[int(match[1])]
                self.depth.orphan_bytes += max(rest, 0)


def _filed(columns: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    """Return the child keys in the order that the index files them in."""
    child, order = columns[4], columns[5]
    in_range = len(order) == len(child) and (not len(order) or int(order.max()) < len(child))
    return child[order] if in_range else np.empty(0, np.uint64)
