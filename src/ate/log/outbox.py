"""`Outbox`: the durable list of commits that were accepted here and are not in the chain yet.

It never looks inside what it keeps, and knows no network: who prepares, sends and judges entries
is the caller. The file `outbox` lies in the chain's directory, and its writer holds the chain's
lock. One thread writes; `flush` alone may run in another thread meanwhile, and covers what was
called before it began.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Literal, Self

from ate import limits
from ate.errors import CorruptLog, ReadOnly, StorageError, UsageError
from ate.log import entries, recovery, segment
from ate.log.disk import Disk, DiskFile
from ate.log.entries import NAME, STATES, Entry, State
from ate.log.listing import Listing, told_anew
from ate.log.recovery import Verdict
from ate.log.segment import FRAME_BYTES, HEADER_BYTES
from ate.log.tail import Tail

__all__ = ["Entry", "Outbox", "State"]
#: A file with fewer dead bytes is not worth the two flushes of a new one.
DEAD_BYTES: Final = 256 * limits.KIB
#: With so many a new one is made even while nobody calls `flush`, and one write waits for it.
_DEAD_BYTES_MAX: Final = 4 * limits.MIB
_NEW: Final = ".new"
_AWAY: Final = (
    "the server was away for long: connect, or wait until what is here was sent, then commit again"
)


class Outbox:
    """Entries in the order of their numbers. Make one with `open` or `in_memory`.

    Attributes:
        torn: one line when an unfinished write was found at opening, else "".
    """

    def __init__(self, disk: Disk | None, directory: str, *, readonly: bool) -> None:
        self.readonly = readonly
        self.torn = ""
        self._disk = disk
        self._directory = directory
        self._path = f"{directory}/{NAME}"
        self._list = Listing()
        self._next = 1
        self._tail: Tail | None = None
        self._durable = HEADER_BYTES
        self._due = 0
        self._fault = ""
        #: Payloads that came while a flush wrote the file anew; None when none does.
        self._late: list[bytes] | None = None
        # Held for one write at most, so that nobody waits for a flush …
        self._writing = threading.Lock()
        # … and held for a whole flush.
        self._syncing = threading.Lock()

    @classmethod
    def in_memory(cls) -> Self:
        """Return an empty outbox that no file stands for."""
        return cls(None, "", readonly=False)

    @classmethod
    def open(cls, disk: Disk, directory: str, *, readonly: bool = False) -> Self:
        """Open the outbox in the directory of a chain; without a file it is empty.

        Args:
            disk: where it is.
            directory: the chain's own, which exists; the caller holds its lock.
            readonly: change nothing; show what is there now.

        Raises:
            CorruptLog: it is damaged; the file is left as it was.
            UnsupportedFormat: a newer version wrote it, or it is something else.
        """
        outbox = cls(disk, directory, readonly=readonly)
        if not readonly:
            disk.remove(outbox._path + _NEW)
        if disk.exists(outbox._path):
            file = disk.open(outbox._path, readonly=readonly)
            try:
                outbox._recover(file, disk)
            except BaseException:
                file.close()
                raise
            if readonly:
                file.close()
        return outbox

    def _recover(self, file: DiskFile, disk: Disk) -> None:
        size = file.size()
        if size > limits.OUTBOX_FILE_BYTES_MAX + limits.COMMIT_BYTES_MAX:
            raise CorruptLog("it is larger than an outbox can be", offset=0, file=NAME)
        view = memoryview(file.pread(size, 0))
        self._next = entries.decode_header(view)
        verdict = recovery.judge(view, HEADER_BYTES, 0)
        if verdict.proof >= 0:
            raise CorruptLog("a frame is damaged", offset=verdict.end, file=NAME)
        for offset, payload in segment.frames(view, HEADER_BYTES, verdict.end):
            try:
                number = self._list.replay(payload)
            except ValueError as error:
                raise CorruptLog(str(error), offset=offset, file=NAME) from None
            self._next = max(self._next, number + 1)
        if verdict.rest:
            outcome = "left alone" if self.readonly else "cut off"
            self.torn = recovery.torn_note(self._path, verdict, verdict.end, outcome)
        if not self.readonly:
            self._tail = self._confirmed(file, view, verdict)
            self._durable = verdict.end
            disk.sync_dir(self._directory)

    @staticmethod
    def _confirmed(file: DiskFile, view: memoryview, verdict: Verdict) -> Tail:
        size = len(view)
        if verdict.rest:
            file.truncate(verdict.end)
            size = verdict.end
        recovery.confirm(file, view, verdict, 0)
        return Tail(file, 0, end=verdict.end, size=size, bound=2 * DEAD_BYTES)

    # What is in it

    @property
    def entries(self) -> list[Entry]:
        """All entries, the oldest first."""
        return list(self._list.known.values())

    @property
    def size(self) -> int:
        """How many bytes they take."""
        return self._list.size

    def __len__(self) -> int:
        return len(self._list.known)

    def find(self, number: int) -> Entry | None:
        """Return an entry, or None when it is gone."""
        return self._list.known.get(number)

    # Changes: each is in the file, or, when it raises, has not happened

    def add(self, work: bytes) -> int:
        """Keep what was asked, and return its number.

        Raises:
            LimitExceeded: the outbox is full.
            StorageError, OutOfSpace: nothing was kept.
        """
        return self._enter(Entry(self._next, work=work))

    def add_prepared(self, session: int, lsn: int, commit: bytes) -> int:
        """Keep a commit that is about to be sent, and return its number; raises as `add`."""
        entries.check_commit(session, lsn, commit)
        return self._enter(entries.prepared(Entry(self._next), session, lsn, commit))

    def prepare(self, numbers: Sequence[int], session: int, lsn: int, commit: bytes) -> None:
        """Keep the exact bytes of a commit before they are sent; they replace others.

        Args:
            numbers: of the entries whose work is in it, in its order; all of them have work, unless
                it is one alone. What they shared before is over: who shared it with them waits.

        Raises:
            UsageError: there is no such entry.
            LimitExceeded: the outbox is full.
        """
        entries.check_commit(session, lsn, commit)
        found = [self._entry(number) for number in dict.fromkeys(numbers)]
        if not 0 < len(numbers) == len(found) or (found[1:] and not all(e.work for e in found)):
            raise UsageError("several entries share a commit when each has work, once")
        # Twice the bound for `add`: what was accepted must not fail for want of room.
        room, size = 2 * limits.OUTBOX_BYTES_MAX, self.size + len(commit) - len(found[0].commit)
        limits.check("bytes in the outbox", size, room, hint=_AWAY)
        self._tell(*entries.shared(numbers, session, lsn, commit))

    def mark(self, number: int, state: State, note: bytes = b"") -> None:
        """Give an entry another state; "waiting" forgets its commit. Who shares it waits again.

        Raises:
            UsageError: there is no such entry or state, or nothing of it would be left.
        """
        entry = self._entry(number)
        if state not in STATES:
            raise UsageError(f"an entry has no state {state!r}")
        limits.check("bytes of a note", len(note), limits.OUTBOX_NOTE_BYTES_MAX)
        has_commit = entry.commit and not entry.shares
        if not (has_commit if state == "sent" else entry.work or state != "waiting"):
            raise UsageError(
                f"entry {number} has nothing that could be {state}",
                hint="`prepare` replaces a commit; `remove` drops the entry",
            )
        self._tell(entries.MARKED, Entry(number, state=state, note=note))

    def remove(self, number: int) -> None:
        """Forget an entry, if it is there. Those that share its commit wait again."""
        if self.find(number) is not None:
            self._tell(entries.REMOVED, Entry(number))

    def settle(self, number: int) -> None:
        """Forget an entry that landed, if it is there, and all that share its commit."""
        entry = self.find(number)
        if entry is not None:
            self._tell(entries.LANDED if entry.shares else entries.REMOVED, Entry(number))

    def _enter(self, entry: Entry) -> int:
        bound = limits.OUTBOX_ENTRIES_MAX
        limits.check("entries in the outbox", len(self) + 1, bound, hint=_AWAY)
        limits.check("bytes of an entry", len(entry.work) + len(entry.commit),
                     limits.COMMIT_BYTES_MAX)  # fmt: skip
        size, bound = self.size + entry.size, limits.OUTBOX_BYTES_MAX
        limits.check("bytes in the outbox", size, bound, hint=_AWAY)
        self._tell(entries.ENTRY, entry)
        self._next += 1
        return entry.number

    def _entry(self, number: int) -> Entry:
        entry = self.find(number)
        if entry is None:
            raise UsageError(f"there is no entry {number} in the outbox")
        return entry

    # The file

    def _tell(self, kind: int, told: Entry) -> None:
        self._check_usable()
        if self._disk is None:
            self._list.apply(kind, told)
            return
        payload = entries.encode(kind, told)
        size = segment.frame_size(len(payload))
        if self._tail is None:
            self._create(self._disk)
        else:
            self._make_room(self._tail, size)
        with self._writing:
            tail = self._tail
            assert tail is not None
            try:
                tail.write(segment.flatten(payload, self._durable), size)
            except BaseException:
                self._undo(tail)
                raise
            self._list.apply(kind, told)
            if self._late is not None:
                self._late.append(payload)

    def _make_room(self, tail: Tail, size: int) -> None:
        """Write the file anew when nobody else does; a caller need not flush."""
        bound = limits.OUTBOX_FILE_BYTES_MAX
        is_full = tail.end + size > bound
        is_due = tail.end > self._due and self._is_wasteful(tail, _DEAD_BYTES_MAX)
        if is_full or (is_due and not self._syncing.locked()):
            self.flush()
            tail = self._tail or tail
            # Where there was no room for a new file, there will be none in a moment.
            self._due = tail.end + _DEAD_BYTES_MAX
            limits.check("bytes of the outbox", tail.end + size, bound, hint=_AWAY)

    def _check_usable(self) -> None:
        if self.readonly:
            raise ReadOnly("the outbox is open for reading")
        if self._fault:
            raise StorageError(self._fault, hint="open the chain again")

    def _create(self, disk: Disk) -> None:
        recovery.replace(disk, self._path, (entries.encode_header(self._next),))
        file = disk.open(self._path)
        self._tail = Tail(file, 0, end=HEADER_BYTES, size=HEADER_BYTES, bound=2 * DEAD_BYTES)
        self._durable = HEADER_BYTES

    def _undo(self, tail: Tail) -> None:
        try:
            tail.undo()
        except StorageError as error:
            self._poison(error)

    def _poison(self, error: BaseException) -> None:
        self._fault = self._fault or f"a write could not be confirmed: {error}"

    def flush(self) -> None:
        """Return when all that was called before is durable.

        Raises:
            StorageError: the medium did not confirm; open the outbox again.
        """
        with self._syncing:
            self._check_usable()
            with self._writing:
                tail = self._tail
                if tail is None:
                    return
                end, live = tail.end, None
                if self._is_wasteful(tail, DEAD_BYTES):
                    live, number, self._late = self.entries, self._next, []
            try:
                if live is not None and self._rewrite(live, number):
                    return
            finally:
                self._late = None
            if end == self._durable:
                return
            try:
                tail.file.datasync()
            except BaseException as error:
                self._poison(error)
                raise
            self._durable = end

    def _is_wasteful(self, tail: Tail, dead: int) -> bool:
        live = self.size + len(self) * FRAME_BYTES
        return tail.end - live > dead + live

    def _rewrite(self, live: list[Entry], number: int) -> bool:
        """Put a file without dead bytes in the place of this one, and return True when it is.

        When there is no room for it, the file that is there goes on.
        """
        disk, old = self._disk, self._tail
        assert disk is not None
        assert old is not None
        try:
            file = disk.create(self._path + _NEW)
        except StorageError:
            return False
        try:
            tail = Tail(file, 0, end=0, size=0, bound=0)
            tail.write((entries.encode_header(number),), HEADER_BYTES)
            for payload in told_anew(live):
                # Nobody sees this file before all of it is durable.
                _write(tail, payload, tail.end)
            file.datasync()
        except StorageError:
            return self._give_up(disk, file)
        with self._writing:
            durable = tail.end
            tail = Tail(file, 0, end=durable, size=durable, bound=2 * DEAD_BYTES)
            try:
                for payload in self._late or ():
                    _write(tail, payload, durable)
            except StorageError:
                return self._give_up(disk, file)
            try:
                disk.rename(self._path + _NEW, self._path)
            except BaseException as error:
                file.close()
                self._poison(error)
                raise
            self._tail, self._durable, self._late = tail, durable, None
            old.file.close()
        try:
            disk.sync_dir(self._directory)
        except BaseException as error:
            self._poison(error)
            raise
        return True

    def _give_up(self, disk: Disk, file: DiskFile) -> Literal[False]:
        file.close()
        with suppress(StorageError):
            disk.remove(self._path + _NEW)
        return False

    # The end

    def close(self) -> None:
        """Flush, and give the file back."""
        try:
            if self._tail is not None and not self._fault:
                self.flush()
                self._tail.trim()
        finally:
            self._give_back()

    def destroy(self) -> None:
        """Remove the file with all that is in it."""
        self._check_usable()
        self._give_back()
        if self._disk is not None:
            self._disk.remove(self._path)
            self._disk.remove(self._path + _NEW)
            self._disk.sync_dir(self._directory)
        self._list = Listing()

    def _give_back(self) -> None:
        # A flush in another thread ends first.
        with self._syncing:
            self._fault = self._fault or "the outbox is closed"
            if self._tail is not None:
                self._tail.file.close()
                self._tail = None


def _write(tail: Tail, payload: bytes, durable: int) -> None:
    tail.write(segment.flatten(payload, durable), segment.frame_size(len(payload)))
