from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.ate.archive.chains import write

from ate.archive.backup import Backup
from ate.archive.memory import MemoryStore
from ate.archive.prune import check, prune
from ate.archive.restore import Moment, restore
from ate.archive.series import Series, find
from ate.errors import CorruptBackup, StorageError, UsageError


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    made = MemoryStore()
    for _ in range(20):
        write(tmp_path, rows=1)
        with Backup(tmp_path / "c", made) as backup:
            backup.run()
    return made


def test_what_no_point_names_goes(store: MemoryStore, tmp_path: Path) -> None:
    series = find(store, "c")
    size = sum(map(len, store.objects.values()))
    assert not check(series)
    pruned = prune(series, 3)
    assert pruned.points == 17
    assert pruned.objects > 10
    assert pruned.bytes > 0
    assert sum(map(len, store.objects.values())) < size
    assert series.numbers() == [18, 19, 20]
    assert not check(series)
    assert prune(series, 3) == (0, 0, 0)
    for number in (18, 20):
        done = restore(series, tmp_path / f"{number}/c", moment=Moment(point=number))
        assert done.found.ok
    write(tmp_path)
    with Backup(tmp_path / "c", store) as backup:
        assert backup.run().point.point == 21


def test_pieces_of_a_backup_that_is_being_made_stay(store: MemoryStore) -> None:
    series = find(store, "c")
    store.put_new(f"{series.folder(21)}{'0' * 64}", b"on its way")
    store.put_new(f"{series.folder(20)}{'0' * 64}", b"left by one that was killed")
    store.put_new(f"{series.group}/data/readme", b"not ours")
    prune(series, 1)
    assert f"{series.folder(21)}{'0' * 64}" in store.objects
    assert f"{series.folder(20)}{'0' * 64}" not in store.objects
    assert f"{series.group}/data/readme" in store.objects


def test_nothing_goes_when_a_point_to_keep_is_damaged(store: MemoryStore) -> None:
    series = find(store, "c")
    store.objects[series.key(19)] += b"x"
    before = dict(store.objects)
    with pytest.raises(CorruptBackup):
        prune(series, 2)
    assert store.objects == before


def test_at_least_one_point_stays(store: MemoryStore) -> None:
    with pytest.raises(UsageError):
        prune(find(store, "c"), 0)
    assert prune(Series(store, "none", "0" * 16), 1) == (0, 0, 0)


@pytest.mark.parametrize("after", range(0, 30, 4))
def test_wherever_it_stops_what_is_listed_is_whole(store: MemoryStore, after: int) -> None:
    class Stopping(MemoryStore):
        def delete(self, key: str) -> None:
            if self.left == 0:
                raise StorageError("denied")
            self.left -= 1
            super().delete(key)

    stopping = Stopping()
    stopping.objects, stopping.left = store.objects, after  # type: ignore[attr-defined]
    series = find(stopping, "c")
    with pytest.raises(StorageError):
        prune(series, 2)
    assert not check(series)
    assert series.numbers()[-2:] == [19, 20]


def test_check_names_what_is_wrong(store: MemoryStore) -> None:
    series = find(store, "c")
    keys = sorted(key for key in store.objects if "/data/" in key)
    del store.objects[keys[0]]
    store.objects[keys[1]] = b"x" + store.objects[keys[1]][1:]
    store.objects[series.key(4)] = b""
    found = check(series)
    for key in (*keys[:2], series.key(4)):
        assert any(line.startswith(f"{key}: ") for line in found)
