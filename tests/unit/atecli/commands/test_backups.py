"""`ate backups` lists what there is, and names what is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.atecli.conftest import Ate


@pytest.fixture
def disk(ate: Ate, home: Path) -> Path:
    """Three points of the chain c and one of d/e."""
    for number in range(3):
        ate("put", "c", str(number))
        ate("backup", "c", "disk")
    ate("put", "d/e", "1")
    ate("backup", "d/e", "disk")
    return home.parent / "disk"


def test_chains(ate: Ate, disk: Path) -> None:
    (disk / "half~0123456789abcdef/data").mkdir(parents=True)
    shown = ate("backups", "disk").out.splitlines()
    assert shown[0].split() == ["name", "points", "newest", "head", "last", "commit", "made",
                                "size", "id"]  # fmt: skip
    assert [line.split()[:4] for line in shown[1:]] == [["c", "3", "p3", "4"],
                                                        ["d/e", "1", "p1", "2"]]  # fmt: skip
    assert [one["points"] for one in ate("backups", "disk", "--json").documents] == [3, 1]


def test_points(ate: Ate, disk: Path) -> None:
    shown = ate("backups", "disk", "c", "--limit", "2")
    assert [line.split()[0] for line in shown.out.splitlines()] == ["point", "p2", "p3"]
    assert shown.err == "ate: the newest 2 of 3 restore points; see more with --limit\n"
    assert [one["head"] for one in ate("backups", "disk", "c", "--json").documents] == [2, 3, 4]
    (damaged,) = disk.glob("c~*/points/00000002")
    damaged.write_bytes(b"")
    shown = ate("backups", "disk", "c")
    assert shown.status == 5
    assert "points/00000002: " in shown.err
    assert [line.split()[0] for line in shown.out.splitlines()] == ["point", "p1", "p3"]


def test_check(ate: Ate, disk: Path) -> None:
    assert ate("backups", "disk", "--check").out == (
        "c: 3 restore points, whole\nd/e: 1 restore point, whole\n"
    )
    (piece,) = disk.glob("c~*/data/00000002/*")
    piece.write_bytes(piece.read_bytes()[1:])
    shown = ate("backups", "disk", "c", "--check")
    assert shown.status == 5
    assert f"  {piece.relative_to(disk)}: " in shown.out
    found = ate("backups", "disk", "--check", "--json").documents
    assert [one["ok"] for one in found] == [False, True]


def test_nothing_there(ate: Ate, home: Path) -> None:
    assert ate("backups", "nowhere").status == 3
    (home.parent / "empty").mkdir()
    assert ate("backups", "empty").out == ""
    assert ate("backups", "empty", "c").status == 3
