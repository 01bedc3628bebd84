from __future__ import annotations

import errno
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from ate.errors import LogLocked, OutOfSpace, StorageError
from ate.log.disk import RealDisk, storage_error

DISK = RealDisk()


def test_a_file_reads_back_what_was_written(tmp_path: Path) -> None:
    file = DISK.create(f"{tmp_path}/file")
    file.pwrite((b"abc",), 0)
    file.pwrite((b"de", memoryview(b"fgh"), b"", bytearray(b"i")), 3)
    file.datasync()
    assert file.size() == 9
    assert file.pread(100, 0) == b"abcdefghi"
    assert file.pread(3, 4) == b"efg"
    file.truncate(2)
    file.truncate(4)
    assert file.pread(9, 0) == b"ab\0\0"
    file.close()
    file.close()


def test_more_parts_than_one_call_takes(tmp_path: Path) -> None:
    file = DISK.create(f"{tmp_path}/file")
    parts = [b"%d," % n for n in range(3000)]
    file.pwrite(parts, 7)
    assert file.pread(1 << 20, 7) == b"".join(parts)
    file.close()


@pytest.mark.parametrize("parts", [(b"x" * 200,), (b"x" * 90, b"x" * 110)])
def test_a_short_write_is_continued_until_it_fails(tmp_path: Path, parts: tuple[bytes]) -> None:
    """At its limit of file size a process gets a short write first and the error next."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = DISK.create(f"{tmp_path}/file")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(StorageError, match="too large"):
            file.pwrite(parts, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.pread(300, 0) == b"x" * 100
    file.close()


def test_a_map_shows_later_writes_and_outlives_the_file(tmp_path: Path) -> None:
    file = DISK.create(f"{tmp_path}/file")
    file.pwrite((bytes(100),), 0)
    view = file.map(100)
    file.pwrite((b"later",), 50)
    file.close()
    assert bytes(view[50:55]) == b"later"
    assert view.readonly


def test_a_map_of_more_than_there_is_fails(tmp_path: Path) -> None:
    file = DISK.create(f"{tmp_path}/file")
    assert bytes(file.map(0)) == b""
    with pytest.raises(StorageError, match="shrank"):
        file.map(10)
    file.close()


def test_a_full_medium_has_its_own_error() -> None:
    file = DISK.open("/dev/full")
    for parts in ((b"x",), (b"x", b"y")):
        with pytest.raises(OutOfSpace, match="cannot write full"):
            file.pwrite(parts, 0)
    file.close()
    assert type(storage_error(OSError(errno.EDQUOT, ""), "write", "x")) is OutOfSpace
    assert type(storage_error(OSError(errno.EIO, ""), "write", "x")) is StorageError


def test_every_failing_call_raises_a_storage_error(tmp_path: Path) -> None:
    missing = f"{tmp_path}/missing/file"
    making: tuple[Callable[[str], object], ...]
    making = (DISK.open, DISK.create, DISK.mkdir, DISK.sync_dir, DISK.lock)
    for make in making:
        with pytest.raises(StorageError):
            make(missing)
    with pytest.raises(StorageError):
        DISK.rename(missing, missing)
    (tmp_path / "plain").touch()
    below = f"{tmp_path}/plain/file"
    looking: tuple[Callable[[str], object], ...] = (DISK.remove, DISK.listdir, DISK.rmtree)
    for look in looking:
        with pytest.raises(StorageError):
            look(below)
    file = DISK.open(f"{tmp_path}/plain", readonly=True)
    with pytest.raises(StorageError):
        file.truncate(1)
    with pytest.raises(StorageError):
        file.pwrite((b"x",), 0)
    file.close()
    closed: tuple[Callable[[], object], ...]
    closed = (lambda: file.pread(1, 0), file.datasync, file.size, lambda: file.map(1))
    for reading in closed:
        with pytest.raises(StorageError):
            reading()


def test_names(tmp_path: Path) -> None:
    root = f"{tmp_path}/dir"
    DISK.mkdir(root)
    DISK.mkdir(root)
    for name in ("b", "a"):
        DISK.create(f"{root}/{name}").close()
    DISK.rename(f"{root}/b", f"{root}/c")
    DISK.sync_dir(root)
    assert DISK.listdir(root) == ["a", "c"]
    DISK.remove(f"{root}/a")
    DISK.remove(f"{root}/a")
    assert not DISK.exists(f"{root}/a")
    DISK.rmtree(root)
    DISK.rmtree(root)
    assert DISK.listdir(root) == []
    assert list(tmp_path.iterdir()) == []


def test_files_are_private(tmp_path: Path) -> None:
    DISK.mkdir(f"{tmp_path}/dir")
    DISK.create(f"{tmp_path}/dir/file").close()
    assert (tmp_path / "dir").stat().st_mode & 0o077 == 0
    assert (tmp_path / "dir" / "file").stat().st_mode & 0o077 == 0


def test_one_lock_at_a_time(tmp_path: Path) -> None:
    lock = DISK.lock(f"{tmp_path}/LOCK")
    with pytest.raises(LogLocked):
        DISK.lock(f"{tmp_path}/LOCK")
    lock.close()
    lock.close()
    DISK.lock(f"{tmp_path}/LOCK").close()


def test_a_name_that_is_taken_stays(tmp_path: Path) -> None:
    for name in ("one", "two"):
        file = DISK.create(f"{tmp_path}/{name}")
        file.pwrite((name.encode(),), 0)
        file.close()
    assert not DISK.rename_new(f"{tmp_path}/one", f"{tmp_path}/two")
    assert (tmp_path / "two").read_bytes() == b"two"
    assert DISK.rename_new(f"{tmp_path}/one", f"{tmp_path}/three")
    assert DISK.listdir(str(tmp_path)) == ["three", "two"]
    with pytest.raises(StorageError, match="cannot rename"):
        DISK.rename_new(f"{tmp_path}/none", f"{tmp_path}/four")


def test_where_nothing_can_be_linked_it_is_renamed(tmp_path: Path) -> None:
    """A directory stands for a file on a file system without links: it can not be linked either."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert DISK.rename_new(f"{tmp_path}/one", f"{tmp_path}/three")
    assert not DISK.rename_new(f"{tmp_path}/two", f"{tmp_path}/three")
    assert DISK.is_directory(f"{tmp_path}/two")
    assert not DISK.is_directory(f"{tmp_path}/one")


def test_owners_share_a_lock_with_each_other_alone(tmp_path: Path) -> None:
    path = f"{tmp_path}/LOCK"
    first, second = DISK.lock(path, shared=True), DISK.lock(path, shared=True)
    with pytest.raises(LogLocked):
        DISK.lock(path)
    first.close()
    second.close()
    lock = DISK.lock(path)
    with pytest.raises(LogLocked):
        DISK.lock(path, shared=True)
    lock.close()


def test_a_second_name_is_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("1")
    assert DISK.link(f"{tmp_path}/a", f"{tmp_path}/b")
    assert (tmp_path / "a").samefile(tmp_path / "b")
    with pytest.raises(StorageError, match="cannot link"):
        DISK.link(f"{tmp_path}/a", f"{tmp_path}/b")

    def link(source: str, target: str) -> None:
        raise OSError(errno.EOPNOTSUPP, "no links here")

    monkeypatch.setattr("os.link", link)
    assert not DISK.link(f"{tmp_path}/a", f"{tmp_path}/c")


def test_only_an_empty_directory_is_removed(tmp_path: Path) -> None:
    (tmp_path / "d" / "below").mkdir(parents=True)
    assert not DISK.rmdir(f"{tmp_path}/d")
    assert DISK.rmdir(f"{tmp_path}/d/below")
    assert DISK.rmdir(f"{tmp_path}/d")
    assert DISK.rmdir(f"{tmp_path}/d")
