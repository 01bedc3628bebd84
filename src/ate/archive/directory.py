"""`DirectoryStore`: a destination in a directory, one file an object; it never shows half a file.

A file is written under a name that begins with a dot, flushed, and renamed if its name is free.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

from ate.archive.store import Entry
from ate.crypto.entropy import Entropy, system_entropy
from ate.errors import NotFound, OutOfSpace, StorageError
from ate.log import recovery
from ate.log.disk import Disk, RealDisk

_FULL_HINT = "free some space at the destination and run it again: earlier restore points are whole"


class DirectoryStore:
    """Keeps `ObjectStore`.

    Args:
        path: the directory; made with the first object.
        disk: where it is; the machine's file system when not given.
        entropy: for the names of files that are being written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        disk: Disk | None = None,
        entropy: Entropy = system_entropy,
    ) -> None:
        self.name = os.path.abspath(path)
        self._disk = disk or RealDisk()
        self._entropy = entropy
        self._made: set[str] = set()
        self._making = threading.Lock()

    def put_new(self, key: str, data: bytes) -> bool:
        path = f"{self.name}/{key}"
        above, _, word = path.rpartition("/")
        if self._disk.exists(path):
            return False
        temporary = f"{above}/.{word}.{self._entropy(6).hex()}"
        try:
            self._make(above)
            self._write(temporary, data)
            taken = not self._disk.rename_new(temporary, path)
            if taken:
                self._disk.remove(temporary)
            self._disk.sync_dir(above)
        except OutOfSpace as error:
            self._discard(temporary)
            raise OutOfSpace(error.message, hint=_FULL_HINT) from error
        except BaseException:
            self._discard(temporary)
            raise
        return not taken

    def _make(self, directory: str) -> None:
        """Make a directory and those above it, durably, the first time it is asked for.

        What begins with a dot there is from a backup that was killed.
        """
        with self._making:
            if directory in self._made and self._disk.exists(directory):
                return
            recovery.make_directory(self._disk, directory)
            for word in self._disk.listdir(directory):
                if word.startswith("."):
                    self._disk.remove(f"{directory}/{word}")
            self._made.add(directory)
            above = os.path.dirname(directory)
            while above and above != directory:
                self._disk.sync_dir(above)
                directory, above = above, os.path.dirname(above)

    def _write(self, path: str, data: bytes) -> None:
        file = self._disk.create(path)
        try:
            file.pwrite((data,), 0)
            file.datasync()
        finally:
            file.close()

    def _discard(self, path: str) -> None:
        try:
            self._disk.remove(path)
        except StorageError:
            pass  # what began with a dot is never read

    def get(self, key: str, limit: int) -> bytes:
        path = f"{self.name}/{key}"
        if not self._disk.exists(path):
            raise NotFound(f"there is no object {key}")
        file = self._disk.open(path, readonly=True)
        try:
            return file.pread(limit + 1, 0)
        finally:
            file.close()

    def walk(self, prefix: str) -> Iterator[Entry]:
        folder = f"{self.name}/{prefix}".rstrip("/")
        for word in self._disk.listdir(folder):
            if word.startswith("."):
                continue
            key, path = f"{prefix}{word}", f"{folder}/{word}"
            if self._disk.is_directory(path):
                yield from self.walk(f"{key}/")
                continue
            file = self._disk.open(path, readonly=True)
            try:
                yield Entry(key, file.size())
            finally:
                file.close()

    def folders(self) -> list[str]:
        return [
            word
            for word in self._disk.listdir(self.name)
            if not word.startswith(".") and self._disk.is_directory(f"{self.name}/{word}")
        ]

    def delete(self, key: str) -> None:
        path = f"{self.name}/{key}"
        if self._disk.exists(path):
            self._disk.remove(path)
            self._disk.sync_dir(os.path.dirname(path))
