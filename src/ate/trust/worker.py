"""Worker: a callback that runs once for every new durable change of some types; it judges nothing."""

from __future__ import annotations

from collections.abc import Callable

from ate.trust.plugin import Change


class OnChange:
    """Runs `callback(change)` for each new change of `schemas`, after it is durable, in order."""

    def __init__(
        self, schemas: frozenset[int], callback: Callable[[Change], None], *, name: str = "worker"
    ) -> None:
        self.schemas, self.callback, self.name = schemas, callback, name

    def run(self, change: Change) -> None:
        self.callback(change)
