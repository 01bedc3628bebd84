"""The readable part of a segment file, mapped on demand; it never looks behind the valid bytes.

A writer may cut its file behind the last frame at any time, and touching a mapped page that is no
longer there kills a process: so a reader maps what is known to be valid and nothing else.
"""

from __future__ import annotations

from ate.errors import CorruptLog
from ate.log import segment
from ate.log.disk import Disk, DiskFile


class Extent:
    """One segment file, opened when first read.

    Args:
        disk: where the file is.
        path: its path.
        kind: `segment.HEAD` or `segment.BODY`.
        number: its segment number.
        generation: the generation it must belong to.
    """

    __slots__ = ("_disk", "_file", "_generation", "_kind", "_path", "_view", "number", "sealed")

    def __init__(self, disk: Disk, path: str, *, kind: int, number: int, generation: int) -> None:
        self._disk = disk
        self._path = path
        self._kind = kind
        self._generation = generation
        self._file: DiskFile | None = None
        self._view = memoryview(b"")
        self.number = number
        self.sealed = False

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return segment.file_name(self._kind, self.number)

    def file(self) -> DiskFile:
        """Return the open file, its header checked.

        Raises:
            UnsupportedFormat: not a segment, or of another version.
            CorruptLog: the header is damaged.
        """
        if self._file is None:
            file = self._disk.open(self._path, readonly=True)
            try:
                header = file.pread(segment.HEADER_BYTES, 0)
                segment.check_header(header, self._kind, self.number, self._generation)
            except BaseException:
                file.close()
                raise
            self._file = file
        return self._file

    def view(self, stop: int, *, limit: int = -1) -> memoryview:
        """Return a view that holds at least the first `stop` bytes.

        Args:
            stop: how many bytes are wanted.
            limit: how many may be mapped; all of the file when negative.

        Raises:
            CorruptLog: the file is shorter than `stop`.
        """
        if stop > len(self._view) or not self._view:
            file = self.file()
            size = file.size()
            if stop > size:
                raise CorruptLog("the file is too short", offset=size, file=self.name)
            self._view = file.map(size if limit < 0 else min(size, limit))
            if self.sealed:
                # The mapping outlives the descriptor, of which a process has few.
                file.close()
                self._file = None
        return self._view

    def seal(self) -> None:
        """Note that the file changes no more, now that another segment follows it."""
        self.close()
        self.sealed = True

    def forget(self) -> None:
        """Drop the mapping, because the file was cut."""
        self._view = memoryview(b"")

    def close(self) -> None:
        """Close the file and drop the mapping; views that were handed out stay valid."""
        self.forget()
        if self._file is not None:
            self._file.close()
            self._file = None
