from __future__ import annotations

from ate.testing.simclock import START_US, SimClock


def test_it_stands_still_until_told() -> None:
    clock = SimClock()
    assert clock.now_us() == clock.now_us() == START_US
    clock.advance(1.5)
    assert clock.now_us() == START_US + 1_500_000
    assert clock.monotonic_s() == 1.5
    clock.advance(-2)
    assert clock.now_us() == START_US - 500_000


def test_it_may_tick_when_it_is_read() -> None:
    clock = SimClock(100, tick_us=5)
    assert [clock.now_us() for _ in range(3)] == [105, 110, 115]


def test_a_clock_that_is_set_lets_no_time_pass() -> None:
    clock = SimClock()
    clock.advance(2)
    clock.jump(86_400)
    clock.jump(-2 * 86_400)
    clock.advance(-1)
    assert clock.monotonic_s() == 2
    assert clock.now_us() == START_US + 1_000_000 - 86_400 * 1_000_000
