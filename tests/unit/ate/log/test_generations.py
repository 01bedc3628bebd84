from __future__ import annotations

import pytest

from ate.errors import CorruptLog, LogLocked, StorageError, UnsupportedFormat
from ate.log import generations, recovery, takeover
from ate.log.local import LocalLog
from ate.testing.simdisk import SimDisk

PATH = "/chain"


def disk_with_log() -> SimDisk:
    disk = SimDisk(1)
    log = LocalLog.open(PATH, disk=disk)
    log.append((b"one",))
    log.close()
    return disk


def numbers(disk: SimDisk) -> list[str]:
    return [name for name in disk.listdir(PATH) if name.isdigit()]


def test_a_share_keeps_a_generation_until_it_is_given_back() -> None:
    disk = disk_with_log()
    _, live, share = generations.share(disk, PATH)
    assert live == 1
    number = generations.begin(disk, PATH, 1)
    assert number == 2
    generations.switch(disk, PATH, 2)
    assert recovery.locate(disk, PATH) == 2
    assert generations.sweep(disk, PATH, 2) == ("000001",)
    assert generations.begin(disk, PATH, 2) == 3, "it is not in the way"
    share.close()
    assert generations.sweep(disk, PATH, 2) == ()
    assert numbers(disk) == ["000002"]


def test_what_is_half_made_goes() -> None:
    disk = disk_with_log()
    disk.mkdir(f"{PATH}/000002")
    disk.mkdir(f"{PATH}/000007")
    disk.create(f"{PATH}/000007/head.000001")
    assert generations.begin(disk, PATH, 1) == 2
    assert numbers(disk) == ["000001", "000002"]


def test_no_chain_no_share() -> None:
    disk = SimDisk(1)
    with pytest.raises(UnsupportedFormat):
        generations.share(disk, PATH)


def test_a_generation_that_is_being_replaced_is_looked_up_again() -> None:
    disk = disk_with_log()
    generations.begin(disk, PATH, 1)
    taken = disk.lock(f"{PATH}/000001/head.000001")  # as the sweeper holds it
    place, live, share = generations.share(disk, PATH)
    assert place == PATH
    assert (live, isinstance(share, generations.NoLock)) == (1, True)
    share.close()
    taken.close()

    class Moving(SimDisk):
        """CURRENT moves on whenever a reader has made up its mind."""

        turns = 0

        def share(self, path: str):  # type: ignore[no-untyped-def]
            found = super().share(path)
            if self.turns:
                self.turns -= 1
                generations.switch(self, PATH, 2 if "/000001/" in path else 1)
            return found

    moving = Moving(2, platter=disk._platter)
    moving.turns = 3
    _, live, share = generations.share(moving, PATH)
    assert live == 2
    assert not moving.shares[f"{PATH}/000001/head.000001"]
    moving.turns = 1000
    with pytest.raises(LogLocked, match="again"):
        generations.share(moving, PATH)


def test_a_switch_that_fails_leaves_the_old_one() -> None:
    disk = disk_with_log()
    generations.begin(disk, PATH, 1)
    disk.fail("rename", StorageError("no"), name="CURRENT")
    with pytest.raises(StorageError):
        generations.switch(disk, PATH, 2)
    assert recovery.locate(disk, PATH) == 1


def test_a_chain_that_is_taken_over_meanwhile_is_looked_up_again() -> None:
    disk = disk_with_log()

    class Moving(SimDisk):
        """The chain goes on elsewhere, and what it leaves goes, while a reader looks."""

        turns = 0

        def open(self, path: str, *, readonly: bool = False):  # type: ignore[no-untyped-def]
            if path == f"{PATH}/CURRENT" and not self.turns:
                self.turns += 1
                takeover.branch(self, PATH, f"{PATH}/.epoch-2")
                takeover.tidy(self, PATH, f"{PATH}/.epoch-2")
            return super().open(path, readonly=readonly)

    moving = Moving(3, platter=disk._platter)
    moving.rmtree(f"{PATH}/000002")
    place, live, share = generations.share(moving, PATH)
    assert (place, live) == (f"{PATH}/.epoch-2", 1)
    share.close()
    moving.rmtree(f"{PATH}/.epoch-2/000001")
    with pytest.raises(CorruptLog):
        generations.share(moving, PATH)
