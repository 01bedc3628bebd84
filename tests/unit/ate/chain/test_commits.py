from __future__ import annotations

import pytest

from ate.chain.commits import CommitTable


def leaf(first: int) -> bytes:
    return bytes([first]) * 32


def table(*firsts: int) -> CommitTable:
    made = CommitTable()
    for first in firsts:
        made.append(first, first * 1000, leaf(first))
    return made


def reopened(made: CommitTable) -> CommitTable:
    again = CommitTable()
    again.adopt(*made.columns())
    return again


@pytest.mark.parametrize("adopted", [False, True])
def test_every_row_is_found_in_its_commit(adopted: bool) -> None:
    made = table(1, 2, 5, 9)
    if adopted:
        made = reopened(made)
    assert len(made) == 4
    found = [made.find(seq)[0] for seq in (1, 2, 3, 4, 5, 8, 9, 100)]
    assert found == [1, 2, 2, 2, 5, 5, 9, 9]
    assert made.find(7) == (5, 5000)


def test_commits_behind_a_snapshot_are_found_too() -> None:
    made = reopened(table(1, 4))
    made.append(6, 6000, leaf(6))
    made.append(7, 7000, leaf(7))
    assert [made.find(seq) for seq in (1, 3, 4, 5, 6, 7, 8)] == [
        (1, 1000), (1, 1000), (4, 4000), (4, 4000), (6, 6000), (7, 7000), (7, 7000),
    ]  # fmt: skip
    assert [made.place_at(number) for number in range(4)] == [1000, 4000, 6000, 7000]
    first, place, leaves = reopened(made).columns()
    assert first.tolist() == [1, 4, 6, 7]
    assert place.tolist() == [1000, 4000, 6000, 7000]
    assert leaves.tobytes() == b"".join(map(leaf, (1, 4, 6, 7)))
    assert [made.leaf_at(at)[:1] for at in (1000, 4000, 6000, 7000)] == [b"\1", b"\4", b"\6", b"\7"]
    assert [made.leaf_at(at) for at in (0, 999, 1001, 5000, 6001, 9000)] == [b""] * 6


def test_an_empty_table_has_nothing() -> None:
    made = CommitTable()
    assert len(made) == 0
    assert [column.tolist() for column in made.columns()] == [[], [], []]


def test_the_commits_of_a_range_of_rows() -> None:
    made = reopened(table(1, 4))
    made.append(6, 6000, leaf(6))
    made.append(9, 9000, leaf(9))
    assert list(made.between(1, 3)) == [1000]
    assert list(made.between(3, 6)) == [1000, 4000, 6000]
    assert list(made.between(7, 99)) == [6000, 9000]
