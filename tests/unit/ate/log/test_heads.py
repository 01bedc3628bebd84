from __future__ import annotations

import pytest

from ate.errors import CorruptLog
from ate.log import recovery, segment
from ate.log.heads import Heads
from ate.testing.simdisk import SimDisk

START = segment.place_of(1, segment.HEADER_BYTES)


class Writer:
    """Writes head segments byte by byte, the way a writer in another process would."""

    def __init__(self) -> None:
        self.disk = SimDisk()
        self.disk.mkdir("/000001")
        self.number = 0
        self.roll()

    def roll(self) -> None:
        self.number += 1
        recovery.create_segment(self.disk, "/000001", segment.HEAD, self.number)

    def path(self) -> str:
        return f"/000001/head.{self.number:06d}"

    def write(self, raw: bytes) -> None:
        file = self.disk.open(self.path())
        file.pwrite((raw,), file.size())

    def frame(self, payload: bytes, durable: int = 0) -> bytes:
        return b"".join(segment.flatten(payload, durable))

    def heads(self) -> Heads:
        heads = Heads(self.disk, "/000001", generation=1, follows=True)
        heads.open_end(0)
        return heads


def seen(heads: Heads, after: int = 0) -> list[bytes]:
    return [bytes(payload) for _, payload in heads.scan(after)]


def test_a_frame_is_seen_once_it_is_whole() -> None:
    writer = Writer()
    heads = writer.heads()
    frame = writer.frame(b"hello")
    for at in range(0, len(frame), 8):
        heads.follow()
        assert seen(heads) == []
        writer.write(frame[at : at + 8])
    heads.follow()
    assert seen(heads) == [b"hello"]
    assert bytes(heads.read(START, verify=True)) == b"hello"


def test_zeros_ahead_are_no_frames() -> None:
    writer = Writer()
    writer.write(writer.frame(b"one") + bytes(5000))
    heads = writer.heads()
    heads.follow()
    assert seen(heads) == [b"one"]


def test_following_passes_over_to_the_next_segment() -> None:
    writer = Writer()
    heads = writer.heads()
    for number in range(3):
        writer.write(writer.frame(b"%d" % number))
        writer.write(bytes(64))
        writer.roll()
    writer.write(writer.frame(b"last"))
    assert seen(heads) == []
    heads.follow()
    assert seen(heads) == [b"0", b"1", b"2", b"last"]
    assert seen(heads, segment.place_of(2, 64)) == [b"2", b"last"]
    assert bytes(heads.read(segment.place_of(4, 64), verify=False)) == b"last"
    heads.close()


def test_damage_with_confirmed_frames_behind_it_ends_a_scan() -> None:
    writer = Writer()
    bad = bytearray(writer.frame(b"two"))
    bad[33] ^= 1
    writer.write(writer.frame(b"one") + bad + writer.frame(b"three", START + 80))
    heads = writer.heads()
    assert heads.end == START + 40
    seen_before: list[bytes] = []
    with pytest.raises(CorruptLog) as caught:
        seen_before.extend(bytes(payload) for _, payload in heads.scan(0))
    assert seen_before == [b"one"]
    assert (caught.value.offset, caught.value.file) == (104, "head.000001")
    heads.follow()
    assert heads.end == START + 40


def test_damage_in_a_segment_that_is_followed_by_another() -> None:
    writer = Writer()
    heads = writer.heads()
    writer.write(writer.frame(b"one") + b"torn, yet another segment follows")
    writer.roll()
    heads.follow()
    with pytest.raises(CorruptLog):
        seen(heads)
    later = writer.heads()
    with pytest.raises(CorruptLog):
        seen(later)


def test_an_unfinished_write_is_reported_and_left() -> None:
    writer = Writer()
    writer.write(writer.frame(b"one") + b"half")
    verdict = Heads(writer.disk, "/000001", generation=1, follows=True).open_end(0)
    assert (verdict.rest, verdict.proof) == (4, -1)


def test_a_frame_that_is_vouched_for_is_where_reading_starts() -> None:
    writer = Writer()
    writer.write(writer.frame(b"one") + writer.frame(b"two"))
    for vouched in (104, 105, 64, 999_999):
        heads = Heads(writer.disk, "/000001", generation=1, follows=True)
        heads.open_end(vouched)
        assert heads.end == START + 80
        assert seen(heads) == [b"one", b"two"]


def test_places_that_are_none() -> None:
    writer = Writer()
    writer.write(writer.frame(b"one"))
    heads = writer.heads()
    for wrong in (0, START + 8, START + 40, segment.place_of(2, 64), START | segment.BODY_BIT):
        with pytest.raises(CorruptLog):
            heads.read(wrong, verify=False)


def test_only_a_verified_read_finds_a_damaged_payload() -> None:
    writer = Writer()
    writer.write(writer.frame(b"one"))
    heads = writer.heads()
    file = writer.disk.open("/000001/head.000001")
    file.pwrite((b"X",), 96)
    assert bytes(heads.read(START, verify=False)) == b"Xne"
    with pytest.raises(CorruptLog):
        heads.read(START, verify=True)
    with pytest.raises(CorruptLog):
        seen(heads)
