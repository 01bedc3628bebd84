"""`MemoryLog`: the log of a chain that lives as long as its process; it never makes a file."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from ate import limits
from ate.errors import CorruptLog, StorageError
from ate.log import segment
from ate.log.disk import Buffer, DiskFile
from ate.log.segment import BODY_BIT, HEADER_BYTES, place_of
from ate.log.store import LogStore


class MemoryLog:
    """Frames in a list. Keeps `LogStore`; places are those that a file would have."""

    def __init__(self) -> None:
        self.readonly = False
        self.generation = 1
        self.torn: tuple[str, ...] = ()
        self.end = place_of(1, HEADER_BYTES)
        self._order: list[int] = []
        self._frames: dict[int, bytes] = {}
        self._bodies: dict[int, bytes] = {}
        self._body_end = BODY_BIT | place_of(1, HEADER_BYTES)
        self._index: bytes | None = None
        self._is_closed = False

    def _check_open(self) -> None:
        if self._is_closed:
            raise StorageError("the log is closed", hint="open the chain again")

    def write_body(self, parts: Sequence[Buffer]) -> int:
        """See `LogStore.write_body`."""
        self._check_open()
        place, data = self._body_end, b"".join(parts)
        self._bodies[place] = data
        self._body_end += (len(data) + 7) & ~7
        return place

    def append(self, parts: Sequence[Buffer]) -> int:
        """See `LogStore.append`."""
        return self.append_many((parts,))[0]

    def append_many(self, frames: Sequence[Sequence[Buffer]]) -> list[int]:
        """See `LogStore.append_many`."""
        self._check_open()
        payloads = [b"".join(parts) for parts in frames]
        for payload in payloads:
            limits.check("frame bytes", len(payload), limits.COMMIT_BYTES_MAX)
        places = []
        for payload in payloads:
            self._frames[self.end] = payload
            places.append(self.end)
            self.end += segment.frame_size(len(payload))
        self._order += places
        return places

    def flush(self) -> None:
        """See `LogStore.flush`; memory is as durable as it gets."""
        self._check_open()

    def read(self, place: int, *, verify: bool = False) -> memoryview:
        """See `LogStore.read`; memory needs no verification."""
        try:
            return memoryview(self._frames[place])
        except KeyError:
            raise CorruptLog(f"there is no frame at {place:#x}") from None

    def body(self, place: int, length: int) -> memoryview:
        """See `LogStore.body`."""
        data = self._bodies.get(place)
        if data is None or len(data) < length:
            raise CorruptLog(f"there is no body of {length} bytes at {place:#x}")
        return memoryview(data)[:length]

    def scan(self, after: int = 0) -> Iterator[tuple[int, memoryview]]:
        """See `LogStore.scan`."""
        if after:
            self.read(after)
        for place in self._order[bisect_right(self._order, after) :]:
            yield place, memoryview(self._frames[place])

    def refresh(self) -> None:
        """See `LogStore.refresh`; there is no second process."""

    def trim_bodies(self, end_place: int) -> None:
        """See `LogStore.trim_bodies`."""
        self._check_open()
        if end_place > self._body_end:
            raise CorruptLog(f"there is no body before {end_place:#x}")
        for place in [place for place in self._bodies if place >= end_place]:
            del self._bodies[place]
        self._body_end = max((end_place + 7) & ~7, BODY_BIT | place_of(1, HEADER_BYTES))

    def read_index(self) -> memoryview | None:
        """See `LogStore.read_index`."""
        return None if self._index is None else memoryview(self._index)

    def write_index(self, parts: Sequence[Buffer]) -> None:
        """See `LogStore.write_index`."""
        self._check_open()
        self._index = b"".join(parts)

    def successor(self) -> MemoryLog:
        """See `LogStore.successor`."""
        self._check_open()
        made = MemoryLog()
        made.generation = self.generation + 1
        return made

    def take_over(self, predecessor: LogStore) -> None:
        """See `LogStore.take_over`."""
        self._check_open()

    def wipe(self, spans: Iterable[tuple[int, int, int]]) -> int:
        """See `LogStore.wipe`; there is no medium to overwrite."""
        deque(spans, maxlen=0)
        return 0

    def every_file(self) -> Iterator[tuple[str, DiskFile]]:
        """See `LogStore.every_file`: none."""
        return iter(())

    def sweep(self) -> tuple[str, ...]:
        """See `LogStore.sweep`."""
        return ()

    def is_superseded(self) -> bool:
        """See `LogStore.is_superseded`; there is no second process."""
        return False

    def reopened(self) -> MemoryLog:
        """See `LogStore.reopened`."""
        return self

    def size(self) -> int:
        """See `LogStore.size`."""
        return segment.bytes_before((self.end, self._body_end), 0)

    def files(self) -> dict[str, int]:
        """See `LogStore.files`: none."""
        return {}

    def close(self) -> None:
        """See `LogStore.close`."""
        self._is_closed = True

    def destroy(self) -> None:
        """See `LogStore.destroy`."""
        self._check_open()
        self._order.clear()
        self._frames.clear()
        self._bodies.clear()
        self._index = None
        self.close()
