"""Bugs that a log must not have, planted one by one: the crash checker finds each of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import pytest

from ate.errors import StorageError
from ate.log import recovery
from ate.log.disk import Disk
from ate.log.local import LocalLog
from ate.log.tail import Tail
from ate.testing.crash import History, Opener, Run, check_cuts, check_one, check_rot
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk

HEAD = "/a/chain/000001/head.000001"


class Relay:
    """A disk that passes everything on; a planted bug leaves one thing out."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)


class AcknowledgesBeforeSync(LocalLog):
    def _sync(self, tail: Tail | None) -> None:
        """The write is in the page cache: good enough, says the bug."""


class ForgetsDirectories(Relay):
    def sync_dir(self, path: str) -> None:
        """The file was synced: good enough, says the bug."""


class HeadBeforeBody(LocalLog):
    def _room_for(self, size: int) -> Tail:
        is_dirty, self._bodies.is_dirty = self._bodies.is_dirty, False
        tail = super()._room_for(size)
        self._bodies.is_dirty = is_dirty
        return tail


class CutsDamage(LocalLog):
    def _open_writer(self) -> None:
        judge = recovery.judge

        def blind(view: memoryview, start: int, place: int) -> recovery.Verdict:
            return dataclasses.replace(judge(view, start, place), proof=-1)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recovery, "judge", blind)
            super()._open_writer()


class RollsBeforeSync(LocalLog):
    def _roll(self, tail: Tail) -> Tail:
        sync = self._sync
        object.__setattr__(self, "_sync", lambda tail: None)
        rolled = super()._roll(tail)
        object.__setattr__(self, "_sync", sync)
        return rolled


class TrustsThePageCache(LocalLog):
    def _poison(self, error: BaseException) -> None:
        """The next sync will bring it back, says the bug."""


def opener(kind: type[LocalLog], wrap: Callable[[SimDisk], Any] = lambda disk: disk) -> Opener:
    return lambda disk, readonly: kind.open(
        "/a/chain", disk=cast(Disk, wrap(disk)), readonly=readonly, segment_bytes=4096
    )


def broken_promises(open_log: Opener, seed: int = 11) -> list[str]:
    disk = SimDisk(seed)
    return check_cuts(disk, Run(disk, open_log).steps(25), open_log)


def test_without_a_bug_nothing_is_found() -> None:
    assert broken_promises(opener(LocalLog)) == []
    assert broken_promises(opener(LocalLog, Relay)) == []


@pytest.mark.parametrize(
    "open_log,finding",
    [
        (opener(AcknowledgesBeforeSync), "acknowledged"),
        (opener(LocalLog, ForgetsDirectories), "acknowledged"),
        (opener(HeadBeforeBody), "body"),
        (opener(RollsBeforeSync), "CorruptLog"),
    ],
    ids=["ack before fsync", "no directory fsync", "head before body", "no fsync at roll-over"],
)
def test_a_planted_bug_is_found(open_log: Opener, finding: str) -> None:
    found = broken_promises(open_log)
    assert any(finding in line or "too short" in line for line in found), found[:5]


def test_cutting_a_damaged_log_is_found() -> None:
    def damaged(kind: type[LocalLog]) -> list[str]:
        disk = SimDisk(12)
        log = kind.open("/a/chain", disk=disk)
        for number in range(12):
            log.append((b"%d" % number,))
            log.flush()
        log.close()
        return check_rot(disk, HEAD, opener(kind))

    assert damaged(LocalLog) == []
    found = damaged(CutsDamage)
    assert any("opens for writing" in line for line in found)
    assert any("changed the file" in line for line in found)


def test_trusting_a_sync_after_one_that_failed_is_found() -> None:
    def after_retry(kind: type[LocalLog]) -> list[str]:
        disk = SimDisk(13)
        log = kind.open("/a/chain", disk=disk)
        log.append((b"first",))
        disk.fail("sync", StorageError("input/output error"), name="head")
        with pytest.raises(StorageError):
            log.flush()
        try:
            log.append((b"second",))
            log.flush()
        except StorageError:
            return ["the log takes no more writes"]
        history = History(appended=[b"first", b"second"])
        return check_one(disk.cut(STYLES[0]), history, 2, opener(LocalLog))

    assert after_retry(LocalLog) == ["the log takes no more writes"]
    assert any("acknowledged" in line for line in after_retry(TrustsThePageCache))
