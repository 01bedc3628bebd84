"""What is whole is found behind damage, whatever the damage."""

from __future__ import annotations

import pytest

from ate.crypto.hash import check64
from ate.errors import CorruptLog, UnsupportedFormat
from ate.log import salvage, segment
from ate.log.local import LocalLog
from ate.log.salvage import Salvage
from ate.log.segment import BODY, HEAD, HEADER_BYTES
from ate.testing.simdisk import SimDisk

HEAD_1 = "/c/000001/head.000001"
BODY_1 = "/c/000001/body.000001"
PAYLOADS = [b"payload %d " % number * (number + 1) for number in range(6)]


def written(**options: int) -> SimDisk:
    disk = SimDisk()
    log = LocalLog.open("/c", disk=disk, **options)  # type: ignore[arg-type]
    log.write_body((b"b" * 500,))
    for payload in PAYLOADS:
        log.append((payload,))
        log.flush()
    log.close()
    return disk


def edit(disk: SimDisk, path: str, at: int, data: bytes) -> None:
    raw = bytearray(disk.snapshot()[path])
    raw[at : at + len(data)] = data
    disk.put(path, bytes(raw))


def found(disk: SimDisk, number: int = 1) -> list[bytes]:
    return [bytes(payload) for _, payload in Salvage(disk, "/c", 1).whole(number)]


def test_a_sound_log_is_read_as_it_is() -> None:
    disk = written()
    one = Salvage(disk, "/c", 1)
    assert found(disk) == PAYLOADS
    assert one.last == {HEAD: 1, BODY: 1}
    assert one.is_sound(HEAD, 1)
    assert one.is_sound(BODY, 1)
    assert bytes(one.payload(1, HEADER_BYTES) or b"") == PAYLOADS[0]
    assert one.payload(1, HEADER_BYTES + 8) is None
    assert one.payload(1, 1 << 30) is None
    assert one.payload(7, HEADER_BYTES) is None
    end = len(disk.snapshot()[HEAD_1])
    assert one.rest(1, end) == 0
    assert one.rest(1, end - 40) > 0


@pytest.mark.parametrize("at", [HEADER_BYTES, HEADER_BYTES + 5, HEADER_BYTES + 40])
def test_frames_behind_a_damaged_one_are_found(at: int) -> None:
    disk = written()
    edit(disk, HEAD_1, at, b"\xff")
    assert found(disk) == PAYLOADS[1:]


def test_frames_between_several_damages_are_found() -> None:
    disk = written()
    offsets = [at for at, _ in Salvage(disk, "/c", 1).whole(1)]
    for number in (1, 2, 4):
        edit(disk, HEAD_1, offsets[number] + 33, b"\xff")
    assert found(disk) == [PAYLOADS[0], PAYLOADS[3], PAYLOADS[5]]


def test_fronts_that_claim_much_do_not_keep_the_search_busy() -> None:
    disk = written()
    size = 400_000
    front = b"ATEf" + (size // 2).to_bytes(4, "little")
    raw = segment.encode_header(HEAD, 1, 1) + front * (size // 8)
    disk.put(HEAD_1, raw)
    assert found(disk) == []


def test_bodies_are_given_as_far_as_they_are_there() -> None:
    disk = written()
    one = Salvage(disk, "/c", 1)
    place = segment.BODY_BIT | segment.place_of(1, HEADER_BYTES)
    assert bytes(one.body(place, 500) or b"") == b"b" * 500
    assert one.body(place, 600) is None
    assert one.body(place & ~segment.BODY_BIT, 500) is None
    assert one.body(segment.BODY_BIT | segment.place_of(1, 8), 5) is None
    assert one.body(segment.BODY_BIT | segment.place_of(2, HEADER_BYTES), 5) is None


def test_earlier_segments_are_mapped_and_the_last_is_read() -> None:
    disk = written(segment_bytes=200)
    one = Salvage(disk, "/c", 1)
    assert one.last[HEAD] > 2
    every = [bytes(p) for number in range(1, one.last[HEAD] + 1) for _, p in one.whole(number)]
    assert every == PAYLOADS


@pytest.mark.parametrize("at", [0, 8, 10, 12, 30, 60])
def test_a_damaged_header_is_no_other_version(at: int) -> None:
    disk = written()
    edit(disk, HEAD_1, at, b"\xfe")
    assert not Salvage(disk, "/c", 1).is_sound(HEAD, 1)
    disk.put(HEAD_1, b"short")
    assert not Salvage(disk, "/c", 1).is_sound(HEAD, 1)


@pytest.mark.parametrize("at, value", [(8, b"\2"), (6, b"2")])
def test_a_header_of_a_newer_version_is_told(at: int, value: bytes) -> None:
    disk = written()
    header = bytearray(segment.encode_header(HEAD, 1, 1))
    header[at : at + 1] = value
    header[56:] = check64((bytes(header[:56]),)).to_bytes(8, "little")
    edit(disk, HEAD_1, 0, bytes(header))
    with pytest.raises(UnsupportedFormat):
        Salvage(disk, "/c", 1).is_sound(HEAD, 1)


def test_the_live_generation_is_the_one_that_is_named() -> None:
    disk = written()
    assert salvage.live(disk, "/c") == (1, True)
    for text in (b"", b"\0" * 7, b"000009\n"):
        disk.put("/c/CURRENT", text)
        assert salvage.live(disk, "/c") == (1, False)
    disk.remove("/c/CURRENT")
    assert salvage.live(disk, "/c") == (1, False)
    disk.put("/c/CURRENT", b"v2 000001\n")
    with pytest.raises(UnsupportedFormat):
        salvage.live(disk, "/c")


def test_which_generation_lives_is_not_guessed() -> None:
    disk = written()
    disk.remove("/c/CURRENT")
    disk.mkdir("/c/000002")
    assert salvage.generations(disk, "/c") == [1], "an empty directory holds no chain"
    disk.put("/c/000002/head.000001", segment.encode_header(HEAD, 1, 2))
    assert salvage.generations(disk, "/c") == [1, 2]
    with pytest.raises(CorruptLog, match="which generation"):
        salvage.live(disk, "/c")
    with pytest.raises(CorruptLog, match="no generation"):
        salvage.live(disk, "/nowhere")
