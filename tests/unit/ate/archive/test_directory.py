from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ate.archive.directory import DirectoryStore
from ate.errors import NotFound, OutOfSpace, StorageError
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk


def test_an_object_is_a_file(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "to")
    assert store.put_new("a~1/points/00000001", b"x")
    assert (tmp_path / "to/a~1/points/00000001").read_bytes() == b"x"
    assert store.name == str(tmp_path / "to")
    store.delete("a~1/points/00000001")
    with pytest.raises(NotFound):
        store.get("a~1/points/00000001", 1)


def test_what_is_being_written_is_not_seen(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put_new("a/b", b"x")
    (tmp_path / "a/.c.123").write_bytes(b"half")
    (tmp_path / ".trash").mkdir()
    (tmp_path / "file").write_text("not ours")
    assert [entry.key for entry in store.walk("a/")] == ["a/b"]
    assert store.folders() == ["a"]


@pytest.mark.parametrize("verb", ["create", "write", "sync", "rename", "syncdir"])
def test_a_full_disk_leaves_nothing_of_the_object(verb: str) -> None:
    disk = SimDisk(1)
    store = DirectoryStore("/to", disk=disk)
    store.put_new("a/first", b"1")
    disk.fail(verb, OutOfSpace("full"), name="a")
    with pytest.raises(OutOfSpace) as caught:
        store.put_new("a/b", b"x" * 1000)
    assert "earlier restore points are whole" in caught.value.hint
    disk.heal()
    assert store.get("a/first", 9) == b"1"
    if verb != "syncdir":  # there the name is given already
        assert [entry.key for entry in store.walk("a/")] == ["a/first"]
        assert store.put_new("a/b", b"y")


def test_another_failure_is_told_as_it_is() -> None:
    disk = SimDisk(1)
    store = DirectoryStore("/to", disk=disk)
    disk.fail("write", StorageError("broken"))
    disk.fail("remove", StorageError("broken too"))
    with pytest.raises(StorageError, match=r"broken$"):
        store.put_new("a/b", b"x")


def test_a_power_cut_leaves_an_object_whole_or_not_at_all() -> None:
    disk = SimDisk(3)
    store = DirectoryStore("/to", disk=disk)
    data, acked = b"data" * 500, 0
    store.put_new("a/one", data)
    acked = len(disk.journal)
    store.put_new("a/two", data)
    for done, style, survivor in disk.cuts(STYLES):
        after = DirectoryStore("/to", disk=survivor)
        found = {entry.key: entry.size for entry in after.walk("a/")}
        assert set(found.values()) <= {len(data)}, style
        assert all(after.get(key, 9999) == data for key in found)
        if done >= acked:
            assert "a/one" in found
    assert after.get("a/two", 9999) == data


def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("nothing is forbidden to root")
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(StorageError, match="Permission denied"):
        DirectoryStore(tmp_path / "to").put_new("a/b", b"")


def test_what_a_killed_backup_was_writing_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/.b.0123").write_bytes(b"half")
    store = DirectoryStore(tmp_path)
    store.put_new("a/c", b"x")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["c"]
    (tmp_path / "a/.b.4567").write_bytes(b"of another thread")
    store.put_new("a/d", b"x")
    assert (tmp_path / "a/.b.4567").exists()


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "to")
    store.put_new("a/b", b"x")
    (tmp_path / "to/a/b").unlink()
    (tmp_path / "to/a").rmdir()
    assert store.put_new("a/b", b"y")
