"""Retention votes for compaction: by tombstone, newest version, header; it drops nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ate.event.header import Header
from ate.event.row import Kind, Row
from ate.trust.plugin import Vote


class KeepNewest:
    """Keeps the newest version of each object; rows are shown newest first."""

    name = "keep-newest"

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def vote(self, row: Row, header: Header | None) -> Vote:
        newest = row.id not in self._seen
        self._seen.add(row.id)
        return Vote(newest)


class CondenseByTombstone:
    """Drops everything older than an object's tombstone; the tombstone itself stays."""

    name = "condense-by-tombstone"

    def __init__(self) -> None:
        self._dead: set[bytes] = set()

    def vote(self, row: Row, header: Header | None) -> Vote | None:
        if row.id in self._dead:
            return Vote(keep=False, force=True)
        if row.kind != Kind.TOMBSTONE:
            return None
        self._dead.add(row.id)
        return Vote(keep=True)


class CondenseByHeader:
    """Drops the rows for which `drop(row, header)` says so."""

    name = "condense-by-header"

    def __init__(self, drop: Callable[[Row, Header | None], bool]) -> None:
        self._drop = drop

    def vote(self, row: Row, header: Header | None) -> Vote | None:
        return Vote(keep=False, force=True) if self._drop(row, header) else None


def decide(votes: Iterable[Vote | None]) -> bool:
    """Return whether a row stays: forced keep, then forced drop, then keep, else drop."""
    cast = [vote for vote in votes if vote is not None]
    forced = [vote.keep for vote in cast if vote.force]
    return any(forced) if forced else any(vote.keep for vote in cast)
