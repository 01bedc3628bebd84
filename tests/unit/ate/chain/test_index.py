from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from ate.chain.index import DEAD, SEQ_MASK, SYSTEM, Index, child_key
from ate.chain.run import U64

PARENT = bytes(range(16))
OTHER = bytes(range(40, 56, 2)) + bytes(8)


def id_of(number: int) -> bytes:
    """Make ids whose order is not that of the numbers."""
    return (number * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "little") + bytes(8)


def put(index: Index, *numbers: int, seq: int = 0, parent: bytes = PARENT) -> None:
    for number in numbers:
        index.put(id_of(number), seq or number, number & SEQ_MASK, child_key(parent, 0))


def put_many(index: Index, numbers: Iterable[int], flags: int = 0, parent: bytes = PARENT) -> None:
    """Fold in a commit as the view does."""
    seqs = np.array(list(numbers), np.uint64)
    ids = [id_of(number) for number in seqs.tolist()]
    pairs = np.frombuffer(b"".join(ids), np.uint64).reshape(-1, 2)
    child = np.full(len(seqs), child_key(parent, 0), np.uint64)
    before = index.locate_many(ids)
    index.put_many(pairs[:, 0], pairs[:, 1], seqs | np.uint64(flags), seqs, child, before=before)


def test_an_empty_index_knows_nothing() -> None:
    index = Index()
    assert index.locate(PARENT) == index.created_at(PARENT) == index.live == 0
    assert index.locate_many([PARENT] * 30) == [0] * 30
    assert index.children(PARENT, 0) == index.below(PARENT) == index.all() == []
    assert all(len(column) == 0 for column in index.columns())


def test_the_newest_row_of_an_object_counts_and_its_creation_stays() -> None:
    index = Index()
    put(index, 1, 2)
    index.put(id_of(1), 3, 1, child_key(PARENT, 0))
    assert index.locate(id_of(1)) == 3
    assert index.created_at(id_of(1)) == 1
    assert index.created_at(id_of(9)) == 0
    assert index.live == 2
    assert index.children(PARENT, 0) == [3, 2], "in order of creation"


def test_deleted_and_system_rows_are_not_alive() -> None:
    index = Index()
    put(index, 1, 2)
    index.put(id_of(7), 3 | SYSTEM, 3, child_key(OTHER, 0))
    index.put(id_of(1), 4 | DEAD, 1, child_key(PARENT, 0))
    assert index.locate(id_of(1)) == 4 | DEAD
    assert index.live == 1
    assert index.all() == [2]
    assert index.children(PARENT, 0) == [4 | DEAD, 2], "the reader of the rows leaves it out"


def test_a_tombstone_that_is_written_over_lives_again() -> None:
    index = Index()
    put(index, 1)
    index.put(id_of(1), 2 | DEAD, 1, child_key(PARENT, 0))
    assert index.live == 0
    index.put(id_of(1), 3, 3, child_key(PARENT, 0))
    assert index.live == 1
    assert index.all() == [3]


@pytest.mark.parametrize("count", [10, 5000, 20_000])
def test_a_commit_at_once_equals_its_rows_one_by_one(count: int) -> None:
    """10 goes into the tail, 5000 is a run of its own, 20 000 singles seal the tail on the way."""
    one_by_one, at_once = Index(), Index()
    put(one_by_one, *range(1, count + 1))
    put_many(at_once, range(1, count + 1))
    some = [id_of(number) for number in range(0, count + 2, 7)]
    assert one_by_one.locate_many(some) == at_once.locate_many(some)
    assert [one_by_one.locate(one) for one in some] == [at_once.locate(one) for one in some]
    assert one_by_one.live == at_once.live == count
    assert one_by_one.all() == at_once.all() == list(range(1, count + 1))
    assert one_by_one.children(PARENT, 0) == at_once.children(PARENT, 0)
    assert [c.tolist() for c in one_by_one.columns()] == [c.tolist() for c in at_once.columns()]


def test_newer_commits_hide_older_rows_in_every_layer() -> None:
    index = Index()
    put_many(index, range(1, 30_001))
    for number in range(1, 30_001, 100):
        index.put(id_of(number), 30_000 + number, number, child_key(OTHER, 0))
    assert index.live == 30_000
    assert len(index.children(OTHER, 0)) == 300
    assert len(index.children(PARENT, 0)) == 29_700
    put_many(index, range(1, 5001), DEAD)
    assert index.live == 25_000
    assert index.created_at(id_of(7)) == 7
    assert len(index.all()) == 25_000
    assert index.locate(id_of(4999)) == 4999 | DEAD


def test_a_commit_that_fills_the_tail_becomes_a_run() -> None:
    index = Index()
    for start in range(1, 40_001, 4000):
        put_many(index, range(start, start + 4000))
    assert index.all() == list(range(1, 40_001))


def test_children_of_other_collections_and_parents_are_filed_apart() -> None:
    index = Index()
    for number, (parent, collection) in enumerate([(PARENT, 0), (PARENT, 5), (OTHER, 5)], 1):
        index.put(id_of(number), number, number, child_key(parent, collection))
    assert index.children(PARENT, 5) == [2]
    assert index.children(PARENT, 0) == [1]
    assert index.below(PARENT) == [1, 2]
    assert index.below(OTHER) == [3]


def test_child_keys_keep_parent_and_collection_apart() -> None:
    assert child_key(PARENT, 1) != child_key(PARENT, 2)
    assert child_key(PARENT, 1) >> 24 == child_key(PARENT, 2) >> 24
    assert child_key(PARENT, 1) >> 24 != child_key(OTHER, 1) >> 24
    assert child_key(PARENT, 1 << 24 | 1) == child_key(PARENT, 1)


def test_parents_whose_keys_collide_are_filed_together_and_left_to_the_reader() -> None:
    twin = bytes(range(16, 32))
    assert child_key(PARENT, 0) == child_key(twin, 0)
    index = Index()
    put(index, 1)
    put(index, 2, parent=twin)
    assert index.children(PARENT, 0) == index.children(twin, 0) == [1, 2]


@pytest.mark.parametrize("rows", [1, 300, 20_000])
def test_a_snapshot_gives_the_same_index_back(rows: int) -> None:
    index = Index()
    put_many(index, range(1, rows + 1))
    put(index, 1, seq=rows + 1)
    columns = index.columns()
    again = Index()
    values: list[U64] = [np.frombuffer(c.tobytes(), np.uint64) for c in columns[:5]]
    again.adopt(values, np.frombuffer(columns[5].tobytes(), np.uint32), index.live)
    assert again.live == rows
    assert again.all() == index.all()
    assert again.children(PARENT, 0) == index.children(PARENT, 0)
    put(again, rows + 5)
    assert again.live == rows + 1, "read-only columns do not keep it from growing"
    assert again.locate(id_of(1)) == rows + 1


def test_an_empty_snapshot_gives_an_empty_index_back() -> None:
    again = Index()
    columns = Index().columns()
    again.adopt(
        [np.frombuffer(c.tobytes(), np.uint64) for c in columns[:5]], np.empty(0, np.uint32), 0
    )
    assert again.locate_many([PARENT] * 30) == [0] * 30
    assert again.all() == []
