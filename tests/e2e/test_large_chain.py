"""Opening a large chain reads its snapshot and nothing of its bodies; one row costs one row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ate
from ate.log.disk import RealDisk, RealFile

MIB = 1 << 20
PART = 8 * MIB
PARTS = 25
SMALL = 20_000


class Meter(RealDisk):
    """The machine's disk, counting the bytes that are read by call."""

    __slots__ = ("read",)

    def __init__(self) -> None:
        self.read = 0

    def open(self, path: str, *, readonly: bool = False) -> RealFile:
        file = Metered(*_parts(super().open(path, readonly=readonly)))
        file.meter = self
        return file


class Metered(RealFile):
    """An open file of a `Meter`."""

    __slots__ = ("meter",)

    meter: Meter

    def pread(self, length: int, offset: int) -> bytes:
        found = super().pread(length, offset)
        self.meter.read += len(found)
        return found


def _parts(file: RealFile) -> tuple[int, str]:
    return file._fd, file._path


def touched(folder: Path) -> int:
    """Return how many bytes of mapped files below `folder` are in this process's memory."""
    maps = Path("/proc/self/smaps")
    if not maps.exists():
        pytest.skip("this system does not tell what is mapped")
    total, ours = 0, False
    for line in maps.read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            ours = str(folder) in line
        elif ours and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


async def test_two_hundred_megabytes_are_opened_without_being_read(tmp_path: Path) -> None:
    """D12."""
    async with ate.open("large", path=tmp_path, durability=ate.NONE) as chain:
        for number in range(PARTS):
            async with chain.dio() as dio:
                large = dio.store(bytes([number]) * PART)
        daos = []
        for start in range(0, SMALL, 1000):
            async with chain.dio() as dio:
                daos += [dio.store({"n": start + number}) for number in range(1000)]
    folder = tmp_path / "large"
    on_disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert on_disk > 200 * MIB
    bodies = sum(path.stat().st_size for path in folder.rglob("body.*"))
    assert bodies < 1.01 * PARTS * PART, "written once"
    meter = Meter()
    async with ate.open("large", path=tmp_path, disk=meter, readonly=True) as chain:
        assert len(chain) == PARTS + SMALL
        assert chain._ledger.verified_commits == 0
        assert touched(folder) + meter.read < 6 * MIB
        assert (await chain.dio().load(dict, daos[777].id)).value == {"n": 777}
        assert touched(folder) + meter.read < 7 * MIB
        assert len((await chain.dio().load(bytes, large.id)).value) == PART
        assert PART < touched(folder) < PART + 12 * MIB, "one body, not its neighbours"
