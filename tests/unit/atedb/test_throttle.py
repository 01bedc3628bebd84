"""`atedb.throttle`: rates hold in the long run, bursts pass, waits are what is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atedb.throttle import BURST_S, Bucket, Rate, Throttle


def test_no_limit_never_waits() -> None:
    throttle = Throttle(Rate(), 0.0)
    for _ in range(1000):
        assert throttle.wait_s(0.0) == 0.0
        throttle.take(1 << 40)
    assert throttle.is_full(0.0)


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    bucket, now, taken = Bucket(10, 5.0), 5.0, 0
    while not bucket.wait_s(now):
        bucket.take(1)
        taken += 1
    assert taken == 10 * BURST_S
    for _ in range(50):
        now += bucket.wait_s(now)
        assert bucket.wait_s(now) == 0.0
        bucket.take(1)
    assert now - 5.0 == pytest.approx(50 / 10, rel=0.05)


def test_one_commit_larger_than_the_bucket_passes_and_the_next_one_pays() -> None:
    throttle = Throttle(Rate(bytes_s=1000), 0.0)
    assert throttle.wait_s(0.0) == 0.0
    throttle.take(10_000)
    wait = throttle.wait_s(0.0)
    assert wait == pytest.approx(8.0, abs=0.01)
    assert throttle.wait_s(wait / 2) > 0
    assert throttle.wait_s(wait) == 0.0


def test_the_stricter_limit_decides() -> None:
    throttle = Throttle(Rate(commits_s=1, bytes_s=1000), 0.0)
    throttle.take(1)
    throttle.take(1)
    assert throttle.wait_s(0.0) == pytest.approx(1.0)
    throttle.take(7000)
    assert throttle.wait_s(0.0) == pytest.approx(5.0, abs=0.01)


def test_a_rest_fills_it_up_to_the_burst_and_no_further() -> None:
    bucket = Bucket(10, 0.0)
    bucket.take(20)
    assert not bucket.is_full(1.0)
    assert bucket.is_full(2.0)
    assert bucket.wait_s(1000.0) == 0.0
    bucket.take(20)
    assert bucket.wait_s(1000.0) > 0.0


@given(
    st.integers(1, 10_000),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 50_000)), min_size=1, max_size=100),
)
def test_nobody_gets_more_than_the_rate_and_one_burst(
    rate: int, asked: list[tuple[float, int]]
) -> None:
    bucket, now, taken, largest = Bucket(rate, 0.0), 0.0, 0, 0
    for pause, units in asked:
        now += pause
        wait = bucket.wait_s(now)
        assert wait >= 0.0
        if not wait:
            bucket.take(units)
            taken, largest = taken + units, max(largest, units)
    assert taken <= rate * (now + BURST_S) + largest + 1e-6


@given(st.integers(1, 1_000_000), st.integers(1, 1 << 40), st.floats(0, 1e6))
def test_who_waits_as_long_as_is_said_gets_in(rate: int, units: int, now: float) -> None:
    bucket = Bucket(rate, now)
    bucket.take(units)
    wait = bucket.wait_s(now)
    later = now + wait + 1e-6 * (1 + now + wait)
    assert bucket.wait_s(later) == 0.0
