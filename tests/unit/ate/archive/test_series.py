from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.ate.archive.chains import write

from ate.archive.backup import Backup
from ate.archive.memory import MemoryStore
from ate.archive.point import encode
from ate.archive.series import Series, every, find
from ate.errors import Conflict, CorruptBackup, NotFound, StorageError, UsageError


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    """Three points of the chain c."""
    made = MemoryStore()
    for _ in range(3):
        write(tmp_path)
        with Backup(tmp_path / "c", made) as backup:
            backup.run()
    return made


def test_points_are_linked(store: MemoryStore) -> None:
    series = find(store, "c")
    assert series.numbers() == [1, 2, 3]
    newest = series.newest()
    assert newest is not None
    assert newest.point.previous == series.load(2).digest
    assert series.load_linked(2, [1, 2, 3]).point.point == 2


def test_a_point_that_took_anothers_place_is_seen(store: MemoryStore, tmp_path: Path) -> None:
    series = find(store, "c")
    store.objects[series.key(2)] = store.objects[series.key(1)]
    with pytest.raises(CorruptBackup, match="00000002: this is another restore point"):
        series.load(2)
    with pytest.raises(CorruptBackup, match="00000002"):
        series.newest()
    del store.objects[series.key(2)]
    with pytest.raises(CorruptBackup, match="00000002: the restore point is missing"):
        series.load(2)


def test_a_point_that_was_written_anew_is_seen(store: MemoryStore) -> None:
    import msgspec

    series = find(store, "c")
    numbers = series.numbers()
    first = series.load(1).point
    store.objects[series.key(1)] = encode(msgspec.structs.replace(first, time_us=1))
    for number in (1, 2):
        with pytest.raises(CorruptBackup, match=r"goe?s? on from"):
            series.load_linked(number, numbers)


def test_the_earliest_that_holds(store: MemoryStore) -> None:
    series = find(store, "c")
    heads = [series.load(number).point.head for number in (1, 2, 3)]
    for head, number in [(1, 1), (heads[0], 1), (heads[0] + 1, 2), (heads[2], 3)]:
        kept = series.earliest(lambda point, head=head: point.head >= head)  # type: ignore[misc]
        assert kept is not None
        assert kept.point.point == number
    assert series.earliest(lambda point: point.head > heads[2]) is None


def test_who_comes_second_is_told(store: MemoryStore) -> None:
    series = find(store, "c")
    with pytest.raises(Conflict, match="point 3 meanwhile"):
        series.publish(series.load(3).point)

    class Sudden(MemoryStore):
        def walk(self, prefix: str):  # type: ignore[no-untyped-def]
            return iter(())

    sudden = Sudden()
    sudden.objects = store.objects
    with pytest.raises(Conflict, match="point 3 meanwhile"):
        Series(sudden, "c", series.chain).publish(series.load(3).point)


def test_a_destination_that_overwrites_is_refused(store: MemoryStore) -> None:
    class Careless(MemoryStore):
        def put_new(self, key: str, data: bytes) -> bool:
            self.objects[key] = data
            return True

    point = find(store, "c").load(1).point
    with pytest.raises(StorageError, match="overwrites"):
        Series(Careless(), "c", point.chain).publish(point)


def test_chains_are_found_by_name(store: MemoryStore, tmp_path: Path) -> None:
    write(tmp_path / "other", "team/x")
    with Backup(tmp_path / "other/team/x", store) as backup:
        backup.run()
    write(tmp_path / "again")  # another chain of the same name
    with Backup(tmp_path / "again/c", store) as backup:
        backup.run()
    store.put_new("something/else", b"")
    assert [one.name for one in every(store)] == ["c", "c", "team/x"]
    assert find(store, "/team/x").numbers() == [1]
    with pytest.raises(NotFound, match="'team'"):
        find(store, "team")
    with pytest.raises(UsageError) as caught:
        find(store, "c")
    chosen = caught.value.hint.split()[-1]
    assert find(store, "c", chosen[:5]).chain == chosen


def test_a_piece_has_to_be_what_was_written(store: MemoryStore) -> None:
    series = find(store, "c")
    piece = series.load(1).point.files[0].pieces[0]
    key = series.piece_key(piece)
    data = series.fetch(piece)
    for spoiled in (data[:-1], data + b"x", b"x" + data[1:], None):
        if spoiled is None:
            del store.objects[key]
        else:
            store.objects[key] = spoiled
        with pytest.raises(CorruptBackup, match=key):
            series.fetch(piece)


def test_a_list_that_does_not_add_up_with_its_neighbours(store: MemoryStore) -> None:
    series = find(store, "c")
    with pytest.raises(CorruptBackup, match=r"00000004: the restore point is missing"):
        series.load_linked(4, [1, 2, 3, 4])
    assert series.load_linked(1, [1, 2, 3]).point.previous == ""
    assert Series(store, "none", "0" * 16).newest() is None
