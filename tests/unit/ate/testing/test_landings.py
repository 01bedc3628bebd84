from __future__ import annotations

from math import inf

import pytest

from ate.errors import UsageError
from ate.merkle import EMPTY_ROOT, Frontier, leaf_hash
from ate.testing.history import (
    Answer,
    Append,
    Case,
    Entry,
    FinalLog,
    Head,
    Lookup,
    Operation,
    Read,
)
from ate.testing.landings import (
    Highest,
    appends,
    by_chain,
    check_prefix,
    end_of,
    entries_of,
    head_of,
    landings,
    reads,
    roots_of,
    short,
    sightings,
    with_origin,
)

LEAVES = [leaf_hash(b"%d" % number) for number in range(4)]


def sent(
    id: str, lsn: int, invoked: float, done: float | None = None, *, seq: int = 0, chain: str = "c"
) -> Operation:
    call = Append(chain, 1, 1, lsn, LEAVES[lsn].hex(), rows=2)
    if done is None:
        return Operation(id, "x", call, invoked)
    return Operation(id, "x", call, invoked, done, "ok" if seq else "fail", Answer(seq=seq))


def log(*numbers: int, server: str = "s", cut: int = 0) -> FinalLog:
    entries = [Entry(1 + 2 * n, n, LEAVES[n].hex(), 1, 1, n, rows=2) for n in numbers]
    return FinalLog(server, "c", entries, cut)


def test_the_highest_value_before_a_moment() -> None:
    one, two = sent("one", 1, 1.0), sent("two", 2, 2.0)
    highest = Highest([(3.0, 5, one), (4.0, 2, one), (5.0, 7, two), (inf, 9, None)])
    assert highest.before(3.0) == (0, None)
    assert highest.before(3.5) == highest.before(5.0) == (5, one)
    assert highest.before(6.0) == (7, two)
    assert Highest([]).before(1.0) == (0, None)


def test_attempts_are_one_commit() -> None:
    case = Case([
        sent("lost", 1, 1.0),
        sent("told", 1, 4.0, 5.0, seq=3),
        sent("told later", 1, 4.0, 6.0, seq=3),
        sent("never told", 2, 2.0),
        sent("refused", 3, 2.0, 3.0),
        sent("elsewhere", 1, 0.0, 1.0, seq=9, chain="d"),
    ], [log(1, 2)])  # fmt: skip
    told, untold = landings(case)["c"]
    assert (told.invoked, told.done, told.seq, told.last) == (1.0, 5.0, 3, 4)
    assert (told.operation.id, told.chain) == ("told", "c")
    assert (untold.invoked, untold.done, untold.seq) == (2.0, inf, 5)
    assert [one.seq for one in landings(case)["d"]] == [9]
    assert len(list(appends(case))) == 6


def test_reads_are_those_that_were_answered() -> None:
    case = Case([
        Operation("late", "x", Read("c", 1), 3.0, 4.0, "ok", Answer()),
        Operation("early", "x", Head("c"), 1.0, 2.0, "ok", Answer(head=7)),
        Operation("open", "x", Head("c"), 1.0),
        Operation("other", "x", Lookup("c", 1, 1, 1), 1.0, 2.0, "ok"),
    ])  # fmt: skip
    assert [operation.id for operation, _ in reads(case)["c"]] == ["early", "late"]
    assert end_of(case.operations[2]) == inf
    assert end_of(case.operations[0]) == 4.0


def test_the_head_that_a_read_shows() -> None:
    entries = [(3, "ab"), (5, "cd")]
    for call, answer, head in (
        (Head("c"), Answer(head=4), 4),
        (Head("c"), Answer(), None),
        (Read("c", 3), Answer(entries=entries), None),
        (Read("c", 3, fresh=True), Answer(entries=entries), 5),
        (Read("c", 3), Answer(entries=entries, head=6), 6),
        (Read("c", 3, fresh=True), Answer(), 2),
    ):
        assert head_of(Operation("x", "x", call, 1.0, 2.0, "ok", answer), call) == head


def test_logs_of_a_chain() -> None:
    logs = [log(1, 2), log(1, 3, server="t"), FinalLog("t", "d", [])]
    assert {chain: len(found) for chain, found in by_chain(logs).items()} == {"c": 2, "d": 1}
    assert [entry.index for entry in entries_of(Case((), logs))["c"]] == [1, 2, 3]
    foreign = FinalLog("s", "c", [Entry(1, 0, "ab"), *log(1).entries])
    assert [entry.index for entry in with_origin(foreign)] == [1]


def test_who_saw_which_hash() -> None:
    read = Operation("r", "x", Read("c", 1), 1.0, 2.0, "ok", Answer(entries=[(5, "ab")]))
    case = Case([sent("a", 1, 1.0, 2.0, seq=3), sent("lost", 2, 1.0), read], [log(2)])
    seen = [(seq, who.split()[0]) for _, seq, _, who in sightings(case)]
    assert seen == [(5, "the"), (3, "a"), (5, "r")]
    assert short("0123456789") == "01234567"


@pytest.mark.parametrize(
    "seqs, broken",
    [((1, 3, 5), 0), ((), 0), ((1, 5), 1), ((3, 5), 1), ((1, 3, 3), 1), ((1, 5, 3), 2)],
)
def test_a_read_is_a_run_of_the_log(seqs: tuple[int, ...], broken: int) -> None:
    call = Read("c", 1)
    answer = Answer(entries=[(seq, "ab") for seq in seqs])
    operation = Operation("r", "x", call, 1.0, 2.0, "ok", answer)
    assert len(list(check_prefix(operation, call, {1: 3, 3: 5}))) == broken


def test_roots_of_the_sizes_there_are() -> None:
    found = roots_of(log(0, 1, 2), [0, 2, 3, 9])
    assert found == {
        0: EMPTY_ROOT,
        2: Frontier.of(LEAVES[:2]).root(),
        3: Frontier.of(LEAVES[:3]).root(),
    }
    assert 0 not in roots_of(log(0, 1), [1])
    with pytest.raises(UsageError, match="give all its leaves"):
        roots_of(log(2, cut=2), [3])
    whole = FinalLog("s", "c", log(2).entries, cut=2, leaves=LEAVES[:3])
    assert roots_of(whole, [3]) == {3: found[3]}
