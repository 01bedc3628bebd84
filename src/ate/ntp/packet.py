"""One question to a time server and its answer, as bytes (SNTP, RFC 5905 and RFC 4330).

It knows no socket and no clock: whoever asks says when the question left and the answer came.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from ate import limits
from ate.errors import NetworkError

BYTES: Final = 48
NONCE_BYTES: Final = 8
#: leap, version and mode · stratum · poll · precision · root delay · root dispersion · reference id
#: · the four times: reference, origin, receive, transmit.
_PACKET: Final = struct.Struct(">BBbbiI4sQ8sQQ")
#: No leap second is announced, version 4, from a client.
_ASK: Final = 0x23
_VERSIONS: Final = (3, 4)
_SERVER_MODE: Final = 4
_OUT_OF_STEP: Final = 3
_STRATUM_MAX: Final = 15
#: RFC 5905: how far from the truth a server may be by its own word.
_DISTANCE_US_MAX: Final = 1_500_000
#: Clocks are read in steps: a way there and back that took a bit less than no time.
_STEP_US: Final = 10_000
_TO_1970_S: Final = 2_208_988_800
_ERA_S: Final = 1 << 32
_FOR_EVER: Final = (b"DENY", b"RSTR")
#: With any other code, or none, a server of stratum 0 has only not found the time yet.
_GOODBYES: Final = (*_FOR_EVER, b"RATE")


class Answer(NamedTuple):
    """What a server said.

    Args:
        offset_us: its time minus ours.
        error_us: how far that can be off.
    """

    offset_us: int
    error_us: int


class Goodbye(Exception):
    """A kiss-o'-death: the server does not want to be asked, for a while or for ever."""

    def __init__(self, code: bytes) -> None:
        super().__init__(f"it does not want to be asked: {code.decode()}")
        self.for_ever = code in _FOR_EVER


def question(nonce: bytes) -> bytes:
    """Return the question. It tells nothing about us: where our time would stand is the nonce."""
    return bytes((_ASK,)) + bytes(BYTES - 1 - NONCE_BYTES) + nonce


def answers(raw: bytes, nonce: bytes) -> bool:
    """Return whether these bytes are the answer to the question with this nonce."""
    return len(raw) >= BYTES and raw[24:32] == nonce


def read(raw: bytes, sent_us: int, came_us: int) -> Answer:
    """Return what an answer says.

    Args:
        raw: at least 48 bytes.
        sent_us, came_us: our time when the question left and when the answer came.

    Raises:
        Goodbye: the server does not want to be asked.
        NetworkError: it is not to be believed.
    """
    first, stratum, _, _, delay, dispersion, code, reference, _, receive, transmit = (
        _PACKET.unpack_from(raw)
    )
    if first & 7 != _SERVER_MODE or first >> 3 & 7 not in _VERSIONS:
        raise NetworkError("it is no time server")
    if stratum == 0 and code in _GOODBYES:
        raise Goodbye(code)
    if first >> 6 == _OUT_OF_STEP or not 0 < stratum <= _STRATUM_MAX:
        raise NetworkError("it does not know the time itself")
    distance_us = ((delay >> 1) + dispersion) * 1_000_000 >> 16
    if delay < 0 or distance_us > _DISTANCE_US_MAX:
        raise NetworkError("it says itself that it can be off by more than a second")
    came_in_us, went_out_us = _us(receive), _us(transmit)
    way_us = (came_us - sent_us) - (went_out_us - came_in_us)
    if not receive or not transmit or went_out_us < came_in_us or way_us < -_STEP_US:
        raise NetworkError("its times contradict each other")
    if _us(reference) > went_out_us or not limits.TIME_US_MIN < went_out_us < limits.TIME_US_MAX:
        raise NetworkError("its time is beyond belief")
    offset_us = ((came_in_us - sent_us) + (went_out_us - came_us)) // 2
    return Answer(offset_us, max(way_us, 0) // 2 + distance_us)


def _us(stamp: int) -> int:
    """Return microseconds since 1970 of a time stamp.

    The seconds turn over in 2036: whoever has not set the top bit is behind that (RFC 4330, 3).
    """
    seconds = stamp >> 32
    if seconds < _ERA_S >> 1:
        seconds += _ERA_S
    return (seconds - _TO_1970_S) * 1_000_000 + ((stamp & 0xFFFF_FFFF) * 1_000_000 >> 32)


assert _PACKET.size == BYTES
