"""A clock that jumps neither stops a chain nor spoils its time, and is told."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import ate
from ate import limits
from ate.chain.timeline import Timeline
from ate.chain.verify import verify
from ate.testing.simclock import START_US, SimClock
from ate.testing.stage import member

SECOND = 1_000_000
YEAR_S = 365 * 86_400
SKEW_S = limits.TIME_SKEW_US // SECOND


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.message for one in caplog.records if one.levelno >= logging.WARNING]


def test_a_clock_that_runs_is_followed() -> None:
    clock = SimClock()
    timeline = Timeline(clock)
    for seconds in (0, 1, 86_400, 0.5):
        clock.advance(seconds)
        assert timeline.now_us(0) == clock.now_us()
    clock.jump(SKEW_S)
    assert timeline.now_us(0) == clock.now_us(), "as far as this it is a correction"
    clock.jump(-SKEW_S)
    assert timeline.now_us(0) == clock.now_us()
    assert timeline.skew_us(0) == 0


@pytest.mark.parametrize("jump_s", [YEAR_S, -YEAR_S, SKEW_S + 1, -SKEW_S - 1])
def test_a_jump_is_believed_when_it_has_held(jump_s: int, caplog: pytest.LogCaptureFixture) -> None:
    clock = SimClock()
    timeline = Timeline(clock)
    clock.jump(jump_s)
    for passed in range(SKEW_S):
        assert timeline.now_us(0) == START_US + passed * SECOND
        assert timeline.skew_us(0) == jump_s * SECOND
        clock.advance(1)
    assert timeline.now_us(0) == clock.now_us()
    assert timeline.skew_us(0) == 0
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("jump_s", [YEAR_S, -YEAR_S])
def test_a_jump_that_is_taken_back_leaves_no_trace(
    jump_s: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ate")
    clock = SimClock()
    timeline = Timeline(clock)
    for _ in range(3):
        clock.jump(jump_s)
        clock.advance(60)
        timeline.now_us(0)
        clock.jump(-jump_s)
        clock.advance(60)
        assert timeline.now_us(0) == clock.now_us()
    assert [one.levelname for one in caplog.records] == ["WARNING", "INFO"] * 3


def test_a_clock_that_keeps_jumping_is_never_believed() -> None:
    clock = SimClock()
    timeline = Timeline(clock)
    for step in range(1, 100):
        clock.jump(YEAR_S)
        clock.advance(SKEW_S - 1)
        assert timeline.now_us(0) == START_US + step * (SKEW_S - 1) * SECOND


def test_a_chain_that_is_ahead_waits_for_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    clock = SimClock()
    timeline = Timeline(clock)
    last = START_US + YEAR_S * SECOND
    assert timeline.now_us(last) == last
    assert timeline.skew_us(last) == -YEAR_S * SECOND
    clock.advance(YEAR_S - SKEW_S)
    assert (timeline.now_us(last), timeline.skew_us(last)) == (last, 0)
    clock.advance(YEAR_S)
    assert timeline.now_us(last) == clock.now_us()
    assert warnings(caplog) == [
        "the clock is 365 days behind this chain's time: time stands still until it catches up"
    ]


def test_no_clock_leads_beyond_what_dates_can_say() -> None:
    assert Timeline(SimClock(1 << 70)).now_us(5) == limits.TIME_US_MAX
    assert Timeline(SimClock(-(1 << 70))).now_us(5) == 5
    beyond = limits.TIME_US_MAX + 5
    assert Timeline(SimClock()).now_us(beyond) == beyond, "it was let in, and never goes back"


# --- a whole chain ------------------------------------------------------------------------------


async def add(chain: ate.Chain) -> int:
    dio = chain.dio()
    dio.store({"n": chain.head})
    return (await dio.commit()).time_us


async def test_a_clock_that_was_set_back_a_year(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, alice = SimClock(tick_us=1), member("alice")
    async with ate.open("t", path=tmp_path, session=alice, clock=clock) as chain:
        before = await add(chain)
    clock.jump(-YEAR_S)
    async with ate.open("t", path=tmp_path, session=alice, clock=clock) as chain:
        assert chain.clock_skew == pytest.approx(-YEAR_S, abs=1)
        times = [await add(chain) for _ in range(3)]
        assert times == [before] * 3
        clock.advance(YEAR_S + 60)
        assert chain.clock_skew == 0.0
        assert await add(chain) > before
        assert (await verify(chain._ledger.store)).ok
    assert len(warnings(caplog)) == 1
    async with ate.open("t", path=tmp_path, session=alice, clock=clock) as chain:
        assert len(chain) == 5


async def test_a_clock_that_jumps_a_year_ahead_and_is_put_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, alice = SimClock(tick_us=1), member("alice")
    async with ate.open("t", path=tmp_path, session=alice, clock=clock) as chain:
        clock.jump(YEAR_S)
        assert await add(chain) < START_US + 60 * SECOND
        assert chain.clock_skew == pytest.approx(YEAR_S, abs=1)
        clock.advance(300)
        assert await add(chain) < START_US + 400 * SECOND
        clock.jump(-YEAR_S)
        assert chain.clock_skew == 0.0
        assert await add(chain) == pytest.approx(clock.now_us(), abs=SECOND)
        assert (await verify(chain._ledger.store)).ok
    assert len(warnings(caplog)) == 1


async def test_a_chain_that_was_written_by_a_clock_ahead_is_read_and_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, alice = SimClock(START_US + YEAR_S * SECOND, tick_us=1), member("alice")
    async with ate.open("t", path=tmp_path, session=alice, clock=clock) as chain:
        await add(chain)
    now = SimClock(tick_us=1)
    async with ate.open("t", path=tmp_path, readonly=True, clock=now) as chain:
        assert chain.clock_skew == pytest.approx(-YEAR_S, abs=1)
        assert len(warnings(caplog)) == 1
        async with ate.open("t", path=tmp_path, session=alice, clock=clock) as writer:
            await add(writer)
        await chain.refresh()
        assert len(chain) == 2
    assert len(warnings(caplog)) == 1
    # A session without a certificate yet gets one that is good at the chain's time.
    async with ate.open("t", path=tmp_path, session=member("alice"), clock=now) as chain:
        await add(chain)
        assert (await verify(chain._ledger.store)).ok


async def test_a_session_that_ends_before_the_chains_time_cannot_write(tmp_path: Path) -> None:
    late = SimClock(START_US + YEAR_S * SECOND)
    alice = member("alice")
    async with ate.open("t", path=tmp_path, session=alice, clock=late) as chain:
        await add(chain)
    alice.expires_us = START_US + 86_400 * SECOND
    async with ate.open("t", path=tmp_path, session=alice, clock=SimClock()) as chain:
        with pytest.raises(ate.TrustError, match="expired"):
            await add(chain)
        assert len(chain) == 1
