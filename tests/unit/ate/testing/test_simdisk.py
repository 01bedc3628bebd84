from __future__ import annotations

import pytest

from ate.errors import LogLocked, OutOfSpace, StorageError
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk

KEPT = STYLES[1]


def test_files_and_names() -> None:
    disk = SimDisk()
    disk.mkdir("/d")
    disk.mkdir("/d")
    file = disk.create("/d/f")
    file.pwrite((b"abc", b"def"), 2)
    assert file.pread(100, 0) == b"\0\0abcdef"
    view = file.map(8)
    file.pwrite((b"X",), 3)
    assert bytes(view) == b"\0\0aXcdef"
    file.truncate(4)
    file.datasync()
    assert file.size() == 4
    disk.rename("/d/f", "/d/g")
    assert disk.listdir("/d") == ["g"]
    assert disk.listdir("/none") == []
    assert disk.create("/d/g").size() == 0
    disk.sync_dir("/d")
    disk.remove("/d/g")
    disk.remove("/d/g")
    disk.create("/d/h")
    disk.rmtree("/d")
    disk.rmtree("/d")
    assert disk.snapshot() == {}


def test_misuse_is_an_error() -> None:
    disk = SimDisk()
    disk.mkdir("/d")
    disk.put("/f", b"content")
    reader = disk.open("/f", readonly=True)
    for call in (
        lambda: disk.open("/none"),
        lambda: disk.open("/f/below"),
        lambda: disk.rename("/none", "/f"),
        lambda: disk.rename("/f", "/d/f"),
        lambda: reader.pwrite((b"x",), 0),
        lambda: reader.map(8),
    ):
        with pytest.raises(StorageError):
            call()
    reader.close()
    with pytest.raises(StorageError, match="closed"):
        reader.size()


def test_one_lock_at_a_time() -> None:
    disk = SimDisk()
    lock = disk.lock("/LOCK")
    with pytest.raises(LogLocked):
        disk.lock("/LOCK")
    lock.close()
    again = disk.lock("/LOCK")
    lock.close()
    with pytest.raises(LogLocked):
        disk.lock("/LOCK")
    again.close()


def test_a_fault_hits_the_calls_it_names() -> None:
    disk = SimDisk(4)
    first, second = disk.create("/first"), disk.create("/second")
    disk.fail("write", OutOfSpace("full"), name="second", skip=1, times=2)
    first.pwrite((b"x",), 0)
    second.pwrite((b"x",), 0)
    for _ in range(2):
        assert disk.pending_faults == 1
        with pytest.raises(OutOfSpace):
            second.pwrite((b"yyyy",), 1)
    assert disk.pending_faults == 0
    second.pwrite((b"z",), 0)
    assert disk.snapshot()["/second"][:1] == b"z"
    disk.fail("read", StorageError("input/output error"), times=-1)
    with pytest.raises(StorageError):
        first.pread(1, 0)
    disk.heal()
    assert first.pread(1, 0) == b"x"
    disk.fail("open", StorageError("input/output error"))
    with pytest.raises(StorageError):
        disk.open("/first")


def test_a_failed_sync_shows_bytes_that_a_cut_takes() -> None:
    disk = SimDisk()
    file = disk.create("/f")
    disk.sync_dir("/")
    file.pwrite((b"x",), 0)
    disk.fail("sync", StorageError("input/output error"))
    with pytest.raises(StorageError):
        file.datasync()
    file.datasync()
    assert file.pread(1, 0) == b"x"
    assert disk.cut(KEPT).snapshot() == {"/f": b""}


def test_every_moment_of_a_run_is_replayed() -> None:
    disk = SimDisk(5)
    disk.put("/before", b"was there")
    file = disk.create("/f")
    file.pwrite((b"x",), 0)
    disk.sync_dir("/")
    kept = [after.snapshot() for _, style, after in disk.cuts() if style is KEPT]
    assert kept == [
        {"/before": b"was there"},
        {"/before": b"was there", "/f": b""},
        {"/before": b"was there", "/f": b"x"},
        {"/before": b"was there", "/f": b"x"},
    ]
    assert [(done, style.name) for done, style, _ in disk.cuts()][-1] == (3, STYLES[-1].name)


def test_shares_and_locks_exclude_each_other() -> None:
    disk = SimDisk()
    disk.create("/f")
    first, second = disk.share("/f"), disk.share("/f")
    with pytest.raises(LogLocked, match="writes"):
        disk.lock("/f")
    first.close()
    first.close()
    with pytest.raises(LogLocked):
        disk.lock("/f")
    second.close()
    lock = disk.lock("/f")
    with pytest.raises(LogLocked, match="replaces"):
        disk.share("/f")
    lock.close()
    disk.share("/f").close()
    with pytest.raises(StorageError):
        disk.share("/none")


def test_owners_share_a_lock_with_each_other_alone() -> None:
    disk = SimDisk()
    first, second = disk.lock("/f", shared=True), disk.lock("/f", shared=True)
    with pytest.raises(LogLocked):
        disk.lock("/f")
    first.close()
    second.close()
    lock = disk.lock("/f")
    with pytest.raises(LogLocked):
        disk.lock("/f", shared=True)
    lock.close()


def test_a_second_name_is_the_same_file() -> None:
    disk = SimDisk()
    disk.mkdir("/d")
    disk.create("/a").pwrite((b"1",), 0)
    assert disk.link("/a", "/d/b")
    disk.open("/d/b").pwrite((b"2",), 1)
    disk.remove("/a")
    assert disk.snapshot() == {"/d/b": b"12"}
    disk.create("/a")
    with pytest.raises(StorageError, match="already"):
        disk.link("/a", "/d/b")


def test_only_an_empty_directory_is_removed() -> None:
    disk = SimDisk()
    disk.mkdir("/d")
    disk.create("/d/f")
    assert not disk.rmdir("/d")
    disk.remove("/d/f")
    assert disk.rmdir("/d")
    assert disk.rmdir("/d")
    assert not disk.exists("/d")
