from __future__ import annotations

import numpy as np

from ate.chain.run import COLUMNS, U64, Run


def column(*values: int) -> U64:
    return np.array(values, np.uint64)


def id_of(high: int, low: int) -> bytes:
    return high.to_bytes(8, "little") + low.to_bytes(8, "little")


def run_of(*rows: tuple[int, int, int]) -> Run:
    """Make a run of (high, low, seq); creation and child key follow from the seq."""
    high, low, seq = (column(*(row[at] for row in rows)) for at in range(3))
    return Run.of(high, low, seq, seq + np.uint64(100), seq % np.uint64(3))


def rows(run: Run) -> list[tuple[int, ...]]:
    return [tuple(int(getattr(run, name)[at]) for name in COLUMNS) for at in range(len(run))]


def test_rows_are_sorted_by_id_and_each_is_found() -> None:
    run = run_of((9, 1, 1), (3, 7, 2), (5, 5, 3), (1 << 63, 0, 4))
    assert run.high.tolist() == [3, 5, 9, 1 << 63]
    assert [int(run.seq[run.position(id_of(*one))]) for one in ((9, 1), (3, 7), (5, 5))] == [
        1,
        2,
        3,
    ]
    assert run.position(id_of(1 << 63, 0)) == 3
    assert run.position(id_of(1 << 63, 1)) == -1
    assert run.position(id_of(4, 4)) == -1
    assert run.position(id_of((1 << 64) - 1, 0)) == -1


def test_ids_that_share_their_first_half_are_told_apart() -> None:
    run = run_of((7, 3, 1), (7, 1, 2), (7, 2, 3), (8, 0, 4))
    assert run.low.tolist() == [1, 2, 3, 0]
    assert [run.position(id_of(7, low)) for low in (1, 2, 3, 4, 0)] == [0, 1, 2, -1, -1]
    high, low = column(7, 7, 7, 7, 8, 9, 0), column(2, 0, 3, 4, 0, 0, 0)
    assert run.positions(high, low).tolist() == [1, -1, 2, -1, 3, -1, -1]


def test_merging_keeps_the_order_and_the_newer_word() -> None:
    old = run_of((1, 1, 1), (3, 1, 2), (3, 2, 3), (9, 9, 4))
    new = run_of((0, 5, 10), (3, 2, 11), (3, 3, 12), (10, 0, 13))
    merged = old.merged(new)
    pairs = list(zip(merged.high.tolist(), merged.low.tolist(), strict=True))
    assert pairs == [(0, 5), (1, 1), (3, 1), (3, 2), (3, 3), (9, 9), (10, 0)]
    assert merged.seq.tolist() == [10, 1, 2, 11, 12, 4, 13]
    assert merged.created.tolist() == [110, 101, 102, 111, 112, 104, 113]
    assert rows(old)[2] == (3, 2, 3, 103, 0), "runs never change, others may still read them"


def test_merging_runs_without_a_common_id_copies_nothing_over() -> None:
    merged = run_of((2, 0, 1)).merged(run_of((1, 0, 2), (3, 0, 3)))
    assert merged.seq.tolist() == [2, 1, 3]


def test_children_lie_between_two_keys() -> None:
    run = run_of(*((number, 0, number) for number in range(1, 10)))
    assert sorted(run.seq[run.filed(1, 1)].tolist()) == [1, 4, 7]
    assert sorted(run.seq[run.filed(0, 1)].tolist()) == [1, 3, 4, 6, 7, 9]
    assert run.filed(3, 1 << 63).tolist() == []
    assert len(run.filed(0, (1 << 64) - 1)) == 9


def test_the_order_of_children_is_computed_once_or_taken_from_a_snapshot() -> None:
    run = run_of((1, 0, 5), (2, 0, 4), (3, 0, 3))
    order = run.order()
    assert order is run.order()
    assert order.dtype == np.uint32
    again = Run(run.high, run.low, run.seq, run.created, run.child, order=order)
    assert again.order() is order
