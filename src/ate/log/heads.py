"""The head segments of one generation, read: single frames, scans, following a writer.

It never writes. A reader looks at what the writer may still cut only through `pread`, and maps it
once it is known to be whole.
"""

from __future__ import annotations

from collections.abc import Iterator

from ate.errors import CorruptLog
from ate.log import recovery, segment
from ate.log.disk import Disk
from ate.log.extent import Extent
from ate.log.recovery import Verdict
from ate.log.segment import FRAME_BYTES, HEAD, HEADER_BYTES


def damage(extent: Extent, offset: int) -> CorruptLog:
    """Return the error for a frame that is damaged or missing."""
    return CorruptLog("a frame is damaged", offset=offset, file=extent.name)


class Heads:
    """Frames of one generation, up to `end`.

    Args:
        disk: where they are.
        directory: the directory of the generation.
        generation: its number.
        follows: somebody else writes, so nothing behind `end` may be mapped.

    Attributes:
        end: the place behind the last frame, set by whoever knows it.
        extents: the segments, the first at index 0.
    """

    __slots__ = ("_damaged_at", "_directory", "_disk", "_follows", "_generation", "end", "extents")

    def __init__(self, disk: Disk, directory: str, *, generation: int, follows: bool) -> None:
        self._disk = disk
        self._directory = directory
        self._generation = generation
        self._follows = follows
        self._damaged_at = -1
        self.extents: list[Extent] = []
        for _ in range(recovery.count_segments(disk, directory, HEAD)):
            self.add()
        self.end = segment.place_of(len(self.extents), HEADER_BYTES)

    def path(self, number: int) -> str:
        """Return the path of a segment."""
        return f"{self._directory}/{segment.file_name(HEAD, number)}"

    def add(self) -> None:
        """Note that another segment exists; the one before it changes no more."""
        if self.extents:
            self.extents[-1].seal()
        number = len(self.extents) + 1
        self.extents.append(
            Extent(
                self._disk,
                self.path(number),
                kind=HEAD,
                number=number,
                generation=self._generation,
            )
        )

    def _whole(self, number: int) -> tuple[memoryview, int]:
        """Return a segment's view and the offset behind its last frame or byte."""
        last, end = segment.split(self.end)
        if number == last:
            return self.extents[-1].view(end, limit=end if self._follows else -1), end
        if not 0 < number < last:
            return memoryview(b""), 0
        view = self.extents[number - 1].view(HEADER_BYTES)
        return view, len(view)

    def read(self, place: int, *, verify: bool) -> memoryview:
        """Return the payload of the frame at `place`; raises CorruptLog when there is none."""
        number, offset = segment.split(place)
        view, stop = self._whole(number)
        length = segment.payload_length(view, offset, stop)
        if length < 0 or place & segment.BODY_BIT:
            name = segment.file_name(HEAD, number)
            raise CorruptLog("there is no frame", offset=offset, file=name)
        if verify and not segment.is_frame(view, offset, stop):
            raise damage(self.extents[number - 1], offset)
        return view[offset + FRAME_BYTES : offset + FRAME_BYTES + length]

    def scan(self, after: int) -> Iterator[tuple[int, memoryview]]:
        """Yield (place, payload) of the verified frames behind the one at `after`, or of all."""
        last, stop = segment.split(self.end)
        number, offset = 1, HEADER_BYTES
        if after:
            number, offset = segment.split(after)
            offset += segment.frame_size(len(self.read(after, verify=True)))
        while True:
            extent = self.extents[number - 1]
            view, whole = self._whole(number)
            limit = stop if number == last else whole
            place = segment.place_of(number, 0)
            offset = yield from segment.frames(view, offset, limit, place)
            if not segment.is_zero(view[offset:limit]) or (number == last and offset != stop):
                raise damage(extent, offset)
            if number == last:
                break
            number, offset = number + 1, HEADER_BYTES
        if self._damaged_at >= 0:
            raise damage(extent, self._damaged_at)

    def open_end(self, vouched: int) -> Verdict:
        """Find the end of the last segment as a reader does, starting from a frame if it is whole.

        Args:
            vouched: offset of a frame that need not be verified again, or 0.
        """
        number = len(self.extents)
        if vouched:
            rest = self._rest(vouched)
            if segment.is_frame(rest, 0, len(rest)):
                self.end = segment.place_of(number, vouched)
        return self._advance(sealed=False)

    def follow(self) -> None:
        """Move `end` behind what the writer appended."""
        while self._damaged_at < 0:
            number, end = segment.split(self.end)
            # Asked first: if another segment is there now, this one grew no more before we read.
            sealed = self._disk.exists(self.path(number + 1))
            probe = self.extents[-1].file().pread(FRAME_BYTES, end)
            if not segment.is_zero(probe):
                self._advance(sealed=sealed)
            if not sealed:
                return
            if self._damaged_at < 0:
                self.add()
                self.end = segment.place_of(number + 1, HEADER_BYTES)

    def _rest(self, offset: int) -> memoryview:
        file = self.extents[-1].file()
        return memoryview(file.pread(max(file.size() - offset, 0), offset))

    def _advance(self, *, sealed: bool) -> Verdict:
        number, end = segment.split(self.end)
        # A read beside a write is not atomic, so damage is believed when it is seen twice.
        for _ in range(2):
            verdict = recovery.judge(self._rest(end), 0, self.end)
            is_damaged = verdict.proof >= 0 or (sealed and verdict.rest > 0)
            if not is_damaged:
                break
        self.end = segment.place_of(number, end + verdict.end)
        if is_damaged:
            self._damaged_at = end + verdict.end
        return verdict

    def close(self) -> None:
        """Give the files back; views that were handed out stay valid."""
        for extent in self.extents:
            extent.close()
