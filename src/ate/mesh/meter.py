"""What a hall tells about its work as it happens, for metrics; it never asks for anything back.

`SilentMeter` drops everything, and is what a hall uses when it is given no other.
"""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    """Takes notes. No method waits, fails, or keeps what it is given."""

    def chains(self, count: int) -> None:
        """So many chains are open now."""
        ...

    def channels(self, change: int) -> None:
        """So many channels more (or fewer) are open."""
        ...

    def appended(self, commits: int, nbytes: int) -> None:
        """Commits were ordered and appended, with so many bytes."""
        ...

    def refused(self, code: str) -> None:
        """A commit or a request was refused with the code of this error."""
        ...

    def flushed(self, seconds: float) -> None:
        """A flush took so long."""
        ...

    def sent(self, followers: int, seconds: float) -> None:
        """Records were queued for so many followers, so long after they had become durable."""
        ...

    def lagged(self) -> None:
        """A follower was told that it is far behind."""
        ...

    def compacted(self, outcome: str, nbytes: int) -> None:
        """A chain was compacted where its root said so ("done"), by so many bytes; or "failed"."""
        ...


class SilentMeter:
    """Takes no notes."""

    def chains(self, count: int) -> None:
        return

    def channels(self, change: int) -> None:
        return

    def appended(self, commits: int, nbytes: int) -> None:
        return

    def refused(self, code: str) -> None:
        return

    def flushed(self, seconds: float) -> None:
        return

    def sent(self, followers: int, seconds: float) -> None:
        return

    def lagged(self) -> None:
        return

    def compacted(self, outcome: str, nbytes: int) -> None:
        return
