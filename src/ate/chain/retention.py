"""What compaction keeps beyond the present: versions, a window of time, plug-ins' votes.

It names rows; it never drops one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ate.chain.index import DEAD, SEQ_MASK
from ate.chain.view import View
from ate.errors import Compacted, UsageError
from ate.event.row import Kind
from ate.limits import RETENTION_DAYS_MAX
from ate.trust.condense import decide
from ate.trust.plugin import Vote

_STEP = 32


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of the past stays.

    Args:
        versions: of each object, counted from the newest one.
        window: versions that were current at any time within it, counted back from now.
        tombstones: drop what is left of objects deleted longer ago than this, but not within the
            window; None keeps it, so that nobody can ever take their ids.
    """

    versions: int = 1
    window: timedelta | None = None
    tombstones: timedelta | None = None

    def __post_init__(self) -> None:
        if self.versions < 1:
            raise UsageError("retention keeps at least one version of each object")

    @classmethod
    def of_policy(cls, policy: Mapping[str, Any]) -> Retention:
        """Return what a chain's own policy demands of every compaction.

        Args:
            policy: of the genesis; its entry `retention` may say `versions` and `days`.

        Raises:
            UsageError: it says something else.
        """
        rule = policy.get("retention", {})
        if not isinstance(rule, Mapping) or not rule.keys() <= {"versions", "days"}:
            raise _nonsense(rule)
        versions, days = rule.get("versions", 1), rule.get("days", 0)
        if type(versions) is not int or type(days) not in (int, float):
            raise _nonsense(rule)
        if versions < 1 or not 0 <= days <= RETENTION_DAYS_MAX:
            raise _nonsense(rule)
        return cls(versions, timedelta(days=days) or None)

    def widened(self, policy: Mapping[str, Any]) -> Retention:
        """Return a retention that keeps at least what the chain's own policy demands."""
        least = Retention.of_policy(policy)
        window = max(self.window or timedelta(), least.window or timedelta())
        tombstones = None if self.tombstones is None else max(self.tombstones, window)
        if least.versions > 1:
            tombstones = None  # the last versions of what was deleted stay, and so it stays deleted
        return Retention(max(self.versions, least.versions), window or None, tombstones)

    @property
    def keeps_past(self) -> bool:
        return self.versions > 1 or self.window is not None


def _nonsense(rule: object) -> UsageError:
    return UsageError(
        f"this is no retention policy: {rule!r:.80}",
        hint='it says how many versions and days stay: {"versions": 3, "days": 365}',
    )


def older_versions(
    view: View, newest: Sequence[int], retention: Retention, now_us: int, kept: set[int]
) -> Iterator[None]:
    """Add to `kept` the older versions that stay, in small steps.

    Args:
        newest: seqs of the newest rows.
    """
    since = now_us - _microseconds(retention.window) if retention.window else None
    for number, start in enumerate(newest):
        seq, count = start, 1
        try:
            record, at = view.find(seq)
            while base := record.row(at).base:
                is_within = since is not None and record.sequencer.time_us >= since
                if count >= retention.versions and not is_within:
                    break
                record, at = view.find(base)
                kept.add(base)
                count += 1
        except Compacted:
            pass  # what is gone can not be kept
        if not number % _STEP:
            yield


def old_tombstones(
    view: View, flagged: Sequence[int], age: timedelta, now_us: int, found: set[int]
) -> Iterator[None]:
    """Add to `found` the seqs of the tombstones among these rows that are older than `age`.

    Those whose id was used again since are left out: the newer row goes on from the tombstone.
    """
    before = now_us - _microseconds(age)
    for number, one in enumerate(flagged):
        seq = one & SEQ_MASK
        if one & DEAD and view.time_of(seq) < before:
            record, at = view.find(seq)
            if view.index.locate(record.row(at).id) & SEQ_MASK == seq:  # its id was not used again
                found.add(seq)
        if not number % _STEP:
            yield


def ask(
    view: View, voters: Sequence[Any], last: int, kept: set[int], dropped: set[int]
) -> Iterator[None]:
    """Let plug-ins vote on every row up to `last`, newest first, in small steps.

    Args:
        voters: what has `vote(row, header)`; they are asked beside the rule that keeps the newest
            version of each object.
        kept: gets older versions that they keep.
        dropped: gets newest versions that they drop. Rows of the chain itself are never asked for.
    """
    for place in reversed(list(view.commits.between(1, last))):
        record = view.read(place)
        for at in reversed(range(record.row_count)):
            seq, row = record.seq_at(at), record.row(at)
            if row.kind > Kind.TOMBSTONE or seq > last:
                continue
            newest = view.index.locate(row.id) & SEQ_MASK == seq
            header = record.header(at)
            stays = decide([Vote(newest), *(one.vote(row, header) for one in voters)])
            if stays and not newest:
                kept.add(seq)
            elif newest and not stays:
                dropped.add(seq)
            if not at % _STEP:
                yield


def _microseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
