"""A disk that is really full: a small tmpfs where one can be mounted, a simulated disk anyway."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import ate
from ate.client import Chain
from ate.errors import OutOfSpace, StorageError
from ate.log.disk import Disk
from ate.mesh.hall import Hall
from ate.mesh.shelf import DiskShelf
from ate.server import serve
from ate.testing.simdisk import SimDisk

FULL = OutOfSpace("cannot write: no space left on device")
EIO = StorageError("cannot flush: input/output error")
MIB = 1 << 20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 3 MiB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs root")
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


async def fill(chain: Chain, size: int) -> tuple[list[ate.Dao[bytes]], ate.Dio]:
    """Commit values until the disk is full; return those that landed and the unit that did not."""
    landed: list[ate.Dao[bytes]] = []
    for _ in range(10_000):
        dio = chain.dio()
        dao = dio.store(os.urandom(size))
        try:
            await dio.commit()
        except OutOfSpace:
            return landed, dio
        landed.append(dao)
    pytest.fail("the disk never became full")


@pytest.mark.parametrize("size", [300, 5000, 200_000])
async def test_a_full_file_system_loses_nothing_and_goes_on(small: Path, size: int) -> None:
    ballast = small / "ballast"
    ballast.write_bytes(bytes(MIB))
    async with ate.open("full", path=small) as chain:
        landed, failed = await fill(chain, size)
        assert len(chain) == len(landed) > 0
        for _ in range(3):
            with pytest.raises(OutOfSpace) as caught:
                await failed.commit()
        assert "free some space" in caught.value.hint
        assert failed.has_changes
        assert (await chain.dio().load(bytes, landed[-1].id)).value == landed[-1].value
        ballast.unlink()
        receipt = await failed.commit()
        assert receipt.seq == chain.head
        async with chain.dio() as dio:
            dio.store(b"after")
    (small / "full/000001/index").unlink()
    async with ate.open("full", path=small) as chain:
        assert len(chain) == len(landed) + 2
        for dao in landed:
            assert (await chain.dio().load(bytes, dao.id)).value == dao.value


async def opened(disk: Disk) -> Chain:
    return await ate.open("sim", path="/c", disk=disk)


@pytest.mark.parametrize("size", [300, 5000, 100_000, 200_000])
@pytest.mark.parametrize("skip", range(4))
async def test_a_full_simulated_disk_at_any_write_of_a_commit(size: int, skip: int) -> None:
    disk = SimDisk(skip)
    chain = await opened(disk)
    async with chain.dio() as dio:
        kept = dio.store(b"kept")
    disk.fail("write", FULL, skip=skip, times=-1)
    landed, failed = await fill(chain, size)
    disk.heal()
    receipt = await failed.commit()
    assert receipt.seq == chain.head
    await chain.close()
    chain = await opened(disk)
    assert len(chain) == len(landed) + 2
    assert (await chain.dio().load(bytes, kept.id)).value == b"kept"
    await chain.close()


@pytest.mark.parametrize("name", ["head", "body"])
async def test_a_flush_that_fails_poisons_until_reopened(name: str) -> None:
    disk = SimDisk()
    chain = await opened(disk)
    async with chain.dio() as dio:
        dao = dio.store(bytes(100_000))
    disk.fail("sync", EIO, name=name)
    dio = chain.dio()
    dio.store(bytes(90_000))
    for _ in range(2):
        with pytest.raises(StorageError) as caught:
            await dio.commit()
    assert caught.value.hint == "open the chain again"
    assert dio.has_changes
    assert (await chain.dio().load(bytes, dao.id)).value == bytes(100_000), "reading goes on"
    with pytest.raises(StorageError):
        await chain.close()
    chain = await opened(disk)
    async with chain.dio() as again:
        assert await again.exists(dao.id)
        again.store(b"more")
    await chain.close()


@pytest.mark.parametrize("size", [5000, 200_000])
async def test_a_server_on_a_full_file_system_tells_authors_and_serves_readers(
    small: Path, size: int
) -> None:
    ballast = small / "ballast"
    ballast.write_bytes(bytes(MIB))
    async with (
        asyncio.timeout(60),
        serve(Hall(DiskShelf(small))) as server,
        ate.open("full", url=server.url, memory=True, recovery="async") as chain,
    ):
        landed, failed = await fill(chain, size)
        for _ in range(3):
            with pytest.raises(OutOfSpace, match="the server's disk is full"):
                await failed.commit()
        kept = chain.dio()
        kept.store(os.urandom(size))
        await kept.commit(ate.LOCAL)
        async for status in chain.statuses():
            if status.trouble:
                assert status.trouble == "the server's disk is full"
                assert (status.online, status.pending) == (True, 1)
                break
        async with ate.open("full", url=server.url, memory=True) as reader:
            assert len(reader) == len(landed) > 0
            dao = landed[-1]
            assert (await reader.dio().load(bytes, dao.id)).value == dao.value
        ballast.unlink()
        await chain.sync(30)
        receipt = await failed.commit()
        assert receipt.seq == chain.head
        assert chain.status.trouble == ""
        async with ate.open("full", url=server.url, memory=True) as reader:
            assert len(reader) == len(landed) + 2
