"""`ate.mesh.shelf`: where a hall's chains are, on a disk and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from ate.errors import Deposed, LogLocked, NotFound
from ate.ids import ChainName
from ate.log import ownership as owners
from ate.log import recovery
from ate.mesh.roster import Shelf
from ate.mesh.shelf import DiskShelf, MemoryShelf
from ate.testing.simdisk import SimDisk

NAME = ChainName("example.com/alice/notes")


@pytest.mark.parametrize("make", [lambda: DiskShelf("/s", SimDisk()), MemoryShelf])
def test_a_chain_is_made_once_and_found_again(make: object) -> None:
    shelf: Shelf = make()  # type: ignore[operator]
    assert not shelf.exists(NAME)
    with pytest.raises(NotFound):
        shelf.open(NAME, create=False)
    log = shelf.open(NAME, create=True)
    log.append([b"a frame"])
    log.flush()
    log.close()
    assert shelf.exists(NAME)
    assert not shelf.exists(ChainName("example.com/alice"))
    log = shelf.open(NAME, create=False)
    assert [bytes(payload) for _, payload in log.scan()] == [b"a frame"]
    log.append([b"another"])
    log.destroy()
    assert not shelf.exists(NAME)


def test_the_next_generation_takes_the_place_in_memory() -> None:
    shelf = MemoryShelf()
    log = shelf.open(NAME, create=True)
    log.append([b"old"])
    successor = log.successor()
    successor.append([b"new"])
    assert shelf.open(NAME, create=False) is log
    successor.take_over(log)
    log.close()
    again = shelf.open(NAME, create=False)
    assert (again, again.generation) == (successor, 2)
    assert [bytes(payload) for _, payload in again.scan()] == [b"new"]


def test_files_are_below_the_directory(tmp_path: Path) -> None:
    shelf = DiskShelf(tmp_path)
    log = shelf.open(NAME, create=True)
    assert (tmp_path / NAME / "LOCK").exists()
    with pytest.raises(LogLocked):
        DiskShelf(str(tmp_path)).open(NAME, create=False)
    log.close()


def test_a_shelf_with_an_owner_ends_when_another_takes_it() -> None:
    disk = SimDisk()
    recovery.make_directory(disk, "/s/.own")
    first = owners.claim(disk, "/s/.own", {})
    assert first is not None
    shelf = DiskShelf("/s", disk, ownership=first)
    log = shelf.open(NAME, create=True)
    log.append([b"a frame"])
    log.flush()
    assert shelf.take_all(lambda: True) == 0
    second = owners.depose(disk, "/s/.own", 1, {})
    with pytest.raises(Deposed):
        log.flush()
    later = DiskShelf("/s", disk, ownership=second)
    assert later.take_all(lambda: True) == 1
    assert later.exists(NAME)
    again = later.open(NAME, create=False)
    assert [bytes(payload) for _, payload in again.scan()] == [b"a frame"]
    assert DiskShelf("/s", disk).take_all(lambda: True) == 0
