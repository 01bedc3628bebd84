"""A disk that is full or fails at any one call: the log says so, keeps its promise and goes on."""

from __future__ import annotations

import pytest

from ate.errors import OutOfSpace, StorageError
from ate.log.local import LocalLog
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk
from ate.testing.store_suite import payloads

FULL = OutOfSpace("no space left on device")
BROKEN = StorageError("input/output error")


def open_log(disk: SimDisk, readonly: bool = False) -> LocalLog:
    return LocalLog.open("/a/chain", disk=disk, readonly=readonly, segment_bytes=2048)


class Writer:
    """Writes ten payloads, one flush each, and tries again after an error."""

    def __init__(self, disk: SimDisk) -> None:
        self.disk = disk
        self.log: LocalLog | None = None
        self.wanted: list[bytes] = []
        self.failures: list[str] = []
        self.reopened = 0

    def run(self) -> list[bytes]:
        for number in range(10):
            self.write(b"%d" % number * 200, with_body=number % 4 == 3)
        assert self.log
        assert payloads(self.log) == self.wanted
        return self.wanted

    def write(self, payload: bytes, *, with_body: bool) -> None:
        for _ in range(3):
            try:
                if self.log is None:
                    self.log = open_log(self.disk)
                if payloads(self.log) == self.wanted:
                    if with_body:
                        place = self.log.write_body((payload * 4,))
                        assert self.log.body(place, 800) == payload * 4
                    self.log.append((payload,))
                self.log.flush()
            except StorageError as error:
                self.failures.append(error.message)
                if "confirmed" in error.message:
                    self.reopen()
                continue
            self.wanted.append(payload)
            return
        pytest.fail(f"it does not recover: {self.failures}")

    def reopen(self) -> None:
        assert self.log
        self.log.close()
        self.log = None
        self.reopened += 1


def one_fault_anywhere(verb: str, fault: StorageError) -> tuple[int, int]:
    """Move one fault through a whole run; returns how many runs met it and how many reopened."""
    reopened = 0
    for met in range(200):
        disk = SimDisk(met)
        disk.fail(verb, fault, skip=met)
        writer = Writer(disk)
        wanted = writer.run()
        if disk.pending_faults:
            assert not writer.failures
            return met, reopened
        reopened += writer.reopened
        for style in STYLES:
            after = open_log(disk.cut(style))
            assert payloads(after) == wanted, (verb, met, style)
    pytest.fail("the run has no end")


@pytest.mark.parametrize("fault", [FULL, BROKEN], ids=["ENOSPC", "EIO"])
def test_a_write_that_fails_anywhere_only_needs_another_attempt(fault: StorageError) -> None:
    met, reopened = one_fault_anywhere("write", fault)
    assert met > 10
    assert reopened == 0


@pytest.mark.parametrize("verb", ["sync", "syncdir", "create", "rename", "open", "truncate"])
def test_any_other_call_that_fails_loses_nothing(verb: str) -> None:
    met, _ = one_fault_anywhere(verb, BROKEN)
    assert met > 0


def test_a_failed_frame_does_not_come_back() -> None:
    for seed in range(20):
        disk = SimDisk(seed)
        log = open_log(disk)
        log.append((b"kept",))
        log.flush()
        disk.fail("write", BROKEN, name="head")
        with pytest.raises(StorageError):
            log.append((b"refused" * 9,))
        for style in STYLES:
            after = open_log(disk.cut(style))
            assert payloads(after) == [b"kept"]
            assert after.torn == ()


def test_a_failed_sync_poisons_until_reopened() -> None:
    disk = SimDisk(1)
    log = open_log(disk)
    place = log.append((b"one",))
    disk.fail("sync", BROKEN)
    with pytest.raises(StorageError, match="input/output"):
        log.flush()
    for call in (log.flush, lambda: log.append((b"x",)), lambda: log.write_body((b"x",))):
        with pytest.raises(StorageError, match="confirmed"):
            call()
    assert bytes(log.read(place)) == b"one"
    log.close()
    # What the reopened log shows is durable, though the system had called those pages clean.
    assert payloads(open_log(disk)) == [b"one"]
    assert payloads(open_log(disk.cut(STYLES[0]))) == [b"one"]


def test_an_undo_that_fails_poisons() -> None:
    disk = SimDisk(1)
    log = LocalLog.open("/a/chain", disk=disk)
    log.append((b"one",))
    log.flush()
    disk.fail("write", FULL)
    disk.fail("truncate", BROKEN, times=-1)
    with pytest.raises(OutOfSpace):
        log.append((b"x" * 65_536,))
    with pytest.raises(StorageError, match="confirmed"):
        log.append((b"y",))
    disk.heal()
    log.close()
    again = open_log(disk)
    assert payloads(again)[:1] == [b"one"]


def test_zeros_that_do_not_fit_do_not_stop_a_frame_that_does() -> None:
    disk = SimDisk(2)
    log = LocalLog.open("/chain", disk=disk)
    disk.fail("write", FULL)
    log.append((b"fits",))
    log.flush()
    assert payloads(log) == [b"fits"]
    log.append((b"and now the zeros do, too",))
    assert log.files()["000001/head.000001"] > 60_000
    log.close()
    assert log.files()["000001/head.000001"] < 300


def test_a_full_disk_for_a_while() -> None:
    disk = SimDisk(3)
    log = open_log(disk)
    log.append((b"before",))
    log.flush()
    disk.fail("write", FULL, times=-1)
    for _ in range(5):
        with pytest.raises(OutOfSpace):
            log.append((b"x" * 3000,))
        with pytest.raises(OutOfSpace):
            log.write_body((b"x" * 3000,))
    disk.heal()
    log.append((b"after",))
    log.flush()
    assert payloads(open_log(disk.cut(STYLES[0]))) == [b"before", b"after"]
