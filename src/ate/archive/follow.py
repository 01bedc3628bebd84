"""Backing up again and again, until told to stop; it never lets one chain's failure end the others.

Each round asks every chain whether its head has moved, which costs one small read, and backs up
those where it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ate.archive.backup import Backup, Done
from ate.archive.crew import Bar, no_bar
from ate.archive.pace import Stop
from ate.archive.prune import prune
from ate.archive.store import ObjectStore
from ate.errors import AteError, NotFound

EVERY_S: Final = 10.0


class Rounds:
    """Backups of several chains to one destination.

    Args:
        chains: asked at the beginning of each round: name and directory of every chain.
        store: the destination.
        keep: how many restore points of a chain stay; 0 is all.
        told: called with the name of a chain and what was done, or the error.
        options: of `Backup`.
    """

    def __init__(
        self,
        chains: Callable[[], Mapping[str, Path]],
        store: ObjectStore,
        *,
        keep: int = 0,
        told: Callable[[str, Done | AteError], None],
        **options: Any,
    ) -> None:
        self._chains, self._store, self._keep, self._told = chains, store, keep, told
        self._options = options
        self._open: dict[str, Backup] = {}
        self._pruned: set[str] = set()

    def run(self, bar: Bar = no_bar) -> int:
        """Back up every chain once; return how many failed."""
        failed = 0
        chains = self._chains()
        for name in [*self._open]:
            if name not in chains:
                self._open.pop(name).close()
        for name, directory in chains.items():
            backup = self._open.get(name)
            if backup is None:
                backup = self._open[name] = Backup(directory, self._store, **self._options)
            try:
                done = backup.run(bar)
                if self._keep and (done.is_new or name not in self._pruned):
                    prune(backup.series, self._keep)
                    self._pruned.add(name)
            except AteError as error:
                failed += 1
                self._told(name, error)
                if isinstance(error, NotFound):
                    self._open.pop(name).close()
            else:
                self._told(name, done)
        return failed

    def follow(self, every_s: float, stop: Stop) -> int:
        """Run rounds until `stop` is set, and a last one then; return how many failed in that."""
        while not stop:
            self.run()
            stop.wait(every_s)
        return self.run()

    def close(self) -> None:
        """Give all files back."""
        while self._open:
            self._open.popitem()[1].close()
