"""The file `index` of a generation: replaced whole, read whole; what it says is for the chain."""

from __future__ import annotations

from collections.abc import Sequence

from ate.log import recovery, segment
from ate.log.disk import Buffer, Disk
from ate.log.segment import HEADER_BYTES


class IndexFile:
    """The index of one generation.

    Args:
        disk: where it is.
        directory: the directory of the generation.
    """

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self._path = f"{directory}/{recovery.INDEX}"

    def _load(self) -> memoryview | None:
        if not self._disk.exists(self._path):
            return None
        file = self._disk.open(self._path, readonly=True)
        try:
            return file.map(file.size())
        finally:
            file.close()

    def place(self) -> int:
        """Return the place of the durable frame that it names; 0 when there is none."""
        index = self._load()
        return (None if index is None else segment.decode_index(index)) or 0

    def read(self) -> memoryview | None:
        """Return what was written last, or None."""
        index = self._load()
        if index is None or segment.decode_index(index) is None:
            return None
        return index[HEADER_BYTES:]

    def write(self, parts: Sequence[Buffer], place: int) -> None:
        """Replace it.

        Args:
            parts: the content.
            place: of a frame that is durable, from which opening may begin to look for the end.
        """
        recovery.replace(self._disk, self._path, (segment.encode_index(place), *parts))
