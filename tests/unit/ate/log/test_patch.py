"""The old file or the new one, and the old one aside."""

from __future__ import annotations

from pathlib import Path

from ate.log.disk import RealDisk
from ate.log.patch import Patch, replace_parts
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk

OLD = bytes(range(256)) * 40


def disk_with(path: str = "/d/f") -> SimDisk:
    disk = SimDisk()
    disk.mkdir("/d")
    disk.sync_dir("/")
    disk.put(path, OLD)
    return disk


def test_parts_are_replaced_and_the_rest_stays() -> None:
    disk = disk_with()
    kept = replace_parts(disk, "/d/f", Patch([(10, (b"ab", b"c")), (len(OLD), (b"end",))]))
    assert kept == "f.damaged-1"
    files = disk.snapshot()
    assert files["/d/f"] == OLD[:10] + b"abc" + OLD[13:] + b"end"
    assert files["/d/f.damaged-1"] == OLD
    assert replace_parts(disk, "/d/f", Patch(size=5)) == "f.damaged-2"
    assert disk.snapshot()["/d/f"] == OLD[:5]
    assert not [path for path in disk.snapshot() if path.endswith(".new")]


def test_a_missing_file_is_made() -> None:
    disk = SimDisk()
    disk.mkdir("/d")
    assert replace_parts(disk, "/d/f", Patch([(0, (b"head",)), (8, (b"tail",))])) == ""
    assert disk.snapshot() == {"/d/f": b"head\0\0\0\0tail"}


def test_every_cut_leaves_the_old_or_the_new_one() -> None:
    disk = disk_with()
    begun = len(disk.journal)
    replace_parts(disk, "/d/f", Patch([(10, (b"abc",))]))
    new = disk.snapshot()["/d/f"]
    seen = set()
    for done, style, after in disk.cuts(STYLES):
        if done >= begun:
            files = after.snapshot()
            assert files["/d/f"] in (OLD, new), (done, style)
            assert files.get("/d/f.damaged-1", OLD) == OLD
            if files["/d/f"] == new:
                assert "/d/f.damaged-1" in files, "nothing is lost"
            seen.add(files["/d/f"])
    assert seen == {OLD, new}


def test_on_a_real_disk_a_large_file_is_copied_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "f"
    content = bytes(range(251)) * 40_000
    path.write_bytes(content)
    replace_parts(RealDisk(), str(path), Patch([(5_000_000, (b"changed",))]))
    assert path.read_bytes() == content[:5_000_000] + b"changed" + content[5_000_007:]
    assert (tmp_path / "f.damaged-1").read_bytes() == content
