"""The writable end of a segment file: preallocation and undo of a failed write.

It never decides what is written, nor when it must be durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ate.errors import OutOfSpace
from ate.limits import KIB, MIB
from ate.log.disk import Buffer, DiskFile

#: The first step of preallocation; each further one is twice as long, up to the last.
STEP_BYTES_MIN: Final = 64 * KIB
STEP_BYTES_MAX: Final = 4 * MIB
#: Writes of this size do not profit from blocks that are there already.
LARGE_BYTES: Final = 64 * KIB


class Tail:
    """Where the next bytes of a segment go.

    Overwriting zeros that are already on the medium makes a flush cheaper than growing the file,
    because no file system metadata changes.

    Args:
        file: the segment's file, kept open.
        number: the segment's number.
        end: offset behind the last byte in use.
        size: length of the file; there are only zeros behind `end`.
        bound: preallocate no further than this; 0 never preallocates.
    """

    __slots__ = ("_bound", "_step", "end", "file", "number", "size")

    def __init__(self, file: DiskFile, number: int, *, end: int, size: int, bound: int) -> None:
        self.file = file
        self.number = number
        self.end = end
        self.size = size
        self._bound = bound
        self._step = STEP_BYTES_MIN

    def write(self, parts: Sequence[Buffer], length: int) -> int:
        """Write `length` bytes at the end and return their offset.

        Raises:
            StorageError: call `undo` before anything else.
        """
        offset = self.end
        stop = offset + length
        if stop > self.size and length < LARGE_BYTES and stop < self._bound:
            self._preallocate(stop)
        self.file.pwrite(parts, offset)
        self.end = stop
        self.size = max(self.size, stop)
        return offset

    def _preallocate(self, stop: int) -> None:
        target = min(max(stop, self.size + self._step), self._bound)
        try:
            self.file.pwrite((bytes(target - self.size),), self.size)
        except OutOfSpace:
            # The bytes asked for may still fit where the zeros do not.
            self.file.truncate(self.size)
            return
        self.size = target
        self._step = min(2 * self._step, STEP_BYTES_MAX)

    def undo(self) -> None:
        """Take back what a failed `write` left behind the end, durably.

        A frame that was reported as failed must not reappear after a crash.
        """
        self.file.truncate(self.end)
        self.size = self.end
        self.file.datasync()

    def trim(self) -> None:
        """Give back the zeros behind the end."""
        if self.size > self.end:
            self.file.truncate(self.end)
            self.size = self.end
