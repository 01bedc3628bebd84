"""`LocalLog`: the log in segment files of one directory; it never interprets a payload.

The way of a small commit is short: one write into zeros that are on the medium already, one flush.
Everything else (rolling over, failures, opening) is off that way.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Self

from ate import limits
from ate.errors import ReadOnly, StorageError, UnsupportedFormat
from ate.log import generations, recovery, segment, takeover
from ate.log.bodies import Bodies
from ate.log.disk import Buffer, Disk, DiskFile, DiskLock, RealDisk
from ate.log.generations import NoLock
from ate.log.heads import Heads
from ate.log.indexfile import IndexFile
from ate.log.segment import HEADER_BYTES
from ate.log.store import LogStore
from ate.log.tail import Tail


class LocalLog:
    """A log in a directory; one writer, any number of readers. Keeps `LogStore`."""

    def __init__(
        self, directory: str, generation: int, *, disk: Disk, lock: DiskLock | None,
        segment_bytes: int, base: str = "",
    ) -> None:  # fmt: skip
        """Use `LocalLog.open`."""
        self.readonly = lock is None
        self.torn: tuple[str, ...] = ()
        self._disk = disk
        self._base, self._directory = base or directory, directory
        self.generation = generation
        self._path = recovery.generation_path(directory, generation)
        self._index = IndexFile(disk, self._path)
        self._lock = lock
        self._share: DiskLock = NoLock()
        self._segment_bytes = segment_bytes
        self._tail: Tail | None = None
        self._fault = ""
        self._last = self._last_durable = self._durable = 0
        # Keeps the file of a flush in another thread open while this thread rolls over.
        self._syncing = threading.Lock()
        self._heads = Heads(disk, self._path, generation=generation, follows=self.readonly)
        self._bodies = Bodies(disk, self._path, generation=generation,
                              segment_bytes=segment_bytes, readonly=self.readonly)  # fmt: skip

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str],
        *,
        disk: Disk | None = None,
        readonly: bool = False,
        create: bool = True,
        segment_bytes: int = limits.SEGMENT_BYTES_MAX,
    ) -> Self:
        """Open the log in a directory, recovering from a crash.

        Args:
            directory: the chain's own directory.
            disk: where it is; the machine's file system when not given.
            readonly: take no lock, change nothing, follow another writer by `refresh`.
            create: make a new log when there is none.
            segment_bytes: begin another segment before one passes this size.

        Raises:
            LogLocked: somebody else writes to it.
            UnsupportedFormat: there is no log, or one of another version.
            CorruptLog: it is damaged; a reader still gets what is before the damage.
        """
        disk, base = disk or RealDisk(), os.path.abspath(directory)
        if readonly:
            path, generation, share = generations.share(disk, base)
            log = cls(
                path, generation, disk=disk, lock=None, segment_bytes=segment_bytes, base=base
            )
            log._share = share
            return log._opened(log._open_reader)
        path = recovery.home(disk, base)
        if not create and not recovery.locate(disk, path):
            raise UnsupportedFormat(f"there is no chain in {os.path.basename(base)}")
        recovery.make_directory(disk, path)
        lock = disk.lock(f"{path}/{recovery.LOCK}")
        try:
            takeover.check_home(disk, base, path)
            log = cls._at(base, path, lock, disk=disk, segment_bytes=segment_bytes)
            takeover.tidy(disk, base, path)
            return log
        except BaseException:
            lock.close()
            raise

    @classmethod
    def _at(cls, base: str, path: str, lock: DiskLock, *, disk: Disk, segment_bytes: int) -> Self:
        """Open the log at `path` for writing, made if there is none."""
        generation = recovery.locate(disk, path) or recovery.create(disk, path)
        log = cls(path, generation, disk=disk, lock=lock, segment_bytes=segment_bytes, base=base)
        log._opened(log._open_writer)
        generations.sweep(disk, path, generation)
        return log

    def _opened(self, opening: Callable[[], None]) -> Self:
        try:
            opening()
        except BaseException:
            self._give_back(None)
            raise
        return self

    def _open_reader(self) -> None:
        verdict, heads = self._heads.open_end(self._vouched()), self._heads
        if verdict.rest and verdict.proof < 0:
            note = recovery.torn_note(heads.extents[-1].name, verdict, heads.end, "left alone")
            self.torn = (note,)

    def _open_writer(self) -> None:
        extent = self._heads.extents[-1]
        extent.file()
        number, path = extent.number, self._heads.path(extent.number)
        file = self._disk.open(path)
        try:
            settled = recovery.settle(self._disk, path, file, number, self._vouched())
            verdict, size, self.torn = settled
            end = self._heads.end = segment.place_of(number, verdict.end)
        except BaseException:
            file.close()
            raise
        self._tail = Tail(file, number, end=verdict.end, size=size, bound=self._segment_bytes)
        self._durable = end
        if verdict.last >= 0:
            self._last = self._last_durable = segment.place_of(number, verdict.last)

    def _vouched(self) -> int:
        """Return the offset of the frame in the last segment that the index names, or 0."""
        number, offset = segment.split(self._index.place())
        return offset if number == len(self._heads.extents) else 0

    # Writing

    @property
    def end(self) -> int:
        """The place behind the last frame."""
        return self._heads.end

    def append(self, parts: Sequence[Buffer]) -> int:
        """See `LogStore.append`."""
        payload = b"".join(parts)
        size = segment.frame_size(len(payload))
        limits.check("frame bytes", len(payload), limits.COMMIT_BYTES_MAX)
        tail = self._room_for(size)
        offset = self._put(tail, segment.flatten(payload, self._durable), size)
        self._last = segment.place_of(tail.number, offset)
        return self._last

    def append_many(self, frames: Sequence[Sequence[Buffer]]) -> list[int]:
        """See `LogStore.append_many`."""
        payloads = [b"".join(parts) for parts in frames]
        if not payloads:
            return []
        limits.check("frame bytes", max(map(len, payloads)), limits.COMMIT_BYTES_MAX)
        sizes = [segment.frame_size(len(payload)) for payload in payloads]
        tail = self._room_for(sum(sizes))
        parts = [part for payload in payloads for part in segment.flatten(payload, self._durable)]
        place = segment.place_of(tail.number, self._put(tail, parts, sum(sizes)))
        places = list(accumulate(sizes[:-1], initial=place))
        self._last = places[-1]
        return places

    def _room_for(self, size: int) -> Tail:
        """Return where to write; all bodies are durable then."""
        tail = self._writer()
        if tail.end + size > self._segment_bytes and tail.end > HEADER_BYTES:
            tail = self._roll(tail)
        if self._bodies.is_dirty:
            with self._syncing:
                self._sync(None)
        return tail

    def _put(self, tail: Tail, parts: Sequence[Buffer], size: int) -> int:
        try:
            offset = tail.write(parts, size)
        except BaseException:
            self._heads.extents[-1].forget()
            self._undo(tail)
            raise
        self._heads.end = segment.place_of(tail.number, tail.end)
        return offset

    def _undo(self, tail: Tail | Bodies) -> None:
        try:
            tail.undo()
        except StorageError as error:
            self._poison(error)

    def _roll(self, tail: Tail) -> Tail:
        """Begin the next segment; the full one is durable and trimmed before that."""
        with self._syncing:
            number = tail.number + 1
            tail.trim()
            self._sync(tail)
            self._last_durable, self._durable = self._last, self._heads.end
            try:
                recovery.create_segment(self._disk, self._path, segment.HEAD, number)
                file = self._disk.open(self._heads.path(number))
            except BaseException as error:
                # Once its name is seen, the segment before it counts as complete.
                if self._disk.exists(self._heads.path(number)):
                    self._poison(error)
                raise
            tail.file.close()
            self._tail = Tail(
                file, number, end=HEADER_BYTES, size=HEADER_BYTES, bound=self._segment_bytes
            )
            self._heads.add()
            self._heads.end = segment.place_of(number, HEADER_BYTES)
            return self._tail

    def write_body(self, parts: Sequence[Buffer]) -> int:
        """See `LogStore.write_body`."""
        self._writer()
        length = sum(memoryview(part).nbytes for part in parts)
        with self._syncing:
            if self._bodies.is_full(length):
                self._sync(None)
                try:
                    self._bodies.roll()
                except BaseException as error:
                    if self._bodies.has_unopened():
                        self._poison(error)
                    raise
            try:
                return self._bodies.write(parts, length)
            except BaseException:
                self._undo(self._bodies)
                raise

    def trim_bodies(self, end_place: int) -> None:
        """See `LogStore.trim_bodies`."""
        self._writer()
        with self._syncing:
            self._bodies.trim(end_place)

    def flush(self) -> None:
        """See `LogStore.flush`."""
        self._writer()
        with self._syncing:
            tail = self._writer()
            # The frame before the end, in case another thread appends between the two.
            last, end = self._last, self._heads.end
            if end == self._durable and not self._bodies.is_dirty:
                return
            self._sync(tail)
            self._durable, self._last_durable = end, last

    def _sync(self, tail: Tail | None) -> None:
        """Flush the bodies and a head segment; a failure ends all writing.

        What the system dropped after a failed flush a second flush would not bring back.
        """
        try:
            self._bodies.sync()
            if tail is not None:
                tail.file.datasync()
        except BaseException as error:
            self._poison(error)
            raise

    def _poison(self, error: BaseException) -> None:
        self._fault = self._fault or f"a write could not be confirmed: {error}"

    def _writer(self) -> Tail:
        if self._tail is None or self._fault:
            if self.readonly:
                raise ReadOnly("the log is open for reading")
            raise StorageError(self._fault, hint="open the chain again")
        return self._tail

    # Reading

    def read(self, place: int, *, verify: bool = False) -> memoryview:
        """See `LogStore.read`."""
        return self._heads.read(place, verify=verify)

    def body(self, place: int, length: int) -> memoryview:
        """See `LogStore.body`."""
        return self._bodies.read(place, length)

    def scan(self, after: int = 0) -> Iterator[tuple[int, memoryview]]:
        """See `LogStore.scan`."""
        return self._heads.scan(after)

    def refresh(self) -> None:
        """See `LogStore.refresh`."""
        if self.readonly and not self._fault:
            self._heads.follow()

    def read_index(self) -> memoryview | None:
        """See `LogStore.read_index`."""
        return self._index.read()

    def write_index(self, parts: Sequence[Buffer]) -> None:
        """See `LogStore.write_index`."""
        self._writer()
        self._index.write(parts, self._last_durable)

    # Generations

    def successor(self) -> LocalLog:
        """See `LogStore.successor`."""
        self._writer()
        number = generations.begin(self._disk, self._directory, self.generation)
        log = type(self)(self._directory, number, disk=self._disk, lock=NoLock(),
                         segment_bytes=self._segment_bytes, base=self._base)  # fmt: skip
        return log._opened(log._open_writer)

    def take_over(self, predecessor: LogStore) -> None:
        """See `LogStore.take_over`."""
        assert isinstance(predecessor, LocalLog)
        predecessor._writer()
        self.flush()
        try:
            generations.switch(self._disk, self._directory, self.generation)
        except BaseException as error:
            predecessor._poison(error)
            self._poison(error)
            raise
        self._lock, predecessor._lock = predecessor._lock, NoLock()
        predecessor._fault = "another generation has taken over"

    def wipe(self, spans: Iterable[tuple[int, int, int]]) -> int:
        """See `LogStore.wipe`."""
        return generations.wipe(self._disk, self._directory, self.generation, spans)

    def every_file(self) -> Iterator[tuple[str, DiskFile]]:
        """See `LogStore.every_file`."""
        return generations.every_file(self._disk, self._directory)

    def sweep(self) -> tuple[str, ...]:
        """See `LogStore.sweep`; none goes when CURRENT may name any of them."""
        place = self._disk, self._directory, self.generation
        return () if self._fault else generations.sweep(*place)

    def is_superseded(self) -> bool:
        """See `LogStore.is_superseded`."""
        if recovery.home(self._disk, self._base) != self._directory:
            return True
        return recovery.locate(self._disk, self._directory) not in (0, self.generation)

    def reopened(self) -> LocalLog:
        """See `LogStore.reopened`."""
        return LocalLog.open(self._base, disk=self._disk, readonly=True,
                             segment_bytes=self._segment_bytes)  # fmt: skip

    def size(self) -> int:
        """See `LogStore.size`."""
        return segment.bytes_before((self.end, self._bodies.end), self._segment_bytes)

    def files(self) -> dict[str, int]:
        """See `LogStore.files`."""
        return recovery.files(self._disk, self._directory, self.generation)

    # The end

    def close(self) -> None:
        """See `LogStore.close`; what was appended is flushed first."""
        try:
            if self._tail is not None and not self._fault:
                self.flush()
                self._tail.trim()
        finally:
            # A flush in another thread ends first.
            with self._syncing:
                self._give_back(self._tail.file if self._tail is not None else None)

    def destroy(self) -> None:
        """See `LogStore.destroy`."""
        file = self._writer().file
        try:
            takeover.destroy(self._disk, self._base, self._directory, self.generation)
        finally:
            self._give_back(file)

    def _give_back(self, file: DiskFile | None) -> None:
        self._fault = self._fault or "the log is closed"
        if file is not None:
            file.close()
        self._heads.close()
        self._bodies.close()
        self._share.close()
        if self._lock is not None:
            self._lock.close()
