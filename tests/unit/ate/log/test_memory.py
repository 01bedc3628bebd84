from __future__ import annotations

import pytest

from ate import limits
from ate.errors import CorruptLog, LimitExceeded, StorageError
from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.testing.simdisk import SimDisk
from ate.testing.store_suite import payloads


def test_places_are_those_of_a_file() -> None:
    memory, local = MemoryLog(), LocalLog.open("/chain", disk=SimDisk())
    assert memory.end == local.end
    for size in (0, 1, 8, 100):
        assert memory.append((bytes(size),)) == local.append((bytes(size),))
        assert memory.write_body((bytes(size + 1),)) == local.write_body((bytes(size + 1),))
    assert memory.end == local.end


def test_frames_bodies_and_index() -> None:
    log = MemoryLog()
    places = log.append_many([(b"a",), (b"b", b"c")])
    body = log.write_body((b"body", b"!"))
    log.flush()
    log.refresh()
    assert payloads(log) == [b"a", b"bc"]
    assert payloads(log, places[0]) == [b"bc"]
    assert bytes(log.read(places[1], verify=True)) == b"bc"
    assert bytes(log.body(body, 4)) == b"body"
    assert log.read_index() is None
    log.write_index((b"i", b"x"))
    assert bytes(log.read_index() or b"") == b"ix"
    assert log.files() == {}


def test_refusals() -> None:
    log = MemoryLog()
    body = log.write_body((b"body",))
    for call in (
        lambda: log.read(5),
        lambda: log.body(body, 5),
        lambda: log.body(5, 0),
        lambda: payloads(log, 5),
        lambda: log.trim_bodies(body + 100),
    ):
        with pytest.raises(CorruptLog):
            call()
    with pytest.raises(LimitExceeded):
        log.append((bytes(limits.COMMIT_BYTES_MAX + 1),))
    assert payloads(log) == []


def test_trim_and_destroy() -> None:
    log = MemoryLog()
    first, second = log.write_body((b"1" * 9,)), log.write_body((b"2",))
    log.trim_bodies(first + 9)
    with pytest.raises(CorruptLog):
        log.body(second, 1)
    assert log.write_body((b"3",)) == second
    log.trim_bodies(0)
    assert log.write_body((b"4",)) == first
    log.append((b"x",))
    log.destroy()
    assert payloads(log) == []
    with pytest.raises(StorageError, match="closed"):
        log.append((b"y",))


def test_what_was_replaced_has_nothing_to_overwrite() -> None:
    log = MemoryLog()
    place = log.append((b"x",))
    assert log.wipe([(place, 0, 1)]) == 0
    assert list(log.every_file()) == []
    successor = log.successor()
    assert (successor.generation, successor.sweep()) == (log.generation + 1, ())
    successor.take_over(log)
    assert not successor.is_superseded()
    assert successor.reopened() is successor
    assert log.size() > successor.size()
