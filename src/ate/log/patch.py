"""Replacing parts of a file as one step: the old file or the new one is there, never a mixture.

It never decides what is replaced, and never loses what was there: the old file is kept aside.
"""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ate.limits import MIB
from ate.log.disk import Buffer, Disk, DiskFile

_NEW: Final = ".new"
_CHUNK_BYTES: Final = 4 * MIB


@dataclass(slots=True)
class Patch:
    """The changes of one file.

    Args:
        writes: offset and parts of what is written over the old content or behind it.
        size: where the file is to end; -1 leaves that to what is there and what is written.
    """

    writes: list[tuple[int, Sequence[Buffer]]] = field(default_factory=list)
    size: int = -1


def replace_parts(disk: Disk, path: str, patch: Patch) -> str:
    """Give a file its new content, and return the name under which the old one is kept.

    After a crash the old file or the new one stands under the name, whole. A file that was missing
    is made; then nothing is kept, and the name is empty.
    """
    aside = ""
    if disk.exists(path):
        aside = _free_name(disk, path)
        _write(disk, path, aside, Patch())
    _write(disk, path, path, patch)
    return os.path.basename(aside)


def _free_name(disk: Disk, path: str) -> str:
    serial = 1
    while disk.exists(f"{path}.damaged-{serial}"):
        serial += 1
    return f"{path}.damaged-{serial}"


def _write(disk: Disk, source: str, target: str, patch: Patch) -> None:
    """Put the content of `source`, changed, in the place of `target`."""
    made = disk.create(target + _NEW)
    try:
        if disk.exists(source):
            old = disk.open(source, readonly=True)
            try:
                _copy(old, made)
            finally:
                old.close()
        for offset, parts in patch.writes:
            made.pwrite(parts, offset)
        if patch.size >= 0:
            made.truncate(patch.size)
        made.datasync()
    finally:
        made.close()
    disk.rename(target + _NEW, target)
    disk.sync_dir(os.path.dirname(target))


def _copy(old: DiskFile, new: DiskFile) -> None:
    offset = 0
    while chunk := old.pread(_CHUNK_BYTES, offset):
        new.pwrite((chunk,), offset)
        offset += len(chunk)
