"""How fast is too fast: token buckets over commits and bytes; it keeps no clock and never waits.

A bucket holds what may be taken at once and fills at its rate. It may be overdrawn by one request,
so that a commit larger than the bucket passes, and is paid for by the wait of the next one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: What may come at once, in seconds of the rate.
BURST_S: Final = 2.0


class Rate(NamedTuple):
    """So many commits and bytes a second; 0 is without a limit."""

    commits_s: int = 0
    bytes_s: int = 0


class Bucket:
    """One limit.

    Args:
        rate: units a second; 0 never makes anybody wait.
        now_s: the time, from any start; it never goes back.
    """

    __slots__ = ("_filled_s", "_level", "rate")

    def __init__(self, rate: float, now_s: float) -> None:
        self.rate = rate
        self._level = rate * BURST_S
        self._filled_s = now_s

    def wait_s(self, now_s: float) -> float:
        """Return how long until something may be taken, 0.0 when it may be now."""
        if not self.rate:
            return 0.0
        self._level = min(self.rate * BURST_S, self._level + (now_s - self._filled_s) * self.rate)
        self._filled_s = now_s
        # The first unit of a rate is worth waiting for; a share of one is not.
        return 0.0 if self._level > 0 else max(1.0, 1.0 - self._level) / self.rate

    def take(self, units: float) -> None:
        """Take, whatever is in it; ask `wait_s` before."""
        if self.rate:
            self._level -= units

    def is_full(self, now_s: float) -> bool:
        """Tell whether the bucket is as good as a new one."""
        return self._level + (now_s - self._filled_s) * self.rate >= self.rate * BURST_S


class Throttle:
    """Limits of one connection, one chain, or a whole server.

    Args:
        rate: how fast.
    """

    __slots__ = ("_bytes", "_commits")

    def __init__(self, rate: Rate, now_s: float) -> None:
        self._commits = Bucket(rate.commits_s, now_s)
        self._bytes = Bucket(rate.bytes_s, now_s)

    def wait_s(self, now_s: float) -> float:
        """Return how long until a commit may be taken, 0.0 when it may be now."""
        return max(self._commits.wait_s(now_s), self._bytes.wait_s(now_s))

    def take(self, nbytes: int) -> None:
        """Charge for a commit."""
        self._commits.take(1)
        self._bytes.take(nbytes)

    def is_full(self, now_s: float) -> bool:
        """Tell whether nothing is owed: forgetting this throttle changes nothing."""
        return self._commits.is_full(now_s) and self._bytes.is_full(now_s)
