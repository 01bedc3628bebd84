"""The index against a dictionary: commits, deletions, merges and snapshots in any mix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ate.chain.index import DEAD, SEQ_MASK, SYSTEM, Index, child_key
from ate.chain.run import U64

PARENTS = [bytes(16), *(bytes([number]) * 8 + bytes(8) for number in range(1, 4))]
#: Two first halves for all ids: nearly every pair of them collides there.
HALVES = (bytes(8), b"\xff" * 8, (1 << 40).to_bytes(8, "little"))


def id_of(number: int) -> bytes:
    return HALVES[number % 3] + (number // 3).to_bytes(8, "little")


@dataclass(order=True)
class Known:
    seq: int
    created: int
    parent: bytes
    collection: int
    flag: int = 0


class Pair:
    """The index and its model, fed the same."""

    def __init__(self) -> None:
        self.index = Index()
        self.model: dict[bytes, Known] = {}
        self.seq = 0

    def rows(self, numbers: list[int], flag: int, place: tuple[int, int]) -> None:
        """Give some objects a new newest row, in one commit."""
        parent, collection = PARENTS[place[0]], place[1]
        ids = [id_of(number) for number in dict.fromkeys(numbers)]
        before = self.index.locate_many(ids)
        assert before == [self.flagged(one) for one in ids]
        seqs, created = [], []
        for one in ids:
            self.seq += 1
            old = self.model.get(one)
            self.model[one] = Known(
                self.seq, old.created if old else self.seq, parent, collection, flag
            )
            seqs.append(self.seq | flag)
            created.append(self.model[one].created)
        child = child_key(parent, collection)
        if len(ids) < 4:
            for one, seq, first in zip(ids, seqs, created, strict=True):
                self.index.put(one, seq, first, child)
            return
        pairs = np.frombuffer(b"".join(ids), np.uint64).reshape(-1, 2)
        high, low = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
        newest, born = np.array(seqs, np.uint64), np.array(created, np.uint64)
        filed = np.full(len(ids), child, np.uint64)
        self.index.put_many(high, low, newest, born, filed, before=before)

    def flagged(self, object_id: bytes) -> int:
        known = self.model.get(object_id)
        return known.seq | known.flag if known else 0

    def merge(self) -> None:
        """Make a run of what is at hand, as a full tail would."""
        self.index._seal_tail()

    def snapshot(self) -> None:
        """Write all columns and take them up again, read-only, as a mapped file gives them."""
        columns = [column.tobytes() for column in self.index.columns()]
        values: list[U64] = [np.frombuffer(column, np.uint64) for column in columns[:5]]
        fresh = Index()
        fresh.adopt(values, np.frombuffer(columns[5], np.uint32), self.index.live)
        self.index = fresh

    def check(self, numbers: range) -> None:
        index, model = self.index, self.model
        ids = [id_of(number) for number in numbers]
        wanted = [self.flagged(one) for one in ids]
        assert index.locate_many(ids) == wanted
        assert [index.locate(one) for one in ids] == wanted
        assert [index.created_at(one) for one in ids] == [
            model[one].created if one in model else 0 for one in ids
        ]
        alive = sorted(known.seq for known in model.values() if not known.flag)
        assert index.all() == alive
        assert index.live == len(alive)
        for parent in PARENTS:
            mine = sorted((k.created, k) for k in model.values() if k.parent == parent)
            assert index.below(parent) == [k.seq | k.flag for _, k in mine]
            for collection in (0, 7):
                filed = [k.seq | k.flag for _, k in mine if k.collection == collection]
                assert index.children(parent, collection) == filed
        assert all(seq & SEQ_MASK for seq in wanted if seq)


numbers = st.integers(0, 120)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.lists(numbers, min_size=1, max_size=40),
            st.sampled_from((0, 0, 0, DEAD, SYSTEM)),
            st.tuples(st.integers(0, 3), st.sampled_from((0, 7))),
        ),
        st.sampled_from(("merge", "merge", "snapshot")),
    ),
    max_size=40,
)


@given(steps)
def test_small_commits_and_many_merges(program: list[object]) -> None:
    pair = Pair()
    for step in program:
        if step == "merge":
            pair.merge()
        elif step == "snapshot":
            pair.snapshot()
        else:
            pair.rows(*step)  # type: ignore[misc]
    pair.check(range(125))
    pair.snapshot()
    pair.check(range(125))


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 9000), numbers), max_size=6))
def test_large_commits_over_each_other(program: list[tuple[int, int, int]]) -> None:
    """Commits of that many rows become runs at once; the tail fills and is sealed on the way."""
    pair = Pair()
    for start, count, small in program:
        pair.rows(list(range(start, start + count)), 0, (small % 4, 0))
        pair.rows([small, small + 1], DEAD if small % 2 else 0, (small % 3, 7))
    pair.check(range(0, 30_000, 997))
