"""`OwnedLog`: a log in a directory that has an owner; what a deposed one writes never counts.

It adds to `LocalLog` the looks at who is the owner, before a frame is written and after it was
flushed. Why these suffice: `ate.log.ownership`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Final, Self

from ate import limits
from ate.errors import Deposed, LogLocked, OutOfSpace, StorageError, UnsupportedFormat
from ate.log import recovery, takeover
from ate.log.disk import Buffer, Disk, DiskLock
from ate.log.local import LocalLog
from ate.log.ownership import Ownership
from ate.log.store import LogStore

_TRIES: Final = 4


class OwnedLog(LocalLog):
    """A log that ends when its directory has another owner."""

    _ownership: Ownership

    @classmethod
    def take(
        cls,
        directory: str | os.PathLike[str],
        ownership: Ownership,
        *,
        disk: Disk,
        create: bool = True,
        segment_bytes: int = limits.SEGMENT_BYTES_MAX,
    ) -> Self:
        """Open a log for writing, in files that no deposed owner can reach.

        Raises:
            Deposed: the directory has another owner.
            LogLocked: a program that is no server writes to it.
            UnsupportedFormat, CorruptLog: see `LocalLog.open`.
        """
        base = os.path.abspath(directory)
        for attempt in range(_TRIES):
            ownership.check()
            try:
                home, lock = _arrive(disk, base, ownership, create=create)
            except (Deposed, LogLocked, OutOfSpace, UnsupportedFormat):
                raise
            except StorageError:
                # A deposed owner on its way may have taken a directory away meanwhile.
                if not ownership.is_contested or attempt == _TRIES - 1:
                    raise
                continue
            try:
                log = cls._at(base, home, lock, disk=disk, segment_bytes=segment_bytes)
                if not ownership.is_contested:  # else a deposed owner may look for its files
                    takeover.tidy(disk, base, home)
            except BaseException:
                lock.close()
                raise
            log._ownership = ownership
            return log
        raise AssertionError("unreachable")

    def append(self, parts: Sequence[Buffer]) -> int:
        """See `LogStore.append`; raises Deposed."""
        self._ownership.check()
        return super().append(parts)

    def append_many(self, frames: Sequence[Sequence[Buffer]]) -> list[int]:
        """See `LogStore.append_many`; raises Deposed."""
        self._ownership.check()
        return super().append_many(frames)

    def flush(self) -> None:
        """See `LogStore.flush`; when it raises Deposed, nothing may be said to be durable."""
        super().flush()
        self._ownership.check()

    def close(self) -> None:
        """See `LogStore.close`; a deposed owner has nothing to finish."""
        with suppress(Deposed):
            super().close()

    def successor(self) -> OwnedLog:
        """See `LogStore.successor`."""
        made = super().successor()
        assert isinstance(made, OwnedLog)
        made._ownership = self._ownership
        return made

    def take_over(self, predecessor: LogStore) -> None:
        """See `LogStore.take_over`; raises Deposed."""
        super().take_over(predecessor)
        self._ownership.check()


def take_all(
    directory: str, ownership: Ownership, *, disk: Disk, goes_on: Callable[[], bool],
    workers: int = 1,
) -> int:  # fmt: skip
    """Take over all chains below a directory that a deposed owner has open; returns how many.

    Each would be at its first opening; but until then a write that is on its way could land in it.
    One that cannot be opened is passed over: whoever opens it will be told. Raises Deposed.

    Args:
        goes_on: asked before each chain is looked for, and before it is taken.
        workers: threads; a disk takes several flushes in the time of one.
    """

    def take(path: str) -> bool:
        if not goes_on():
            return False
        ownership.check()
        try:
            is_held = _is_held(disk, path)
            if is_held:
                _arrive(disk, path, ownership, create=False)[1].close()
        except StorageError:
            return False
        return is_held

    paths = takewhile(lambda _: goes_on(), _folders(disk, directory))
    if workers == 1:
        return sum(map(take, paths))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(take, paths))


def first_epoch(disk: Disk, directory: str) -> int:
    """Return the first epoch that no chain below a directory has seen.

    A directory may have lost the files of its owners: a copy of it, or one that was restored.
    """
    folders = _folders(disk, directory)
    return 1 + max((epoch for one in folders for epoch in recovery.epochs(disk, one)), default=0)


def _folders(disk: Disk, directory: str) -> Iterator[str]:
    """Yield the directories below one that may be those of chains."""
    for name in disk.listdir(directory):
        path = f"{directory}/{name}"
        if name[0] != "." and not recovery.is_generation(name) and disk.is_directory(path):
            yield path
            yield from _folders(disk, path)


def _is_held(disk: Disk, path: str) -> bool:
    lock = f"{recovery.home(disk, path)}/{recovery.LOCK}"
    try:
        if disk.exists(lock):
            disk.lock(lock).close()
    except LogLocked:
        return True
    return False


def _arrive(
    disk: Disk, base: str, ownership: Ownership, *, create: bool
) -> tuple[str, DiskLock]:  # fmt: skip
    """Return where a chain is to be written from now on, locked."""
    home = recovery.home(disk, base)
    epoch = recovery.epoch_of(home)
    if epoch > ownership.epoch:
        ownership.check()
        raise StorageError(
            f"the chain was taken over in epoch {epoch}, and this server's is {ownership.epoch}",
            hint="stop all servers of this directory, remove .atedb/owner.* and start again",
        )
    if not create and not recovery.locate(disk, home):
        raise UnsupportedFormat(f"there is no chain in {os.path.basename(base)}")
    recovery.make_directory(disk, home)
    # Owners share the lock of a chain, because a deposed one may hold it still.
    lock = disk.lock(f"{home}/{recovery.LOCK}", shared=True)
    try:
        takeover.check_home(disk, base, home)
        if not ownership.is_contested or epoch == ownership.epoch:
            return home, lock
        target = recovery.epoch_path(base, ownership.epoch)
        if recovery.locate(disk, home):
            takeover.branch(disk, home, target)
        else:
            disk.rmtree(target)
            disk.mkdir(target)
        mine = disk.lock(f"{target}/{recovery.LOCK}", shared=True)
    except BaseException:
        lock.close()
        raise
    lock.close()
    return target, mine
