"""`restore`: makes a chain's directory from a restore point; it never changes one that is there.

Everything is built beside the place, in a directory that no chain name can mean, and verified
there from the first byte to the last. One rename makes it the chain.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ate.archive.crew import Bar, each, no_bar
from ate.archive.point import Point
from ate.archive.series import Kept, Series
from ate.archive.source import complete
from ate.chain.verify import Verification, verify
from ate.crypto.entropy import Entropy, system_entropy
from ate.errors import (
    Compacted,
    CorruptBackup,
    CorruptLog,
    LogLocked,
    NotFound,
    OutOfSpace,
    StorageError,
    UnsupportedFormat,
    UsageError,
)
from ate.event.prefix import is_commit
from ate.event.row import PLACE_BODY_FILE
from ate.event.thinned import decode_record
from ate.log import recovery, segment
from ate.log.disk import Disk, DiskLock, RealDisk
from ate.log.local import LocalLog

WORKERS: Final = 4
_TAKEN: Final = re.compile(r"CURRENT|[0-9]{6}|doomed\..*|\.epoch-[0-9]+")
_FULL_HINT: Final = "free some space and run it again: nothing was restored"


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a chain: a restore point, a row or a time. The default is the newest.

    Args:
        point: the number of a restore point.
        seq: up to and with the commit that brought this row.
        time_us: all commits up to this time.
    """

    point: int = 0
    seq: int = 0
    time_us: int = 0


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: the point it came from, and what its verification found."""

    point: Point
    found: Verification


def restore(
    series: Series,
    directory: str | os.PathLike[str],
    *,
    moment: Moment | None = None,
    disk: Disk | None = None,
    entropy: Entropy = system_entropy,
    bar: Bar = no_bar,
    workers: int = WORKERS,
) -> Restored:
    """Make the directory of a chain from its backup.

    Args:
        series: the restore points of the chain.
        directory: that the chain shall have; there must be no chain in it.
        moment: which state.
        disk: where it is; the machine's file system when not given.
        entropy: for the name of the directory in which it is built.
        bar: shows how far it is.
        workers: threads that fetch.

    Raises:
        UsageError: there is a chain already.
        NotFound: the backup does not hold this moment.
        Compacted: it lies in the part that compaction has thinned out.
        CorruptBackup: an object is missing or not what was written; nothing was restored.
        OutOfSpace, StorageError, NetworkError: the medium or the destination failed.
    """
    disk, path = disk or RealDisk(), os.path.abspath(directory)
    _check_free(disk, path)
    kept = choose(series, moment or Moment())
    above, _, word = path.rpartition("/")
    building = f"{above}/.{word}.restoring-{entropy(4).hex()}"
    lock: DiskLock | None = None
    try:
        recovery.make_directory(disk, above)
        _sweep(disk, above, word)
        disk.mkdir(building)
        lock = disk.lock(f"{building}/{recovery.LOCK}")
        with bar("restoring", kept.point.size) as advance:
            _fetch(series, kept.point, disk, building, advance=advance, workers=workers)
        found = _judged(series, kept.point, disk, building, moment=moment, bar=bar)
        _check_free(disk, path)
        _appear(disk, building, path, kept.point.generation)
    except BaseException as error:
        _discard(disk, building)
        if isinstance(error, OutOfSpace):
            raise OutOfSpace(error.message, hint=_FULL_HINT) from error
        raise
    finally:
        if lock is not None:
            lock.close()
    return Restored(kept.point, found)


def choose(series: Series, moment: Moment) -> Kept:
    """Return the earliest restore point that holds a moment; the newest holds the present."""
    numbers = series.numbers()
    if not numbers:
        raise NotFound(f"there is no restore point of {series.name!r}")
    if moment.point:
        if moment.point not in numbers:
            raise NotFound(f"there is no restore point {moment.point} of {series.name!r}",
                           hint="`ate backups DEST CHAIN` lists them")  # fmt: skip
        return series.load_linked(moment.point, numbers)
    if moment.seq:
        kept = series.earliest(lambda point: point.head >= moment.seq)
        if kept is None:
            head = series.load(numbers[-1]).point.head
            raise NotFound(f"the backup of {series.name!r} ends at row {head}")
        return kept
    kept = (
        series.earliest(lambda point: point.time_us >= moment.time_us) if moment.time_us else None
    )
    return kept or series.load_linked(numbers[-1], numbers)


def _check_free(disk: Disk, path: str) -> None:
    if any(_TAKEN.fullmatch(name) for name in disk.listdir(path)):
        raise UsageError(
            f"there is a chain in {os.path.basename(path)} already, and it stays as it is",
            hint="restore into another directory with --path, or move the chain away first",
        )


def _sweep(disk: Disk, above: str, word: str) -> None:
    """Remove what killed restores of this chain left, unless one of them still runs."""
    for name in disk.listdir(above):
        if name.startswith(f".{word}.restoring-"):
            try:
                lock = disk.lock(f"{above}/{name}/{recovery.LOCK}")
            except LogLocked:
                continue
            disk.rmtree(f"{above}/{name}")
            lock.close()


def _discard(disk: Disk, building: str) -> None:
    try:
        disk.rmtree(building)
    except StorageError:
        pass  # no chain name means it; the next restore removes it


def _fetch(
    series: Series,
    point: Point,
    disk: Disk,
    building: str,
    *,
    advance: Callable[[int], None],
    workers: int,
) -> None:
    """Bring all segment files of a point, each piece compared with its digest, to the medium."""
    place = recovery.generation_path(building, point.generation)
    disk.mkdir(place)
    for file in point.files:
        target, offset = disk.create(f"{place}/{file.name}"), 0
        try:
            for data in each(series.fetch, file.pieces, workers=min(workers, len(file.pieces))):
                target.pwrite((data,), offset)
                offset += len(data)
                advance(len(data))
            target.datasync()
        finally:
            target.close()
    disk.sync_dir(place)
    current = f"{building}/{recovery.CURRENT}"
    recovery.replace(disk, current, (f"{point.generation:06d}\n".encode(),))


def _cut_back(disk: Disk, building: str, point: Point, moment: Moment) -> None:
    """Drop the commits that came later than a moment."""
    log = LocalLog.open(building, disk=disk, readonly=True)
    end = bodies_end = 0
    try:
        for place, payload in log.scan(0):
            stop = place + segment.frame_size(len(payload))
            if not is_commit(payload):
                end = stop
                continue
            record = decode_record(payload)
            time_us = record.sequencer.time_us
            if record.first_seq > moment.seq if moment.seq else time_us > moment.time_us:
                # The commit behind the thinned part is the one that vouches for it.
                if point.thinned and record.first_seq <= point.thinned + 1:
                    raise Compacted(f"compaction has thinned out the rows up to {point.thinned}")
                break
            end = stop
            table = record.table
            outside = table[table["place"] >= PLACE_BODY_FILE]
            ends = outside["place"] + outside["length"]
            bodies_end = max(bodies_end, int(ends.max()) if len(ends) else 0)
    finally:
        log.close()
    if not end:
        raise NotFound("the chain was begun later than that")
    directory = recovery.generation_path(building, point.generation)
    for kind, stop in ((segment.HEAD, end), (segment.BODY, bodies_end)):
        _shorten(disk, directory, kind, stop)
    disk.sync_dir(directory)


def _shorten(disk: Disk, directory: str, kind: int, stop: int) -> None:
    last, offset = segment.split(stop)
    for which, number in recovery.segments(disk, directory):
        if which == kind and number >= last:
            path = f"{directory}/{segment.file_name(kind, number)}"
            if number > last:
                disk.remove(path)
                continue
            file = disk.open(path)
            file.truncate(offset)
            file.datasync()
            file.close()


def _judged(
    series: Series, point: Point, disk: Disk, building: str, *, moment: Moment | None, bar: Bar
) -> Verification:
    """Verify what was built, from its first byte to its last, after cutting it back to a moment."""
    key = series.key(point.point)
    is_cut = moment is not None and bool(moment.seq or moment.time_us)
    try:
        if moment is not None and is_cut:
            _cut_back(disk, building, point, moment)
        log = LocalLog.open(building, disk=disk, readonly=True)
        try:
            total = sum(size for name, size in log.files().items() if "/head." in name)
            with bar("verifying", total) as advance:
                found = complete(verify(log, progress=advance))
        finally:
            log.close()
    except (CorruptLog, UnsupportedFormat) as error:
        raise CorruptBackup(f"what it names is no chain: {error}", object=key) from error
    wrong = [*found.problems, *log.torn]
    if wrong:
        raise CorruptBackup(f"what it names is no sound chain: {wrong[0]}", object=key)
    if not is_cut and (found.head, found.root.hex()) != (point.head, point.root):
        raise CorruptBackup("what it names is another chain", object=key)
    return found


def _appear(disk: Disk, building: str, path: str, generation: int) -> None:
    """Give a verified chain its name, durably."""
    above = os.path.dirname(path)
    disk.sync_dir(building)
    disk.sync_dir(above)
    if not disk.exists(path):
        disk.rename(building, path)
        _sync_up(disk, above)
        return
    # Other chains lie below this one's directory, so it can not be replaced: CURRENT comes last.
    lock: DiskLock = disk.lock(f"{path}/{recovery.LOCK}")
    try:
        name = f"{generation:06d}"
        disk.rename(f"{building}/{name}", f"{path}/{name}")
        disk.sync_dir(path)
        disk.rename(f"{building}/{recovery.CURRENT}", f"{path}/{recovery.CURRENT}")
        _sync_up(disk, path)
    finally:
        lock.close()
    _discard(disk, building)


def _sync_up(disk: Disk, directory: str) -> None:
    """Make a directory durable, and those above it, which this or a killed restore made."""
    above = os.path.dirname(directory)
    disk.sync_dir(directory)
    while above and above != directory:
        disk.sync_dir(above)
        directory, above = above, os.path.dirname(above)
