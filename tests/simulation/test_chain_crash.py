"""Power cuts under a whole chain: every acknowledged commit is there again, whole."""

from __future__ import annotations

import asyncio

import pytest

import ate
from ate.chain.verify import verify
from ate.errors import OutOfSpace, StorageError
from ate.log.local import LocalLog
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk

PATH = "/disk"


class Script:
    """Commits of several sizes on a simulated disk; notes what was acknowledged when."""

    def __init__(self, seed: int) -> None:
        self.disk = SimDisk(seed)
        self.session = ate.Session.new("alice@example.com")
        self.acked: list[tuple[int, dict[bytes, int]]] = []
        self.state: dict[bytes, int] = {}

    def open(self, disk: SimDisk | None = None) -> ate.client.Opening:  # type: ignore[name-defined]
        return ate.open("c", path=PATH, disk=disk or self.disk, session=self.session)

    def note(self) -> None:
        self.acked.append((len(self.disk.journal), dict(self.state)))

    async def add(self, chain: ate.Chain, count: int, size: int = 10) -> None:
        dio = chain.dio()
        made = [dio.store({"n": number, "pad": "x" * size}) for number in range(count)]
        await dio.commit()
        self.state |= {bytes(dao.id): dao.seq for dao in made}
        self.note()

    async def run(self) -> None:
        async with self.open() as chain:
            await self.add(chain, 1)
            await self.add(chain, 40)
            await self.add(chain, 2, size=70_000)  # bodies of their own file
            await asyncio.gather(*(self.add(chain, 1) for _ in range(4)))
        async with self.open() as chain:  # over a snapshot
            dio = chain.dio()
            victim, changed, *_ = self.state
            dio.delete(ate.ObjectId(victim))
            dao = (await dio.load(dict, ate.ObjectId(changed))).update()
            await dio.commit()
            del self.state[victim]
            self.state[changed] = dao.seq
            self.note()
            await self.add(chain, 3)

    def acknowledged(self, done: int) -> dict[bytes, int]:
        known = [state for mark, state in self.acked if mark <= done]
        return known[-1] if known else {}

    def versions(self) -> list[dict[bytes, int]]:
        return [{}, *(state for _, state in self.acked)]


async def contents(chain: ate.Chain) -> dict[bytes, int]:
    return {bytes(dao.id): dao.seq async for dao in chain.dio().all(object)}


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_power_cut_leaves_all_that_was_acknowledged(seed: int) -> None:
    script = Script(seed)
    await script.run()
    checked = 0
    for done, _style, disk in script.disk.cuts(STYLES):
        async with script.open(disk) as chain:
            found = await contents(chain)
            wanted = script.acknowledged(done)
            lost = {key for key in wanted if key not in found and key in script.state}
            assert not lost
            # All or nothing: what is there is a state that some commit made.
            assert set(found.values()) in [set(one.values()) for one in states_between(script)]
            await chain.dio().load_many([ate.ObjectId(key) for key in found])
        reader = LocalLog.open(f"{PATH}/c", disk=disk, readonly=True)
        assert (await verify(reader)).ok
        reader.close()
        checked += 1
    assert checked > 100


def states_between(script: Script) -> list[dict[bytes, int]]:
    """Acknowledged states; commits that ran together are also acknowledged one by one."""
    return script.versions()


async def test_a_full_disk_in_the_middle_of_a_commit_loses_nothing_and_can_be_retried() -> None:
    script = Script(3)
    async with script.open() as chain:
        await script.add(chain, 1)
        dio = chain.dio()
        dao = dio.store({"big": "y" * 200_000})
        script.disk.fail("write", OutOfSpace("full"))
        with pytest.raises(OutOfSpace):
            await dio.commit()
        assert dio.has_changes
        assert not await chain.dio().exists(dao.id)
        script.disk.heal()
        await dio.commit()
        assert (await chain.dio().load(dict, dao.id)).value == {"big": "y" * 200_000}
        await script.add(chain, 1)
    async with script.open() as chain:
        assert set(await contents(chain)) == {*script.state, bytes(dao.id)}
        assert (await verify(chain._ledger.store)).ok


async def test_a_failed_flush_acknowledges_nothing_until_the_chain_is_opened_again() -> None:
    script = Script(4)
    chain = await script.open()
    await script.add(chain, 1)
    dio = chain.dio()
    dio.store({"n": 1})
    script.disk.fail("sync", StorageError("input/output error"))
    with pytest.raises(StorageError):
        await dio.commit()
    script.disk.heal()
    with pytest.raises(StorageError, match="could not be confirmed"):
        await dio.commit()
    assert len(chain) == 1
    with pytest.raises(StorageError):
        await chain.close()
    async with script.open() as chain:
        assert set(script.state) <= set(await contents(chain))
        await script.add(chain, 1)
