"""`CompactPolicy`: when a chain compacts by itself; it looks at numbers and compacts nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ate.chain.retention import Retention
from ate.errors import UsageError
from ate.limits import MIB

#: Below this a log is not worth the work.
_FACTOR_BYTES_MIN: Final = 2 * MIB

MODES: Final = (
    "never", "heartbeat", "modified", "timer", "factor", "size", "factor-or-timer", "size-or-timer",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CompactPolicy:
    """When a chain compacts by itself.

    Args:
        mode: "never"; "heartbeat": where a root's checkpoint says so; "modified": when the chain is
            closed and rows were superseded since the last compaction; "timer", "factor", "size" and
            the two pairs: while it is open. All but "never" do what "heartbeat" does too.
        timer_s: so often, if rows were superseded.
        factor: when so many rows were superseded for each row that is needed; logs under 2 MiB
            are left alone.
        size_bytes: when the log has grown by so much since the last compaction.
        retention: what stays beyond the present.
    """

    mode: str = "never"
    timer_s: float = 3600.0
    factor: float = 0.2
    size_bytes: int = 100 * MIB
    retention: Retention = field(default_factory=Retention)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"a mode of compaction is one of {', '.join(MODES)}")
        if self.timer_s <= 0 or self.factor <= 0 or self.size_bytes <= 0:
            raise UsageError("timer, factor and size of a compaction policy are greater than zero")

    @classmethod
    def of(cls, policy: CompactPolicy | str | None, *, shared: bool = False) -> CompactPolicy:
        """Return a policy for a mode's name; None is "heartbeat" for a shared chain, or "never"."""
        if isinstance(policy, CompactPolicy):
            return policy
        return cls(policy or ("heartbeat" if shared else "never"))

    def is_due(self, superseded: int, needed: int, grown: int, total: int, waited_s: float) -> bool:
        """Tell whether to compact now.

        Args:
            superseded: rows, since the last compaction.
            needed: rows of the present.
            grown, total: bytes of the log, since the last compaction and in all.
            waited_s: since the last compaction or attempt.
        """
        if not superseded:
            return False
        by_timer = "timer" in self.mode and waited_s >= self.timer_s
        enough = superseded >= self.factor * max(needed, 1) and total >= _FACTOR_BYTES_MIN
        by_factor = self.mode.startswith("factor") and enough
        return by_timer or by_factor or (self.mode.startswith("size") and grown >= self.size_bytes)
