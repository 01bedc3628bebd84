"""Large bodies in segment files of their own; it never knows which frame names which body."""

from __future__ import annotations

from collections.abc import Sequence

from ate.errors import CorruptLog
from ate.log import recovery, segment, takeover
from ate.log.disk import Buffer, Disk
from ate.log.extent import Extent
from ate.log.segment import BODY, BODY_BIT, HEADER_BYTES
from ate.log.tail import Tail


class Bodies:
    """The body segments of one generation.

    Args:
        disk: where they are.
        directory: the directory of the generation.
        generation: its number.
        segment_bytes: a segment that would pass this size is followed by another.
        readonly: open nothing for writing.
    """

    def __init__(
        self, disk: Disk, directory: str, *, generation: int, segment_bytes: int, readonly: bool
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._generation = generation
        self._segment_bytes = segment_bytes
        self._extents: list[Extent] = []
        self._tail: Tail | None = None
        self.is_dirty = False
        self.refresh()
        if self._extents and not readonly:
            self._open_tail()

    def refresh(self) -> None:
        """See segments that a writer added."""
        count = recovery.count_segments(self._disk, self._directory, BODY)
        for number in range(len(self._extents) + 1, count + 1):
            self._extents.append(
                Extent(
                    self._disk,
                    self._path(number),
                    kind=BODY,
                    number=number,
                    generation=self._generation,
                )
            )

    def _path(self, number: int) -> str:
        return f"{self._directory}/{segment.file_name(BODY, number)}"

    def _open_tail(self) -> Tail:
        extent = self._extents[-1]
        extent.file()
        file = self._disk.open(self._path(extent.number))
        size = file.size()
        self._tail = Tail(file, extent.number, end=(size + 7) & ~7, size=size, bound=0)
        return self._tail

    @property
    def end(self) -> int:
        """The place behind the last body, for who writes them; 0 when there is none."""
        tail = self._tail
        return 0 if tail is None else segment.place_of(tail.number, tail.end)

    def is_full(self, length: int) -> bool:
        """Tell whether `length` bytes more need another segment: `sync`, then `roll`."""
        tail = self._tail
        return tail is None or (tail.end > HEADER_BYTES and tail.end + length > self._segment_bytes)

    def roll(self) -> None:
        """Begin another segment."""
        recovery.create_segment(self._disk, self._directory, BODY, len(self._extents) + 1)
        if self._tail is not None:
            self._tail.file.close()
            self._tail = None
        self.refresh()
        self._open_tail()

    def has_unopened(self) -> bool:
        """Tell whether a failed `roll` left a segment behind."""
        return recovery.count_segments(self._disk, self._directory, BODY) > len(self._extents)

    def write(self, parts: Sequence[Buffer], length: int) -> int:
        """Write a body of `length` bytes and return its place; `undo` after an error."""
        tail = self._tail
        assert tail is not None
        offset = tail.write(parts, length)
        tail.end = (tail.end + 7) & ~7
        self.is_dirty = True
        return BODY_BIT | segment.place_of(tail.number, offset)

    def undo(self) -> None:
        """Take back what a failed `write` left."""
        if self._tail is not None:
            self._extents[-1].forget()
            self._tail.undo()

    def sync(self) -> None:
        """Make all bodies durable."""
        if self.is_dirty and self._tail is not None:
            # Cleared first: a body that is written meanwhile must set it again.
            self.is_dirty = False
            self._tail.file.datasync()

    def read(self, place: int, length: int) -> memoryview:
        """Return the bytes of a body; raises CorruptLog when they are not there."""
        number, offset = segment.split(place)
        if not place & BODY_BIT or number < 1 or offset < HEADER_BYTES:
            raise CorruptLog(f"{place:#x} is not the place of a body")
        if number > len(self._extents):
            self.refresh()
            if number > len(self._extents):
                name = segment.file_name(BODY, number)
                raise CorruptLog("the body segment is missing", offset=offset, file=name)
        return self._extents[number - 1].view(offset + length)[offset : offset + length]

    def trim(self, end_place: int) -> None:
        """Drop everything behind `end_place`."""
        number, offset = segment.split(end_place) if end_place else (0, 0)
        if number > len(self._extents):
            raise CorruptLog("the body segment is missing", file=segment.file_name(BODY, number))
        if number:
            size = self._extents[number - 1].file().size()
            if offset > size:
                name = segment.file_name(BODY, number)
                raise CorruptLog("the file is too short", offset=size, file=name)
        keep = max(number, 1)
        if self._tail is None or (self._tail.number == number and self._tail.size <= offset):
            return
        self._tail.file.close()
        self._tail = None
        goes_back = len(self._extents) > keep
        while len(self._extents) > keep:
            extent = self._extents.pop()
            extent.close()
            self._disk.remove(self._path(extent.number))
        if goes_back and recovery.EPOCH in self._directory:
            self._extents[-1].close()
            takeover.own(self._disk, self._path(keep))
        self._disk.sync_dir(self._directory)
        self._extents[-1].forget()
        tail = self._open_tail()
        tail.end = tail.size = max(offset, HEADER_BYTES)
        tail.file.truncate(tail.end)
        tail.end = (tail.end + 7) & ~7

    def close(self) -> None:
        """Give the files back."""
        if self._tail is not None:
            self._tail.file.close()
            self._tail = None
        for extent in self._extents:
            extent.close()
