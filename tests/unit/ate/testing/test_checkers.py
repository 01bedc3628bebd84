"""Clean runs of an honest server pass; for each promise, histories that break it are caught."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from ate.crypto.hash import digest
from ate.errors import UsageError
from ate.merkle import Frontier
from ate.testing.checkers import CHECKERS, check
from ate.testing.history import (
    Answer,
    Append,
    Case,
    Entry,
    FinalLog,
    Follower,
    Head,
    History,
    Lookup,
    Mended,
    Operation,
    Read,
    Revoke,
    Snapshot,
    Stated,
)
from ate.testing.simloop import SimLoop


def leaf(number: int) -> str:
    return digest(b"commit %d" % number).hex()


def append(
    id: str,
    place: tuple[int, int, int],
    times: tuple[float, float | None],
    outcome: str = "ok",
    *,
    call: dict[str, object] | None = None,
    **answer: object,
) -> Operation:
    """An attempt of (device, lsn) whose digest is that of its number, in chain "c"."""
    device, lsn, number = place
    made = Append("c", device, 1, lsn, leaf(number), **(call or {}))  # type: ignore[arg-type]
    return Operation(id, id[0], made, *times, outcome, Answer(**answer))  # type: ignore[arg-type]


def entry(number: int, device: int, lsn: int, **more: object) -> Entry:
    """The commit at seq `number`, which is at index `number` - 1."""
    return Entry(number, number - 1, leaf(number), device, 1, lsn, **more)  # type: ignore[arg-type]


def clean() -> Case:
    """Two clients and two servers; every kind of operation, one retry, one unknown outcome."""
    entries = [
        Entry(1, 0, leaf(1)),
        entry(2, 10, 1, lease="l", fence=1),
        entry(3, 20, 1),
        entry(4, 10, 2, lease="l", fence=2),
        entry(5, 20, 2),
        entry(6, 10, 3),
    ]
    fence = [{"lease": "l", "fence": 1}, {"lease": "l", "fence": 2}]
    root = Frontier.of(bytes.fromhex(one.digest) for one in entries[:4]).root()
    return Case(
        operations=[
            append("a1", (10, 1, 2), (1, 3), seq=2, index=1, call=fence[0]),
            append("b1", (20, 1, 3), (2, None), "info"),
            append("b2", (20, 1, 3), (4, 5), seq=3, index=2, call={"at": None}),
            append("b3", (20, 7, 99), (5.1, 5.2), "fail", code="conflict", head=3, call={"at": 2}),
            append("a2", (10, 2, 4), (6, 7), seq=4, index=3, call={"at": 3, **fence[1]}),
            Operation("a3", "a", Head("c"), 8, 9, "ok", Answer(head=4)),
            append("b4", (20, 2, 5), (8.5, None), "info"),
            append("a4", (10, 3, 6), (10, 12), seq=6, index=5),
            Operation("b5", "b", Lookup("c", 20, 1, 1), 10, 11, "ok", Answer(seq=3)),
            Operation("b6", "b", Lookup("c", 20, 1, 9), 10, 11, "ok", Answer(seq=0)),
            Operation("b7", "b", Read("c", 2), 11, 12, "ok", Answer(
                entries=[(number, leaf(number)) for number in (2, 3, 4)])),
            Operation("b8", "b", Read("c", 3, fresh=True), 13, 14, "ok", Answer(
                entries=[(number, leaf(number)) for number in (3, 4, 5, 6)])),
            Operation("a5", "a", Revoke("c", 20), 15, 16, "ok"),
        ],
        logs=[FinalLog("s1", "c", entries), FinalLog("s2", "c", list(entries))],
        stated=[Stated("c", 4, root, "receipt of a2"), Stated("c", 0, Frontier().root(), "s1")],
        snapshots=[
            Snapshot("c", 6, "state", "origins", "before compaction"),
            Snapshot("c", 6, "state", "origins", "after compaction"),
        ],
        revoke_bound_s=1.0,
        followers=[Follower("a", "c", 0, [(1, 1), (12, 6)])],
        mended=[Mended("c", 13, 6)],
    )  # fmt: skip


def operation(case: Case, id: str, **changes: object) -> Case:
    """Change one operation; fields of its call and its answer by name."""
    made = []
    for old in case.operations:
        one = old
        if one.id == id:
            call = {key: changes[key] for key in changes if hasattr(one.call, key)}
            answer = {key: changes[key] for key in changes if hasattr(one.answer, key)}
            rest = {key: changes[key] for key in changes if key in {"outcome", "invoked", "done"}}
            one = replace(
                one,
                call=msgspec.structs.replace(one.call, **call),
                answer=msgspec.structs.replace(one.answer, **answer),
                **rest,  # type: ignore[arg-type]
            )
        made.append(one)
    return replace(case, operations=made)


def more(case: Case, *operations: Operation) -> Case:
    return replace(case, operations=[*case.operations, *operations])


def logs(case: Case, change: Callable[[list[Entry]], object], *, both: bool = True) -> Case:
    """Change the final log, of the first server or of both."""
    made = []
    for number, log in enumerate(case.logs):
        entries = list(log.entries)
        if both or not number:
            change(entries)
        made.append(replace(log, entries=entries))
    return replace(case, logs=made)


def put(at: int, **changes: object) -> Callable[[list[Entry]], object]:
    def change(entries: list[Entry]) -> None:
        entries[at] = replace(entries[at], **changes)  # type: ignore[arg-type]

    return change


def swap(entries: list[Entry]) -> None:
    """Exchange what device 10 sent at seq 4 and at seq 6."""
    entries[3], entries[5] = (
        replace(entries[5], seq=4, index=3),
        replace(entries[3], seq=6, index=5),
    )


NOBODY = Operation("x1", "x", Revoke("c", 20), 0, 0.5, "ok")

#: name of the promise, what breaks it, what its message says.
BROKEN: list[tuple[str, Case, str]] = [
    ("C1", logs(clean(), lambda e: e.pop(5), both=False), "a4 .* s1 does not have"),
    ("C1", logs(clean(), put(3, digest=leaf(77))), "a2 .* s1 has "),
    ("C1", replace(clean(), logs=[]), "a1 .* nobody has the chain"),
    ("C1", operation(clean(), "a4", seq=9, index=8), "a4 .* acknowledged at 9"),
    ("C1", operation(clean(), "b5", seq=9), "b5 .* acknowledged at 9, which s1"),
    ("C1", operation(clean(), "b5", seq=4), "b5 .* acknowledged at 4, .* lsn 2 of device 10"),
    ("C2", logs(clean(), lambda e: e.append(entry(7, 10, 3))), "lsn 3 .* at 6 and at 7"),
    ("C2", operation(clean(), "b5", seq=4), "b5 .* told seq 4, and b2 .* told 3"),
    ("C2", operation(clean(), "b5", seq=0), "b5 .* told seq 0, and b2 .* told 3"),
    ("C2", more(clean(), append("b9", (20, 1, 3), (20, 21), seq=8)), "b9 .* told seq 8"),
    ("C3", logs(clean(), put(4, lsn=55)), "at 5, which nobody sent"),
    ("C3", logs(clean(), put(4, digest=leaf(78))), "at 5, and b4 .* sent"),
    ("C3", logs(clean(), lambda e: e.append(replace(entry(7, 20, 7), digest=leaf(99)))),
     "at 7, and b3 .* was refused: conflict"),
    ("C3", more(clean(), append("b9", (20, 2, 5), (9, 10), "fail", code="lsn_gap")),
     "at 5, and b9 .* was refused: lsn_gap"),
    ("C4", logs(clean(), put(4, digest=leaf(78)), both=False), "s2: seq 5 of c is"),
    ("C4", operation(clean(), "b7", entries=[(2, leaf(2)), (3, leaf(79))]), "b7 .* seq 3 of c is"),
    ("C4", logs(clean(), lambda e: e.pop(4)), "commit 3 at 4 is followed by commit 5 at 6"),
    ("C4", logs(clean(), put(5, seq=5)), "commit 4 at 5 is followed by commit 5 at 5"),
    ("C5", operation(operation(clean(), "a2", seq=6), "a4", seq=4), "a4 .* is at 4.* a2"),
    ("C5", operation(clean(), "b4", invoked=12.5), "b4 .* is at 5, .* a4"),
    ("C6", operation(clean(), "a3", head=3), "a3 .* shows 3, and a2"),
    ("C6", operation(clean(), "a3", head=6), "a3 .* shows 6, which a4 .* sent later"),
    ("C6", operation(clean(), "b8", entries=[(3, leaf(3)), (4, leaf(4))]), "b8 .* and a4"),
    ("C6", operation(clean(), "b7", entries=[(2, leaf(2)), (4, leaf(4))]), "b7 .* 4 behind 2"),
    ("C6", operation(clean(), "b7", entries=[(3, leaf(3))]), "b7 .* begins at 3"),
    ("C6", more(clean(), Operation("b9", "b", Head("c", fresh=False), 20, 21, "ok",
                                   Answer(head=5))), "b9 .* shows 5, and b8 .* showed 6"),
    ("C7", logs(clean(), swap), "lsn 2 of session 1 of device 10 is at 6, behind lsn 3"),
    ("C7", logs(clean(), put(4, lsn=0), both=False), "s1: in c, lsn 0 .* behind lsn 1"),
    ("C8", operation(clean(), "a2", at=2), "a2 .* is at 4, not behind 2"),
    ("C8", operation(clean(), "b2", at=3), "a2 .* and b2 .* both follow 3"),
    ("C8", operation(clean(), "b3", head=2), "b3 .* told a head of 2"),
    ("C8", operation(clean(), "b3", head=6), "b3 .* told a head of 6"),
    ("C8", operation(clean(), "b3", head=None, at=3), "b3 .* no conflict, the head was 3"),
    ("C9", logs(clean(), put(4, lease="l", fence=1)), "at 5 has fence 1 .* behind fence 2 at 4"),
    ("C9", logs(clean(), put(1, fence=3)), "at 4 has fence 2 .* behind fence 3 at 2"),
    ("C10", replace(clean(), stated=[Stated("c", 4, bytes(32), "receipt of a2")]),
     "receipt of a2: a root over 4 commits of c that is not in the log of s1"),
    ("C10", replace(clean(), stated=[Stated("c", 7, bytes(32), "s2")]), "s2: .* has fewer"),
    ("C10", replace(clean(), stated=[Stated("d", 1, bytes(32), "s2")]), "of d, which nobody has"),
    ("C11", replace(clean(), snapshots=[*clean().snapshots,
                                        Snapshot("c", 6, "other", "origins", "after restart")]),
     "after restart: the objects of c at 6"),
    ("C11", replace(clean(), snapshots=[*clean().snapshots,
                                        Snapshot("c", 6, "state", "other", "after move")]),
     "after move: the origins of c at 6"),
    ("C12", replace(clean(), followers=[Follower("f", "c", 0, [(1, 6), (2, 5)])]),
     "f was told a length of 5 of c at 2, and 6 before"),
    ("C12", replace(clean(), mended=[Mended("c", 16, 7)]), "a was told a length of 6 .* never"),
    ("C13", operation(clean(), "a5", seq=4), "lsn 2 of device 20 is at 5, behind a5 .* at 4"),
    ("C13", operation(clean(), "a5", invoked=1, done=2), "b4 .* is at 5, though a5"),
    ("C13", more(operation(clean(), "b1", invoked=2.5), NOBODY), "b2 .* is at 3, though x1"),
]  # fmt: skip


def test_a_clean_run_passes() -> None:
    assert check(clean()) == []


@pytest.mark.parametrize(
    "name, case, text", BROKEN, ids=[f"{name}-{text[:20]}" for name, _, text in BROKEN]
)
def test_a_broken_promise_is_caught(name: str, case: Case, text: str) -> None:
    found = CHECKERS[name](case)
    assert any(re.search(text, line) for line in found), found


def test_each_promise_is_broken_at_least_twice() -> None:
    for name in CHECKERS:
        assert sum(one == name for one, _, _ in BROKEN) >= 2


def test_what_was_compacted_is_not_missed() -> None:
    case = clean()
    leaves = [bytes.fromhex(one.digest) for one in case.logs[0].entries]
    kept = [one for one in case.logs[0].entries if one.index not in {1, 2}]
    small = FinalLog("s3", "c", kept, cut=4, leaves=leaves)
    assert check(replace(case, logs=[*case.logs, small])) == []
    with pytest.raises(UsageError, match="give all its leaves"):
        check(replace(case, logs=[replace(small, leaves=())]))
    lost = replace(small, entries=kept[:-1])
    assert any("a4" in line for line in check(replace(case, logs=[lost])))


def test_a_conflict_that_may_have_been_is_believed() -> None:
    case = operation(clean(), "b3", at=3, head=None, done=8)
    assert check(case) == []
    foreign = logs(case, lambda e: e.append(Entry(7, 6, leaf(7))))
    assert check(foreign) == []


class Honest:
    """A server that keeps its promises, and clients that overlap, retry and lose answers."""

    def __init__(self, loop: SimLoop) -> None:
        self.loop, self.history = loop, History(loop.time)
        self.entries: list[Entry] = []
        self.known: dict[tuple[int, int], Answer] = {}

    @property
    def head(self) -> int:
        return self.entries[-1].last if self.entries else 0

    def apply(self, call: Append) -> Answer:
        if (call.device, call.lsn) not in self.known:
            if call.at not in {None, self.head}:
                return Answer(code="conflict", head=self.head)
            seq, index = self.head + 1, len(self.entries)
            origin = (call.device, call.session, call.lsn)
            self.entries.append(Entry(seq, index, call.digest, *origin, rows=call.rows))
            self.known[call.device, call.lsn] = Answer(seq=seq, index=index)
        return self.known[call.device, call.lsn]

    async def client(self, device: int) -> None:
        chance, name = self.loop.chance(f"client {device}"), f"client {device}"
        for lsn in range(1, 60):
            at = chance.choice((None, None, self.head, max(self.head - 1, 0)))
            rows = 1 + chance.below(3)
            call = Append("c", device, 1, lsn, leaf(100 * device + lsn), at=at, rows=rows)
            for _ in range(3):
                operation = self.history.invoke(name, call)
                await self.loop.pause(0.001 + chance.below(100) / 1000)
                answer = self.apply(call) if chance.happens(90) else None
                await self.loop.pause(0.001 + chance.below(100) / 1000)
                if answer is not None and chance.happens(90):
                    (self.history.fail if answer.code else self.history.ok)(operation, answer)
                    break
            operation = self.history.invoke(name, Head("c"))
            await self.loop.pause(0.001)
            answer = Answer(head=self.head)
            await self.loop.pause(0.001)
            self.history.ok(operation, answer)


def honest(seed: int) -> Case:
    loop = SimLoop(seed)
    model = Honest(loop)

    async def main() -> None:
        await asyncio.gather(*(model.client(device) for device in range(1, 5)))

    loop.run(main)
    frontier = Frontier.of(bytes.fromhex(one.digest) for one in model.entries)
    stated = [Stated("c", frontier.size, frontier.root(), "s1")]
    return Case(model.history.operations, [FinalLog("s1", "c", model.entries)], stated)


def test_honest_servers_pass() -> None:
    for seed in range(5):
        assert check(honest(seed)) == []


def test_a_commit_that_is_lost_anywhere_is_caught() -> None:
    case = honest(3)
    for index in range(0, len(case.logs[0].entries), 17):
        without = list(case.logs[0].entries)
        del without[index]
        assert check(replace(case, logs=[replace(case.logs[0], entries=without)]))


def test_exchanging_two_acknowledged_commits_is_caught() -> None:
    case = honest(4)
    entries = case.logs[0].entries
    for index in range(0, len(entries) - 1, 23):
        first, second = entries[index], entries[index + 1]
        changed = list(entries)
        changed[index] = replace(second, seq=first.seq, index=first.index)
        changed[index + 1] = replace(first, seq=first.seq + second.rows, index=second.index)
        assert check(replace(case, logs=[replace(case.logs[0], entries=changed)]))
