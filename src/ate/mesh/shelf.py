"""`DiskShelf` and `MemoryShelf`: where a hall's chains are kept; they read nothing of a chain."""

from __future__ import annotations

from pathlib import Path

from ate.errors import NotFound
from ate.ids import ChainName
from ate.log import recovery
from ate.log.disk import Disk, RealDisk
from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.log.store import LogStore


class DiskShelf:
    """Chains below one directory, each in the directory of its name.

    Args:
        path: the directory.
        disk: handed in by tests.
    """

    def __init__(self, path: str | Path, disk: Disk | None = None) -> None:
        self.path, self._disk = Path(path), disk or RealDisk()

    def exists(self, name: ChainName) -> bool:
        return bool(recovery.locate(self._disk, str(self.path / name)))

    def open(self, name: ChainName, *, create: bool) -> LogStore:
        if not create and not self.exists(name):
            raise NotFound(f"there is no chain {str(name)!r} here")
        return LocalLog.open(self.path / name, disk=self._disk, readonly=False, create=create)


class MemoryShelf:
    """Chains that live as long as the server."""

    def __init__(self) -> None:
        self._logs: dict[str, MemoryLog] = {}

    def exists(self, name: ChainName) -> bool:
        return name in self._logs

    def open(self, name: ChainName, *, create: bool) -> LogStore:
        if name not in self._logs:
            if not create:
                raise NotFound(f"there is no chain {str(name)!r} here")
            self._logs[name] = MemoryLog()
        return self._logs[name]
