"""What must hold of deeds once everything is mended; it repairs nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.sharing.journal import AnyNote, Broken, Deed, Sent, SetBack, Watched

from ate.event.prefix import is_commit
from ate.event.row import Kind
from ate.event.thinned import decode_record
from ate.log.store import LogStore
from ate.testing.history import Entry, FinalLog


@dataclass(slots=True)
class Truth:
    """All commits that a server's log ever had, also those that were compacted since."""

    chain: str
    entries: list[Entry] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    #: Seqs of rows that a watcher is told about.
    changes: list[int] = field(default_factory=list)
    #: Rows were dropped at some time.
    is_thinned: bool = False

    def read(self, log: LogStore) -> None:
        """Take in what is new in the log."""
        known = len(self.entries)
        for _, payload in log.scan():
            if not is_commit(payload):
                continue
            record = decode_record(memoryview(bytes(payload)))
            place = record.sequencer
            if place.index < known:
                continue
            author = record.author
            self.entries.append(
                Entry(
                    place.first_seq, place.index, record.root.hex(), *author.origin[:3],
                    rows=author.row_count,
                )
            )  # fmt: skip
            self.leaves.append(record.leaf)
            for at in range(author.row_count):
                if record.row(at).kind <= Kind.TOMBSTONE:
                    self.changes.append(place.first_seq + at)

    def final(self, who: str) -> FinalLog:
        return FinalLog(who, self.chain, self.entries, leaves=self.leaves)


def judge(notes: Iterable[AnyNote], truths: Mapping[str, Truth]) -> list[str]:
    """Return each broken promise, with the deed that it was made for."""
    broken = [one.what for one in notes if isinstance(one, Broken)]
    for name, truth in truths.items():
        mine = [one for one in notes if not isinstance(one, Broken) and one.chain == name]
        broken += _deeds(mine, truth) + _watchers(mine, truth)
    return broken


def _deeds(notes: Sequence[AnyNote], truth: Truth) -> list[str]:
    """A deed that is ok or kept was done once, one that failed was not done, no deed is halved."""
    sent: dict[tuple[int, int, int], Sent] = {}
    known: set[str] = set()
    for one in notes:
        if isinstance(one, Sent):
            before = sent.get((one.device, one.session, one.lsn))
            if before is None or not any(before.tokens):
                sent[one.device, one.session, one.lsn] = one
        elif isinstance(one, SetBack):
            known.update(one.tokens)
    landed: dict[str, list[tuple[Entry, int]]] = defaultdict(list)
    for entry in truth.entries:
        found = sent.get((entry.device, entry.session, entry.lsn))
        for name, count in Counter(found.tokens if found is not None else ()).items():
            if name:
                landed[name].append((entry, count))
    deeds = [one for one in notes if isinstance(one, Deed)]
    broken = _fences([(landed[one.token][0][0].seq, one) for one in deeds if landed[one.token]])
    for deed in notes:
        if isinstance(deed, Deed):
            broken += _deed(deed, landed[deed.token], is_set_back=deed.token in known)
    return broken


def _fences(landed: list[tuple[int, Deed]]) -> list[str]:
    """Once a lease was used by a later holder, no earlier one lands anything."""
    broken, highest = [], 0
    for seq, deed in sorted(((seq, one) for seq, one in landed if one.fence), key=_first):
        if deed.fence < highest:
            broken.append(f"fence: {deed.kind} {deed.token} at {seq} is behind holder {highest}")
        highest = max(highest, deed.fence)
    return broken


def _first(pair: tuple[int, Deed]) -> int:
    return pair[0]


def _deed(deed: Deed, landed: list[tuple[Entry, int]], *, is_set_back: bool) -> list[str]:
    what = f"{deed.kind} {deed.token} of {deed.chain}, {deed.invoked:g} to {deed.done:g}"
    where = [entry.seq for entry, _ in landed]
    broken = []
    if len(landed) > 1:
        broken.append(f"twice: {what}: is at {where}")
    if any(count != deed.rows for _, count in landed):
        broken.append(f"halved: {what}: {[count for _, count in landed]} of {deed.rows} rows")
    if deed.outcome == "ok" and not any(e.seq <= deed.seq <= e.last for e, _ in landed):
        broken.append(f"lost: {what}: acknowledged at {deed.seq}, is at {where}")
    if deed.outcome == "kept" and deed.durability and not landed and not is_set_back:
        broken.append(f"forgotten: {what}: was kept, and is neither there nor among the conflicts")
    if deed.outcome == "fail" and landed:
        broken.append(f"undead: {what}: failed with {deed.code}, and is at {where}")
    return broken


def _watchers(notes: Sequence[AnyNote], truth: Truth) -> list[str]:
    """A watcher was told of every change once, in order."""
    broken = []
    real = set(truth.changes)
    for one in notes:
        if not isinstance(one, Watched) or not one.seqs:
            continue
        what, told = f"{one.watcher}, since {one.since}", set(one.seqs)
        if one.seqs != sorted(told):
            broken.append(f"watch: {what}: not once and in order")
        if told - real:
            broken.append(f"watch: {what}: saw {sorted(told - real)[:5]}, which is no change")
        missed = [seq for seq in truth.changes if one.since < seq <= one.seqs[-1]]
        if not truth.is_thinned and (gone := sorted(set(missed) - told)):
            broken.append(f"watch: {what}: missed {gone[:5]} of {len(missed)}")
    return broken


def jobs_done_once(
    chain: str, done: Sequence[str], left: Iterable[str], notes: Iterable[AnyNote]
) -> list[str]:
    """Each job that is gone was done once, none that is left was done.

    Args:
        done: the jobs that were done, as often as they were. left: those that are there still.
    """
    counts = Counter(done)
    broken = [f"job {name} of {chain} was done {n} times" for name, n in counts.items() if n > 1]
    waiting = set(left)
    broken += [f"job {name} of {chain} was done and is there" for name in waiting if counts[name]]
    for one in notes:
        if isinstance(one, Deed) and one.kind == "push" and one.outcome == "ok":
            name = one.token.strip("<>")
            if one.chain == chain and not counts[name] and name not in waiting:
                broken.append(f"job {name} of {chain} vanished undone")
    return broken
