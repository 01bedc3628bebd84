"""Erasing: what a compaction dropped is overwritten, then looked for in every file that is left.

It reads and compares bytes. It never decides what is dropped, and it promises nothing about the
medium below the files: spare blocks, older copies of a file system, backups.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ate.chain.run import U64
from ate.crypto.hash import DIGEST_BYTES, digest, digest_many
from ate.errors import LogLocked
from ate.event.commit import Record
from ate.event.prefix import is_commit
from ate.event.row import PLACE_BODY_FILE, Kind
from ate.event.thinned import decode_record
from ate.limits import MIB
from ate.log import segment
from ate.log.disk import DiskFile
from ate.log.segment import FRAME_BYTES
from ate.log.store import LogStore

#: What is shorter occurs by chance, or says nothing: it is overwritten, but not looked for.
BODY_BYTES_MIN: Final = 16
_WORD: Final = 8
_PIECE_BYTES: Final = MIB
_SIEVE_BITS: Final = 24
#: Spreads words over the sieve (2**64 divided by the golden ratio).
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)

_SIDES: Final = ("left", "right")

Digests = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasing compaction did besides.

    Args:
        bodies: stored values that were dropped.
        too_short: those among them of fewer than 16 bytes, or of zeros alone: they were overwritten
            with the others, but nobody could tell a copy from chance.
        overwritten: bytes of the old generation that are zeros now.
        files, searched: how many files, and bytes in them, were searched for the dropped values.
        left: where a copy is, as "file at offset".
        superseded: values of objects that are in the log and not the present: those that retention
            keeps, and those of before that came after the cut.
        still_read: the old generation, when another process reads it: nothing was overwritten and
            nothing was searched.
    """

    bodies: int = 0
    too_short: int = 0
    overwritten: int = 0
    files: int = 0
    searched: int = 0
    left: tuple[str, ...] = ()
    superseded: int = 0
    still_read: str = ""

    @property
    def is_proved(self) -> bool:
        """Whether no copy of a dropped value is in the files of the chain."""
        return not self.left and not self.still_read


def erase(old: LogStore, live: LogStore) -> Erased:
    """Overwrite what is stored in a log that was replaced, and look for what was dropped.

    Args:
        old: whose successor lives; nobody else uses it any more.
        live: the successor; somebody may be writing to it meanwhile.

    Raises:
        StorageError: the medium failed, or the old log is damaged. Whoever removes the old log
            overwrites all of it then.
    """
    prints = Prints()
    try:
        overwritten = old.wipe(_spans(old, prints))
    except LogLocked:
        return Erased(still_read=f"{old.generation:06d}")
    kept = Kept.of(live)
    dropped = prints.without(kept.digests)
    search = Search(dropped, kept)
    for name, file in live.every_file():
        search.look(name, file)
    found = sorted(search.found)
    if found:
        kept = Kept.of(live)  # perhaps the same value was stored again meanwhile
        found = [one for one in found if not kept.covers(*one)]
    return Erased(
        len(dropped.word), int((dropped.word == 0).sum()), overwritten, search.files,
        search.searched, tuple(f"{one.file} at {one.start}" for one in found), kept.superseded,
    )  # fmt: skip


class Found(NamedTuple):
    """A copy of a dropped value.

    Args:
        start, stop: offsets in the file.
    """

    file: str
    start: int
    stop: int


class Wanted(NamedTuple):
    """Bodies to look for, sorted by word; see `Prints`."""

    word: U64
    anchor: U64
    length: U64
    digest: Digests


class Prints:
    """What is needed to know stored bodies again, once they are gone."""

    def __init__(self) -> None:
        self._word, self._anchor, self._length = array("Q"), array("Q"), array("Q")
        self._digest = bytearray()

    def add(self, bodies: list[memoryview]) -> None:
        """Take bodies; the empty ones, of tombstones, are left out."""
        bodies = [body for body in bodies if len(body)]
        for body in bodies:
            word, anchor = _word_of(body)
            self._word.append(word)
            self._anchor.append(anchor)
            self._length.append(len(body))
        self._digest += b"".join(digest_many(bodies))

    @property
    def digests(self) -> Digests:
        return np.frombuffer(bytes(self._digest), "S32")

    def without(self, digests: Digests) -> Wanted:
        """Return each body that is not among these, once."""
        unique, first = np.unique(self.digests, return_index=True)
        first = first[~np.isin(unique, digests)]
        at = first[np.argsort(np.array(self._word, np.uint64)[first], kind="stable")]
        word, anchor, length = (
            np.array(column, np.uint64)[at] for column in (self._word, self._anchor, self._length)
        )
        return Wanted(word, anchor, length, self.digests[at])


def _word_of(body: memoryview) -> tuple[int, int]:
    """Return eight bytes to look for, as a number, and where they begin; (0, 0) for none.

    They begin with the first byte that is not zero: files are full of zeros.
    """
    if len(body) < BODY_BYTES_MIN:
        return 0, 0
    anchor = 0
    if not body[0]:
        raw = bytes(body)
        anchor = min(len(raw) - len(raw.lstrip(b"\0")), len(raw) - _WORD)
    return int.from_bytes(body[anchor : anchor + _WORD], "little"), anchor


def _bodies(store: LogStore, record: Record) -> tuple[list[memoryview], int]:
    """Return the stored bodies of a commit, and where the inline ones begin in its payload."""
    table, end = record.table, len(record.payload)
    found, start = [], end
    for place, length in zip(table["place"].tolist(), table["length"].tolist(), strict=True):
        if place & PLACE_BODY_FILE:
            found.append(store.body(place, length))
        elif length:
            found.append(record.inline_at(place, length))
            start = min(start, place)
    return found, start


def _spans(store: LogStore, prints: Prints) -> Iterator[tuple[int, int, int]]:
    """Yield what to overwrite in each frame, once `prints` knows what stood there."""
    for place, payload in store.scan(0):
        if not is_commit(payload):
            continue
        bodies, start = _bodies(store, decode_record(payload))
        prints.add(bodies)
        if start < len(payload):
            yield place, start, len(payload) - start


class Kept:
    """The values that are kept, and where in the files they are.

    Args:
        spans: by file name: first bytes, and the bytes behind, both ascending.
        superseded: how many of them are not the newest of their object.
    """

    def __init__(
        self, digests: Digests, spans: dict[str, tuple[U64, U64]], superseded: int
    ) -> None:
        self.digests, self.spans, self.superseded = digests, spans, superseded

    @classmethod
    def of(cls, live: LogStore) -> Kept:
        """Read all that a log keeps, in a way that does not mind its writer."""
        prints = Prints()
        spans: dict[str, list[tuple[int, int]]] = {}
        seqs: list[U64] = []
        bases: list[U64] = []
        store = live.reopened()
        try:
            for place, payload in store.scan(0):
                if is_commit(payload):
                    record = decode_record(payload)
                    bodies, start = _bodies(store, record)
                    prints.add(bodies)
                    _note(spans, live.generation, place, start, record)
                    table = record.table
                    seqs.append(record.seqs[table["kind"] == int(Kind.DATA)])
                    bases.append(table["base"])
        finally:
            if store is not live:
                store.close()
        columns = {}
        for name, pairs in spans.items():
            column = np.array(sorted(pairs), np.uint64)
            columns[name] = column[:, 0].copy(), column[:, 1].copy()
        old = np.intersect1d(np.concatenate(seqs), np.concatenate(bases))
        return cls(prints.digests, columns, len(old))

    def inside(self, file: str, start: U64, stop: U64) -> npt.NDArray[np.bool_]:
        """Tell which of these pieces of a file are part of what is kept."""
        if file not in self.spans:
            return np.zeros(len(start), np.bool_)
        starts, stops = self.spans[file]
        at = starts.searchsorted(start, side="right")
        behind = np.concatenate([np.zeros(1, np.uint64), stops])[at]
        return stop <= behind

    def covers(self, file: str, start: int, stop: int) -> bool:
        """Tell the same of one piece."""
        return bool(self.inside(file, np.array([start], "u8"), np.array([stop], "u8"))[0])


def _note(
    spans: dict[str, list[tuple[int, int]]], generation: int, place: int, start: int, record: Record
) -> None:
    """Add where the bodies of a commit are; inline ones stand in one piece."""
    number, offset = segment.split(place)
    end = len(record.payload)
    if start < end:
        name = f"{generation:06d}/{segment.file_name(segment.HEAD, number)}"
        at = offset + FRAME_BYTES
        spans.setdefault(name, []).append((at + start, at + end))
    table = record.table
    for where in np.flatnonzero(table["place"] >= np.uint64(PLACE_BODY_FILE)).tolist():
        number, offset = segment.split(int(table["place"][where]))
        name = f"{generation:06d}/{segment.file_name(segment.BODY, number)}"
        spans.setdefault(name, []).append((offset, offset + int(table["length"][where])))


class Search:
    """Looks for bodies in files, outside of what is kept.

    Every byte offset is looked at; what begins like a body is compared with it by its digest.

    Args:
        wanted: the bodies.
        kept: where to overlook them: what is part of a kept value is no leftover.
    """

    def __init__(self, wanted: Wanted, kept: Kept) -> None:
        self._wanted, self._kept = wanted, kept
        self._sieve = _Sieve(wanted.word)
        self._groups: dict[int, dict[tuple[int, int], set[bytes]]] = {}
        self.files = self.searched = 0
        self.found: set[Found] = set()

    def look(self, name: str, file: DiskFile) -> None:
        """Search one file; adds to `found`."""
        size = file.size()
        self.files += 1
        self.searched += size
        for at in range(0, size, _PIECE_BYTES):
            data = file.pread(_PIECE_BYTES + _WORD - 1, at)
            for shift in range(min(_WORD, max(len(data) - _WORD + 1, 0))):
                words = np.frombuffer(data, "<u8", (len(data) - shift) // _WORD, shift)
                hits = self._sieve.holding(words)
                places = hits.astype(np.uint64) * np.uint64(_WORD) + np.uint64(at + shift)
                for word in np.unique(words[hits]).tolist():
                    here = places[words[hits] == np.uint64(word)]
                    self.found.update(self._compare(name, file, here, word))

    def _compare(self, name: str, file: DiskFile, places: U64, word: int) -> Iterator[Found]:
        """Yield what is a copy among the places where a word was found."""
        for (anchor, length), digests in self._like(word).items():
            starts = places[places >= np.uint64(anchor)] - np.uint64(anchor)
            outside = ~self._kept.inside(name, starts, starts + np.uint64(length))
            for start in starts[outside].tolist():
                body = file.pread(length, start)
                if len(body) == length and digest(body) in digests:
                    yield Found(name, start, start + length)

    def _like(self, word: int) -> dict[tuple[int, int], set[bytes]]:
        """Return the digests of the bodies with this word, by its offset in them and length."""
        known = self._groups.get(word)
        if known is not None:
            return known
        wanted, number = self._wanted, np.uint64(word)
        low, high = (int(wanted.word.searchsorted(number, side)) for side in _SIDES)
        anchors, lengths = wanted.anchor[low:high].tolist(), wanted.length[low:high].tolist()
        groups = self._groups[word] = {}
        for key, name in zip(zip(anchors, lengths, strict=True), wanted.digest[low:high].tolist()):
            # NumPy leaves out zeros at the end of bytes.
            groups.setdefault(key, set()).add(name.ljust(DIGEST_BYTES, b"\0"))
        return groups


class _Sieve:
    """Finds words among many, mostly without a search; zero is never one."""

    def __init__(self, words: U64) -> None:
        self._words = np.unique(words[words != 0])
        self._table = np.zeros(1 << _SIEVE_BITS, np.bool_)
        self._table[self._slots(self._words)] = True

    def _slots(self, words: U64) -> U64:
        return (words * _SPREAD) >> np.uint64(64 - _SIEVE_BITS)

    def holding(self, words: U64) -> npt.NDArray[np.intp]:
        """Return where in `words` one of them stands."""
        maybe: npt.NDArray[np.intp] = np.flatnonzero(self._table[self._slots(words)])
        if not len(maybe):
            return maybe
        at = np.minimum(self._words.searchsorted(words[maybe]), len(self._words) - 1)
        found: npt.NDArray[np.intp] = maybe[self._words[at] == words[maybe]]
        return found
