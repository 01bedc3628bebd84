"""Small files beside a log, each replaced as a whole; it never looks inside them."""

from __future__ import annotations

from ate import limits
from ate.log import recovery
from ate.log.disk import Disk


class Beside:
    """Files in the directory of a chain whose lock the caller holds.

    Args:
        disk, directory: where they are; without a disk they live as long as this object.
    """

    def __init__(self, disk: Disk | None = None, directory: str = "") -> None:
        self._disk, self._directory = disk, directory
        self._held: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        """Return a file, or None when there is none, or it is larger than such files are."""
        if self._disk is None:
            return self._held.get(name)
        path = f"{self._directory}/{name}"
        if not self._disk.exists(path):
            return None
        file = self._disk.open(path, readonly=True)
        try:
            raw = file.pread(limits.BESIDE_BYTES_MAX + 1, 0)
        finally:
            file.close()
        return bytes(raw) if len(raw) <= limits.BESIDE_BYTES_MAX else None

    def write(self, name: str, raw: bytes) -> str:
        """Replace a file, durably; returns where it is, for people.

        Raises:
            OutOfSpace, StorageError: the old one is still there.
        """
        if self._disk is None:
            self._held[name] = raw
            return f"memory ({name})"
        path = f"{self._directory}/{name}"
        recovery.replace(self._disk, path, (raw,))
        return path
