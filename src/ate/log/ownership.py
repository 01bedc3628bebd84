"""Who owns a data directory: epochs 1, 2, …, each claimed once; it never stops a process.

Each epoch has a file, `owner.N`. Its owner keeps the file locked, so that everybody sees when it is
gone, and writes a number to it that grows, so that everybody sees when it hangs. Whoever follows an
owner that is gone goes on in its epoch. Whoever follows one that hangs makes the next file: from
that moment the old owner is deposed, and finds out whenever it looks (`check`).

A check and a write are not one step, so a deposed owner may still write once. Two rules make that
harmless. What counts is only what an owner has flushed *before* a check that went well. And
whoever deposes an owner makes the next file first, and only then copies what it goes on with (see
`ate.log.takeover`): so everything that ever counted is in the copy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from ate.errors import Deposed, LogLocked, StorageError
from ate.log.disk import Disk, DiskFile, DiskLock

_NAME: Final = re.compile(r"owner\.([1-9][0-9]{0,9})")
_BEAT: Final = 20
_BYTES_MAX: Final = 4096


class Sight(NamedTuple):
    """What is seen of an owner.

    Args:
        epoch: 0 when nobody ever declared to be one.
        beat: changes as long as it lives.
        facts: what it says about itself; not to be relied on.
    """

    epoch: int
    beat: bytes = b""
    facts: Mapping[str, Any] = {}


def owner_path(folder: str, epoch: int) -> str:
    """Return the file of an epoch."""
    return f"{folder}/owner.{epoch}"


def newest(disk: Disk, folder: str) -> int:
    """Return the newest epoch, 0 when there is none."""
    names = disk.listdir(folder)
    return max((int(match[1]) for match in map(_NAME.fullmatch, names) if match), default=0)


def sight(disk: Disk, folder: str) -> Sight:
    """Look at who owns a directory."""
    epoch = newest(disk, folder)
    if not epoch:
        return Sight(0)
    file = disk.open(owner_path(folder, epoch), readonly=True)
    try:
        raw = file.pread(_BYTES_MAX, 0)
    finally:
        file.close()
    facts: Any = {}
    with suppress(ValueError):
        facts = json.loads(raw[_BEAT + 1 :])
    return Sight(epoch, raw[:_BEAT], facts if isinstance(facts, dict) else {})


def claim(
    disk: Disk, folder: str, facts: Mapping[str, Any], *, first: Callable[[], int] = lambda: 1
) -> Ownership | None:
    """Own a directory whose owner is gone; None when somebody has it.

    Args:
        folder: of the owners' files.
        facts: about the new owner: `url`, and `run`, which no other process has.
        first: returns the epoch to begin with where nobody ever was the owner.
    """
    epoch = newest(disk, folder)
    if not epoch:
        epoch = first()
        _make(disk, folder, epoch, facts)
    return _enter(disk, folder, epoch, facts)


def depose(disk: Disk, folder: str, epoch: int, facts: Mapping[str, Any]) -> Ownership | None:
    """Own a directory whose owner, that of this epoch, hangs; None when somebody was faster."""
    if not _make(disk, folder, epoch + 1, facts):
        return None
    return _enter(disk, folder, epoch + 1, facts)


def _make(disk: Disk, folder: str, epoch: int, facts: Mapping[str, Any]) -> bool:
    """Make the file of an epoch, durably, unless it is there."""
    path = owner_path(folder, epoch)
    fresh = f"{path}.{facts.get('run', '')}.new"
    file = disk.create(fresh)
    try:
        file.pwrite((_content(0, facts),), 0)
        file.datasync()
    finally:
        file.close()
    is_mine = disk.rename_new(fresh, path)
    if not is_mine:
        disk.remove(fresh)
    disk.sync_dir(folder)
    return is_mine


def _content(beat: int, facts: Mapping[str, Any]) -> bytes:
    return f"{beat:0{_BEAT}d}\n{json.dumps(dict(facts))}\n".encode()[:_BYTES_MAX]


def _enter(disk: Disk, folder: str, epoch: int, facts: Mapping[str, Any]) -> Ownership | None:
    path = owner_path(folder, epoch)
    try:
        lock = disk.lock(path)
    except LogLocked:
        return None
    try:
        # Only now: who makes the next epoch's file looks at this lock after that.
        if newest(disk, folder) != epoch:
            lock.close()
            return None
        is_contested = any(_lives(disk, folder, one) for one in range(1, epoch))
        file = disk.open(path)
        try:
            beat = int(file.pread(_BEAT, 0) or b"0") + 1
        except ValueError:
            beat = 1
        raw = _content(beat, facts)
        file.pwrite((raw,), 0)
        file.truncate(len(raw))
        file.datasync()
    except BaseException:
        lock.close()
        raise
    return Ownership(disk, folder, epoch, is_contested=is_contested, held=(lock, file), beat=beat)


def _lives(disk: Disk, folder: str, epoch: int) -> bool:
    path = owner_path(folder, epoch)
    if not disk.exists(path):
        return False
    try:
        disk.lock(path).close()
    except LogLocked:
        return True
    return False


class Ownership:
    """The right to write to a directory, until somebody takes it.

    Attributes:
        epoch: its number.
        is_contested: an owner of an earlier epoch was still there when this one began.
    """

    def __init__(
        self, disk: Disk, folder: str, epoch: int, *, is_contested: bool,
        held: tuple[DiskLock, DiskFile], beat: int,
    ) -> None:  # fmt: skip
        """Use `claim` or `depose`."""
        self.epoch, self.is_contested = epoch, is_contested
        self._disk, self._folder = disk, folder
        self._mine, self._next = owner_path(folder, epoch), owner_path(folder, epoch + 1)
        self._lock, self._file = held
        self._beat = beat

    def check(self) -> None:
        """Return if nobody has taken over; raises Deposed, also when that cannot be seen."""
        if self._disk.exists(self._next):
            raise self.deposed()
        if not self._disk.exists(self._mine):
            raise Deposed(
                f"the file of owner {self.epoch} is gone, or cannot be seen",
                hint="start the server again; never remove owner.N while a server runs",
            )

    def deposed(self) -> Deposed:
        """Return the error that tells who has taken over."""
        seen = Sight(self.epoch + 1)
        with suppress(StorageError):
            seen = sight(self._disk, self._folder)
        where = f", at {seen.facts['url']}" if seen.facts.get("url") else ""
        return Deposed(f"another server has taken over (epoch {seen.epoch}{where})")

    def beat(self) -> None:
        """Show that this process is well; raises Deposed."""
        self.check()
        self._beat += 1
        self._file.pwrite((f"{self._beat:0{_BEAT}d}".encode(),), 0)

    def close(self) -> None:
        """Give the directory up."""
        self._file.close()
        self._lock.close()
