"""Time as an argument: the `Clock` that is handed in; it never sleeps and never orders anything."""

from __future__ import annotations

import time as _time
from typing import Final, Protocol


class Clock(Protocol):
    """Where time comes from. Order comes from `seq`, never from here."""

    def now_us(self) -> int:
        """Return wall-clock time, microseconds since 1970 UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds from an arbitrary start that never goes back."""
        ...


#: Where there is one, a clock that also counts the time a machine was suspended: to wake a laptop
#: up is no jump of its clock.
_STEADY: Final = getattr(_time, "CLOCK_BOOTTIME", _time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's own clock."""

    def now_us(self) -> int:
        return _time.time_ns() // 1000

    def monotonic_s(self) -> float:
        return _time.clock_gettime(_STEADY)
