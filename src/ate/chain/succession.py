"""`Succession`: one at a time makes the next generation of a log; it makes none itself.

Whoever begins one removes what was half-made before: two at once would take each other's files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ate.errors import Conflict

#: The two ways to one.
COMPACTION: Final = "a compaction"
RENEWAL: Final = "being copied anew"


class Succession:
    """Who makes the next generation of one chain's log now, if anybody does.

    Attributes:
        is_wanted: somebody else waits to make one.
        on_wanted: called when that becomes so.
    """

    def __init__(self) -> None:
        self._maker = ""
        self.is_wanted = False
        self.on_wanted: Callable[[], None] | None = None

    def begin(self, maker: str) -> None:
        """Let `maker` make it.

        Raises:
            Conflict: somebody does already.
        """
        if self._maker:
            self.is_wanted = True
            if self.on_wanted is not None:
                self.on_wanted()
            raise Conflict(f"the log is in the middle of {self._maker}", hint="try again later")
        self._maker = maker

    def end(self, maker: str) -> None:
        """It is made, or given up; nothing happens when somebody else makes one."""
        if self._maker == maker:
            self._maker, self.is_wanted, self.on_wanted = "", False, None
