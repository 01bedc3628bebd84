"""Servers that are right, wrong, late, silent or rude; whatever they say, time does not go back."""

from __future__ import annotations

import itertools
import threading

import pytest
from tests.unit.ate.ntp.conftest import Start, TimeServer, packet, right, silent

import ate
from ate import limits
from ate.errors import NetworkError, TimedOut, UsageError
from ate.ntp.clock import NtpClock, _server
from ate.testing.simclock import START_US, SimClock

SECOND = 1_000_000
YEAR_S = 365 * 86_400
SHORT_S = 0.1


def clock_of(
    own: SimClock, *servers: TimeServer, timeout_s: float = 5, interval_s: float = 100
) -> NtpClock:
    names = [one.name for one in servers]
    return NtpClock(*names, clock=own, timeout_s=timeout_s, interval_s=interval_s)


@pytest.mark.parametrize("off_s", [0.25, -0.25, 3600, -3600, YEAR_S, 20 * YEAR_S])
def test_the_first_agreement_sets_the_clock(start: Start, off_s: float) -> None:
    own = SimClock()
    clock = clock_of(own, start(right(own, off_s=off_s)))
    assert clock.now_us() == own.now_us()
    found = clock.sync()
    assert found.offset_s == pytest.approx(off_s, abs=0.001)
    assert found.agreed == 1
    assert clock.last == found
    assert clock.now_us() == pytest.approx(own.now_us() + off_s * SECOND, abs=5)
    own.advance(50)
    assert clock.now_us() == pytest.approx(own.now_us() + off_s * SECOND, abs=5)
    assert clock.monotonic_s() == own.monotonic_s()


def test_jumps_of_the_machine_do_not_move_it(start: Start) -> None:
    own = SimClock()
    clock = clock_of(own, start(right(SimClock())))
    clock.sync()
    for jump_s in (YEAR_S, -3 * YEAR_S):
        own.jump(jump_s)
        assert clock.now_us() == pytest.approx(START_US, abs=5)


def test_it_slows_down_and_never_steps_back(start: Start) -> None:
    own, truth = SimClock(), SimClock()
    clock = clock_of(own, start(right(truth)))
    clock.sync()
    own.jump(60)
    truth.advance(-30)
    before = clock.now_us()
    clock.sync()
    assert clock.now_us() == before
    seen = [before]
    for _ in range(400):
        own.advance(1)
        truth.advance(1)
        seen.append(clock.now_us())
    steps = [after - one for one, after in itertools.pairwise(seen)]
    assert min(steps) >= 0.9 * SECOND - 5
    assert clock.now_us() == pytest.approx(truth.now_us(), abs=10)
    assert steps[299] < SECOND
    assert steps[302] == SECOND


def test_it_goes_ahead_at_once(start: Start) -> None:
    own, truth = SimClock(), SimClock()
    clock = clock_of(own, start(right(truth)))
    clock.sync()
    truth.advance(30)
    clock.sync()
    assert clock.now_us() == pytest.approx(truth.now_us(), abs=5)


@pytest.mark.parametrize("off_s", [YEAR_S, -YEAR_S // 2, 700, -700])
def test_a_leap_is_believed_when_it_is_said_twice(start: Start, off_s: float) -> None:
    own, truth = SimClock(), SimClock()
    clock = clock_of(own, start(right(truth)))
    clock.sync()
    for jump_s in (off_s, 3):
        truth.jump(jump_s)
        with pytest.raises(NetworkError, match="say so again"):
            clock.sync()
        assert clock.now_us() == pytest.approx(START_US, abs=5)
    clock.sync()
    if off_s > 0:
        assert clock.now_us() == pytest.approx(truth.now_us(), abs=5)
    else:
        assert clock.now_us() == pytest.approx(START_US, abs=5), "it only runs slower"
        own.advance(10)
        assert clock.now_us() == pytest.approx(START_US + 9 * SECOND, abs=5)


def test_one_liar_among_three_is_outvoted(start: Start) -> None:
    own = SimClock()
    for lie_s in (YEAR_S, -YEAR_S, 5, -5):
        honest = [start(right(own, off_s=1)) for _ in range(2)]
        for order in ([0, 1, 2], [2, 0, 1], [0, 2, 1]):
            servers = [*honest, start(right(own, off_s=lie_s))]
            found = clock_of(own, *(servers[at] for at in order)).sync()
            assert found.offset_s == pytest.approx(1, abs=0.01)
            assert found.agreed == 2


def test_two_that_do_not_agree_are_not_believed(start: Start) -> None:
    own = SimClock()
    one, other = start(right(own)), start(right(own, off_s=5))
    clock = clock_of(own, one, other)
    with pytest.raises(NetworkError, match="do not agree"):
        clock.sync()
    assert clock.last is None
    assert clock.now_us() == own.now_us()
    unsure = start(right(own, off_s=1, dispersion=1 << 16))
    assert clock_of(own, one, unsure).sync().agreed == 2, "who says he may be off is not lying"


def test_more_than_half_must_answer(start: Start) -> None:
    own = SimClock()
    good, mute = start(right(own)), start(silent)
    with pytest.raises(TimedOut, match="1 of 2") as found:
        clock_of(own, good, mute, timeout_s=SHORT_S).sync()
    assert mute.name in str(found.value)
    clock = clock_of(own, good, mute, start(right(own)), timeout_s=SHORT_S)
    assert clock.sync().agreed == 2
    assert list(clock.problems) == [mute.name]


@pytest.mark.parametrize(
    "reply",
    [
        silent,
        lambda _: [b"garbage", bytes(48), b"\xff" * 1000],
        lambda _: [packet(START_US, bytes(8))],
        lambda nonce: [packet(START_US, nonce, stratum=16)],
        lambda nonce: [packet(START_US, nonce, first=0xE4)],
        lambda nonce: [packet(0, nonce)],
    ],
)
def test_answers_that_move_nothing(start: Start, reply: object) -> None:
    own = SimClock()
    clock = clock_of(own, start(reply), timeout_s=SHORT_S)  # type: ignore[arg-type]
    with pytest.raises(NetworkError):
        clock.sync()
    assert (clock.last, clock.now_us()) == (None, own.now_us())


def test_an_answer_that_comes_too_late_is_no_answer(start: Start) -> None:
    """It answers the question before: the nonce is another one."""
    own = SimClock()
    kept: list[bytes] = []

    def late(nonce: bytes) -> list[bytes]:
        kept.append(packet(own.now_us() + YEAR_S * SECOND, nonce))
        return kept[-2:-1]

    server = start(late)
    clock = clock_of(own, server, timeout_s=SHORT_S)
    for _ in range(3):
        with pytest.raises(TimedOut):
            clock.sync()
    assert server.asked == 3
    assert clock.now_us() == own.now_us()


def test_who_says_goodbye_is_left_alone(start: Start) -> None:
    own = SimClock()
    rude = start(right(own, stratum=0, code=b"DENY"))
    busy = start(right(own, stratum=0, code=b"RATE"))
    clock = clock_of(own, rude, busy, start(right(own)))
    for _ in range(3):
        with pytest.raises(TimedOut, match="does not want to be asked"):
            clock.sync()
    assert (rude.asked, busy.asked) == (1, 1)
    own.advance(401)
    with pytest.raises(TimedOut):
        clock.sync()
    assert (rude.asked, busy.asked) == (1, 2)


def test_in_the_background(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    own = SimClock()
    server = start(right(own, off_s=7))
    with clock_of(own, server) as clock:
        assert clock.last is not None
        assert threading.active_count() > 1
    clock = clock_of(own, start(silent), timeout_s=SHORT_S)

    class Rounds(threading.Event):
        left = 3

        def wait(self, timeout: float | None = None) -> bool:
            assert timeout == 100
            self.left -= 1
            return not self.left

    clock._stopped = Rounds()
    clock._run()
    assert [one.levelname for one in caplog.records] == ["WARNING"] * 2
    assert "without the time servers" in caplog.records[0].message
    with clock_of(own, start(silent), timeout_s=SHORT_S) as alone:
        assert alone.last is None
        assert alone.now_us() == own.now_us()


async def test_a_chain_with_such_a_clock(start: Start) -> None:
    own = SimClock(START_US - YEAR_S * SECOND)
    clock = clock_of(own, start(right(SimClock())))
    clock.sync()
    async with ate.open("n", memory=True, clock=clock) as chain:
        dio = chain.dio()
        dio.store(1)
        assert (await dio.commit()).time_us == pytest.approx(START_US, abs=SECOND)


@pytest.mark.parametrize(
    "text, host, port",
    [
        ("a.example", "a.example", 123), ("a:5", "a", 5), ("[::1]", "::1", 123),
        ("[::1]:77", "::1", 77), ("::1", "::1", 123), ("10.0.0.1:123", "10.0.0.1", 123),
    ],
)  # fmt: skip
def test_names_of_servers(text: str, host: str, port: int) -> None:
    found = _server(text)
    assert (found.host, found.port) == (host, port)


@pytest.mark.parametrize("text", ["", ":", "a:x", "a:0", "a:65536", "[]:1", "a:-1"])
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(UsageError, match="no time server"):
        NtpClock(text)


def test_contracts_of_the_call() -> None:
    for servers in ([], ["a"] * (limits.NTP_SERVERS_MAX + 1)):
        with pytest.raises(UsageError, match="1 to 16"):
            NtpClock(*servers)
    for wrong in ({"interval_s": 63}, {"interval_s": float("nan")}, {"timeout_s": 0},
                  {"timeout_s": 900}):  # fmt: skip
        with pytest.raises(UsageError):
            NtpClock("a", **wrong)  # type: ignore[arg-type]
    assert "a.example" in repr(NtpClock("a.example"))
