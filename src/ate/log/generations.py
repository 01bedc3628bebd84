"""The generations of a log: which one readers share, how the next one begins and takes over.

It also overwrites what must not be found again. It never looks into a frame, and it never removes a
generation that somebody still reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Final

from ate.errors import LogLocked, StorageError, UnsupportedFormat
from ate.limits import MIB
from ate.log import recovery, segment
from ate.log.disk import Disk, DiskFile, DiskLock
from ate.log.segment import FRAME_BYTES, HEADER_BYTES

_TRIES: Final = 16
#: Lies in a generation whose files are to be overwritten before they are removed.
_ERASE: Final = "erase"
_ZEROS: Final = bytes(MIB)


class NoLock:
    """Stands where a lock would, and holds nothing."""

    def close(self) -> None:
        """Do nothing."""


def _first_head(directory: str, generation: int) -> str:
    path = recovery.generation_path(directory, generation)
    return f"{path}/{segment.file_name(segment.HEAD, 1)}"


def share(disk: Disk, base: str) -> tuple[str, int, DiskLock]:
    """Return where a chain lives, its live generation, and a lock that keeps its files for readers.

    Raises:
        UnsupportedFormat: there is no log.
        CorruptLog: see `recovery.locate`.
    """
    for _ in range(_TRIES):
        directory = recovery.home(disk, base)
        try:
            generation = recovery.locate(disk, directory)
        except StorageError:
            if recovery.home(disk, base) == directory:
                raise
            continue
        if not generation:
            name = base.rpartition("/")[2]
            raise UnsupportedFormat(f"there is no chain in {name}")
        try:
            lock: DiskLock = disk.share(_first_head(directory, generation))
        except StorageError:
            lock = NoLock()  # it is being replaced, or damaged in a way that opening it will tell
        lives = recovery.home(disk, base) == directory
        if lives and recovery.locate(disk, directory) == generation:
            return directory, generation, lock
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
        if disk.exists(f"{path}/{_ERASE}"):
            for name in disk.listdir(path):
                _blank(disk, f"{path}/{name}", 0)
        disk.rmtree(path)
    return tuple(kept)


def _others(disk: Disk, directory: str, live: int) -> list[int]:
    names = filter(recovery.is_generation, disk.listdir(directory))
    return sorted(number for name in names if (number := int(name)) != live)


def wipe(disk: Disk, directory: str, generation: int, spans: Iterable[tuple[int, int, int]]) -> int:
    """Overwrite parts of a generation that does not live any more; see `LogStore.wipe`."""
    path = recovery.generation_path(directory, generation)
    mark = f"{path}/{_ERASE}"
    recovery.replace(disk, mark, (b"",))
    with closing(disk.lock(_first_head(directory, generation))):
        done = _wipe_frames(disk, path, spans)
        known = {segment.file_name(*one): one[0] for one in recovery.segments(disk, path)}
        for name in disk.listdir(path):
            # Rows stay: live objects may still look at them, until the file is gone.
            if known.get(name) == segment.BODY:
                done += _blank(disk, f"{path}/{name}", HEADER_BYTES)
            elif name not in known and name != recovery.INDEX:  # torn, half-made, kept aside
                done += _blank(disk, f"{path}/{name}", 0)
        disk.remove(mark)
    return done


def _wipe_frames(disk: Disk, path: str, spans: Iterable[tuple[int, int, int]]) -> int:
    file: DiskFile | None = None
    opened = done = 0
    try:
        for place, start, length in spans:
            number, offset = segment.split(place)
            if file is None or number != opened:
                if file is not None:
                    file.datasync()
                    file.close()
                name = segment.file_name(segment.HEAD, number)
                file, opened = disk.open(f"{path}/{name}"), number
            _zero(file, offset + FRAME_BYTES + start, length)
            done += length
        if file is not None:
            file.datasync()
    finally:
        if file is not None:
            file.close()
    return done


def _blank(disk: Disk, path: str, start: int) -> int:
    """Overwrite a file from an offset on; returns how many bytes."""
    with closing(disk.open(path)) as file:
        length = max(file.size() - start, 0)
        _zero(file, start, length)
        file.datasync()
    return length


def _zero(file: DiskFile, at: int, length: int) -> None:
    for offset in range(at, at + length, len(_ZEROS)):
        part = min(len(_ZEROS), at + length - offset)
        file.pwrite((_ZEROS[:part] if part < len(_ZEROS) else _ZEROS,), offset)


def every_file(disk: Disk, directory: str) -> Iterator[tuple[str, DiskFile]]:
    """Yield name and content of all files of a chain; chains below its name are left out."""
    for name in disk.listdir(directory):
        path = f"{directory}/{name}"
        if recovery.is_generation(name.removeprefix(recovery.DOOMED)):
            names = [f"{name}/{inner}" for inner in disk.listdir(path)]
        else:
            names = [] if disk.exists(f"{path}/.") else [name]
        for one in names:
            try:
                file = disk.open(f"{directory}/{one}", readonly=True)
            except StorageError:
                if disk.exists(f"{directory}/{one}"):
                    raise
                continue  # it has got another name meanwhile
            with closing(file):
                yield one, file
