"""`SimClock`: a clock that stands still until it is told.

It never asks the machine for the time.
"""

from __future__ import annotations

from typing import Final

#: 1 January 2026, 00:00 UTC.
START_US: Final = 1_767_225_600_000_000


class SimClock:
    """A `Clock` under the hands of a test.

    Args:
        now_us: where it starts, microseconds since 1970 UTC.
        tick_us: how far it moves by itself each time it is read.
    """

    __slots__ = ("_now_us", "_passed_us", "tick_us")

    def __init__(self, now_us: int = START_US, *, tick_us: int = 0) -> None:
        self._now_us, self._passed_us = now_us, 0
        self.tick_us = tick_us

    def now_us(self) -> int:
        self._now_us += self.tick_us
        self._passed_us += self.tick_us
        return self._now_us

    def monotonic_s(self) -> float:
        return self._passed_us / 1_000_000

    def advance(self, seconds: float) -> None:
        """Let time pass; a negative number is a clock that was set back."""
        if seconds > 0:
            self._passed_us += round(seconds * 1_000_000)
        self.jump(seconds)

    def jump(self, seconds: float) -> None:
        """Set the clock forward or back; no time passes."""
        self._now_us += round(seconds * 1_000_000)
