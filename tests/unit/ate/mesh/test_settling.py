from __future__ import annotations

import asyncio

import pytest

import ate
from ate.errors import StorageError
from ate.mesh.settling import EVERY_S, Settling
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk
from ate.testing.simloop import run, sim_loop


def test_what_came_is_durable_after_a_while() -> None:
    async def main() -> None:
        disk = SimDisk(1)
        async with ate.open("c", path="/d", disk=disk) as chain:
            taking = asyncio.Lock()
            settling = Settling(chain._ledger, taking)
            async with chain.dio() as dio:
                dio.store("x")
            dio = chain.dio()
            dio.store("y")
            await dio.commit(ate.NONE)
            head = chain.head
            settling.soon()
            settling.soon()
            await taking.acquire()
            await sim_loop().pause(2 * EVERY_S)
            taking.release()
            await sim_loop().pause(EVERY_S)
            for style in STYLES:
                async with ate.open("c", path="/d", disk=disk.cut(style), readonly=True) as copy:
                    assert copy.head == head
            await settling.close()

    run(main)


def test_a_disk_that_fails_is_told_and_closing_waits_for_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        disk = SimDisk(1)
        chain = await ate.open("c", path="/d", disk=disk)
        settling = Settling(chain._ledger, asyncio.Lock())
        dio = chain.dio()
        dio.store("y")
        await dio.commit(ate.NONE)
        disk.fail("sync", StorageError("broken"), times=-1)
        settling.soon()
        await sim_loop().pause(2)
        settling.soon()
        await settling.close()
        disk.heal()
        with pytest.raises(StorageError):
            await chain.close()

    run(main)
    assert "could not be made durable" in caplog.text
