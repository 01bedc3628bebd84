"""A chain that is being built is nobody's chain until it is whole, whatever happens meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

import ate
from ate.dio.workshop import Workshop
from ate.errors import Conflict, LogLocked, StorageError
from ate.ids import ChainName
from ate.log.local import LocalLog
from ate.log.store import LogStore
from ate.testing.simdisk import SimDisk

NAME = ChainName("a/b")
PLACE = "/c/a/b"


def build(disk: SimDisk, *, ends: bool = True) -> None:
    with Workshop(NAME, PLACE, disk) as place:
        place.store.append([b"one"])
        place.store.flush()
        if ends:
            place.finish()


def payloads(log: LogStore) -> list[bytes]:
    found = [bytes(payload) for _, payload in log.scan()]
    log.close()
    return found


def test_a_chain_appears_when_it_is_finished() -> None:
    disk = SimDisk()
    build(disk)
    assert payloads(LocalLog.open(PLACE, disk=disk, create=False)) == [b"one"]
    assert disk.listdir("/c/a") == ["b"]


def test_what_is_not_finished_leaves_nothing() -> None:
    disk = SimDisk()
    build(disk, ends=False)
    with pytest.raises(ZeroDivisionError), Workshop(NAME, PLACE, disk):
        raise ZeroDivisionError
    assert disk.listdir("/c/a") == []
    build(disk)


def test_a_name_is_taken_once() -> None:
    disk = SimDisk()
    with Workshop(NAME, PLACE, disk) as place:
        with pytest.raises(LogLocked), Workshop(NAME, PLACE, disk):
            pass
        disk.mkdir(PLACE)
        with pytest.raises(Conflict, match="'a/b' already"):
            place.finish()
    with pytest.raises(Conflict):
        Workshop(NAME, PLACE, disk)
    assert disk.listdir("/c/a") == ["b"]


def test_leftovers_are_removed() -> None:
    disk = SimDisk()
    with pytest.raises(StorageError), Workshop(NAME, PLACE, disk) as place:
        building = place._building
        place.store.append([b"old"])
        disk.fail("rename", StorageError("broken"), name=".building", times=-1)
        raise StorageError("broken")
    disk.heal()
    assert disk.exists(building)
    build(disk)
    assert payloads(LocalLog.open(PLACE, disk=disk)) == [b"one"]
    for content in (b"nonsense", b""):
        other = SimDisk()
        for folder in ("/c", "/c/a", building):
            other.mkdir(folder)
        other.put(f"{building}/CURRENT", content)
        build(other)
        assert other.listdir("/c/a") == ["b"]


def test_a_power_cut_leaves_no_chain_or_a_whole_one() -> None:
    disk = SimDisk()
    build(disk)
    seen = set()
    for _, _, cut in disk.cuts():
        cut.locks.clear()
        if not cut.exists(PLACE):
            seen.add("none")
            build(cut)  # what was left is no obstacle
        log = LocalLog.open(PLACE, disk=cut, create=False)
        assert payloads(log) == [b"one"]
        seen.add("whole")
    assert seen == {"none", "whole"}


def test_leftovers_are_no_chain(tmp_path: Path) -> None:
    with Workshop(ChainName("x"), tmp_path / "x") as place:
        names = [path.name for path in tmp_path.iterdir()]
        assert names == [Path(place._building).name]
        with pytest.raises(ate.UsageError):
            ChainName(names[0])
    assert list(tmp_path.iterdir()) == []
