from __future__ import annotations

import pytest

from ate import limits
from ate.errors import OutOfSpace
from ate.log.beside import Beside
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk


def test_memory_holds_what_it_is_told() -> None:
    beside = Beside()
    assert beside.read("a") is None
    assert "memory" in beside.write("a", b"1")
    beside.write("a", b"2")
    assert beside.read("a") == b"2"


def test_a_file_is_replaced_as_a_whole_and_survives_power_cuts() -> None:
    disk = SimDisk(1)
    disk.mkdir("/d")
    disk.sync_dir("/")
    beside = Beside(disk, "/d")
    assert beside.read("a") is None
    assert beside.write("a", b"old") == "/d/a"
    beside.write("a", b"new")
    for style in STYLES:
        assert Beside(disk.cut(style), "/d").read("a") == b"new"
    beside.write("a", bytes(limits.BESIDE_BYTES_MAX + 1))
    assert beside.read("a") is None


def test_a_full_disk_leaves_the_old_file() -> None:
    disk = SimDisk(1)
    disk.mkdir("/d")
    disk.sync_dir("/")
    beside = Beside(disk, "/d")
    beside.write("a", b"old")
    disk.fail("write", OutOfSpace("full"))
    with pytest.raises(OutOfSpace):
        beside.write("a", bytes(100_000))
    assert beside.read("a") == b"old"
