from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.race.quantiles import moved, quantile, shares


def test_a_median_is_a_value_that_half_do_not_exceed() -> None:
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile([4, 3, 2, 1], 0.5) == 2
    assert quantile([7], 0.5) == 7


def test_the_99th_of_a_hundred_leaves_one_above() -> None:
    assert quantile(range(1, 101), 0.99) == 99
    assert quantile(range(1, 11), 0.99) == 10
    assert quantile(range(1, 101), 1) == 100
    assert quantile(range(1, 101), 0) == 1


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_quantile_is_the_least_value_with_its_share_below(values: list[float], at: float) -> None:
    found = quantile(values, at)
    assert found in values
    assert sum(value <= found for value in values) >= at * len(values)
    assert sum(value < found for value in values) <= at * len(values)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_no_quantile_of_nothing_nor_beyond_all(share: float) -> None:
    with pytest.raises(ValueError, match="quantile"):
        quantile([1], share)
    with pytest.raises(ValueError, match="quantile"):
        quantile([], 0.5)


def test_a_disk_has_moved_beyond_thirty_in_a_hundred() -> None:
    assert not moved([100, 130, 110])
    assert moved([100, 131, 110])
    assert moved([131, 100])
    assert not moved([70])


@given(st.integers(1, 200), st.integers(1, 40))
def test_every_client_is_dealt_to_one_process(clients: int, processes: int) -> None:
    dealt = shares(clients, processes)
    assert sorted(one for share in dealt for one in share) == list(range(clients))
    assert len(dealt) == min(clients, processes)
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
