"""A log after a power cut at every moment: what was acknowledged is there, and nothing invented."""

from __future__ import annotations

import pytest

from ate.log.disk import Disk
from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.testing.crash import Run, check_cuts, check_rot
from ate.testing.simdisk import SimDisk
from ate.testing.store_suite import payloads

SEEDS_OLD = [3, 17]  # seeds worth keeping: roll-over beside bodies, reopening beside an index


def open_small(disk: SimDisk, readonly: bool) -> LocalLog:
    return LocalLog.open("/a/chain", disk=disk, readonly=readonly, segment_bytes=8192)


def open_usual(disk: Disk, readonly: bool) -> LocalLog:
    return LocalLog.open("/chain", disk=disk, readonly=readonly)


@pytest.mark.parametrize("seed", [*SEEDS_OLD, *range(100, 106)])
def test_every_cut_of_a_run_with_many_segments(seed: int) -> None:
    disk = SimDisk(seed)
    history = Run(disk, open_small).steps(40)
    assert len(history.acks) > 3
    assert check_cuts(disk, history, open_small) == []


@pytest.mark.parametrize("seed", [200, 201])
def test_every_cut_of_a_run_with_preallocation(seed: int) -> None:
    disk = SimDisk(seed)
    history = Run(disk, open_usual).steps(25)
    assert check_cuts(disk, history, open_usual) == []


@pytest.mark.parametrize("seed", [300])
def test_a_second_cut_anywhere_in_the_recovery_of_the_first(seed: int) -> None:
    disk = SimDisk(seed)
    history = Run(disk, open_small).steps(25)
    assert check_cuts(disk, history, open_small, recut_every=17) == []


def test_every_cut_while_a_chain_is_destroyed_leaves_all_or_nothing() -> None:
    disk = SimDisk(5)
    log = open_small(disk, False)
    log.append((b"one",))
    log.write_index((b"index",))
    log.flush()
    begun = len(disk.journal)
    log.destroy()
    seen = set()
    for done, style, after in disk.cuts():
        if done >= begun:
            there = open_small(after, False)
            seen.add(tuple(payloads(there)))
            there.append((b"two",))
            there.flush()
            there.close()
            again = open_small(after, True)
            assert payloads(again)[-1:] == [b"two"], (done, style)
    assert seen == {(b"one",), ()}


def test_every_cut_while_an_index_is_replaced_leaves_the_old_or_the_new_one() -> None:
    disk = SimDisk(6)
    log = open_small(disk, False)
    log.write_index((b"old" * 500,))
    begun = len(disk.journal)
    log.write_index((b"new" * 700,))
    ended = len(disk.journal)
    for done, style, after in disk.cuts():
        if done >= begun:
            reader = open_small(after, True)
            index = bytes(reader.read_index() or b"")
            assert index in {b"old" * 500, b"new" * 700}, (done, style)
            assert done < ended or index == b"new" * 700


def test_one_damaged_frame_in_the_middle_is_refused_and_left_alone() -> None:
    disk = SimDisk(7)
    log = open_usual(disk, False)
    for number in range(30):
        log.append((b"%d" % number * number,))
        if number % 3 == 0:
            log.flush()
    log.close()
    assert check_rot(disk, "/chain/000001/head.000001", open_usual) == []


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = SimDisk(8), SimDisk(8)
    assert Run(first, open_small).steps(10) == Run(second, open_small).steps(10)
    assert first.journal == second.journal
    assert [d.snapshot() for *_, d in first.cuts()] == [d.snapshot() for *_, d in second.cuts()]


def test_memory_needs_no_disk_and_loses_all() -> None:
    disk = SimDisk(9)
    history = Run(disk, lambda disk, readonly: MemoryLog())._log
    assert disk.journal == []
    assert history.files() == {}
