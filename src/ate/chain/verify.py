"""Verifying a whole chain.

Everything is recomputed from the log, nothing is taken from the snapshot.

It changes nothing, and it tells what it checked, so that "fine" means something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ate.chain.ledger import Ledger
from ate.chain.replay import Replay
from ate.chain.view import View
from ate.errors import AteError, CorruptLog, UnsupportedFormat
from ate.event.commit import Record
from ate.event.row import EPOCH_SHIFT
from ate.log.store import LogStore
from ate.trust.pipeline import Pipeline


@dataclass(slots=True)
class Verification:
    """What was checked and what was found.

    Args:
        commits, rows, sealed_rows, body_bytes: how much.
        signatures: suite → how many commits carry it (0 = none).
        signers: who signed, as named by published keys → commits.
        checks: what was recomputed, for people.
        problems: what is wrong; empty means the chain is sound.
        head, root: seq of the newest row; root over all commits.
        newer: the problem, when it is that a newer version wrote some of it.
        ordered: commits of a centralized chain that a server has signed in their authors' place.
    """

    commits: int = 0
    rows: int = 0
    sealed_rows: int = 0
    body_bytes: int = 0
    signatures: Counter[int] = field(default_factory=Counter)
    signers: Counter[str] = field(default_factory=Counter)
    checks: tuple[str, ...] = (
        "frame check of every commit",
        "hash link and order of commits",
        "Merkle root over the rows of every commit",
        "digest of every stored body",
        "signature and write rule of every commit",
        "root over all commits",
    )
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    head: int = 0
    root: bytes = b""
    newer: UnsupportedFormat | None = None
    ordered: int = 0

    @property
    def ok(self) -> bool:
        return not self.problems


async def verify(
    store: LogStore,
    *,
    plugins: Sequence[Any] = (),
    witness: Ledger | None = None,
    progress: Callable[[int], None] | None = None,
    view: View | None = None,
    visit: Callable[[Verification, Record, int], Awaitable[None]] | None = None,
) -> Verification:
    """Check a chain from its first byte to its last.

    Args:
        store: the log, open for reading.
        plugins: the validators the chain is used with, beyond the built-ins.
        witness: a ledger of the same chain that has seen it before; its head and root must be in
        it. progress: called with the bytes of each commit.
        view: an empty one to fold the chain into, for a caller who wants to look at it.
        visit: awaited with the findings so far, each commit and its place, once it is folded in;
            what it raises is a finding as well.
    """
    found = Verification(notes=list(store.torn))
    view = View(store) if view is None else view
    replay = Replay(view, Pipeline(plugins, view.origins, view.pace), bodies=True)
    is_seen = False
    try:
        for place, payload in store.scan(0):
            record = await replay.take(place, payload)
            if record is None:
                continue
            _count(found, view, record)
            is_seen = witness is not None and view.head == witness.view.head
            if witness is not None and is_seen:
                _compare(found, view, witness)
            if visit is not None:
                await visit(found, record, place)
            if progress is not None:
                progress(len(payload))
        replay.end()
        if witness is not None and not is_seen and view.head == witness.view.head:
            _compare(found, view, witness)  # the last commits of all were dropped
    except AteError as error:
        found.newer = error if isinstance(error, UnsupportedFormat) else None
        found.problems.append(f"after row {view.head}: {error}")
    found.head, found.root = view.head, view.frontier.root()
    if found.ordered:
        found.notes.append(
            f"that {found.ordered} of the commits are by those authors is their server's word"
        )
    if view.cut:
        found.notes.append(_compacted(view))
    if witness is not None and view.head < witness.view.head and found.ok:
        found.problems.append(f"the log ends at row {view.head}, it had {witness.view.head} before")
    return found


def _compacted(view: View) -> str:
    """Say what compaction leaves to check, and who answers for the rest."""
    who = "a root's checkpoint vouches" if view.trust.has_roots else "nobody vouches"
    return f"compacted: what is left of the first {view.cut} commits is sound; {who} for the rest"


def _compare(found: Verification, view: View, witness: Ledger) -> None:
    if view.frontier.root() != witness.view.frontier.root():
        raise CorruptLog("the root over all commits is not the one seen before")
    found.notes.append("agrees with what this session has seen before")


def _count(found: Verification, view: View, record: Record) -> None:
    table = record.table
    found.commits += 1
    found.rows += record.row_count
    found.sealed_rows += int((table["stamp"] >> EPOCH_SHIFT != 0).sum())
    found.body_bytes += int(table["length"].sum())
    author = record.author
    found.signatures[author.suite] += 1
    if author.suite or view.trust.sequencers:
        issuers = view.trust.authorities(author.key_id, record.sequencer.time_us)
        found.ordered += not author.suite
        names = sorted(_name(view, key_id) for key_id in issuers)
        found.signers[", ".join(names)] += 1


def _name(view: View, key_id: bytes) -> str:
    principal = view.trust.keys.get(key_id)
    return f"{principal.identity if principal else 'unknown'} ({key_id.hex()[:8]})"
