from __future__ import annotations

import pytest
from tests.unit.ate.ntp.conftest import Start, packet, right, silent

from ate.errors import NetworkError, TimedOut
from ate.ntp.packet import Goodbye
from ate.ntp.query import ask
from ate.testing.simclock import START_US, SimClock

NONCE = bytes(range(8))
SHORT_S = 0.05


def asked(port: int, timeout_s: float = 5) -> int:
    return ask("127.0.0.1", port, NONCE, timeout_s, lambda: START_US).offset_us


def test_a_server_is_asked_and_answers(start: Start) -> None:
    server = start(right(SimClock(), off_s=3))
    assert asked(server.port) == pytest.approx(3_000_000, abs=2)
    assert ask("localhost", server.port, NONCE, 5, lambda: START_US).offset_us > 0


def test_garbage_and_answers_to_others_are_passed_over(start: Start) -> None:
    good = packet(START_US, NONCE)
    noise = [b"", b"x" * 47, bytes(48), bytes(1000), packet(START_US + 10**12, bytes(8))]
    server = start(lambda _: [*noise, good])
    assert asked(server.port) == pytest.approx(0, abs=2)
    server = start(lambda _: noise)
    with pytest.raises(TimedOut):
        asked(server.port, SHORT_S)


def test_nobody_answers(start: Start) -> None:
    server = start(silent)
    with pytest.raises(TimedOut):
        asked(server.port, SHORT_S)
    with pytest.raises(TimedOut):
        asked(server.port, 0)


def test_nobody_is_there(start: Start) -> None:
    with pytest.raises(NetworkError):
        asked(9, SHORT_S)
    with pytest.raises(NetworkError, match="name"):
        ask("no such host", 123, NONCE, SHORT_S, lambda: 0)
    with pytest.raises(NetworkError):
        ask("255.255.255.255", 123, NONCE, SHORT_S, lambda: 0)


def test_what_a_server_refuses(start: Start) -> None:
    server = start(right(SimClock(), stratum=0, code=b"DENY"))
    with pytest.raises(Goodbye):
        asked(server.port)
