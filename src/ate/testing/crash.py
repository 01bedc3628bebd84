"""The crash checker: does a log keep its promise at every moment of a run; it never repairs one.

A run on a `SimDisk` notes what was appended and, after each flush, how much of it was acknowledged.
Then every power cut of the run is opened: what is there must be a prefix of what was appended, must
hold all that was acknowledged before the cut, with every body, and must take another append.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ate.crypto.hash import check64
from ate.errors import AteError, CorruptLog
from ate.log import segment
from ate.log.store import LogStore
from ate.testing.chance import Chance
from ate.testing.platter import STYLES, Style
from ate.testing.simdisk import SimDisk

#: Opens the log on a disk, for writing or for reading.
Opener: TypeAlias = Callable[[SimDisk, bool], LogStore]

_NUMBER_BYTES: Final = 8
#: What the check itself appends.
_EXTRA: Final = b"one more"


@dataclass(slots=True)
class History:
    """What a run did.

    Attributes:
        appended: the payloads in order.
        acks: (length of the disk's journal, payloads acknowledged by then).
    """

    appended: list[bytes] = field(default_factory=list)
    acks: list[tuple[int, int]] = field(default_factory=list)

    def acknowledged(self, done: int) -> int:
        """Return how many payloads were acknowledged within the first `done` operations."""
        return max((count for mark, count in self.acks if mark <= done), default=0)


class Run:
    """Drives a log through a random script.

    Args:
        disk: where the log is.
        open_log: opens it.
    """

    def __init__(self, disk: SimDisk, open_log: Opener) -> None:
        self.disk = disk
        self.history = History()
        self._open_log = open_log
        self._log = open_log(disk, False)
        self._chance = Chance(disk.seed)

    def _payload(self, ahead: int = 0) -> bytes:
        number = len(self.history.appended) + ahead
        size = self._chance.choice((0, 3, 60, 61, 400, 900))
        return number.to_bytes(_NUMBER_BYTES, "big") + self._chance.bytes(size)

    def append(self) -> None:
        payload = self._payload()
        self._log.append((payload[:5], payload[5:]))
        self.history.appended.append(payload)

    def append_many(self) -> None:
        payloads = [self._payload(ahead) for ahead in range(3)]
        self._log.append_many([(payload,) for payload in payloads])
        self.history.appended += payloads

    def append_with_body(self) -> None:
        body = self._chance.bytes(self._chance.choice((700, 1500, 3001)))
        place = self._log.write_body((body[:100], body[100:]))
        number = len(self.history.appended)
        payload = (
            number.to_bytes(_NUMBER_BYTES, "big")
            + b"body"
            + b"".join(word.to_bytes(8, "big") for word in (place, len(body), check64((body,))))
        )
        self._log.append((payload,))
        self.history.appended.append(payload)

    def flush(self) -> None:
        self._log.flush()
        self.history.acks.append((len(self.disk.journal), len(self.history.appended)))

    def write_index(self) -> None:
        self._log.write_index((b"index of %d" % len(self.history.appended),))

    def reopen(self) -> None:
        self._log.close()
        self._log = self._open_log(self.disk, False)
        _trim(self._log, [bytes(payload) for _, payload in self._log.scan()])

    def steps(self, count: int) -> History:
        """Take random steps and return what happened."""
        actions = (self.append, self.append_many, self.append_with_body, self.flush)
        for _ in range(count):
            self._chance.choice((*actions, self.append, self.flush))()
            if self._chance.happens(10):
                self._chance.choice((self.write_index, self.reopen))()
        self.flush()
        self._log.close()
        return self.history


def _reference(payload: bytes) -> tuple[int, int, int] | None:
    """Return (place, length, check) of the body that a payload names."""
    if payload[_NUMBER_BYTES : _NUMBER_BYTES + 4] != b"body" or len(payload) != 36:
        return None
    place, length, check = (
        int.from_bytes(payload[at : at + 8], "big") for at in range(_NUMBER_BYTES + 4, 36, 8)
    )
    return place, length, check


def _trim(log: LogStore, payloads: Sequence[bytes]) -> None:
    """Drop unnamed bodies as the owner of a log does after opening it."""
    named = [reference for reference in map(_reference, payloads) if reference]
    log.trim_bodies(named[-1][0] + named[-1][1] if named else 0)


def check_cuts(
    disk: SimDisk,
    history: History,
    open_log: Opener,
    *,
    styles: Sequence[Style] = STYLES,
    recut_every: int = 0,
) -> list[str]:
    """Open the log after every power cut of a run and return each broken promise as a line.

    Args:
        disk: on which the run took place.
        history: what the run did.
        open_log: opens the log.
        styles: the ways to lose power.
        recut_every: cut the power again, everywhere in the recovery of each so many-th cut.
    """
    broken: list[str] = []
    for index, (done, style, after) in enumerate(disk.cuts(styles)):
        acked = history.acknowledged(done)
        where = f"seed {disk.seed}, cut at {done}, {style.name}"
        broken += [f"{where}: {what}" for what in check_one(after, history, acked, open_log)]
        if recut_every and index % recut_every == 0:
            for again, style2, after2 in after.cuts(styles):
                there = f"{where}, cut again at {again}, {style2.name}"
                found = check_one(after2, history, acked, open_log)
                broken += [f"{there}: {what}" for what in found]
    return broken


def check_one(disk: SimDisk, history: History, acked: int, open_log: Opener) -> list[str]:
    """Return what is wrong with the log on one disk; another payload is appended to it."""
    broken: list[str] = []
    try:
        log = open_log(disk, False)
        payloads = [bytes(payload) for _, payload in log.scan()]
        while payloads[-1:] == [_EXTRA]:
            payloads.pop()
        if payloads != history.appended[: len(payloads)]:
            broken.append("not a prefix of what was appended")
        if len(payloads) < acked:
            broken.append(f"{acked} acknowledged, {len(payloads)} there")
        broken += _check_shown(disk, len(payloads), open_log)
        _trim(log, payloads)
        for number, payload in enumerate(payloads):
            reference = _reference(payload)
            if reference and check64((log.body(*reference[:2]),)) != reference[2]:
                broken.append(f"the body of {number} is not what was written")
        place = log.append((_EXTRA,))
        log.flush()
        log.close()
        reader = open_log(disk, True)
        if bytes(reader.read(place, verify=True)) != _EXTRA:
            broken.append("an append after the cut is lost")
        reader.close()
    except AteError as error:
        broken.append(f"{type(error).__name__}: {error}")
    return broken


def _check_shown(disk: SimDisk, shown: int, open_log: Opener) -> list[str]:
    """What an opened log shows is durable, whether or not its writer lived to acknowledge it."""
    reader = open_log(disk.cut(STYLES[0]), True)
    kept = sum(bytes(payload) != _EXTRA for _, payload in reader.scan())
    reader.close()
    return [] if kept >= shown else [f"{shown} shown after opening, {kept} there after a cut"]


def check_rot(disk: SimDisk, path: str, open_log: Opener) -> list[str]:
    """Damage every frame of a closed head segment but the last, one at a time.

    Opening for writing must be refused with nothing changed, and a reader must get what is before
    the damage and then the error.

    Args:
        disk: holds a log that was closed properly.
        path: its only head segment.
        open_log: opens the log.
    """
    broken: list[str] = []
    whole = disk.snapshot()[path]
    view = memoryview(whole)
    offsets = [offset for offset, _ in segment.frames(view, segment.HEADER_BYTES, len(view))]
    last_known = segment.split(segment.durable_of(view, offsets[-1]))[1]
    for number, offset in enumerate(offsets):
        if offset >= last_known:
            break
        at = offset + (7 * number) % segment.FRAME_BYTES
        rotten = bytearray(whole)
        rotten[at] ^= 0x40
        disk.put(path, bytes(rotten))
        try:
            open_log(disk, False).close()
            broken.append(f"byte {at} is damaged and the log opens for writing")
        except CorruptLog:
            pass
        if disk.snapshot()[path] != rotten:
            broken.append(f"byte {at} is damaged and opening changed the file")
        disk.put(path, bytes(rotten))
        broken += _check_reader(open_log(disk, True), number)
    disk.put(path, whole)
    return broken


def _check_reader(reader: LogStore, whole: int) -> list[str]:
    seen = 0
    try:
        for _ in reader.scan():
            seen += 1
    except CorruptLog:
        return [] if seen == whole else [f"a reader got {seen} frames of {whole}"]
    finally:
        reader.close()
    return [f"a reader got {seen} frames and no error"]
