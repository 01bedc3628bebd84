"""Overwriting a generation that was replaced, and listing every file of a chain."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ate.errors import LogLocked, StorageError
from ate.log import generations
from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk

HEAD, BODY = "/chain/000001/head.000001", "/chain/000001/body.000001"


def replaced(disk: SimDisk, *, segment_bytes: int = 1 << 20) -> tuple[LocalLog, LocalLog]:
    """Return a log with two frames and two bodies, and the successor that took over."""
    old = LocalLog.open("/chain", disk=disk, segment_bytes=segment_bytes)
    old.write_body((b"B" * 3000,))
    old.append((b"row" + b"S" * 500,))
    old.write_body((b"C" * 3000,))
    old.append((b"row" + b"T" * 500,))
    new = old.successor()
    new.append((b"all that is kept",))
    new.take_over(old)
    return old, new


def spans(log: LocalLog) -> list[tuple[int, int, int]]:
    return [(place, 3, len(payload) - 3) for place, payload in log.scan(0)]


@pytest.mark.parametrize("segment_bytes", [1 << 20, 700])
def test_bodies_are_zeros_and_rows_stay(segment_bytes: int) -> None:
    disk = SimDisk()
    old, new = replaced(disk, segment_bytes=segment_bytes)
    disk.put(HEAD + ".torn-64", b"torn" * 10)
    disk.put("/chain/000001/index.new", b"half" * 10)
    disk.put(BODY + ".damaged-1", b"aside" * 10)
    disk.put("/chain/000001/index", b"no body in it")
    done = old.wipe(spans(old))
    content = disk.snapshot()
    old_bytes = b"".join(text for name, text in content.items() if "/000001/" in name)
    assert not [letter for letter in b"SBCT" if bytes([letter]) * 8 in old_bytes]
    assert old_bytes.count(b"row") == 2
    assert b"torn" not in old_bytes
    assert b"half" not in old_bytes
    assert b"aside" not in old_bytes
    assert b"no body in it" in old_bytes
    assert done >= 2 * 500 + 2 * 3000 + 130
    assert b"all that is kept" in content["/chain/000002/head.000001"]
    old.close()
    assert new.sweep() == ()
    assert not disk.exists("/chain/000001")


def test_it_is_durable_before_the_files_go() -> None:
    disk = SimDisk()
    old, _ = replaced(disk)
    old.wipe(spans(old))
    left = disk.cut(STYLES[0]).snapshot()
    assert b"S" * 8 not in left[HEAD]
    assert b"B" * 8 not in left[BODY]


def test_what_somebody_reads_is_left_alone_and_overwritten_by_who_removes_it() -> None:
    disk = SimDisk()
    reader_of = LocalLog.open("/chain", disk=disk)
    reader_of.append((b"first",))
    reader_of.close()
    reader = LocalLog.open("/chain", disk=disk, readonly=True)
    old, new = replaced(disk)
    with pytest.raises(LogLocked):
        old.wipe(spans(old))
    old.close()
    assert new.sweep() == ("000001",)
    assert b"S" * 8 in disk.snapshot()[HEAD]
    reader.close()
    new.close()
    disk.journal.clear()
    LocalLog.open("/chain", disk=disk).close()
    assert not disk.exists("/chain/000001")
    zeroed = {op[1] for op in disk.journal if op[0] == "write" and not any(op[3])}
    assert len(zeroed) >= 2  # head and body


def test_a_medium_that_fails_leaves_the_work_to_who_removes_it() -> None:
    disk = SimDisk()
    old, new = replaced(disk)
    disk.fail("write", StorageError("input/output error"), name="head.000001")
    with pytest.raises(StorageError, match="input/output"):
        old.wipe(spans(old))
    disk.heal()
    assert disk.exists("/chain/000001/erase")
    old.close()
    assert new.sweep() == ()


def test_a_span_is_taken_before_it_is_overwritten() -> None:
    disk = SimDisk()
    old, _ = replaced(disk)
    seen = []

    def looking() -> Iterator[tuple[int, int, int]]:
        for place, payload in old.scan(0):
            seen.append(bytes(payload[3:11]))
            yield place, 3, len(payload) - 3

    old.wipe(looking())
    assert seen == [b"S" * 8, b"T" * 8]


def test_every_file_is_listed_but_not_those_of_chains_below(tmp_path: object) -> None:
    log = LocalLog.open(f"{tmp_path}/a")
    log.append((b"x",))
    other = LocalLog.open(f"{tmp_path}/a/b")
    names = {name: file.size() for name, file in log.every_file()}
    assert sorted(names) == ["000001/head.000001", "CURRENT", "LOCK"]
    assert names["CURRENT"] == 7
    log.close()
    other.close()


def test_a_file_that_gets_another_name_meanwhile_is_passed_over() -> None:
    disk = SimDisk()
    log = LocalLog.open("/chain", disk=disk)
    disk.put("/chain/aaa.new", b"")
    disk.put("/chain/000001/x.new", b"")
    seen = []
    for name, _ in log.every_file():
        disk.remove("/chain/aaa.new")
        disk.remove("/chain/000001/x.new")
        seen.append(name)
    assert seen == ["000001/head.000001", "CURRENT", "LOCK"]
    disk.fail("open", StorageError("input/output error"), name="CURRENT")
    with pytest.raises(StorageError, match="input/output"):
        list(log.every_file())


def test_memory_has_no_medium() -> None:
    log = MemoryLog()
    place = log.append((b"x",))
    taken = iter([(place, 0, 1)])
    assert log.wipe(taken) == 0
    assert next(taken, None) is None
    assert list(log.every_file()) == []


def test_large_pieces_are_zeroed_to_their_last_byte() -> None:
    disk = SimDisk()
    disk.put("/file", b"x" * (2 * 1024 * 1024 + 5))
    assert generations._blank(disk, "/file", 3) == 2 * 1024 * 1024 + 2
    assert disk.snapshot()["/file"] == b"xxx" + bytes(2 * 1024 * 1024 + 2)
