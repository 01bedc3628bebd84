"""The throttle: so many rows and bytes a second in one chain, wherever its commits are judged.

A root key sets it (`chain.set_throttle`), so it reaches everybody with the chain. It is measured by
the times in the log, which are the same for all; it allows nothing.
"""

from __future__ import annotations

from typing import Any, Final

from ate.trust.plugin import ABSTAIN, Deny, Proposal, Verdict

_SECOND_US: Final = 1_000_000
FIELD: Final = "throttle"


class Pace:
    """What may still come: two buckets that fill with time and hold what one second brings.

    It is a fold over admitted commits, kept beside the view. It begins full.

    Attributes:
        rows_s, bytes_s: what may come in a second; 0 = any number.
    """

    def __init__(self) -> None:
        self.rows_s = self.bytes_s = 0
        self._rows = self._bytes = 0.0
        self._time_us = 0

    def set(self, rule: Any) -> None:
        """Take a new rule: [rows, bytes] a second; anything else is none."""
        is_rule = (
            isinstance(rule, list) and len(rule) == 2
            and all(type(one) is int and 0 <= one < 1 << 48 for one in rule)
        )  # fmt: skip
        rows_s, bytes_s = rule if is_rule else (0, 0)
        if (rows_s, bytes_s) != (self.rows_s, self.bytes_s):
            self.rows_s, self.bytes_s = rows_s, bytes_s
            self._rows, self._bytes = float(rows_s), float(bytes_s)

    @property
    def is_set(self) -> bool:
        """Whether there is a rule."""
        return bool(self.rows_s or self.bytes_s)

    def _at(self, time_us: int) -> tuple[float, float]:
        """Return what the buckets hold at a time."""
        passed = max(time_us - self._time_us, 0) / _SECOND_US
        return (
            min(self._rows + passed * self.rows_s, float(self.rows_s)),
            min(self._bytes + passed * self.bytes_s, float(self.bytes_s)),
        )

    def lacks(self, time_us: int, rows: int, nbytes: int) -> str:
        """Return what is too much about a commit; empty when nothing is.

        One that is larger than a full bucket may come when the bucket is full.
        """
        room = self._at(time_us)
        if self.rows_s and room[0] < min(rows, self.rows_s):
            return f"more than {self.rows_s} rows in a second"
        if self.bytes_s and room[1] < min(nbytes, self.bytes_s):
            return f"more than {self.bytes_s} bytes in a second"
        return ""

    def apply(self, time_us: int, rows: int, nbytes: int) -> None:
        """Count an admitted commit."""
        room = self._at(time_us)
        self._rows, self._bytes = room[0] - rows, room[1] - nbytes
        self._time_us = max(time_us, self._time_us)


class Throttle:
    """Denies what comes too fast for the chain's own rule. Root keys are free."""

    name = "throttle"

    def __init__(self, pace: Pace) -> None:
        self.pace = pace

    async def validate(self, proposal: Proposal) -> Verdict:
        if not self.pace.is_set or proposal.authorities & proposal.trust.root_keys():
            return ABSTAIN
        table = proposal.table
        found = self.pace.lacks(proposal.time_us, len(table), int(table["length"].sum()))
        return [Deny(-1, f"the chain is throttled: {found}")] if found else ABSTAIN
