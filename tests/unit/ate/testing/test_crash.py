from __future__ import annotations

from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.testing.crash import History, Run, check_cuts, check_one, check_rot
from ate.testing.simdisk import SimDisk

HEAD = "/chain/000001/head.000001"


def open_log(disk: SimDisk, readonly: bool) -> LocalLog:
    return LocalLog.open("/chain", disk=disk, readonly=readonly)


def test_acknowledgements_count_from_the_moment_they_were_given() -> None:
    history = History([b"a", b"b"], [(4, 1), (9, 2)])
    assert [history.acknowledged(done) for done in (0, 3, 4, 8, 9, 99)] == [0, 0, 1, 1, 2, 2]


def test_a_good_log_breaks_no_promise() -> None:
    disk = SimDisk(1)
    history = Run(disk, open_log).steps(12)
    assert check_cuts(disk, history, open_log, recut_every=60) == []


def test_each_promise_is_checked() -> None:
    disk = SimDisk(2)
    run = Run(disk, open_log)
    run.append()
    run.append_with_body()
    run.append_many()
    run.write_index()
    run.reopen()
    run.flush()
    history = run.history
    run.reopen()
    disk.locks.clear()
    assert check_one(disk, history, 5, open_log) == []
    assert "6 acknowledged, 5 there" in check_one(disk, history, 6, open_log)
    other = History(appended=[b"something else"])
    assert "not a prefix of what was appended" in check_one(disk, other, 0, open_log)
    rotten = bytearray(disk.snapshot()["/chain/000001/body.000001"])
    rotten[100] ^= 1
    disk.put("/chain/000001/body.000001", bytes(rotten))
    assert check_one(disk, history, 5, open_log) == ["the body of 1 is not what was written"]
    disk.put(HEAD, b"garbage")
    assert check_one(disk, history, 5, open_log)[0].startswith("UnsupportedFormat")


def test_a_log_that_keeps_nothing_is_found_out() -> None:
    disk = SimDisk(3)
    shown = MemoryLog()
    shown.append((b"kept in memory",))

    def forgetful(disk: SimDisk, readonly: bool) -> MemoryLog:
        return MemoryLog() if readonly else shown

    found = check_one(disk, History(appended=[b"kept in memory"]), 1, forgetful)
    assert "1 shown after opening, 0 there after a cut" in found


def test_rot_is_checked_for_writers_and_readers() -> None:
    disk = SimDisk(4)
    log = open_log(disk, False)
    for number in range(5):
        log.append((b"%d" % number,))
        log.flush()
    log.close()
    assert check_rot(disk, HEAD, open_log) == []

    def careless(disk: SimDisk, readonly: bool) -> MemoryLog:
        if not readonly:
            disk.put(HEAD, b"written over")
        log = MemoryLog()
        log.append((b"whatever",))
        return log

    found = check_rot(disk, HEAD, careless)
    assert any("opens for writing" in line for line in found)
    assert any("changed the file" in line for line in found)
    assert any("no error" in line for line in found)
