"""Worker: a callback that runs once for every new durable change of some types.

It judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ate.trust.plugin import Change


class OnChange:
    """Runs `callback(change)` for each new change of `schemas`, in order; it may be async."""

    def __init__(
        self, schemas: frozenset[int], callback: Callable[[Change], Any], *, name: str = "worker"
    ) -> None:
        self.schemas, self.callback, self.name = schemas, callback, name

    def run(self, change: Change) -> Any:
        return self.callback(change)
