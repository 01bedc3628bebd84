"""`DiskShelf` and `MemoryShelf`: where a hall's chains are kept; they read nothing of a chain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from ate.errors import NotFound
from ate.ids import ChainName
from ate.log import recovery
from ate.log.disk import Disk, RealDisk
from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.log.owned import OwnedLog, take_all
from ate.log.ownership import Ownership
from ate.log.store import LogStore

#: Threads that take chains over: with more the disk is not faster.
_WORKERS: Final = 8


class DiskShelf:
    """Chains below one directory, each in the directory of its name.

    Args:
        path: the directory.
        disk: handed in by tests.
        ownership: of the directory, where others stand by to take it.
    """

    def __init__(
        self, path: str | Path, disk: Disk | None = None, *, ownership: Ownership | None = None
    ) -> None:
        self.path, self._disk = Path(path), disk or RealDisk()
        self._ownership = ownership

    def exists(self, name: ChainName) -> bool:
        return recovery.is_chain(self._disk, str(self.path / name))

    def open(self, name: ChainName, *, create: bool) -> LogStore:
        if not create and not self.exists(name):
            raise NotFound(f"there is no chain {str(name)!r} here")
        if self._ownership is not None:
            path = self.path / name
            return OwnedLog.take(path, self._ownership, disk=self._disk, create=create)
        return LocalLog.open(self.path / name, disk=self._disk, readonly=False, create=create)

    def take_all(self, goes_on: Callable[[], bool]) -> int:
        """Take over what a deposed owner has open; see `ate.log.owned.take_all`."""
        if self._ownership is None or not self._ownership.is_contested:
            return 0
        return take_all(
            str(self.path), self._ownership, disk=self._disk, goes_on=goes_on, workers=_WORKERS
        )


class MemoryShelf:
    """Chains that live as long as the server; closing one loses nothing of it."""

    def __init__(self) -> None:
        self._logs: dict[str, _Kept] = {}

    def exists(self, name: ChainName) -> bool:
        return name in self._logs

    def open(self, name: ChainName, *, create: bool) -> LogStore:
        known = self._logs.get(name)
        if known is None:
            if not create:
                raise NotFound(f"there is no chain {str(name)!r} here")
            known = self._logs[name] = _Kept(self._logs, name)
        return known


class _Kept(MemoryLog):
    """A log that stays on its shelf when it is closed."""

    def __init__(self, logs: dict[str, _Kept], name: str) -> None:
        super().__init__()
        self._logs, self._name = logs, name

    def close(self) -> None:
        """See `LogStore.close`; it can be opened again."""

    def destroy(self) -> None:
        """See `LogStore.destroy`."""
        self._logs.pop(self._name, None)

    def successor(self) -> _Kept:
        """See `LogStore.successor`."""
        made = _Kept(self._logs, self._name)
        made.generation = self.generation + 1
        return made

    def take_over(self, predecessor: LogStore) -> None:
        """See `LogStore.take_over`."""
        self._logs[self._name] = self
