"""Segments, frames, index preambles and snapshots from arbitrary bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ate.errors import CorruptLog, ProtocolError, StorageError, UnsupportedFormat
from ate.log import entries, segment
from ate.log.entries import Entry
from ate.log.local import LocalLog
from ate.log.outbox import Outbox
from ate.log.recovery import judge
from ate.merkle import Frontier
from ate.testing.simdisk import SimDisk

HEADER = segment.encode_header(segment.HEAD, 1, 1)


@given(st.binary(max_size=200), st.integers(0, 3), st.integers(0, 9), st.integers(0, 9))
def test_segment_headers(raw: bytes, kind: int, number: int, generation: int) -> None:
    for head in (raw, b"ATELOG1\n" + raw, HEADER[:56] + raw):
        try:
            segment.check_header(head, 1 + kind % 2, number, generation)
        except (CorruptLog, UnsupportedFormat):
            continue
        assert head[:64] == segment.encode_header(1 + kind % 2, number, generation)


FRAMES = st.lists(
    st.one_of(
        st.binary(max_size=80),
        st.tuples(st.binary(max_size=80), st.integers(0, 1 << 42)).map(
            lambda pair: b"".join(segment.flatten(*pair))
        ),
        st.sampled_from([b"ATEf", b"ATEf\0\0\0\0", bytes(8), bytes(64)]),
    ),
    max_size=12,
)


@given(FRAMES)
def test_frames(parts: list[bytes]) -> None:
    raw = memoryview(b"".join(parts))
    found = list(segment.frames(raw, 0, len(raw)))
    for offset, payload in found:
        assert segment.is_frame(raw, offset, len(raw))
        assert bytes(raw[offset + 32 : offset + 32 + len(payload)]) == bytes(payload)
    verdict = judge(raw, 0, 64)
    assert verdict.end <= len(raw) + 7
    assert verdict.proof == -1 or verdict.proof > verdict.last
    # Frames are judged alike wherever the reader begins.
    assert [offset for offset, _ in found] == sorted({offset for offset, _ in found})


@given(FRAMES, st.booleans())
def test_a_log_file_of_anything(parts: list[bytes], readonly: bool) -> None:
    disk = SimDisk()
    log = LocalLog.open("/c", disk=disk)
    log.append((b"first",))
    log.close()
    path = "/c/000001/head.000001"
    disk.put(path, disk.snapshot()[path] + b"".join(parts))
    before = disk.snapshot()
    try:
        log = LocalLog.open("/c", disk=disk, readonly=readonly)
        payloads = [bytes(payload) for _, payload in log.scan()]
    except StorageError:
        assert {name: raw for name, raw in disk.snapshot().items() if name != "/c/LOCK"} == {
            name: raw for name, raw in before.items() if name != "/c/LOCK"
        }
        return
    assert payloads[0] == b"first"


@given(st.binary(max_size=200))
def test_index_preambles(raw: bytes) -> None:
    for one in (raw, b"ATEIDX1\n" + raw):
        place = segment.decode_index(one)
        assert place is None or one[:64] == segment.encode_index(place)


@given(st.binary(max_size=400), st.integers(0, 1 << 20))
def test_frontiers(raw: bytes, size: int) -> None:
    for one in (raw, size.to_bytes(8, "little") + raw):
        try:
            frontier = Frontier.decode(one)
        except ProtocolError:
            continue
        assert frontier.encode() == one


@given(st.binary(max_size=200), st.sampled_from(["CURRENT", "000001/index", "LOCK"]))
def test_other_files_of_anything(raw: bytes, name: str) -> None:
    disk = SimDisk()
    log = LocalLog.open("/c", disk=disk)
    log.append((b"first",))
    log.close()
    disk.put(f"/c/{name}", raw)
    try:
        log = LocalLog.open("/c", disk=disk, readonly=True)
    except (CorruptLog, UnsupportedFormat):
        assert name == "CURRENT"
        return
    assert [bytes(payload) for _, payload in log.scan()] == [b"first"]
    log.read_index()


PARTS = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda kind, state, number, at, blob: entries.encode(
            kind, Entry(number, blob[:3], *at, blob[3:6], state, blob[6:])
        ),
        st.integers(0, 5),
        st.sampled_from(entries.STATES),
        st.integers(0, 4),
        st.tuples(st.integers(0, 2), st.integers(0, 2)),
        st.binary(max_size=9),
    ),
)


@given(st.lists(PARTS, max_size=8), st.integers(0, 600), st.binary(max_size=40))
def test_an_outbox_of_anything(payloads: list[bytes], cut: int, more: bytes) -> None:
    raw = entries.encode_header(1)
    for payload in payloads:
        raw += b"".join(segment.flatten(payload, len(raw)))
    for one in (raw + more, raw[:cut] + more, more):
        disk = SimDisk()
        disk.mkdir("/c")
        disk.put("/c/outbox", one)
        try:
            outbox = Outbox.open(disk, "/c")
        except (CorruptLog, UnsupportedFormat):
            assert disk.snapshot() == {"/c/outbox": one}
            continue
        before = outbox.entries
        number = outbox.add(b"next")
        assert all(entry.number < number for entry in before)
        outbox.close()
        assert Outbox.open(disk, "/c").entries == [*before, Entry(number, b"next")]


@given(PARTS)
def test_outbox_payloads(raw: bytes) -> None:
    try:
        kind, entry = entries.decode(raw)
    except (ValueError, UnsupportedFormat):
        return
    assert entries.encode(kind, entry) == raw
