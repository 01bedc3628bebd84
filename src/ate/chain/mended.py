"""`Mended`: a damaged log read as it would be once it is repaired, before a byte of it is written.

It writes nothing and proves nothing: `verify` does, over it, as over any other log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ate.errors import CorruptLog, ReadOnly
from ate.event.commit import Record
from ate.log import segment
from ate.log.disk import Buffer, DiskFile
from ate.log.salvage import Salvage
from ate.log.segment import BODY_BIT, HEAD, place_of
from ate.log.store import LogStore


@dataclass(slots=True)
class Stretch:
    """Frames of one head segment that follow each other.

    Args:
        number: of the segment.
        start, stop: offsets in it.
        payloads: what comes there from elsewhere; None when the frames are the log's own.
    """

    number: int
    start: int
    stop: int
    payloads: list[memoryview] | None = None


@dataclass(slots=True)
class Mend:
    """One range of a file that is replaced.

    Args:
        file: its name in the generation's directory.
        offset, length: of the range, in bytes.
        what: header, commits, body or end.
        first, last: index of the first and the last commit it concerns, -1 for headers.
        source: where the bytes come from.
    """

    file: str
    offset: int
    length: int
    what: str
    first: int = -1
    last: int = -1
    source: str = ""


@dataclass(slots=True)
class Tail:
    """A commit that the log does not have yet, with its large bodies by row."""

    record: Record
    bodies: dict[int, Buffer]


class Mended:
    """The log of `salvage` with what is to be put in. Keeps `LogStore`, for reading.

    Args:
        salvage: what is there.
        stretches: all frames, in order.
        bodies: place → the bytes of bodies that are put in.
    """

    readonly = True
    torn: tuple[str, ...] = ()

    def __init__(
        self, salvage: Salvage, stretches: Sequence[Stretch], bodies: dict[int, Buffer]
    ) -> None:
        self._salvage, self._stretches, self._bodies = salvage, stretches, bodies
        self._put_in = {
            place: payload for one in stretches if one.payloads for place, payload in _placed(one)
        }

    @property
    def generation(self) -> int:
        """See `LogStore.generation`."""
        return self._salvage.generation

    @property
    def end(self) -> int:
        """See `LogStore.end`."""
        last = self._stretches[-1] if self._stretches else Stretch(1, 0, segment.HEADER_BYTES)
        return place_of(last.number, last.stop)

    def scan(self, after: int = 0) -> Iterator[tuple[int, memoryview]]:
        """See `LogStore.scan`; it goes over frames that were found whole."""
        for one in self._stretches:
            if place_of(one.number, one.stop) <= after:
                continue
            if one.payloads is not None:
                found = _placed(one)
            else:
                view = self._salvage.view(HEAD, one.number)
                found = segment.frames(view, one.start, one.stop, place_of(one.number, 0))
            for place, payload in found:
                if place > after:
                    yield place, payload

    def read(self, place: int, *, verify: bool = False) -> memoryview:
        """See `LogStore.read`."""
        found = self._put_in.get(place) or self._salvage.payload(*segment.split(place))
        if found is None:
            raise CorruptLog("there is no frame", offset=segment.split(place)[1])
        return found

    def body(self, place: int, length: int) -> memoryview:
        """See `LogStore.body`."""
        known = self._bodies.get(place)
        found = memoryview(known)[:length] if known else self._salvage.body(place, length)
        if found is None:
            raise CorruptLog("a body is missing", offset=segment.split(place & ~BODY_BIT)[1])
        return found

    def files(self) -> dict[str, int]:
        """See `LogStore.files`."""
        return {}

    def read_index(self) -> None:
        """See `LogStore.read_index`: what is proved here is proved without one."""

    def refresh(self) -> None:
        """See `LogStore.refresh`."""

    def close(self) -> None:
        """See `LogStore.close`."""

    def size(self) -> int:
        """See `LogStore.size`."""
        return sum(one.stop - one.start for one in self._stretches)

    def wipe(self, spans: Iterable[tuple[int, int, int]]) -> int:
        """See `LogStore.wipe`."""
        raise _refusal()

    def every_file(self) -> Iterator[tuple[str, DiskFile]]:
        """See `LogStore.every_file`."""
        return iter(())

    def sweep(self) -> tuple[str, ...]:
        """See `LogStore.sweep`."""
        raise _refusal()

    def successor(self) -> LogStore:
        """See `LogStore.successor`."""
        raise _refusal()

    def take_over(self, predecessor: LogStore) -> None:
        """See `LogStore.take_over`."""
        raise _refusal()

    def is_superseded(self) -> bool:
        """See `LogStore.is_superseded`."""
        return False

    def reopened(self) -> LogStore:
        """See `LogStore.reopened`."""
        return self

    def flush(self) -> None:
        """See `LogStore.flush`."""
        raise _refusal()

    def destroy(self) -> None:
        """See `LogStore.destroy`."""
        raise _refusal()

    def append(self, parts: Sequence[Buffer]) -> int:
        """See `LogStore.append`."""
        raise _refusal()

    def append_many(self, frames: Sequence[Sequence[Buffer]]) -> list[int]:
        """See `LogStore.append_many`."""
        raise _refusal()

    def write_body(self, parts: Sequence[Buffer]) -> int:
        """See `LogStore.write_body`."""
        raise _refusal()

    def trim_bodies(self, end_place: int) -> None:
        """See `LogStore.trim_bodies`."""
        raise _refusal()

    def write_index(self, parts: Sequence[Buffer]) -> None:
        """See `LogStore.write_index`."""
        raise _refusal()


def _refusal() -> ReadOnly:
    return ReadOnly("this log is a plan and takes no writes")


def _placed(one: Stretch) -> Iterator[tuple[int, memoryview]]:
    offset = one.start
    for payload in one.payloads or ():
        yield place_of(one.number, offset), payload
        offset += segment.frame_size(len(payload))
