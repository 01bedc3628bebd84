from __future__ import annotations

import pytest

from ate.errors import CorruptLog, StorageError
from ate.log.bodies import Bodies
from ate.testing.simdisk import SimDisk


def bodies_on(disk: SimDisk, *, readonly: bool = False) -> Bodies:
    disk.mkdir("/000001")
    return Bodies(disk, "/000001", generation=1, segment_bytes=300, readonly=readonly)


def put(bodies: Bodies, content: bytes) -> int:
    if bodies.is_full(len(content)):
        bodies.sync()
        bodies.roll()
    return bodies.write((content,), len(content))


def is_dirty(bodies: Bodies) -> bool:
    return bodies.is_dirty


def test_bodies_start_at_multiples_of_eight_and_roll_over() -> None:
    disk = SimDisk()
    bodies = bodies_on(disk)
    wanted = {put(bodies, bytes([n]) * (50 + n)): bytes([n]) * (50 + n) for n in range(12)}
    assert all(place % 8 == 0 for place in wanted)
    assert is_dirty(bodies)
    bodies.sync()
    assert not is_dirty(bodies)
    assert disk.listdir("/000001")[:3] == ["body.000001", "body.000002", "body.000003"]
    bodies.close()
    for readonly in (True, False):
        again = bodies_on(disk, readonly=readonly)
        assert all(again.read(place, len(one)) == one for place, one in wanted.items())
        again.close()


def test_no_file_before_the_first_body() -> None:
    disk = SimDisk()
    bodies = bodies_on(disk)
    bodies.sync()
    bodies.undo()
    bodies.trim(0)
    assert disk.listdir("/000001") == []


def test_a_reader_sees_segments_that_came_later() -> None:
    disk = SimDisk()
    writer, reader = bodies_on(disk), bodies_on(disk, readonly=True)
    places = [put(writer, b"x" * 200), put(writer, b"y" * 200)]
    assert reader.read(places[0], 200) == b"x" * 200
    assert reader.read(places[1], 200) == b"y" * 200


def test_places_that_are_none() -> None:
    bodies = bodies_on(SimDisk())
    place = put(bodies, b"x" * 20)
    for wrong in (0, 1 << 63, place & ~(1 << 63), place + (1 << 40), place - 64):
        with pytest.raises(CorruptLog):
            bodies.read(wrong, 1)
    with pytest.raises(CorruptLog):
        bodies.read(place, 21)


def test_trim_removes_whole_segments_and_cuts_one() -> None:
    disk = SimDisk()
    bodies = bodies_on(disk)
    first = put(bodies, b"x" * 101)
    others = [put(bodies, b"y" * 150) for _ in range(3)]
    bodies.trim(first + 101)
    assert disk.listdir("/000001") == ["body.000001"]
    assert len(disk.snapshot()["/000001/body.000001"]) == 64 + 101
    with pytest.raises(CorruptLog):
        bodies.read(others[-1], 1)
    assert put(bodies, b"z") == first + 104
    bodies.trim(first + 105)
    assert bytes(bodies.read(first + 104, 1)) == b"z"


def test_trim_refuses_when_named_bytes_are_missing() -> None:
    bodies = bodies_on(SimDisk())
    place = put(bodies, b"x" * 10)
    for wrong in (place + 11, place + (1 << 40)):
        with pytest.raises(CorruptLog):
            bodies.trim(wrong)
    assert bodies.read(place, 10) == b"x" * 10


def test_undo_after_a_failed_write() -> None:
    disk = SimDisk()
    bodies = bodies_on(disk)
    place = put(bodies, b"x" * 10)
    disk.fail("write", StorageError("input/output error"))
    with pytest.raises(StorageError):
        put(bodies, b"y" * 10)
    bodies.undo()
    assert put(bodies, b"z" * 10) == place + 16
    assert bodies.read(place, 10) == b"x" * 10


def test_a_roll_that_failed_after_the_name_appeared_is_known() -> None:
    disk = SimDisk()
    bodies = bodies_on(disk)
    assert not bodies.has_unopened()
    disk.fail("syncdir", StorageError("input/output error"))
    with pytest.raises(StorageError):
        bodies.roll()
    assert bodies.has_unopened()


def test_a_segment_that_an_old_owner_may_still_cut_is_copied_before_it_is_cut() -> None:
    disk = SimDisk()
    for name in ("/.epoch-2", "/.epoch-2/000001"):
        disk.mkdir(name)
    bodies = Bodies(disk, "/.epoch-2/000001", generation=1, segment_bytes=300, readonly=False)
    place = put(bodies, b"a" * 200)
    put(bodies, b"b" * 200)
    bodies.sync()
    disk.link("/.epoch-2/000001/body.000001", "/shared")
    before = disk.snapshot()["/shared"]
    bodies.trim(place + 100)
    assert disk.listdir("/.epoch-2/000001") == ["body.000001"]
    put(bodies, b"c" * 150)
    assert disk.snapshot()["/shared"] == before
    assert bodies.read(place, 100) == b"a" * 100
