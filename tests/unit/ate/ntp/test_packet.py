from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ate.ntp.conftest import packet, stamp

from ate.errors import NetworkError
from ate.ntp.packet import Answer, Goodbye, answers, question, read

NONCE = bytes(range(8))
NOW = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * 1_000_000
SECOND = 1_000_000


def test_a_question_tells_nothing_but_its_nonce() -> None:
    asked = question(NONCE)
    assert asked == b"\x23" + bytes(39) + NONCE


def test_an_answer_carries_the_nonce_back() -> None:
    good = packet(NOW, NONCE)
    assert answers(good, NONCE)
    assert answers(good + bytes(20), NONCE), "extensions may follow"
    for wrong in (b"", good[:47], packet(NOW, bytes(8)), bytes(48)):
        assert not answers(wrong, NONCE)


@pytest.mark.parametrize("off_us", [0, 5, -5, 3600 * SECOND, -86_400 * 365 * SECOND // 2])
def test_the_offset_is_measured_in_the_middle_of_the_way(off_us: int) -> None:
    there = NOW + off_us
    raw = packet(there, NONCE, receive=stamp(there), transmit=stamp(there + 1000))
    found = read(raw, NOW - 10_000, NOW + 31_000)
    assert found.offset_us == pytest.approx(off_us - 10_000, abs=2)
    assert found.error_us == pytest.approx(20_000, abs=2)


def test_what_a_server_says_of_its_own_error_counts() -> None:
    raw = packet(NOW, NONCE, delay=1 << 15, dispersion=1 << 16)
    assert read(raw, NOW, NOW) == pytest.approx(Answer(0, 1_250_000), abs=1)


@pytest.mark.parametrize("year", [2026, 2035, 2036, 2037, 2100])
def test_seconds_turn_over_in_2036(year: int) -> None:
    there = int(datetime(year, 2, 8, tzinfo=UTC).timestamp()) * SECOND
    assert abs(read(packet(there, NONCE), there, there).offset_us) <= 1


@pytest.mark.parametrize("code, for_ever", [(b"DENY", True), (b"RSTR", True), (b"RATE", False)])
def test_a_kiss_of_death(code: bytes, *, for_ever: bool) -> None:
    with pytest.raises(Goodbye) as found:
        read(packet(NOW, NONCE, stratum=0, code=code), NOW, NOW)
    assert found.value.for_ever is for_ever


@pytest.mark.parametrize("code", [bytes(4), b"INIT", b"\xff\xff\xff\xff"])
def test_a_server_that_has_not_found_the_time_yet(code: bytes) -> None:
    with pytest.raises(NetworkError, match="know the time"):
        read(packet(NOW, NONCE, stratum=0, code=code), NOW, NOW)


@pytest.mark.parametrize(
    "fields",
    [
        {"first": 0x23}, {"first": 0x25}, {"first": 0x14}, {"first": 0x2C}, {"first": 0xE4},
        {"stratum": 16}, {"stratum": 255}, {"delay": 1 << 18}, {"delay": -1},
        {"dispersion": 1 << 17}, {"dispersion": 0xFFFF_FFFF}, {"receive": 0}, {"transmit": 0},
        {"receive": stamp(NOW + SECOND)}, {"receive": stamp(NOW - 10 * SECOND)},
        {"reference": stamp(NOW + SECOND)},
    ],
)  # fmt: skip
def test_what_is_not_believed(fields: dict[str, Any]) -> None:
    with pytest.raises(NetworkError):
        read(packet(NOW, NONCE, **fields), NOW, NOW)


@pytest.mark.parametrize("year", [1970, 2000, 2024])
def test_a_time_before_this_was_written(year: int) -> None:
    there = int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * SECOND
    with pytest.raises(NetworkError, match="beyond belief"):
        read(packet(there, NONCE), there, there)


@given(st.binary(min_size=48, max_size=80), st.integers(0, 1 << 60), st.integers(0, 1 << 60))
def test_any_answer_ends_in_a_number_or_a_typed_error(raw: bytes, sent: int, came: int) -> None:
    try:
        found = read(raw, sent, came)
    except (Goodbye, NetworkError):
        return
    assert found.error_us >= 0
