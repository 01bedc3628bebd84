"""The contract of a log: opaque payloads in order on a medium; it never knows what a payload says.

`LocalLog` and `MemoryLog` keep it, and so does every other backend that passes
`ate.testing.store_suite`. One thread writes; `flush` alone may run in another thread meanwhile, and
covers what was appended before it began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from ate.log.disk import Buffer, DiskFile


class LogStore(Protocol):
    """An append-only sequence of payloads (frames), with large bodies and an index beside it.

    A place is an integer that names a frame or a body for the life of this generation of the log.
    Places of frames grow in the order of the frames; 0 is never a place.
    """

    @property
    def readonly(self) -> bool:
        """True when every writing call raises ReadOnly."""
        ...

    @property
    def end(self) -> int:
        """The place behind the last frame."""
        ...

    @property
    def generation(self) -> int:
        """The number of this generation of the log: compaction makes the next one."""
        ...

    @property
    def torn(self) -> tuple[str, ...]:
        """One line for each torn tail that was found when the log was opened."""
        ...

    def write_body(self, parts: Sequence[Buffer]) -> int:
        """Write a large body and return its place.

        It is durable before any later `append` reaches the medium.

        Raises:
            OutOfSpace: nothing was kept, the call can be repeated.
            StorageError: the medium failed, or the log is poisoned.
        """
        ...

    def append(self, parts: Sequence[Buffer]) -> int:
        """Append one frame and return its place; durable after the next `flush`.

        Raises:
            OutOfSpace: nothing was kept, the call can be repeated.
            StorageError: the medium failed, or the log is poisoned.
            LimitExceeded: the payload is larger than a commit may be.
        """
        ...

    def append_many(self, frames: Sequence[Sequence[Buffer]]) -> list[int]:
        """Append several frames in one write: all of them or, on an error, none."""
        ...

    def flush(self) -> None:
        """Return when everything appended before is durable.

        Raises:
            StorageError: the medium did not confirm; the log takes no writes until reopened.
        """
        ...

    def read(self, place: int, *, verify: bool = False) -> memoryview:
        """Return the payload of the frame at `place`.

        Args:
            place: what `append` or `scan` returned.
            verify: also compute the frame's check.

        Raises:
            CorruptLog: there is no such frame, or it does not verify.
        """
        ...

    def body(self, place: int, length: int) -> memoryview:
        """Return `length` bytes of the body at `place`, unverified.

        Raises:
            CorruptLog: the medium does not hold that many bytes there.
        """
        ...

    def scan(self, after: int = 0) -> Iterator[tuple[int, memoryview]]:
        """Yield (place, payload) of every frame behind `after`, each verified.

        Args:
            after: the place of a frame, which is itself left out; 0 starts at the first frame.
                It is never a former `end`, because the next frame begins there.

        Raises:
            CorruptLog: a frame is damaged or missing; all frames before it were yielded.
        """
        ...

    def refresh(self) -> None:
        """Let a reader see what the writer appended since; a writer sees its own frames anyway."""
        ...

    def trim_bodies(self, end_place: int) -> None:
        """Drop bodies that no frame names.

        Args:
            end_place: place of the last named body plus its length; 0 when none is named.

        Raises:
            CorruptLog: the medium holds less than that.
        """
        ...

    def read_index(self) -> memoryview | None:
        """Return what `write_index` kept last, or None; it may be stale."""
        ...

    def write_index(self, parts: Sequence[Buffer]) -> None:
        """Replace the index: after a crash the old one or the new one is there, whole."""
        ...

    def successor(self) -> LogStore:
        """Return an empty log, open for writing, that can take this one's place.

        What an unfinished successor left behind is removed. This log goes on as before.
        """
        ...

    def take_over(self, predecessor: LogStore) -> None:
        """Take the place of the log whose successor this is; it can be read until it is closed.

        All of this one is flushed first. After a crash the old log or the new one is there, whole.

        Raises:
            StorageError: it is unknown which of them a crash would leave: open the chain again.
        """
        ...

    def wipe(self, spans: Iterable[tuple[int, int, int]]) -> int:
        """Overwrite parts of frames, and all bodies, with zeros, durably; returns how many bytes.

        For a log whose successor has taken over. When it fails, whoever removes the log later
        overwrites all of it first.

        Args:
            spans: place of a frame, first byte in its payload, number of bytes; in order. They are
                taken one by one, each before it is overwritten.

        Raises:
            LogLocked: somebody else reads it; nothing was overwritten.
        """
        ...

    def every_file(self) -> Iterator[tuple[str, DiskFile]]:
        """Yield name and content of every file of the chain, whatever its generation."""
        ...

    def sweep(self) -> tuple[str, ...]:
        """Remove the other generations; returns the names of those that somebody still reads."""
        ...

    def is_superseded(self) -> bool:
        """Tell a reader whether another generation has taken this one's place."""
        ...

    def reopened(self) -> LogStore:
        """Return the generation that lives now, open for reading as this one was."""
        ...

    def size(self) -> int:
        """Return about how many bytes frames and bodies take, without asking the medium."""
        ...

    def files(self) -> dict[str, int]:
        """Return the names and sizes of the files, for information."""
        ...

    def close(self) -> None:
        """Give everything back; may be called twice. Frames not flushed may be lost."""
        ...

    def destroy(self) -> None:
        """Remove every file of the chain and close."""
        ...
