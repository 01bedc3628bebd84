"""The one door to files: the `Disk` protocol and `RealDisk`; it never knows what the bytes mean.

Everything the log does to a medium goes through these calls, so that a simulated disk can stand
in for the machine's own and be cut at any moment. Paths are plain strings with `/`.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import shutil
from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

from ate.errors import LogLocked, OutOfSpace, StorageError

Buffer: TypeAlias = bytes | bytearray | memoryview

#: One `pwritev` takes at most this many parts on Linux.
_PARTS_MAX: Final = 1024
#: A directory of somebody else, or a file system where a directory cannot be flushed.
_NO_DIRECTORY_SYNC: Final = frozenset({errno.EACCES, errno.EPERM, errno.EINVAL})
#: A file system without hard links.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFile(Protocol):
    """One open file."""

    def pread(self, length: int, offset: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the end of the file."""
        ...

    def pwrite(self, parts: Sequence[Buffer], offset: int) -> None:
        """Write the parts one behind the other; on an error any part of them may be there."""
        ...

    def size(self) -> int:
        """Return the length of the file in bytes."""
        ...

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes, or extend it with zeros."""
        ...

    def datasync(self) -> None:
        """Return when content and length are on the medium; never call again after a failure."""
        ...

    def map(self, length: int) -> memoryview:
        """Return a read-only view of the first `length` bytes that shows later writes to them."""
        ...

    def close(self) -> None:
        """Give the file back; views stay valid."""
        ...


class DiskLock(Protocol):
    """The right to write, held until `close`."""

    def close(self) -> None:
        """Give the right back."""
        ...


class Disk(Protocol):
    """A medium with files and directories.

    A name that was created, renamed or removed is durable after `sync_dir` of its directory and
    not before. Every method raises StorageError, or OutOfSpace when the medium is full.
    """

    def open(self, path: str, *, readonly: bool = False) -> DiskFile:
        """Open a file that exists."""
        ...

    def create(self, path: str) -> DiskFile:
        """Open a file for writing, new or emptied."""
        ...

    def mkdir(self, path: str) -> None:
        """Make one directory; it may exist already."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Give a file or directory another name, atomically replacing a file of that name."""
        ...

    def rename_new(self, source: str, target: str) -> bool:
        """Give a file another name unless that one is taken; tell whether it has it now."""
        ...

    def link(self, source: str, target: str) -> bool:
        """Give a file a second name; False where the medium can not."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file; it may be gone already."""
        ...

    def rmdir(self, path: str) -> bool:
        """Remove a directory if nothing is in it; tell whether it is gone."""
        ...

    def rmtree(self, path: str) -> None:
        """Remove a directory and what is in it; it may be gone already."""
        ...

    def listdir(self, path: str) -> list[str]:
        """Return the sorted names in a directory; none when there is no such directory."""
        ...

    def exists(self, path: str) -> bool:
        """Tell whether a file or directory has this name."""
        ...

    def is_directory(self, path: str) -> bool:
        """Tell whether a directory has this name."""
        ...

    def sync_dir(self, path: str) -> None:
        """Make the names in a directory durable; a directory that is not ours is passed over."""
        ...

    def lock(self, path: str, *, shared: bool = False) -> DiskLock:
        """Take the writer's lock that this file stands for; raises LogLocked when it is taken.

        A shared one keeps out who wants it alone, and no other who shares it.
        """
        ...

    def share(self, path: str) -> DiskLock:
        """Keep `lock` from being taken on an existing file; raises LogLocked when it is taken."""
        ...


def storage_error(error: OSError, verb: str, path: str) -> StorageError:
    """Return what an operating system error means to a caller of the log."""
    text = f"cannot {verb} {os.path.basename(path) or path}: {os.strerror(error.errno or 0)}"
    if error.errno in _FULL:
        return OutOfSpace(text)
    return StorageError(text)


class RealFile:
    """A file of the operating system."""

    __slots__ = ("_fd", "_path")

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self._path = path

    def pread(self, length: int, offset: int) -> bytes:
        try:
            data = os.pread(self._fd, length, offset)
            while len(data) < length:
                more = os.pread(self._fd, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise storage_error(error, "read", self._path) from error
        return data

    def pwrite(self, parts: Sequence[Buffer], offset: int) -> None:
        try:
            if len(parts) == 1:
                data = parts[0]
                written = os.pwrite(self._fd, data, offset)
                if written == len(data):
                    return
                parts, offset = [memoryview(data).cast("B")[written:]], offset + written
            self._write_all([memoryview(part).cast("B") for part in parts if len(part)], offset)
        except OSError as error:
            raise storage_error(error, "write", self._path) from error

    def _write_all(self, views: list[memoryview], offset: int) -> None:
        first = 0
        while first < len(views):
            written = os.pwritev(self._fd, views[first : first + _PARTS_MAX], offset)
            if not written:
                raise OSError(errno.EIO, "nothing was written")
            offset += written
            while written:
                if written < len(views[first]):
                    views[first] = views[first][written:]
                    break
                written -= len(views[first])
                first += 1

    def size(self) -> int:
        try:
            return os.fstat(self._fd).st_size
        except OSError as error:
            raise storage_error(error, "measure", self._path) from error

    def truncate(self, size: int) -> None:
        try:
            os.ftruncate(self._fd, size)
        except OSError as error:
            raise storage_error(error, "truncate", self._path) from error

    def datasync(self) -> None:
        self._check_open()
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise storage_error(error, "flush", self._path) from error

    def map(self, length: int) -> memoryview:
        self._check_open()
        if not length:
            return memoryview(b"")
        try:
            return memoryview(mmap.mmap(self._fd, length, access=mmap.ACCESS_READ))
        except ValueError as error:
            raise StorageError(f"{os.path.basename(self._path)} shrank while open") from error
        except OSError as error:
            raise storage_error(error, "map", self._path) from error

    def _check_open(self) -> None:
        # For these two calls the system has another meaning for -1, or none.
        if self._fd < 0:
            raise StorageError(f"{os.path.basename(self._path)} is closed")

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


class _FileLock:
    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


class RealDisk:
    """The machine's own file system."""

    __slots__ = ()

    def open(self, path: str, *, readonly: bool = False) -> RealFile:
        return self._open(path, os.O_RDONLY if readonly else os.O_RDWR)

    def create(self, path: str) -> RealFile:
        return self._open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)

    def _open(self, path: str, flags: int) -> RealFile:
        try:
            return RealFile(os.open(path, flags | os.O_CLOEXEC, 0o600), path)
        except OSError as error:
            raise storage_error(error, "open", path) from error

    def mkdir(self, path: str) -> None:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            return
        except OSError as error:
            raise storage_error(error, "make", path) from error

    def rename(self, source: str, target: str) -> None:
        try:
            os.replace(source, target)
        except OSError as error:
            raise storage_error(error, "rename", source) from error

    def rename_new(self, source: str, target: str) -> bool:
        try:
            os.link(source, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise storage_error(error, "rename", source) from error
            if os.path.exists(target):
                return False
            self.rename(source, target)
            return True
        self.remove(source)
        return True

    def link(self, source: str, target: str) -> bool:
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise storage_error(error, "link", source) from error
        return True

    def remove(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise storage_error(error, "remove", path) from error

    def rmdir(self, path: str) -> bool:
        try:
            os.rmdir(path)
        except OSError as error:
            return error.errno == errno.ENOENT
        return True

    def rmtree(self, path: str) -> None:
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise storage_error(error, "remove", path) from error

    def listdir(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error(error, "list", path) from error

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def is_directory(self, path: str) -> bool:
        return os.path.isdir(path)

    def sync_dir(self, path: str) -> None:
        try:
            fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY_SYNC:
                raise storage_error(error, "flush", path) from error

    def lock(self, path: str, *, shared: bool = False) -> _FileLock:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise storage_error(error, "open", path) from error
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            # A destroyed chain takes its lock file along: a lock on a file that lost its name
            # excludes nobody, so it counts as not taken.
            if os.fstat(fd).st_ino != os.stat(path).st_ino:
                raise BlockingIOError(errno.EAGAIN, "the lock file was replaced")
        except (BlockingIOError, FileNotFoundError) as error:
            os.close(fd)
            raise LogLocked("another program writes to this chain") from error
        except OSError as error:
            os.close(fd)
            raise storage_error(error, "lock", path) from error
        return _FileLock(fd)

    def share(self, path: str) -> _FileLock:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise storage_error(error, "open", path) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fd)
            raise LogLocked("another program replaces this chain") from error
        except OSError as error:
            os.close(fd)
            raise storage_error(error, "lock", path) from error
        return _FileLock(fd)
