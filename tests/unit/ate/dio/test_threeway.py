from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate import limits
from ate.dio import threeway
from ate.dio.threeway import Block, Chunk, Effort, Numbers, align, chunks, numbered

ITEMS = st.lists(st.sampled_from("abcdefgh"), max_size=25)
EDITED = st.tuples(
    st.lists(st.integers(0, 60), max_size=40, unique=True),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4), st.integers(100, 140)), max_size=4),
)


def array(*items: int) -> Numbers:
    return np.array(items, np.int64)


def pieces(*sequences: str, weak: str = "") -> list[Chunk]:
    numbers = numbered(*sequences)
    weak_numbers = frozenset(
        number for text, some in zip(sequences, numbers) for item, number in zip(text, some)
        if item in weak
    )  # fmt: skip
    return list(chunks(*numbers, effort=Effort(), weak=weak_numbers))


def test_equal_items_have_equal_numbers() -> None:
    one, two = numbered("abca", ["c", "x"])
    assert one.tolist() == [0, 1, 2, 0]
    assert two.tolist() == [2, 3]


@given(ITEMS, ITEMS)
def test_an_alignment_is_true_and_in_order(base: list[str], side: list[str]) -> None:
    one, other = numbered(base, side)
    blocks = align(one, other, Effort())
    assert blocks[-1] == Block(len(base), len(side), 0)
    low = left = 0
    for block in blocks:
        assert block.base >= low
        assert block.side >= left
        low, left = block.base + block.size, block.side + block.size
        assert base[block.base : low] == side[block.side : left]
    if base == side:
        assert len(blocks) <= 2


@given(EDITED)
def test_what_was_not_touched_is_found(
    edited: tuple[list[int], list[tuple[int, int, int]]],
) -> None:
    base, edits = edited
    side = list(base)
    for at, gone, new in edits:
        side[at : at + gone] = [new]
    blocks = align(array(*base), array(*side), Effort())
    kept = sum(block.size for block in blocks)
    assert kept == len(set(base) & set(side)), "all are unique, and none has moved"


def test_moves_and_repetitions() -> None:
    base = array(1, 2, 3, 4, 5, 6, 7, 8)
    assert align(base, array(5, 6, 7, 8, 1, 2, 3), Effort())[0] == Block(4, 0, 4)
    assert threeway._ascending([3, 1, 4, 1, 5, 9, 2, 6]) in (
        [1, 2, 4, 7],
        [3, 2, 4, 7],
        [1, 2, 4, 5],
    )
    same = array(*[7] * 20)
    assert sum(block.size for block in align(same, same[:15], Effort())) == 15
    found = align(array(1, 1, 2, 2, 1), array(2, 1, 1, 2), Effort())
    assert sum(block.size for block in found) == 3


@given(ITEMS, ITEMS, ITEMS)
def test_chunks_cover_all_three(base: list[str], ours: list[str], theirs: list[str]) -> None:
    at = [0, 0, 0]
    last: Chunk | None = None
    for chunk in pieces("".join(base), "".join(ours), "".join(theirs)):
        assert [span.start for span in chunk[:3]] == at
        at = [span.end for span in chunk[:3]]
        was, here, there = (
            side[slice(*span)] for side, span in zip((base, ours, theirs), chunk[:3])
        )
        if not chunk.by_us:
            assert was == here
        if not chunk.by_them:
            assert was == there
        if last is not None:
            touched = last.by_us or last.by_them
            assert touched != (chunk.by_us or chunk.by_them), "changes that touch are one"
        last = chunk
    assert at == [len(base), len(ours), len(theirs)]


def test_changes_that_touch_are_one() -> None:
    def kinds(*sides: str) -> list[tuple[str, bool, bool]]:
        return [(sides[0][slice(*c.base)], c.by_us, c.by_them) for c in pieces(*sides)]

    assert kinds("abcd", "Abcd", "abcD") == [
        ("a", True, False), ("bc", False, False), ("d", False, True),
    ]  # fmt: skip
    assert kinds("abcd", "aBcd", "abCd") == [
        ("a", False, False), ("bc", True, True), ("d", False, False),
    ]  # fmt: skip
    assert kinds("ab", "axb", "ayb") == [("a", False, False), ("", True, True), ("b", False, False)]
    assert kinds("ab", "axb", "aB") == [("a", False, False), ("b", True, True)]
    assert kinds("", "x", "") == [("", True, False)]
    assert kinds("", "", "") == []


def test_weak_items_do_not_keep_changes_apart() -> None:
    assert len(pieces("a b c", "X Y c", "a b c")) == 4
    assert len(pieces("a b c", "X Y c", "a b c", weak=" ")) == 2
    # At the ends they stay where they are.
    assert len(pieces(" b ", " X ", " b ", weak=" ")) == 3


def test_the_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(1)
    base = array(*(draw.randrange(40) for _ in range(3000)))
    side = base[::-1].copy()
    for bound in (0, 10_000, limits.MERGE_WORK_MAX):
        monkeypatch.setattr(limits, "MERGE_WORK_MAX", bound)
        effort = Effort()
        blocks = align(base, side, effort)
        assert 0 <= effort.left <= bound
        assert blocks[-1] == Block(3000, 3000, 0)
    assert not effort.take(effort.left + 1)
    assert effort.take(effort.left)
