"""A chain goes on in files that a deposed owner cannot reach; it never writes to those it leaves.

A process that hangs may hold files open, and write to them whenever it goes on. So its successor
leaves the chain's directory as it is and makes another inside it, `.epoch-N` with the number of its
own ownership: files that nobody writes to any more are linked, the others copied. Every name that
an owner makes or changes lies in the directory of its own epoch or of one before.
"""

from __future__ import annotations

import os.path
from typing import Final

from ate.errors import LogLocked, StorageError
from ate.limits import MIB
from ate.log import generations, recovery, segment
from ate.log.disk import Disk, DiskFile

_TRIES: Final = 16
_CHUNK_BYTES: Final = 4 * MIB


def branch(disk: Disk, source: str, target: str) -> None:
    """Make a chain in `target`, durably, of all that is in the one in `source` now.

    What was begun there before is begun anew. Whoever owned the chain may write meanwhile: what
    it has flushed before this call is taken along, what it appends later may be or not.

    Raises:
        CorruptLog: a segment is missing.
        OutOfSpace, StorageError: there is no chain in `target` then.
    """
    for attempt in range(_TRIES):
        generation = recovery.locate(disk, source)
        disk.rmtree(target)
        disk.mkdir(target)
        try:
            _fill(disk, source, target, generation)
            break
        except StorageError:
            # A compaction that was on its way has replaced what was being copied.
            if attempt == _TRIES - 1 or recovery.locate(disk, source) == generation:
                raise
    disk.sync_dir(os.path.dirname(target))
    recovery.replace(disk, f"{target}/{recovery.CURRENT}", (f"{generation:06d}\n".encode(),))


def _fill(disk: Disk, source: str, target: str, generation: int) -> None:
    old = recovery.generation_path(source, generation)
    new = recovery.generation_path(target, generation)
    disk.mkdir(new)
    # In this order an index names no frame that is not there, and a frame no body.
    if disk.exists(f"{old}/{recovery.INDEX}"):
        _take(disk, f"{old}/{recovery.INDEX}", f"{new}/{recovery.INDEX}")
    for kind in (segment.HEAD, segment.BODY):
        for number in range(1, recovery.count_segments(disk, old, kind) + 1):
            name = segment.file_name(kind, number)
            if disk.exists(f"{old}/{segment.file_name(kind, number + 1)}"):
                _take(disk, f"{old}/{name}", f"{new}/{name}")
            else:
                _copy(disk, f"{old}/{name}", f"{new}/{name}")
        recovery.count_segments(disk, new, kind)
    disk.sync_dir(new)
    disk.sync_dir(target)


def _take(disk: Disk, source: str, target: str) -> None:
    """Link a file that changes no more."""
    if not disk.link(source, target):
        _copy(disk, source, target)


def _copy(disk: Disk, source: str, target: str) -> None:
    old = disk.open(source, readonly=True)
    try:
        new = disk.create(target)
        try:
            _pour(old, new)
            new.datasync()
        finally:
            new.close()
    finally:
        old.close()


def _pour(old: DiskFile, new: DiskFile) -> None:
    offset = 0
    while chunk := old.pread(_CHUNK_BYTES, offset):
        new.pwrite((chunk,), offset)
        offset += len(chunk)


def check_home(disk: Disk, base: str, home: str) -> None:
    """Raise LogLocked when a chain lives elsewhere, now that nobody else may take it from here."""
    if recovery.home(disk, base) != home:
        raise LogLocked("another server has just taken this chain over", hint="try again")


def own(disk: Disk, path: str) -> None:
    """Put a copy in the place of a file that may be linked with one of a former owner's."""
    fresh = f"{path}.new"
    _copy(disk, path, fresh)
    disk.rename(fresh, path)


def tidy(disk: Disk, base: str, home: str) -> None:
    """Remove what was left behind when a chain went on in `home`, unless somebody reads it.

    The name of its generation stays in the directory itself: a version that knows no take-over
    finds damage there, and begins no second chain. Not while a deposed owner is about: it is to
    find out that it was deposed, and not that its files are gone.
    """
    if home == base:
        return
    generations.sweep(disk, base, 0)
    for epoch in recovery.epochs(disk, base):
        path = recovery.epoch_path(base, epoch)
        if epoch < recovery.epoch_of(home) and not generations.sweep(disk, path, 0):
            disk.rmtree(path)


def destroy(disk: Disk, base: str, home: str, generation: int) -> None:
    """Remove every file of a chain; once begun, the next open finishes it."""
    if home != base:
        _forget(disk, base, recovery.epoch_of(home))
    recovery.doom(disk, home, generation)
    disk.rmdir(base)


def _forget(disk: Disk, base: str, epoch: int) -> None:
    """Remove what a chain left behind before; while its newest home is there nobody looks at it."""
    for one in recovery.epochs(disk, base):
        if one < epoch:
            disk.rmtree(recovery.epoch_path(base, one))
    for name in disk.listdir(base):
        if recovery.is_generation(name):
            disk.rmtree(f"{base}/{name}")
    disk.remove(f"{base}/{recovery.CURRENT}")
    disk.remove(f"{base}/{recovery.LOCK}")
    disk.sync_dir(base)
