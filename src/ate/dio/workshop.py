"""`Workshop`: where a chain is built before it takes its name; it writes nothing into it itself.

Whoever looks sees no chain or a whole one: it is built beside its place, under a name that no chain
can have, and renamed once it is durable. What an interruption left is removed by the next attempt.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Self

from ate.crypto.hash import digest
from ate.errors import AteError, Conflict, CorruptLog, UnsupportedFormat
from ate.ids import ChainName
from ate.log.disk import Disk, RealDisk
from ate.log.local import LocalLog


class Workshop:
    """A place for one chain that is not there yet.

    Args:
        name: of the chain.
        directory: the chain's own; there must be nothing yet.
        disk: what it is on; the machine's file system when not given.

    Raises:
        Conflict: there is something of that name.
    """

    def __init__(
        self, name: ChainName, directory: str | os.PathLike[str], disk: Disk | None = None
    ) -> None:
        self._name, self._disk = name, disk or RealDisk()
        place = Path(directory).absolute()
        self._target, self._above = str(place), str(place.parent)
        mark = digest(place.name.encode())[:8].hex()
        self._building = str(place.with_name(f".building-{mark}"))
        self._check_free()

    def __enter__(self) -> Self:
        """Begin with an empty log; raises LogLocked when another process builds the same chain."""
        if self._disk.exists(self._building):
            try:
                LocalLog.open(self._building, disk=self._disk).destroy()
            except (CorruptLog, UnsupportedFormat):
                self._disk.rmtree(self._building)
        self.store = LocalLog.open(self._building, disk=self._disk)
        self._is_done = False
        return self

    def finish(self) -> None:
        """Give the chain its name; all of it must be flushed.

        Raises:
            Conflict: somebody else took the name meanwhile.
        """
        self._check_free()
        # Under its lock: nobody who looks for leftovers can mistake it for one.
        self._disk.rename(self._building, self._target)
        self._is_done = True
        self._disk.sync_dir(self._above)

    def __exit__(self, *_: object) -> None:
        if self._is_done:
            self.store.close()
            return
        with contextlib.suppress(AteError):
            self.store.destroy()
        with contextlib.suppress(AteError):
            self.store.close()

    def _check_free(self) -> None:
        if self._disk.exists(self._target):
            raise Conflict(
                f"there is a chain {str(self._name)!r} already, or a directory of that name",
                hint="choose another name",
            )
