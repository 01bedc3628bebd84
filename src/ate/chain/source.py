"""Where a damaged chain may find its commits again: `Source`, and a replica's directory as one.

A source proves nothing and is believed nothing; `ate.chain.repair` does the proving.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, Protocol

from ate.errors import LimitExceeded, NotFound, ProtocolError, UnsupportedFormat
from ate.event.commit import VERSION, Buffer, Record
from ate.event.row import PLACE_BODY_FILE
from ate.log import salvage
from ate.log.disk import Disk
from ate.log.salvage import Salvage
from ate.log.segment import HEAD, place_of, split

_INDEX_AT: Final = 208
_SEQUENCER_END: Final = 256
#: Set in the first byte of payloads that are no whole commits.
THINNED: Final = 0x80


class Source(Protocol):
    """Something that may hold commits of a chain with their bodies."""

    @property
    def name(self) -> str:
        """What to call it in a report."""
        ...

    def commits(self, first: int, last: int) -> Iterator[Record]:
        """Yield the commits that claim an index from `first` to `last`, in that order.

        There may be none for an index, or several; any of them may be wrong.
        """
        ...

    def frame(self, generation: int, number: int, offset: int) -> memoryview | None:
        """Return what is at a place of the same generation of the log, None when that is unknown.

        Only damage in what compaction has thinned needs it.
        """
        ...

    def newest(self) -> int:
        """Return the greatest index that a commit claims, -1 when there is none."""
        ...

    def bodies(self, record: Record, at: int) -> Iterator[Buffer]:
        """Yield what may be the body of row `at` of a commit from here."""
        ...


class Replica:
    """Another copy of the chain's directory. It may be longer, shorter, damaged or rearranged.

    Args:
        disk: where it is.
        directory: the copy's own directory, with the generations in it.

    Raises:
        NotFound: there is nothing of a chain.
        UnsupportedFormat: a newer version wrote it.
    """

    def __init__(self, disk: Disk, directory: str, *, name: str = "") -> None:
        self.name = name or directory
        # The newest generation first: it is what the copy itself goes by.
        self._parts = [
            Salvage(disk, directory, number)
            for number in reversed(salvage.generations(disk, directory))
        ]
        if not self._parts:
            raise NotFound("there is no chain in the source", hint="name the directory of a copy")
        self._index: list[array[int]] | None = None

    def commits(self, first: int, last: int) -> Iterator[Record]:
        """See `Source.commits`."""
        numbers, parts, places = self._table()
        at = bisect_left(numbers, first)
        while at < len(numbers) and numbers[at] <= last:
            payload = self._parts[parts[at]].payload(*split(places[at]))
            record = None if payload is None else _parsed(payload)
            if record is not None:
                yield record
            at += 1

    def frame(self, generation: int, number: int, offset: int) -> memoryview | None:
        """See `Source.frame`."""
        for part in self._parts:
            if part.generation == generation:
                return part.payload(number, offset)
        return None

    def newest(self) -> int:
        """See `Source.newest`."""
        numbers = self._table()[0]
        return numbers[-1] if len(numbers) else -1

    def bodies(self, record: Record, at: int) -> Iterator[Buffer]:
        """See `Source.bodies`."""
        row = record.row(at)
        if row.place & PLACE_BODY_FILE:
            for part in self._parts:
                found = part.body(row.place, row.length)
                if found is not None:
                    yield found
        elif record.reaches(row.place, row.length):
            yield record.inline(row)

    def _table(self) -> list[array[int]]:
        """Return index, number of the part and place of every whole commit, sorted by index."""
        if self._index is None:
            found = []
            for which, part in enumerate(self._parts):
                for number in range(1, part.last[HEAD] + 1):
                    part.is_sound(HEAD, number)  # raises for a newer version; damage is no matter
                    for offset, payload in part.whole(number):
                        index = index_of(payload)
                        if index >= 0:
                            found.append((index, which, place_of(number, offset)))
            found.sort()
            columns = zip(*found, strict=True) if found else ((), (), ())
            self._index = [array("Q", column) for column in columns]
        return self._index


def index_of(payload: memoryview) -> int:
    """Return the index that a commit claims, -1 when it can be no commit.

    Raises:
        UnsupportedFormat: a commit of a newer version.
    """
    if len(payload) < _SEQUENCER_END:
        return -1
    if payload[0] & THINNED:
        return -1  # compaction left less than the commit: it can take nobody's place
    if payload[0] != VERSION:
        Record(payload)
    return min(int.from_bytes(payload[_INDEX_AT : _INDEX_AT + 8], "little"), 1 << 48)


def _parsed(payload: memoryview) -> Record | None:
    try:
        return Record(payload)
    except UnsupportedFormat:
        raise
    except (ProtocolError, LimitExceeded):
        return None
