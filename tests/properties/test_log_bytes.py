"""A log file cut or altered at any byte: a prefix comes back, and confirmed frames are not cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate.errors import CorruptLog, StorageError, UnsupportedFormat
from ate.log.local import LocalLog
from ate.log.segment import HEADER_BYTES
from ate.testing.simdisk import SimDisk
from ate.testing.store_suite import payloads

HEAD = "/chain/000001/head.000001"

#: What is appended, and whether a flush follows.
SCRIPTS = st.lists(st.tuples(st.binary(max_size=90), st.booleans()), min_size=1, max_size=12)


def written(script: list[tuple[bytes, bool]]) -> tuple[SimDisk, list[bytes], list[int], int]:
    """Return a disk with a closed log, its payloads, their ends, and the frames known durable."""
    disk = SimDisk()
    log = LocalLog.open("/chain", disk=disk)
    ends, known, flushed = [], 0, 0
    for number, (payload, flush) in enumerate(script):
        log.append((payload,))
        known = flushed
        ends.append(log.end & 0xFFFF)
        if flush:
            log.flush()
            flushed = number + 1
    log.close()
    return disk, [payload for payload, _ in script], ends, known


@given(SCRIPTS, st.data())
def test_cut_at_any_byte(script: list[tuple[bytes, bool]], data: st.DataObject) -> None:
    disk, wanted, ends, _ = written(script)
    whole = disk.snapshot()[HEAD]
    size = data.draw(st.integers(HEADER_BYTES, len(whole)))
    disk.put(HEAD, whole[:size])
    log = LocalLog.open("/chain", disk=disk)
    there = sum(end <= size for end in ends)
    assert payloads(log) == wanted[:there]
    boundary = max((end for end in ends if end <= size), default=HEADER_BYTES)
    torn = whole[boundary:size].rstrip(b"\0")
    assert len(log.torn) == bool(torn)
    if torn:
        assert disk.snapshot()[f"{HEAD}.torn-{boundary}"] == torn
    log.append((b"next",))
    log.close()
    assert payloads(LocalLog.open("/chain", disk=disk, readonly=True)) == [*wanted[:there], b"next"]


@given(SCRIPTS, st.data())
def test_one_bit_anywhere(script: list[tuple[bytes, bool]], data: st.DataObject) -> None:
    disk, wanted, ends, known = written(script)
    whole = bytearray(disk.snapshot()[HEAD])
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    disk.put(HEAD, bytes(whole))
    before = disk.snapshot()
    hit = sum(end <= at for end in ends)
    try:
        log = LocalLog.open("/chain", disk=disk)
    except (CorruptLog, UnsupportedFormat):
        assert disk.snapshot() == before
        assert at < HEADER_BYTES or hit < known
        if at >= HEADER_BYTES:
            reader = LocalLog.open("/chain", disk=disk, readonly=True)
            seen: list[bytes] = []
            with pytest.raises(CorruptLog):
                seen.extend(bytes(payload) for _, payload in reader.scan())
            assert seen == wanted[: len(seen)]
        return
    # Nobody knew that these were durable: for the log they are an unfinished write.
    assert hit >= known
    assert len(log.torn) == 1
    assert payloads(log) == wanted[:hit]


@given(st.binary(max_size=300), st.sampled_from(["CURRENT", "000001/head.000001"]))
def test_garbage_in_place_of_a_file_is_left_alone(garbage: bytes, name: str) -> None:
    disk, *_ = written([(b"one", True), (b"two", True)])
    disk.put(f"/chain/{name}", garbage)
    before = disk.snapshot()
    for readonly in (False, True):
        try:
            LocalLog.open("/chain", disk=disk, readonly=readonly)
        except StorageError:
            assert disk.snapshot() == before
        else:
            assert garbage == b"000001\n"


@given(st.binary(max_size=300))
def test_garbage_in_place_of_the_index_is_no_index(garbage: bytes) -> None:
    disk, *_ = written([(b"one", True)])
    disk.put("/chain/000001/index", garbage)
    log = LocalLog.open("/chain", disk=disk)
    assert log.read_index() is None
    assert payloads(log) == [b"one"]


@given(st.binary(max_size=200))
def test_garbage_behind_the_frames_is_set_aside(garbage: bytes) -> None:
    disk, wanted, ends, _ = written([(b"one", True), (b"two", True)])
    disk.put(HEAD, disk.snapshot()[HEAD] + garbage)
    log = LocalLog.open("/chain", disk=disk)
    assert payloads(log) == wanted
    if garbage.strip(b"\0"):
        assert disk.snapshot()[f"{HEAD}.torn-{ends[-1]}"] == garbage.rstrip(b"\0")
