"""Power cuts under backups and restores: what is listed is whole, what opens is complete."""

from __future__ import annotations

from pathlib import Path

import ate
from ate.archive.backup import Backup
from ate.archive.directory import DirectoryStore
from ate.archive.memory import MemoryStore
from ate.archive.prune import check, prune
from ate.archive.restore import restore
from ate.archive.series import Series, every, find
from ate.crypto.entropy import SeededEntropy
from ate.log import recovery
from ate.testing.simdisk import SimDisk


def grow(path: Path) -> tuple[int, bytes]:
    with ate.blocking.open("c", path=path) as chain:
        dio = chain.dio()
        dio.store({"pad": b"x" * 70_000})
        dio.store({"n": 1})
        dio.commit()
        return chain.head, chain.root


def store_on(disk: SimDisk) -> DirectoryStore:
    return DirectoryStore("/to", disk=disk, entropy=SeededEntropy(1))


def test_power_cuts_at_the_destination(tmp_path: Path) -> None:
    disk = SimDisk(11)
    roots, acked = dict[int, str](), dict[int, int]()
    for number in range(1, 4):
        head, root = grow(tmp_path)
        with Backup(tmp_path / "c", store_on(disk), workers=1) as backup:
            assert backup.run().point.head == head
        roots[number], acked[number] = root.hex(), len(disk.journal)
    prune(find(store_on(disk), "c"), 2)
    pruned = len(disk.journal)
    assert pruned > acked[3] > acked[2] > acked[1] > 10

    tried = 0
    for done, style, survivor in disk.cuts():
        store = store_on(survivor)
        sound = {number for number, mark in acked.items() if mark <= done}
        series = every(store)
        numbers = series[0].numbers() if series else []
        for one in series:
            assert not check(one), (done, style)
            assert all(one.load(number).point.root == roots[number] for number in numbers)
        missing = sound - set(numbers)
        assert missing <= ({1} if done > acked[3] else set()), (done, style)
        if done % 7 == 0:  # and it goes on from there
            with Backup(tmp_path / "c", store, workers=1) as backup:
                assert backup.run().point.root == roots[3]
                assert not check(backup.series)
            tried += 1
    assert tried > 20


def backed_up(path: Path) -> Series:
    with Backup(path, MemoryStore()) as backup:
        backup.run()
        return backup.series


def test_power_cuts_under_a_restore(tmp_path: Path) -> None:
    for _ in range(2):
        head, root = grow(tmp_path)
    series = backed_up(tmp_path / "c")
    disk = SimDisk(12)
    restore(series, "/d/c", disk=disk, entropy=SeededEntropy(1), workers=1)
    acked = len(disk.journal)
    opened = 0
    for done, style, survivor in disk.cuts():
        if recovery.locate(survivor, "/d/c"):
            with ate.blocking.open("c", path="/d", disk=survivor) as chain:
                assert (chain.head, chain.root) == (head, root), (done, style)
            opened += 1
            continue
        assert done < acked, style
        assert not survivor.exists("/d/c")
        if done % 5 == 0:
            restore(series, "/d/c", disk=survivor, workers=1)
            assert survivor.listdir("/d") == ["c"]
    assert opened >= 8
