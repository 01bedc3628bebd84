"""An owner that is stopped anywhere, deposed, and goes on: nothing of it counts, nothing is lost.

The old owner runs in a thread that stops before one of its calls to the disk. Meanwhile the new one
takes over; before one of its own calls the old one is let go, to its end. Only one of them ever
runs, so each run is the same every time.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from ate.errors import AteError, Deposed, StorageError
from ate.log import ownership as owners
from ate.log import recovery, takeover
from ate.log.local import LocalLog
from ate.log.owned import OwnedLog, take_all
from ate.log.ownership import Ownership
from ate.testing.simdisk import SimDisk

DATA, OWN = "/data", "/data/.atedb"
CHAINS = ("/data/team/a", "/data/team/a/b", "/data/c")
SEGMENT = 2048
NEVER = 10**9


class Steps:
    """Counts calls to the disk, and does something before one of them."""

    def __init__(self, at: int, then: Callable[[], None]) -> None:
        self.count, self._at, self._then = 0, at, then

    def __call__(self) -> None:
        self.count += 1
        if self.count == self._at:
            self._then()


class Stepped:
    """A disk, or a file of it, each of whose calls is a step."""

    def __init__(self, real: Any, step: Callable[[], None]) -> None:
        self._real, self._step = real, step

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._real, name)
        if name in ("map", "close"):
            return call

        def stepped(*args: Any, **more: Any) -> Any:
            self._step()
            found = call(*args, **more)
            return Stepped(found, self._step) if name in ("open", "create") else found

        return stepped


class Old:
    """The old owner: a script that stops, and can be told to go on."""

    def __init__(self, disk: SimDisk, stop_at: int, log: type[OwnedLog]) -> None:
        self.acked: dict[str, list[bytes]] = {name: [] for name in CHAINS}
        self.end: Exception | None = None
        self._log = log
        self._reached, self._go = threading.Semaphore(0), threading.Semaphore(0)
        self.steps = Steps(stop_at, self._stop)
        self._disk: Any = Stepped(disk, self.steps)
        self._number = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._reached.acquire()

    def _stop(self) -> None:
        self._reached.release()
        self._go.acquire()

    def go_on(self) -> None:
        self._go.release()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._script()
        except AteError as error:
            self.end = error
        finally:
            self._reached.release()

    # --- what it does ---------------------------------------------------------------------------

    def _take(self, name: str) -> OwnedLog:
        return self._log.take(name, self.mine, disk=self._disk, segment_bytes=SEGMENT)

    def _add(self, log: OwnedLog, name: str, count: int, size: int = 40) -> None:
        frames = []
        for _ in range(count):
            self._number += 1
            frames.append(f"old {self._number} ".encode().ljust(size, b"."))
        log.append_many([(frame,) for frame in frames])
        log.flush()
        self.acked[name] += frames

    def _add_body(self, log: OwnedLog, name: str) -> None:
        self._number += 1
        body = bytes([self._number % 251]) * 700
        place = log.write_body([body])
        frame = f"body {place} {len(body)} {body[0]}".encode()
        log.append([frame])
        log.flush()
        self.acked[name].append(frame)

    def _compact(self, log: OwnedLog) -> OwnedLog:
        made = log.successor()
        for _, payload in log.scan():
            if payload[:4] != b"body":
                made.append([bytes(payload)])
                continue
            _, place, length, fill = bytes(payload).split()
            moved = made.write_body([log.body(int(place), int(length))])
            made.append([b"body %d %s %s" % (moved, length, fill)])
        made.flush()
        made.take_over(log)
        log.close()
        made.sweep()
        return made

    def _script(self) -> None:
        mine = owners.claim(self._disk, OWN, {"run": "old"})
        if mine is None:
            return  # it was deposed before it had begun
        self.mine: Ownership = mine
        a, b, c = CHAINS
        first = self._take(a)
        self._add(first, a, 3)
        self._add_body(first, a)
        second = self._take(b)
        self._add(second, b, 1, 900)
        self._add(second, b, 2, 700)
        self._add_body(first, a)
        mine.beat()
        first.write_index((b"index",))
        self._add(first, a, 1)
        for _ in range(3):
            self._add_body(second, b)
        second = self._compact(second)
        self._add(second, b, 1)
        self._take(c).destroy()
        third = self._take(c)
        self._add(third, c, 2)
        first.close()
        first = self._take(a)
        self._add(first, a, 1, 1900)
        self._add(first, a, 1)
        for log in (first, second, third):
            log.close()
        mine.close()


class New:
    """The new owner, right as it is; the planted bugs are below."""

    log = OwnedLog

    def __init__(self, disk: Any, old: Old) -> None:
        self._disk, self._old = disk, old
        self.seen: dict[str, list[bytes]] = {}
        self.acked: dict[str, list[bytes]] = {name: [] for name in CHAINS}
        self._logs: dict[str, OwnedLog] = {}

    def own(self) -> Ownership:
        epoch = owners.newest(self._disk, OWN)
        mine = owners.depose(self._disk, OWN, epoch, {"run": "new"})
        assert mine is not None
        return mine

    def take_over(self) -> None:
        mine = self.own()
        take_all(DATA, mine, disk=self._disk, goes_on=lambda: True)
        for name in CHAINS:
            log = OwnedLog.take(name, mine, disk=self._disk, segment_bytes=SEGMENT)
            self._logs[name] = log
            self.seen[name] = [bytes(payload) for _, payload in log.scan()]
        for name in CHAINS:
            self.write(name, 2)

    def write(self, name: str, count: int) -> None:
        log = self._logs[name]
        for _ in range(count):
            frame = f"new {len(self.acked[name])}".encode().ljust(600, b"-")
            log.append([frame])
            log.flush()
            self.acked[name].append(frame)

    def end(self) -> None:
        for name, log in self._logs.items():
            self.write(name, 3)
            log.close()


def wrong(disk: SimDisk, old: Old, new: New) -> Iterator[str]:
    """Yield what is not as it must be."""
    for name in CHAINS:
        seen = new.seen[name]
        lost = [frame for frame in old.acked[name] if not _is_in(frame, seen)]
        if lost:
            yield f"{name} has lost {lost[0][:20]!r}"
        try:
            log = LocalLog.open(name, disk=disk, readonly=True)
            found = [bytes(payload) for _, payload in log.scan()]
            for frame in found:
                if frame[:4] == b"body":
                    _, place, length, fill = frame.split()
                    if bytes(log.body(int(place), int(length))) != bytes([int(fill)]) * int(length):
                        yield f"{name} has another body"
            log.close()
        except AteError as error:
            yield f"{name}: {error}"
            continue
        if found != seen + new.acked[name]:
            yield f"{name} is not what the new owner saw and wrote"


def _is_in(frame: bytes, seen: list[bytes]) -> bool:
    """Compaction moves bodies: what a frame says of its place changes."""
    if frame[:4] != b"body":
        return frame in seen
    return frame.split()[2:] in [one.split()[2:] for one in seen if one[:4] == b"body"]


def run(
    stop_at: int, resume_at: int, new_owner: type[New] = New
) -> tuple[int, int, list[str], Exception | None]:
    """Return the steps of both, what is wrong, and how the old owner ended."""
    disk = SimDisk(stop_at)
    recovery.make_directory(disk, OWN)
    old = Old(disk, stop_at, new_owner.log)
    is_gone = old.steps.count < stop_at
    steps = Steps(resume_at, old.go_on)
    new = new_owner(Stepped(disk, steps), old)
    if is_gone or not owners.newest(disk, OWN):
        old.go_on()
        return old.steps.count, 0, [], None
    found: list[str] = []
    try:
        new.take_over()
    except AteError as error:
        found.append(f"the new owner could not take over: {error}")
    if steps.count < resume_at:
        old.go_on()
    if not found:
        new.end()
        found += wrong(disk, old, new)
    return old.steps.count, steps.count, found, old.end


def everywhere(
    new_owner: type[New] = New, *, each: int = 1
) -> Iterator[tuple[int, int, list[str]]]:
    """Stop the old owner at each of its steps; let it go on at the end, and here and there."""
    length = run(NEVER, NEVER)[0]
    chance = random.Random(5)
    for stop_at in range(1, length + 1):
        _, most, found, _ = run(stop_at, NEVER, new_owner)
        yield stop_at, NEVER, found
        for _ in range(each if most else 0):
            resume_at = chance.randint(1, most)
            yield stop_at, resume_at, run(stop_at, resume_at, new_owner)[2]


def test_a_deposed_owner_writes_nothing_that_counts_wherever_it_stopped_and_goes_on() -> None:
    tried = 0
    for stop_at, resume_at, found in everywhere():
        assert found == [], (stop_at, resume_at)
        tried += 1
    assert tried > 700


def test_the_deposed_owner_finds_out() -> None:
    length = run(NEVER, NEVER)[0]
    ends = [run(stop_at, NEVER)[3] for stop_at in range(1, length, 7)]
    assert sum(isinstance(end, Deposed) for end in ends) > 0.8 * len(ends)


class WithoutLook(OwnedLog):
    """Planted: it does not look after a flush."""

    def flush(self) -> None:
        LocalLog.flush(self)


class NoLook(New):
    log = WithoutLook


class CopiesFirst(New):
    """Planted: it copies before the old owner is deposed."""

    def own(self) -> Ownership:
        epoch = owners.newest(self._disk, OWN)
        for name in CHAINS:
            target = recovery.epoch_path(name, epoch + 1)
            with suppress(StorageError):  # it is being made, or removed
                if recovery.is_chain(self._disk, name):
                    takeover.branch(self._disk, recovery.home(self._disk, name), target)
        return super().own()


class CopiesNothing(New):
    """Planted: it goes on in the files of the old owner."""

    def own(self) -> Ownership:
        mine = super().own()
        mine.is_contested = False
        return mine


@pytest.mark.parametrize("planted", [NoLook, CopiesFirst, CopiesNothing])
def test_a_planted_bug_is_found(planted: type[New]) -> None:
    caught = next((found for *_, found in everywhere(planted, each=6) if found), [])
    assert caught, planted.__doc__


@pytest.mark.parametrize("stop_at", range(20, 400, 40))
def test_a_third_owner_deposes_the_second_while_the_first_still_hangs(stop_at: int) -> None:
    disk = SimDisk(stop_at)
    recovery.make_directory(disk, OWN)
    old = Old(disk, stop_at, OwnedLog)
    second = New(disk, old)
    second.take_over()
    third = New(disk, old)
    third.take_over()
    for name in CHAINS:
        with pytest.raises(Deposed):
            second.write(name, 1)
        assert third.seen[name] == second.seen[name] + second.acked[name]
    old.go_on()
    third.end()
    assert list(wrong(disk, old, third)) == []


def test_all_of_it_is_the_same_each_time() -> None:
    again = partial(run, 150, 90)
    assert again()[:3] == again()[:3]
