from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ate import limits
from ate.errors import (
    CorruptLog,
    LimitExceeded,
    LogLocked,
    ReadOnly,
    StorageError,
    UnsupportedFormat,
)
from ate.log.local import LocalLog
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk
from ate.testing.store_suite import payloads

HEAD = "/chain/000001/head.000001"
EIO = StorageError("input/output error")


def open_log(disk: SimDisk, *, readonly: bool = False, segment_bytes: int = 1 << 20) -> LocalLog:
    return LocalLog.open("/chain", disk=disk, readonly=readonly, segment_bytes=segment_bytes)


def test_opening_nothing_makes_nothing() -> None:
    disk = SimDisk()
    for options in ({"readonly": True}, {"create": False}):
        with pytest.raises(UnsupportedFormat, match="no chain"):
            LocalLog.open("/chain", disk=disk, **options)
    assert disk.snapshot() == {}


def test_a_real_directory_by_path(tmp_path: Path) -> None:
    log = LocalLog.open(tmp_path / "deep" / "chain")
    log.append((b"x",))
    log.close()
    assert sorted(path.name for path in (tmp_path / "deep" / "chain").iterdir()) == [
        "000001",
        "CURRENT",
        "LOCK",
    ]
    assert payloads(LocalLog.open(tmp_path / "deep" / "chain", readonly=True)) == [b"x"]


def test_rolling_over_keeps_order_places_and_the_budget_of_a_segment() -> None:
    disk = SimDisk()
    log = open_log(disk, segment_bytes=512)
    wanted = [b"%d" % number * 60 for number in range(20)]
    places = [log.append((one,)) for one in wanted]
    assert payloads(log) == wanted
    assert log.read(places[0]) == wanted[0]
    sizes = [size for name, size in log.files().items() if "head" in name]
    assert len(sizes) > 3
    assert max(sizes) <= 512
    log.flush()
    log.close()
    again = open_log(disk, segment_bytes=512)
    assert payloads(again, places[7]) == wanted[8:]
    assert again.end == log.end


def test_a_group_is_never_split_between_segments() -> None:
    log = open_log(SimDisk(), segment_bytes=512)
    log.append((b"first",))
    places = log.append_many([(bytes(100),)] * 9)
    assert {place >> 40 for place in places} == {2}


def test_many_in_a_group_are_bounded_one_by_one() -> None:
    log = open_log(SimDisk())
    with pytest.raises(LimitExceeded):
        log.append_many([(b"x",), (bytes(limits.COMMIT_BYTES_MAX + 1),)])
    with pytest.raises(LimitExceeded):
        log.append((bytes(limits.COMMIT_BYTES_MAX + 1),))
    assert payloads(log) == []


def test_a_flush_without_news_costs_nothing() -> None:
    disk = SimDisk()
    log = open_log(disk)
    log.append((b"x",))
    log.flush()
    done = len(disk.journal)
    log.flush()
    assert len(disk.journal) == done
    log.write_body((b"y",))
    log.flush()
    assert disk.journal[-1][0] == "sync"


def test_a_small_commit_is_one_write_and_one_sync() -> None:
    disk = SimDisk()
    log = open_log(disk)
    log.append((b"x",))
    log.flush()
    done = len(disk.journal)
    log.append((b"y", b"z"))
    log.flush()
    assert [op[0] for op in disk.journal[done:]] == ["write", "sync"]


def test_bodies_are_synced_before_the_frame_is_written() -> None:
    disk = SimDisk()
    log = open_log(disk)
    log.write_body((b"first",))
    log.flush()
    done = len(disk.journal)
    log.write_body((b"body",))
    log.append((b"names it",))
    assert [op[0] for op in disk.journal[done:]] == ["write", "sync", "write", "write"]


def test_the_index_shortens_the_next_opening_and_is_never_believed() -> None:
    disk = SimDisk()
    log = open_log(disk)
    places = []
    for number in range(9):
        places.append(log.append((b"%d" % number,)))
        log.flush()
    log.write_index((b"mine",))
    log.append((b"more",))
    log.close()
    rotten = bytearray(disk.snapshot()[HEAD])
    rotten[(places[3] & 0xFFFF) + 33] ^= 1
    disk.put(HEAD, bytes(rotten))
    opened = open_log(disk)
    with pytest.raises(CorruptLog):
        payloads(opened)
    assert payloads(opened, places[-1]) == [b"more"]
    opened.close()
    cut = disk.snapshot()[HEAD][:-41]
    disk.put(HEAD, cut)
    with pytest.raises(CorruptLog):
        open_log(disk)


def test_a_torn_tail_is_cut_once_and_said() -> None:
    disk = SimDisk()
    log = open_log(disk)
    log.append((b"one",))
    log.close()
    disk.put(HEAD, disk.snapshot()[HEAD] + b"ATEf half a frame")
    reader = open_log(disk, readonly=True)
    assert reader.torn == ("head.000001: 17 bytes of an unfinished write at 104, left alone",)
    reader.close()
    torn = open_log(disk)
    assert torn.torn == (
        "head.000001: 17 bytes of an unfinished write at 104, kept as head.000001.torn-104",
    )
    torn.close()
    assert open_log(disk).torn == ()


def test_damage_is_refused_by_writers_and_shown_to_readers() -> None:
    disk = SimDisk()
    log = open_log(disk)
    for number in range(4):
        log.append((b"%d" % number,))
        log.flush()
    log.close()
    rotten = bytearray(disk.snapshot()[HEAD])
    rotten[64 + 40 + 20] ^= 1
    disk.put(HEAD, bytes(rotten))
    with pytest.raises(CorruptLog, match=r"head\.000001 at byte 104"):
        open_log(disk)
    assert disk.locks == set()
    reader = open_log(disk, readonly=True)
    reader.refresh()
    with pytest.raises(CorruptLog):
        payloads(reader)


@pytest.mark.parametrize("name", ["head.000001", "body.000001"])
def test_an_unknown_version_is_left_untouched(name: str) -> None:
    disk = SimDisk()
    log = open_log(disk)
    log.write_body((b"body",))
    log.append((b"one",))
    log.close()
    content = bytearray(disk.snapshot()[f"/chain/000001/{name}"])
    content[8] = 9
    disk.put(f"/chain/000001/{name}", bytes(content))
    before = disk.snapshot()
    with pytest.raises(UnsupportedFormat, match="format 9"):
        open_log(disk)
    assert disk.snapshot() == before
    assert disk.locks == set()


def test_two_writers(tmp_path: Path) -> None:
    log = LocalLog.open(tmp_path / "chain")
    with pytest.raises(LogLocked):
        LocalLog.open(tmp_path / "chain")
    log.close()
    LocalLog.open(tmp_path / "chain").close()


def test_a_reader_takes_no_lock_and_writes_nothing() -> None:
    disk = SimDisk()
    log = open_log(disk)
    log.append((b"x",))
    reader = open_log(disk, readonly=True)
    done = len(disk.journal)
    reader.refresh()
    assert payloads(reader) == [b"x"]
    with pytest.raises(ReadOnly):
        reader.append((b"y",))
    reader.close()
    reader.refresh()
    assert len(disk.journal) == done


def test_a_failed_append_leaves_no_trace() -> None:
    disk = SimDisk()
    log = open_log(disk)
    log.append((b"one",))
    for verb in ("write", "write"):
        disk.fail(verb, EIO)
        with pytest.raises(StorageError):
            log.append_many([(b"x" * 70_000,), (b"y",)])
        disk.fail(verb, EIO, name="body")
        with pytest.raises(StorageError):
            log.write_body((b"x",))
            log.write_body((b"x",))
    assert payloads(log) == [b"one"]
    log.append((b"two",))
    log.flush()
    assert payloads(open_log(disk.cut(STYLES[0]))) == [b"one", b"two"]


def test_a_failed_sync_or_undo_poisons() -> None:
    for verbs in (("sync",), ("write", "truncate")):
        disk = SimDisk()
        log = open_log(disk)
        for verb in verbs:
            disk.fail(verb, EIO)
        with pytest.raises(StorageError):
            log.append((b"x" * 70_000,))
            log.flush()
        with pytest.raises(StorageError, match="confirmed"):
            log.append((b"y",))
        log.close()
        open_log(disk).close()


@pytest.mark.parametrize("what", ["head", "body"])
def test_rolling_over_poisons_only_when_the_new_name_may_be_seen(what: str) -> None:
    def write(log: LocalLog) -> None:
        if what == "head":
            log.append((bytes(300),))
        else:
            log.write_body((bytes(300),))

    for verb, is_poisoned in (("create", False), ("rename", False), ("syncdir", True)):
        disk = SimDisk()
        log = open_log(disk, segment_bytes=512)
        write(log)
        disk.fail(verb, EIO)
        with pytest.raises(StorageError):
            write(log)
        if is_poisoned:
            with pytest.raises(StorageError, match="confirmed"):
                write(log)
        else:
            write(log)
        log.close()
        write(open_log(disk, segment_bytes=512))


def test_a_flush_in_another_thread_while_this_one_appends(tmp_path: Path) -> None:
    log = LocalLog.open(tmp_path / "chain", segment_bytes=4096)
    stop = threading.Event()
    failures: list[BaseException] = []

    def keep_flushing() -> None:
        try:
            while not stop.is_set():
                log.flush()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=keep_flushing)
    thread.start()
    wanted = [b"%d" % number * 20 for number in range(500)]
    for one in wanted:
        log.append((one,))
    stop.set()
    thread.join()
    assert failures == []
    log.close()
    assert payloads(LocalLog.open(tmp_path / "chain", readonly=True)) == wanted


def test_destroy_takes_everything_along() -> None:
    disk = SimDisk()
    log = open_log(disk)
    log.append((b"x",))
    log.destroy()
    assert disk.snapshot() == {}
    assert not disk.exists("/chain")
    assert disk.locks == set()


# --- generations -------------------------------------------------------------------------------


def live(disk: SimDisk) -> list[str]:
    return [name for name in disk.listdir("/chain") if name.isdigit()]


def test_a_successor_takes_over_and_the_old_one_goes() -> None:
    disk = SimDisk()
    log = open_log(disk)
    log.append_many([(b"one",), (b"two",)])
    reader = open_log(disk, readonly=True)
    new = log.successor()
    assert (log.generation, new.generation) == (1, 2)
    new.append_many([(b"new",)])
    new.write_index((b"index",))
    new.take_over(log)
    with pytest.raises(StorageError, match="taken over"):
        log.append((b"x",))
    assert payloads(log) == [b"one", b"two"]
    with pytest.raises(LogLocked):
        open_log(disk)
    log.close()
    with pytest.raises(LogLocked):
        open_log(disk)
    assert new.sweep() == ("000001",)
    assert reader.is_superseded()
    moved = reader.reopened()
    assert payloads(moved) == [b"new"]
    reader.close()
    assert new.sweep() == ()
    assert live(disk) == ["000002"]
    assert new.size() > 0
    assert set(new.files()) == {"000002/head.000001", "000002/index"}
    assert bytes(new.read_index() or b"") == b"index"
    new.close()
    moved.close()


def test_a_take_over_that_fails_removes_nothing() -> None:
    """Whichever generation CURRENT names after it, that one is there."""
    for verb, name, generation in (("rename", "CURRENT", 1), ("syncdir", "/chain", 2)):
        disk = SimDisk()
        log = open_log(disk)
        log.append((b"old",))
        log.flush()
        new = log.successor()
        new.append((b"new",))
        # The directories are synced twice before CURRENT changes.
        disk.fail(verb, EIO, name=name, skip=2 if verb == "syncdir" else 0)
        with pytest.raises(StorageError, match="input/output"):
            new.take_over(log)
        disk.heal()
        for one in (log, new):
            assert one.sweep() == ()
            with pytest.raises(StorageError, match="confirmed"):
                one.append((b"x",))
        new.close()
        log.close()
        assert live(disk) == ["000001", "000002"]
        again = open_log(disk)
        assert again.generation == generation
        assert payloads(again) == [b"old" if generation == 1 else b"new"]
        assert live(disk) == [f"{generation:06d}"]
        again.close()


def test_a_log_that_was_replaced_is_overwritten_and_goes() -> None:
    disk = SimDisk()
    old = open_log(disk)
    reader = open_log(disk, readonly=True)
    place = old.append((b"row, then a body",))
    body = old.write_body((b"large body",))
    old.append((b"it",))
    new = old.successor()
    new.append((b"row",))
    assert not reader.is_superseded()
    new.take_over(old)
    assert reader.is_superseded()
    moved = reader.reopened()
    reader.close()
    assert payloads(moved) == [b"row"]
    assert old.wipe([(place, 4, 12)]) == 12 + len(b"large body")
    assert bytes(old.read(place)) == b"row," + bytes(12)
    assert bytes(old.body(body, 10)) == bytes(10)
    old.close()
    assert [name for name, _ in new.every_file()] == [
        "000001/body.000001", "000001/head.000001", "000002/head.000001", "CURRENT", "LOCK",
    ]  # fmt: skip
    assert new.sweep() == ()
    assert new.size() < 1000
    new.append((b"goes on",))
    new.close()
    moved.refresh()
    assert payloads(moved) == [b"row", b"goes on"]
    moved.close()
