from __future__ import annotations

import pytest

from ate.errors import OutOfSpace, StorageError
from ate.log.tail import LARGE_BYTES, STEP_BYTES_MAX, STEP_BYTES_MIN, Tail
from ate.testing.simdisk import SimDisk


def tail_on(disk: SimDisk, bound: int = 1 << 26) -> Tail:
    return Tail(disk.create("/file"), 1, end=0, size=0, bound=bound)


def test_small_writes_go_into_zeros_in_growing_steps() -> None:
    disk = SimDisk()
    tail = tail_on(disk)
    assert tail.write((b"ab", b"cdefgh"), 8) == 0
    assert tail.write((b"12345678",), 8) == 8
    assert (tail.end, tail.size) == (16, STEP_BYTES_MIN)
    assert disk.snapshot()["/file"][:20] == b"abcdefgh12345678" + bytes(4)
    sizes = set()
    for _ in range(400):
        tail.write((bytes(40_000),), 40_000)
        sizes.add(tail.size)
    steps = [after - before for before, after in zip(sorted(sizes), sorted(sizes)[1:])]
    assert steps[0] == 2 * STEP_BYTES_MIN
    assert max(steps) == STEP_BYTES_MAX


def test_large_writes_are_just_appended() -> None:
    tail = tail_on(SimDisk())
    tail.write((bytes(LARGE_BYTES),), LARGE_BYTES)
    assert tail.size == tail.end == LARGE_BYTES


def test_zeros_stay_within_the_bound() -> None:
    tail = tail_on(SimDisk(), bound=1000)
    tail.write((bytes(8),), 8)
    assert tail.size == 1000
    tail.write((bytes(2000),), 2000)
    assert tail.size == 2008


def test_trim_gives_the_zeros_back() -> None:
    disk = SimDisk()
    tail = tail_on(disk)
    tail.write((b"12345678",), 8)
    tail.trim()
    tail.trim()
    assert disk.snapshot()["/file"] == b"12345678"


def test_a_failed_write_is_undone_durably() -> None:
    disk = SimDisk()
    tail = tail_on(disk)
    tail.write((b"12345678",), 8)
    disk.fail("write", StorageError("input/output error"))
    with pytest.raises(StorageError):
        tail.write((b"abcdefgh",), 8)
    tail.undo()
    assert disk.snapshot()["/file"] == b"12345678"
    assert disk.journal[-1][0] == "sync"
    assert tail.write((b"again!!!",), 8) == 8


def test_a_write_succeeds_where_only_the_zeros_do_not_fit() -> None:
    disk = SimDisk()
    tail = tail_on(disk)
    disk.fail("write", OutOfSpace("full"))
    tail.write((b"12345678",), 8)
    assert disk.snapshot()["/file"] == b"12345678"
    assert tail.size == 8
