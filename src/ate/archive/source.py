"""`Source`: the files of a chain that may be written to meanwhile; it never writes to them.

It tells what the log says up to its newest durable commit, and reads the bytes up to there.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ate import merkle
from ate.chain.ledger import Ledger
from ate.clock import SystemClock
from ate.crypto.entropy import system_entropy
from ate.crypto.hash import digest
from ate.errors import CorruptLog, NotFound, UnsupportedFormat, UsageError
from ate.event.commit import Record, link_after
from ate.event.prefix import MARK as PREFIX
from ate.event.prefix import decode_prefix, is_commit
from ate.event.row import PLACE_BODY_FILE, Kind
from ate.event.system import Genesis, decode
from ate.event.thinned import decode_record
from ate.log import recovery, segment
from ate.log.disk import Disk, RealDisk
from ate.log.local import LocalLog

_T = TypeVar("_T")


class Moved(Exception):
    """The files went away while they were read: the chain was compacted, replaced or destroyed."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a log says, up to one commit; the fields are those of `Point`."""

    name: str
    chain: bytes
    generation: int
    end: int
    head: int
    time_us: int
    link: bytes
    frontier: merkle.Frontier
    last_place: int
    last_digest: bytes
    bodies_end: int
    thinned: int


def complete(work: Coroutine[Any, Any, _T]) -> _T:
    """Return the result of work that never waits for anything."""
    try:
        work.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    work.close()
    raise UsageError("this needs ciphers that answer at once")


class Source:
    """The log of one chain, open for reading.

    Args:
        directory: of the chain.
        disk: where it is; the machine's file system when not given.

    Raises:
        NotFound: there is no chain.
        CorruptLog, UnsupportedFormat: damaged or foreign files.
    """

    def __init__(self, directory: str | os.PathLike[str], *, disk: Disk | None = None) -> None:
        self._base = self.directory = os.path.abspath(directory)
        self._disk = disk or RealDisk()
        self._log: LocalLog | None = None

    def close(self) -> None:
        """Give the files back."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def look(self) -> LocalLog:
        """Return the log as it is now, everything in it durable."""
        home = recovery.home(self._disk, self._base)
        if home != self.directory:
            self.close()
            self.directory = home
        live = recovery.locate(self._disk, self.directory)
        if not live:
            self.close()
            raise NotFound(f"there is no chain in {os.path.basename(self._base)}")
        if self._log is not None and self._log.generation != live:
            self.close()
        if self._log is None:
            try:
                self._log = LocalLog.open(self._base, disk=self._disk, readonly=True)
            except UnsupportedFormat:
                if recovery.locate(self._disk, self.directory) == live:
                    raise
                raise Moved("the chain went away while it was opened") from None
        else:
            self._log.refresh()
        self._confirm(self._log)
        return self._log

    def _confirm(self, log: LocalLog) -> None:
        """Flush the newest segment: the last commits may be visible and not yet durable."""
        number, _ = segment.split(log.end)
        file = self._open(log.generation, segment.file_name(segment.HEAD, number))
        try:
            file.datasync()
        finally:
            file.close()

    def _open(self, generation: int, name: str) -> Any:
        path = f"{recovery.generation_path(self.directory, generation)}/{name}"
        if not self._disk.exists(path):
            raise Moved(f"{name} went away while it was read")
        return self._disk.open(path, readonly=True)

    def goes_on(self, log: LocalLog, place: int, known: bytes) -> bool:
        """Tell whether the frame at `place` is still the one whose payload had this digest.

        Its link covers all before it, so nothing before it has changed either.
        """
        try:
            return digest(log.read(place, verify=True)) == known
        except CorruptLog:
            return False

    def identity(self, log: LocalLog) -> tuple[str, str] | None:
        """Return the chain's name and id as its first frames tell, None when they do not."""
        first = next((payload for _, payload in log.scan(0) if is_commit(payload)), None)
        if first is None:
            return None
        record = decode_record(first)
        if record.kinds[0] != Kind.GENESIS or record.sequencer.index:
            return None
        genesis = decode(Genesis, record.inline(record.row(0)))
        return genesis.name, record.root.hex()

    def survey(self, log: LocalLog) -> Facts:
        """Read and judge all of a log.

        Raises:
            CorruptLog: it would not open, or a stored body is not the one its row names.
            NotFound: there is no commit in it yet.
        """
        ledger = Ledger(log, clock=SystemClock(), entropy=system_entropy)
        complete(ledger.replay(use_snapshot=False))
        view = ledger.view
        if view.trust.genesis is None:
            raise NotFound(f"the chain in {os.path.basename(self.directory)} is still empty")
        last_place, last, thinned = 0, b"", 0
        for place, payload in log.scan(0):
            last_place, last = place, digest(payload)
            if is_commit(payload):
                _check_bodies(log, decode_record(payload))
            elif payload[0] == PREFIX:
                thinned = decode_prefix(payload).head
        return Facts(
            view.trust.genesis.name, view.trust.chain_id, log.generation, log.end, view.head,
            view.time_us, view.link, view.frontier, last_place, last, view.bodies_end,
            thinned,
        )  # fmt: skip

    def survey_more(self, log: LocalLog, facts: Facts) -> Facts:
        """Read what came behind a commit; raises CorruptLog when it does not go on from there."""
        head, link, frontier = facts.head, facts.link, facts.frontier
        last_place, last, bodies_end = facts.last_place, facts.last_digest, facts.bodies_end
        time_us = facts.time_us
        for place, payload in log.scan(facts.last_place):
            last_place, last = place, digest(payload)
            record = decode_record(payload)
            sequencer = record.sequencer
            if (sequencer.first_seq, sequencer.index, sequencer.link) != (
                head + 1, frontier.size, link
            ):  # fmt: skip
                raise CorruptLog(f"commit {sequencer.index} does not go on from the one before")
            head, time_us, leaf = record.last_seq, sequencer.time_us, record.leaf
            link, frontier = link_after(link, leaf), frontier.append(leaf)
            bodies_end = max(bodies_end, _check_bodies(log, record))
        return replace(
            facts, end=log.end, head=head, link=link, frontier=frontier, time_us=time_us,
            last_place=last_place, last_digest=last, bodies_end=bodies_end,
        )  # fmt: skip

    def lengths(self, facts: Facts) -> dict[str, int]:
        """Return how long each segment file is, up to the newest commit; heads first."""
        found: dict[str, int] = {}
        for kind, end in ((segment.HEAD, facts.end), (segment.BODY, facts.bodies_end)):
            last, offset = segment.split(end)
            for number in range(1, last):
                name = segment.file_name(kind, number)
                file = self._open(facts.generation, name)
                found[name] = file.size()
                file.close()
            if last:
                found[segment.file_name(kind, last)] = offset
        return found

    def read(self, generation: int, name: str, offset: int, length: int) -> bytes:
        """Return bytes of a segment file."""
        file = self._open(generation, name)
        try:
            data: bytes = file.pread(length, offset)
        finally:
            file.close()
        if len(data) != length:
            raise Moved(f"{name} became shorter while it was read")
        return data

    def check_unmoved(self, facts: Facts) -> None:
        """Raise Moved when the files that were read are not those of the live chain any more."""
        if recovery.locate(self._disk, self.directory) != facts.generation:
            raise Moved("the chain was compacted or destroyed meanwhile")
        number, offset = segment.split(facts.last_place)
        name = segment.file_name(segment.HEAD, number)
        length = segment.split(facts.end)[1] - offset
        if segment.split(facts.end)[0] != number:  # the newest segment holds no frame yet
            length = self.lengths(facts)[name] - offset
        frame = self.read(facts.generation, name, offset, length)
        size = segment.payload_length(frame, 0, len(frame)) if not offset & 7 else -1
        payload = frame[segment.FRAME_BYTES : segment.FRAME_BYTES + max(size, 0)]
        if digest(payload) != facts.last_digest:
            raise Moved("the chain was replaced by another meanwhile")


def _check_bodies(log: LocalLog, record: Record) -> int:
    """Check the large bodies of a commit, and return the place behind the last of them."""
    table = record.table
    end = 0
    for at in (table["place"] >= PLACE_BODY_FILE).nonzero()[0]:
        place, length = int(table["place"][at]), int(table["length"][at])
        if digest(log.body(place, length)) != table["body_hash"][at].tobytes():
            raise CorruptLog(f"the body of row {record.seq_at(int(at))} was altered")
        end = max(end, place + length)
    return end
