from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate.chain.seqs import among, minus, seqs_of, union

some = st.lists(st.integers(0, 40))


@given(some, some)
def test_they_are_sets(one: list[int], other: list[int]) -> None:
    first, second = seqs_of(one), seqs_of(other)
    assert first.tolist() == sorted(set(one))
    assert union(first, second).tolist() == sorted({*one, *other})
    assert minus(first, second).tolist() == sorted(set(one) - set(other))
    loose = np.array(one, np.uint64)
    assert among(loose, second).tolist() == [seq in other for seq in one]


@pytest.mark.parametrize("empty", [[], ()])
def test_nothing_is_a_set_too(empty: list[int]) -> None:
    none = seqs_of(empty)
    assert none.dtype == np.uint64
    assert among(seqs_of([1]), none).tolist() == [False]
    assert union(none, seqs_of([1])).tolist() == [1]
