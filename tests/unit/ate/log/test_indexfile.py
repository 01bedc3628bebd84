from __future__ import annotations

from ate.log.indexfile import IndexFile
from ate.testing.simdisk import SimDisk


def made() -> tuple[SimDisk, IndexFile]:
    disk = SimDisk(1)
    disk.mkdir("/g")
    return disk, IndexFile(disk, "/g")


def test_there_is_none_at_first() -> None:
    _, index = made()
    assert index.read() is None
    assert index.place() == 0


def test_it_is_replaced_whole() -> None:
    disk, index = made()
    index.write((b"first",), 72)
    index.write((b"sec", b"ond"), 1 << 40)
    assert bytes(index.read() or b"") == b"second"
    assert index.place() == 1 << 40
    assert disk.listdir("/g") == ["index"]


def test_garbage_is_no_index() -> None:
    disk, index = made()
    for raw in (b"", b"short", b"x" * 200):
        disk.put("/g/index", raw)
        assert index.read() is None
        assert index.place() == 0
