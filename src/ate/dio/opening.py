"""How a chain is opened: where its files are, which log keeps them, what one awaits.

It reads nothing of a chain and judges nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ate.errors import NotFound, UsageError
from ate.ids import ChainName
from ate.log import recovery
from ate.log.beside import Beside
from ate.log.disk import Disk, RealDisk
from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.log.outbox import Outbox
from ate.log.store import LogStore

if TYPE_CHECKING:
    from ate.dio.chain import Chain


def home() -> Path:
    """Return the user's data directory.

    `$ATE_HOME`, else `$XDG_DATA_HOME/ate`, else `~/.local/share/ate`.
    """
    if chosen := os.environ.get("ATE_HOME"):
        return Path(chosen)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "ate"


def chain_directory(name: ChainName, path: str | os.PathLike[str] | None = None) -> Path:
    """Return where a chain's files are: below `path`, or below the user's data directory."""
    return (Path(path) if path is not None else home() / "chains") / name


def open_store(
    name: ChainName,
    path: str | os.PathLike[str] | None,
    disk: Disk | None,
    *,
    memory: bool,
    readonly: bool,
    create: bool,
) -> LogStore:
    """Return the log of a chain, open; raises NotFound when there is none and none is made."""
    if memory:
        if path is not None or readonly:
            raise UsageError("a memory chain has no path and cannot be read-only")
        return MemoryLog()
    directory, disk = chain_directory(name, path), disk or RealDisk()
    create = create and not readonly
    if not create and not recovery.is_chain(disk, str(directory)):
        raise NotFound(f"there is no chain {str(name)!r} in {directory.parent}")
    return LocalLog.open(directory, disk=disk, readonly=readonly, create=create)


def open_outbox(
    name: ChainName, path: str | os.PathLike[str] | None, disk: Disk | None, *, memory: bool
) -> Outbox:
    """Return the outbox beside the local copy of a shared chain, whose lock the caller holds."""
    if memory:
        return Outbox.in_memory()
    return Outbox.open(disk or RealDisk(), str(chain_directory(name, path)))


def open_beside(
    name: ChainName, path: str | os.PathLike[str] | None, disk: Disk | None, *, memory: bool
) -> Beside:
    """Return the place for small files beside the local copy of a shared chain."""
    return Beside() if memory else Beside(disk or RealDisk(), str(chain_directory(name, path)))


class Opening:
    """A chain about to be opened: `await` it, or enter it with `async with`."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._chain: Chain | None = None

    def __await__(self) -> Generator[Any, None, Chain]:
        return self._make().__await__()  # type: ignore[no-any-return]

    async def __aenter__(self) -> Chain:
        self._chain = await self
        return self._chain

    async def __aexit__(self, *_: object) -> None:
        if self._chain is not None:
            await self._chain.close()
