"""The generations of a log: which one readers share, how the next one begins and takes over.

It never looks into a frame, and it never removes a generation that somebody still reads.
"""

from __future__ import annotations

import re
from typing import Final

from ate.errors import LogLocked, StorageError, UnsupportedFormat
from ate.log import recovery, segment
from ate.log.disk import Disk, DiskLock

_GENERATION: Final = re.compile(r"[0-9]{6}")
_TRIES: Final = 16


class NoLock:
    """Stands where a lock would, and holds nothing."""

    def close(self) -> None:
        """Do nothing."""


def _first_head(directory: str, generation: int) -> str:
    path = recovery.generation_path(directory, generation)
    return f"{path}/{segment.file_name(segment.HEAD, 1)}"


def share(disk: Disk, directory: str) -> tuple[int, DiskLock]:
    """Return the live generation, and a lock that keeps its files while somebody reads them.

    Raises:
        UnsupportedFormat: there is no log.
        CorruptLog: see `recovery.locate`.
    """
    for _ in range(_TRIES):
        generation = recovery.locate(disk, directory)
        if not generation:
            name = directory.rpartition("/")[2]
            raise UnsupportedFormat(f"there is no chain in {name}")
        try:
            lock: DiskLock = disk.share(_first_head(directory, generation))
        except StorageError:
            lock = NoLock()  # it is being replaced, or damaged in a way that opening it will tell
        if recovery.locate(disk, directory) == generation:
            return generation, lock
        lock.close()
    raise LogLocked("this chain is being replaced again and again", hint="try again")


def begin(disk: Disk, directory: str, live: int) -> int:
    """Make the next generation, empty, and return its number; what was left half-made goes."""
    sweep(disk, directory, live)
    number = max([live, *_others(disk, directory, live)]) + 1
    path = recovery.generation_path(directory, number)
    disk.mkdir(path)
    recovery.create_segment(disk, path, segment.HEAD, 1)
    return number


def switch(disk: Disk, directory: str, generation: int) -> None:
    """Make a generation, all of which is durable, the live one."""
    disk.sync_dir(recovery.generation_path(directory, generation))
    disk.sync_dir(directory)
    name = f"{generation:06d}\n".encode()
    recovery.replace(disk, f"{directory}/{recovery.CURRENT}", (name,))


def sweep(disk: Disk, directory: str, live: int) -> tuple[str, ...]:
    """Remove the other generations, half-made ones too, and return those that are still read."""
    kept = []
    for number in _others(disk, directory, live):
        path = recovery.generation_path(directory, number)
        head = _first_head(directory, number)
        try:
            if disk.exists(head):
                # A reader that comes now finds CURRENT changed once it holds its lock.
                disk.lock(head).close()
        except LogLocked:
            kept.append(path.rpartition("/")[2])
            continue
        disk.rmtree(path)
    return tuple(kept)


def _others(disk: Disk, directory: str, live: int) -> list[int]:
    names = (name for name in disk.listdir(directory) if _GENERATION.fullmatch(name))
    return sorted(number for name in names if (number := int(name)) != live)
