"""What is still whole in the files of a damaged log; it changes nothing and repairs nothing.

Where `Heads` stops at the first damage, this goes on behind it: every frame whose check is right is
found, wherever it lies, and every body that is asked for is given as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ate.crypto.hash import check64
from ate.errors import CorruptLog, UnsupportedFormat
from ate.log import recovery, segment
from ate.log.disk import Disk
from ate.log.segment import BODY, BODY_BIT, HEAD, HEADER_BYTES

#: The search for the next frame hashes at most so many times what the segment holds: bytes that
#: look like the fronts of long frames over and over must not keep it busy for ever.
_SEARCH_MAX: Final = 16
_MAGIC: Final = b"ATEf"
_CHECK_AT: Final = HEADER_BYTES - 8


def generations(disk: Disk, directory: str) -> list[int]:
    """Return the numbers of the generations that hold frames, ascending."""
    return [
        int(name)
        for name in disk.listdir(directory)
        if len(name) == 6 and name.isdecimal() and recovery.segments(disk, f"{directory}/{name}")
    ]


class Salvage:
    """The files of one generation, read as far as they can be.

    Args:
        disk: where they are.
        directory: the chain's own directory.
        generation: which one.
    """

    def __init__(self, disk: Disk, directory: str, generation: int) -> None:
        self.generation = generation
        self.path = recovery.generation_path(directory, generation)
        self._disk = disk
        self._views: dict[tuple[int, int], memoryview] = {}
        found = recovery.segments(disk, self.path)
        #: The highest number of a head and of a body segment, 0 when there is none.
        self.last = {
            kind: max((number for which, number in found if which == kind), default=0)
            for kind in (HEAD, BODY)
        }
        self._present = set(found)

    def view(self, kind: int, number: int) -> memoryview:
        """Return all bytes of a segment; none when there is no such file."""
        if (kind, number) not in self._present:
            return memoryview(b"")
        known = self._views.get((kind, number))
        if known is None:
            path = f"{self.path}/{segment.file_name(kind, number)}"
            file = self._disk.open(path, readonly=True)
            try:
                size = file.size()
                # A writer may cut its last segment at any time, and touching a mapped page that
                # is gone kills a process.
                is_last = number == self.last[kind]
                known = memoryview(file.pread(size, 0)) if is_last else file.map(size)
            finally:
                file.close()
            self._views[kind, number] = known
        return known

    def is_sound(self, kind: int, number: int) -> bool:
        """Tell whether a segment is there with the header that it must have.

        Raises:
            UnsupportedFormat: its header is whole, and of another version.
        """
        raw = bytes(self.view(kind, number)[:HEADER_BYTES])
        try:
            segment.check_header(raw, kind, number, self.generation)
        except UnsupportedFormat:
            # What a newer version wrote has a check that is right; a flipped bit has not.
            if _is_consistent(raw):
                raise
            return False
        except CorruptLog:
            return False
        return True

    def payload(self, number: int, offset: int) -> memoryview | None:
        """Return the payload of the whole frame at an offset of a head segment, or None."""
        view = self.view(HEAD, number)
        if offset >= len(view):
            return None
        found = next(segment.frames(view, offset, len(view)), None)
        return None if found is None else found[1]

    def whole(self, number: int) -> Iterator[tuple[int, memoryview]]:
        """Yield (offset, payload) of every whole frame of a head segment, behind damage too."""
        view = self.view(HEAD, number)
        size, offset, data = len(view), HEADER_BYTES, b""
        budget = _SEARCH_MAX * size
        while True:
            walk = segment.frames(view, offset, size)
            for at, payload in walk:
                yield at, payload
                offset = at + segment.frame_size(len(payload))
            data = data or bytes(view)
            at = data.find(_MAGIC, offset)
            while at >= 0:
                length = segment.payload_length(view, at, size)
                if length >= 0:
                    budget -= length
                    if budget < 0:
                        return
                    if segment.is_frame(view, at, size):
                        break
                at = data.find(_MAGIC, at + 1)
            if at < 0:
                return
            offset = at

    def rest(self, number: int, offset: int) -> int:
        """Return how many bytes follow in a head segment up to the last that is not zero."""
        return len(bytes(self.view(HEAD, number)[offset:]).rstrip(b"\0"))

    def body(self, place: int, length: int) -> memoryview | None:
        """Return the bytes where a body should be; None when there are not that many."""
        number, offset = segment.split(place)
        if not place & BODY_BIT or offset < HEADER_BYTES:
            return None
        found = self.view(BODY, number)[offset : offset + length]
        return found if len(found) == length else None


def _is_consistent(raw: bytes) -> bool:
    if len(raw) < HEADER_BYTES:
        return False
    return check64((raw[:_CHECK_AT],)) == int.from_bytes(raw[_CHECK_AT:], "little")


def live(disk: Disk, directory: str) -> tuple[int, bool]:
    """Return the live generation of a chain, and whether CURRENT says so.

    Where CURRENT is missing, empty, or names what is not there, the only generation is the one.

    Raises:
        UnsupportedFormat: CURRENT says something else.
        CorruptLog: there is no generation, or more than one and nothing says which of them lives.
    """
    try:
        number = recovery.locate(disk, directory)
        if number:
            return number, True
    except CorruptLog:
        pass
    except UnsupportedFormat:
        file = disk.open(f"{directory}/{recovery.CURRENT}", readonly=True)
        try:
            if file.pread(64, 0).strip(b"\0"):
                raise
        finally:
            file.close()
    found = generations(disk, directory)
    if len(found) != 1:
        raise CorruptLog(
            "there is no generation of the chain" if not found else "which generation lives?",
            hint="copy the directory of a replica, or restore a backup",
        )
    return found[0], False
