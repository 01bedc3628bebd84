"""`Timeline`: which time the next commit gets, when the clock jumps or the chain is ahead of it.

It never refuses a commit and never moves time back: a wrong clock is told, and stays harmless.

    the clock moves on as it should          its word
    it jumps, forward or back                what passed since it was last believed, until it has
                                             held its new time for as long as the accepted skew
    it is behind the newest commit           that commit's time, until it has caught up
    a server orders the chain                the server's time, which this clock only carries on
"""

from __future__ import annotations

import logging
from typing import Final

from ate import limits
from ate.clock import Clock

_log = logging.getLogger("ate")
_SECOND_US: Final = 1_000_000


class Timeline:
    """The time of one chain in this process.

    Args:
        clock: is believed as it is the first time, since there is nothing to compare it with.
    """

    __slots__ = ("_ahead_us", "_at_s", "_clock", "_told", "_us", "_was_at_s", "_was_us")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: By how much the server's clock is ahead of this one.
        self._ahead_us = 0
        #: What was believed last: this wall-clock time at this monotonic time.
        self._us, self._at_s = clock.now_us(), clock.monotonic_s()
        #: A time that the clock jumped to and that is not believed yet.
        self._was_us, self._was_at_s = 0, 0.0
        self._told = 0

    def now_us(self, last_us: int) -> int:
        """Return the time of a commit behind one of `last_us`; tells the log of a wrong clock."""
        clock_us, at_s = self._clock.now_us() + self._ahead_us, self._clock.monotonic_s()
        us = self._us + int((at_s - self._at_s) * _SECOND_US)
        if abs(clock_us - us) <= limits.TIME_SKEW_US or self._has_held(clock_us, at_s):
            self._us, self._at_s, self._was_us = clock_us, at_s, 0
            us = clock_us
        us = max(min(us, limits.TIME_US_MAX), last_us)
        if self._told or abs(clock_us - us) > limits.TIME_SKEW_US:
            self._tell(clock_us - us)
        return us

    def follow(self, server_us: int) -> None:
        """Go on from the time of the server that orders the chain."""
        ahead_us = server_us - self._clock.now_us()
        # What a message takes on its way is no difference of the clocks.
        self._ahead_us = ahead_us if abs(ahead_us) > _SECOND_US else 0
        self._us, self._at_s = self._clock.now_us() + self._ahead_us, self._clock.monotonic_s()
        self._was_us = 0

    def skew_us(self, last_us: int) -> int:
        """Return how far the clock is off by the chain's time, 0 within what is accepted.

        Above 0 the clock has jumped ahead, below 0 it was set back or the chain is ahead of it.
        """
        skew = self._clock.now_us() - self.now_us(last_us)
        return skew if abs(skew) > limits.TIME_SKEW_US else 0

    def _has_held(self, clock_us: int, at_s: float) -> bool:
        """Return whether the clock has run on evenly since it jumped, for long enough."""
        passed_us = int((at_s - self._was_at_s) * _SECOND_US)
        if not self._was_us or abs(clock_us - self._was_us - passed_us) > limits.TIME_SKEW_US:
            self._was_us, self._was_at_s = clock_us, at_s
            return False
        return passed_us >= limits.TIME_SKEW_US

    def _tell(self, skew: int) -> None:
        """Say once that the clock is wrong, in which direction, and that it is right again."""
        off = (skew > limits.TIME_SKEW_US) - (skew < -limits.TIME_SKEW_US)
        if off == self._told:
            return
        self._told = off
        if off > 0:
            _log.warning(
                "the clock has jumped ahead by %s: commits get the time that has really passed "
                "until it has held for %s", _span(skew), _span(limits.TIME_SKEW_US),
            )  # fmt: skip
        elif off:
            _log.warning(
                "the clock is %s behind this chain's time: time stands still until it catches up",
                _span(-skew),
            )
        else:
            _log.info("the clock agrees with this chain's time again")


def _span(us: int) -> str:
    """Return a length of time in the largest unit that it has more than two of."""
    for name, unit in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if us >= 2 * unit * _SECOND_US:
            return f"{us / unit / _SECOND_US:.0f} {name}"
    return f"{us / _SECOND_US:.0f} seconds"
