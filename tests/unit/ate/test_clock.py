from __future__ import annotations

from datetime import UTC, datetime

from ate.clock import Clock, SystemClock
from ate.testing.simclock import SimClock


def test_the_system_clock_tells_the_time_of_the_machine() -> None:
    before = datetime.now(UTC).timestamp()
    told = SystemClock().now_us() / 1_000_000
    assert before - 1 <= told <= datetime.now(UTC).timestamp() + 1


def test_monotonic_time_never_goes_back() -> None:
    clock = SystemClock()
    readings = [clock.monotonic_s() for _ in range(100)]
    assert readings == sorted(readings)


def test_real_and_simulated_clocks_are_both_clocks() -> None:
    clocks: list[Clock] = [SystemClock(), SimClock()]
    assert all(isinstance(clock.now_us(), int) for clock in clocks)
