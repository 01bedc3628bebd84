"""Any damage, here and in the copy: a repair gives the chain back, or says why not and leaves it.

One seed, one play: what is damaged, how, and how the copy is cut.
"""

from __future__ import annotations

import asyncio

import pytest

from ate.chain.repair import repair
from ate.chain.source import Replica
from ate.errors import AteError
from ate.testing.chance import Chance
from ate.testing.simdisk import SimDisk
from ate.testing.stage import Stage
from ate.testing.tamper import copy_of

SEEDS = range(60)


async def make() -> SimDisk:
    """Return the disk of a chain with large bodies."""
    stage = Stage()
    for number in range(14):
        text = f"note {number} " * (9_000 if number in (5, 11) else 1 + number)
        await stage.as_(None).store(text)
    await stage.as_(None).store_many([f"row {number}" for number in range(9)])
    stage.tamperer().remove("index")
    return stage.disk


@pytest.fixture(scope="module")
def disk() -> SimDisk:
    return asyncio.run(make())


def play(disk: SimDisk, chance: Chance) -> Stage:
    """Return a copy of the chain, cut into segments of some size."""
    stage = Stage()
    stage.disk = copy_of(disk)
    tamperer = stage.tamperer()
    tamperer.write(tamperer.payloads(), segment_bytes=chance.choice((0, 1500, 2500, 6000)))
    return stage


def damage(stage: Stage, chance: Chance) -> None:
    """Do up to three things to the files."""
    tamperer = stage.tamperer()
    for _ in range(chance.below(3) + 1):
        names = [one for one in stage.disk.listdir(f"{stage.directory}/000001") if "." in one]
        if not names:
            return
        name = chance.choice(names)
        size = len(stage.disk.snapshot()[tamperer.path(name)])
        kind = chance.choice(("flip", "block", "cut", "zeros", "gone", "grow"))
        at = chance.below(max(size, 1))

        def change(content: bytearray, kind: str = kind, at: int = at) -> None:
            if kind == "flip" and content:
                content[at] ^= 1 << chance.below(8)
            elif kind == "block":
                content[at : at + 700] = chance.bytes(len(content[at : at + 700]))
            elif kind == "zeros":
                content[at : at + 300] = bytes(len(content[at : at + 300]))
            elif kind == "cut":
                del content[at:]
            elif kind == "grow":
                content += chance.bytes(40)

        if kind == "gone":
            tamperer.remove(name)
        else:
            tamperer.edit(name, change)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_repair_gives_it_back_or_changes_nothing(seed: int, disk: SimDisk) -> None:
    chance = Chance(seed)
    stage, other = play(disk, chance), play(disk, chance)
    wanted = stage.tamperer().payloads()
    damage(stage, chance)
    if chance.happens(50):
        damage(other, chance)
    before = stage.disk.snapshot()
    try:
        source = Replica(other.disk, other.directory)
        result = asyncio.run(repair(stage.directory, [source], disk=stage.disk, tail=True))
    except AteError:
        assert stage.disk.snapshot() == before
        return
    assert result.found.ok
    found = asyncio.run(stage.verify())
    assert found.ok, found.problems
    there = stage.tamperer().payloads()
    assert len(there) >= 1
    assert [one[:256] for one in there] == [one[:256] for one in wanted[: len(there)]]


def test_most_of_it_can_be_repaired(disk: SimDisk) -> None:
    """With a whole copy, whatever leaves one commit is repaired to the last one."""
    repaired = 0
    for seed in range(1000, 1040):
        chance = Chance(seed)
        stage, other = play(disk, chance), play(disk, chance)
        wanted = stage.tamperer().payloads()
        damage(stage, chance)
        source = Replica(other.disk, other.directory)
        try:
            asyncio.run(repair(stage.directory, [source], disk=stage.disk, tail=True))
        except AteError:
            continue
        assert asyncio.run(stage.verify()).ok, seed
        assert len(stage.tamperer().payloads()) == len(wanted), seed
        repaired += 1
    assert repaired > 30
