from __future__ import annotations

import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ate import limits
from ate.errors import (
    AteError,
    CorruptLog,
    LimitExceeded,
    OutOfSpace,
    ReadOnly,
    StorageError,
    UnsupportedFormat,
    UsageError,
)
from ate.log import outbox as module
from ate.log.disk import RealDisk
from ate.log.outbox import DEAD_BYTES, Entry, Outbox
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk

FILE = "/c/outbox"


def made(seed: int = 1) -> tuple[SimDisk, Outbox]:
    disk = SimDisk(seed)
    disk.mkdir("/c")
    disk.sync_dir("/")
    return disk, Outbox.open(disk, "/c")


def again(disk: SimDisk, *, readonly: bool = False) -> Outbox:
    return Outbox.open(disk, "/c", readonly=readonly)


def file_size(disk: SimDisk) -> int:
    return len(disk.snapshot()[FILE])


@pytest.fixture(params=["disk", "memory"])
def outbox(request: pytest.FixtureRequest) -> Outbox:
    return made()[1] if request.param == "disk" else Outbox.in_memory()


def test_an_entry_goes_its_way(outbox: Outbox) -> None:
    assert outbox.add(b"first") == 1
    assert outbox.add(b"second") == 2
    outbox.prepare([1], 70, 1, b"commit one")
    assert outbox.entries == [
        Entry(1, b"first", 70, 1, b"commit one", "sent"),
        Entry(2, b"second"),
    ]
    outbox.mark(1, "conflict", b"theirs is 9")
    assert outbox.find(1) == Entry(1, b"first", 70, 1, b"commit one", "conflict", b"theirs is 9")
    outbox.mark(1, "waiting", b"rebased")
    assert outbox.find(1) == Entry(1, b"first", note=b"rebased")
    outbox.remove(1)
    outbox.remove(1)
    assert [entry.number for entry in outbox.entries] == [2]
    assert len(outbox) == 1
    assert outbox.add_prepared(70, 2, b"commit three") == 3
    assert outbox.find(3) == Entry(3, b"", 70, 2, b"commit three", "sent")
    assert outbox.size == sum(entry.size for entry in outbox.entries)
    outbox.flush()
    outbox.close()


def test_entries_that_share_a_commit(outbox: Outbox) -> None:
    for work in (b"a", b"b", b"c"):
        outbox.add(work)
    outbox.add_prepared(1, 1, b"no work")
    for wrong in ([], [1, 1], [1, 9], [1, 4]):
        with pytest.raises(UsageError):
            outbox.prepare(wrong, 1, 2, b"c")
    outbox.prepare([3, 1], 1, 2, b"both")
    assert [entry.state for entry in outbox.entries] == ["sent", "waiting", "sent", "sent"]
    with pytest.raises(UsageError):
        outbox.mark(3, "sent")
    outbox.prepare([1, 2, 3], 1, 3, b"all")
    outbox.settle(2)
    outbox.settle(2)
    assert [entry.number for entry in outbox.entries] == [4]


def test_it_is_there_again() -> None:
    disk, outbox = made()
    outbox.add(b"a")
    outbox.add(b"b")
    outbox.prepare([2], 1, 1, b"c")
    outbox.mark(2, "conflict", b"n")
    assert outbox.add(b"c") == 3
    outbox.prepare([3, 1], 1, 2, b"d")
    before, size = outbox.entries, outbox.size
    outbox.close()
    for readonly in (True, False):
        found = again(disk, readonly=readonly)
        assert found.entries == before
        assert found.size == size
        assert found.torn == ""
    assert found.add(b"c") == 4


def test_nothing_is_written_until_there_is_something() -> None:
    disk, outbox = made()
    outbox.flush()
    outbox.close()
    assert disk.listdir("/c") == []
    assert again(disk, readonly=True).entries == []


@pytest.mark.parametrize(
    "call",
    [
        lambda outbox: outbox.prepare([9], 1, 1, b"c"),
        lambda outbox: outbox.mark(9, "conflict"),
        lambda outbox: outbox.mark(1, "lost"),
        lambda outbox: outbox.mark(1, "sent"),
        lambda outbox: outbox.mark(2, "waiting"),
        lambda outbox: outbox.prepare([1], 1, 1, b""),
        lambda outbox: outbox.prepare([1], 0, 1, b"c"),
        lambda outbox: outbox.add_prepared(1, 1 << 64, b"c"),
    ],
)
def test_calls_that_make_no_sense_change_nothing(call, outbox: Outbox) -> None:  # type: ignore[no-untyped-def]
    outbox.add(b"work")
    outbox.add_prepared(1, 1, b"commit")
    before = outbox.entries
    with pytest.raises(UsageError):
        call(outbox)
    assert outbox.entries == before


def test_bounds(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OUTBOX_ENTRIES_MAX", 3)
    monkeypatch.setattr(limits, "OUTBOX_BYTES_MAX", 1000)
    monkeypatch.setattr(limits, "COMMIT_BYTES_MAX", 1500)
    outbox.add(b"x" * 900)
    for call in (
        lambda: outbox.add(b"x" * 900),
        lambda: outbox.add(b"x" * 1501),
        lambda: outbox.prepare([1], 1, 1, b"x" * 1200),
        lambda: outbox.mark(1, "conflict", b"x" * (limits.OUTBOX_NOTE_BYTES_MAX + 1)),
    ):
        with pytest.raises(LimitExceeded):
            call()
    outbox.prepare([1], 1, 1, b"x" * 900)  # what was accepted can be sent
    outbox.remove(1)
    for _ in range(3):
        outbox.add(b"")
    with pytest.raises(LimitExceeded, match="entries in the outbox is 4") as found:
        outbox.add(b"")
    assert "server was away" in found.value.hint


def test_a_reader_changes_nothing() -> None:
    disk, outbox = made()
    outbox.add(b"a")
    outbox.flush()
    reader = again(disk, readonly=True)
    with pytest.raises(ReadOnly):
        reader.add(b"b")
    with pytest.raises(ReadOnly):
        reader.flush()
    reader.close()
    assert again(disk, readonly=True).entries == [Entry(1, b"a")]


def test_dead_bytes_are_given_back() -> None:
    disk, outbox = made()
    kept = outbox.add(b"kept")
    sizes = []
    for _ in range(40):
        number = outbox.add_prepared(1, 1, b"x" * 20_000)
        outbox.remove(number)
        outbox.flush()
        sizes.append(file_size(disk))
    assert max(sizes) < 3 * DEAD_BYTES
    assert min(sizes[20:]) < DEAD_BYTES
    assert disk.listdir("/c") == ["outbox"]
    assert outbox.add(b"later") == 42
    outbox.close()
    found = again(disk)
    assert found.entries == [Entry(kept, b"kept"), Entry(42, b"later")]


def test_an_empty_one_is_little_more_than_its_header_and_keeps_counting() -> None:
    disk, outbox = made()
    outbox.add(b"x" * (DEAD_BYTES + 1000))
    outbox.remove(1)
    outbox.flush()
    assert file_size(disk) == 64
    assert again(disk).add(b"") == 2


def test_without_room_for_a_new_file_the_old_one_goes_on() -> None:
    for verb in ("create", "write", "sync"):
        disk, outbox = made()
        outbox.add(b"x" * (DEAD_BYTES + 1000))
        outbox.add(b"kept")
        outbox.remove(1)
        disk.fail(verb, OutOfSpace("full"), name="outbox.new")
        outbox.flush()
        assert not disk.pending_faults
        assert disk.listdir("/c") == ["outbox"]
        assert file_size(disk) > DEAD_BYTES
        assert again(disk.cut(STYLES[0])).entries == [Entry(2, b"kept")]
        outbox.flush()
        assert file_size(disk) < DEAD_BYTES
        assert again(disk.cut(STYLES[0])).entries == [Entry(2, b"kept")]


@pytest.mark.parametrize("verb", ["rename", "syncdir"])
def test_when_it_is_unknown_which_file_a_crash_leaves_it_must_be_opened_again(verb: str) -> None:
    disk, outbox = made()
    outbox.add(b"x" * (DEAD_BYTES + 1000))
    outbox.add(b"kept")
    outbox.remove(1)
    disk.fail(verb, StorageError("input/output error"))
    with pytest.raises(StorageError, match="input/output"):
        outbox.flush()
    with pytest.raises(StorageError, match="confirmed"):
        outbox.add(b"no")
    outbox.close()
    assert again(disk).entries == [Entry(2, b"kept")]


def test_a_failed_flush_takes_no_writes_until_it_is_opened_again() -> None:
    disk, outbox = made()
    outbox.add(b"one")
    disk.fail("sync", StorageError("input/output error"))
    with pytest.raises(StorageError, match="input/output"):
        outbox.flush()
    for call in (outbox.flush, lambda: outbox.add(b"x"), outbox.destroy):
        with pytest.raises(StorageError, match="confirmed") as found:
            call()
    assert found.value.hint == "open the chain again"
    outbox.close()
    # What is shown then is durable, though the system had called those pages clean.
    assert again(disk).entries == [Entry(1, b"one")]
    assert again(disk.cut(STYLES[0])).entries == [Entry(1, b"one")]


def test_a_write_that_fails_has_not_happened() -> None:
    disk, outbox = made()
    outbox.add(b"one")
    for call in (
        lambda: outbox.add(b"two" * 30),
        lambda: outbox.prepare([1], 1, 1, b"c" * 50),
        lambda: outbox.mark(1, "conflict", b"n" * 50),
        lambda: outbox.remove(1),
    ):
        disk.fail("write", OutOfSpace("full"), times=2)
        with pytest.raises(OutOfSpace):
            call()
        disk.heal()
        assert outbox.entries == [Entry(1, b"one")]
        assert again(disk.cut(STYLES[1])).entries == [Entry(1, b"one")]
    assert outbox.add(b"two") == 2


def test_an_undo_that_fails_poisons() -> None:
    disk, outbox = made()
    outbox.add(b"one")
    disk.fail("write", OutOfSpace("full"))
    disk.fail("truncate", StorageError("broken"), times=-1)
    with pytest.raises(StorageError):
        outbox.add(b"x" * 70_000)
    with pytest.raises(StorageError, match="confirmed"):
        outbox.add(b"x")


def damaged(disk: SimDisk, at: int) -> bytes:
    raw = bytearray(disk.snapshot()[FILE])
    raw[at] ^= 1
    disk.put(FILE, bytes(raw))
    return bytes(raw)


def test_damage_in_the_middle_is_refused_and_left_alone() -> None:
    disk, outbox = made()
    for number in range(5):
        outbox.add(b"%d" % number * 50)
        outbox.flush()
    outbox.close()
    raw = damaged(disk, 64 + 60)
    for readonly in (True, False):
        with pytest.raises(CorruptLog) as found:
            again(disk, readonly=readonly)
        assert "outbox" in str(found.value)
    assert disk.snapshot()[FILE] == raw


def test_damage_in_the_middle_of_a_file_that_was_written_anew_is_found_too() -> None:
    disk, outbox = made()
    outbox.add(b"x" * (DEAD_BYTES + 99_000))
    for _ in range(3):
        outbox.add(b"kept" * 20)
    outbox.remove(1)
    outbox.close()
    damaged(disk, 64 + 60)
    with pytest.raises(CorruptLog):
        again(disk)


def test_a_torn_end_is_cut_off() -> None:
    disk, outbox = made()
    outbox.add(b"one")
    outbox.add(b"two" * 10)
    outbox.close()
    raw = disk.snapshot()[FILE]
    disk.put(FILE, raw[:-20])
    reader = again(disk, readonly=True)
    assert "left alone" in reader.torn
    assert disk.snapshot()[FILE] == raw[:-20]
    found = again(disk)
    assert "cut off" in found.torn
    assert found.entries == reader.entries == [Entry(1, b"one")]
    assert found.add(b"again") == 2
    found.close()
    assert again(disk).torn == ""


def test_what_is_no_outbox_or_a_newer_one_is_left_alone() -> None:
    disk, _ = made()
    for raw in (b"", b"x" * 100):
        disk.put(FILE, raw)
        with pytest.raises(UnsupportedFormat):
            again(disk)
        assert disk.snapshot()[FILE] == raw


def test_one_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    disk, outbox = made()
    outbox.add(b"x" * 5000)
    outbox.close()
    monkeypatch.setattr(limits, "OUTBOX_FILE_BYTES_MAX", 1000)
    monkeypatch.setattr(limits, "COMMIT_BYTES_MAX", 1000)
    with pytest.raises(CorruptLog, match="larger"):
        again(disk)


def test_a_caller_that_never_flushes_does_not_fill_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_DEAD_BYTES_MAX", 2 * DEAD_BYTES)
    disk, outbox = made()
    largest = 0
    for _ in range(100):
        outbox.remove(outbox.add(b"x" * 30_000))
        largest = max(largest, file_size(disk))
    assert DEAD_BYTES < largest < 4 * DEAD_BYTES
    # Without room for a new file it is not tried at every write.
    disk.fail("create", OutOfSpace("full"), times=-1)
    begun = len(disk.journal)
    for _ in range(100):
        outbox.remove(outbox.add(b"x" * 30_000))
    assert sum(op[0] == "sync" for op in disk.journal[begun:]) < 10
    disk.heal()
    outbox.flush()
    assert file_size(disk) < DEAD_BYTES


def test_the_file_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OUTBOX_FILE_BYTES_MAX", 2 * DEAD_BYTES)
    disk, outbox = made()
    for _ in range(100):
        outbox.remove(outbox.add(b"x" * 30_000))
    assert file_size(disk) <= 2 * DEAD_BYTES
    outbox.add(b"x" * DEAD_BYTES)
    with pytest.raises(LimitExceeded, match="bytes of the outbox"):
        outbox.add(b"x" * DEAD_BYTES)


def test_it_can_be_destroyed() -> None:
    disk, outbox = made()
    outbox.add(b"one")
    outbox.destroy()
    assert disk.listdir("/c") == []
    assert len(outbox) == outbox.size == 0
    with pytest.raises(StorageError, match="closed"):
        outbox.add(b"x")
    assert again(disk).entries == []
    memory = Outbox.in_memory()
    memory.add(b"x")
    memory.destroy()


def test_a_real_disk_and_a_flush_in_another_thread(tmp_path) -> None:  # type: ignore[no-untyped-def]
    directory = str(tmp_path)
    outbox = Outbox.open(RealDisk(), directory)
    done = threading.Event()

    def flushing() -> int:
        count = 0
        while not done.is_set():
            outbox.flush()
            count += 1
        return count

    with ThreadPoolExecutor() as pool:
        flushes = pool.submit(flushing)
        for lsn in range(1, 400):
            number = outbox.add(b"work %d" % lsn)
            outbox.prepare([number], 1, lsn, b"x" * 3000)
            if lsn % 10:
                outbox.remove(number)
        done.set()
        assert flushes.result() > 1
    before = outbox.entries
    outbox.close()
    found = Outbox.open(RealDisk(), directory)
    assert found.entries == before
    assert len(found) == 39
    found.close()


# --- the frozen vectors of docs/spec/outbox.md ----------------------------------------------------

VECTORS = Path(__file__).resolve().parents[3] / "vectors/outbox/outbox.json"


def cases(part: str) -> list[Any]:
    return [pytest.param(one, id=one["name"]) for one in json.loads(VECTORS.read_text())[part]]


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize("case", cases("valid"))
def test_outboxes(case: dict[str, Any], readonly: bool) -> None:
    disk = SimDisk()
    disk.mkdir("/c")
    disk.put("/c/outbox", bytes.fromhex(case["file"]))
    outbox = Outbox.open(disk, "/c", readonly=readonly)
    shown = [
        {
            name: value.hex()
            if isinstance(value, bytes)
            else list(value)
            if isinstance(value, tuple)
            else value
            for name, value in dataclasses.asdict(entry).items()
            if value
        }
        for entry in outbox.entries
    ]
    assert shown == case["entries"]
    if not readonly:
        assert outbox.add(b"") == case["next"]


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize("case", cases("invalid"))
def test_outboxes_that_are_none(case: dict[str, Any], readonly: bool) -> None:
    disk = SimDisk()
    disk.mkdir("/c")
    disk.put("/c/outbox", bytes.fromhex(case["file"]))
    with pytest.raises(AteError) as found:
        Outbox.open(disk, "/c", readonly=readonly)
    assert found.value.code == case["error"]
    assert disk.snapshot() == {"/c/outbox": bytes.fromhex(case["file"])}
