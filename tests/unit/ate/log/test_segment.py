from __future__ import annotations

import pytest

from ate.errors import CorruptLog, UnsupportedFormat
from ate.log import segment
from ate.log.segment import BODY, HEAD, HEADER_BYTES


def file_of(*payloads: bytes, durable: int = 0) -> bytearray:
    content = bytearray(segment.encode_header(HEAD, 1, 1))
    for payload in payloads:
        content += b"".join(segment.flatten(payload, durable))
    return content


def test_places_grow_with_segments_and_offsets() -> None:
    places = [segment.place_of(number, offset) for number in (1, 2) for offset in (64, 1 << 39)]
    assert places == sorted(places)
    assert segment.split(segment.place_of(7, 4096)) == (7, 4096)
    assert segment.split(segment.BODY_BIT | segment.place_of(7, 4096)) == (7, 4096)


def test_header_has_the_published_bytes() -> None:
    header = segment.encode_header(BODY, 3, 2)
    assert len(header) == HEADER_BYTES
    assert header[:20] == b"ATELOG1\n\x01\x00\x02\x00\x03\x00\x00\x00\x02\x00\x00\x00"
    assert header[20:56] == bytes(36)
    segment.check_header(header, BODY, 3, 2)


@pytest.mark.parametrize(
    "change,error",
    [
        (lambda raw: b"", UnsupportedFormat),
        (lambda raw: b"GARBAGE\n" + raw[8:], UnsupportedFormat),
        (lambda raw: raw[:8] + b"\x02" + raw[9:], UnsupportedFormat),
        (lambda raw: raw[:40], CorruptLog),
        (lambda raw: raw[:30] + b"\x01" + raw[31:], CorruptLog),
        (lambda raw: segment.encode_header(HEAD, 3, 2), CorruptLog),
        (lambda raw: segment.encode_header(BODY, 4, 2), CorruptLog),
        (lambda raw: segment.encode_header(BODY, 3, 1), CorruptLog),
    ],
)
def test_another_header_is_refused(change, error) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error):
        segment.check_header(change(segment.encode_header(BODY, 3, 2)), BODY, 3, 2)


def test_frame_has_the_published_bytes() -> None:
    (frame,) = segment.flatten(b"hello", 0x1122)
    assert frame[:8] == b"ATEf\x05\x00\x00\x00"
    assert frame[16:32] == b"\x22\x11" + bytes(14)
    assert frame[32:] == b"hello\0\0\0"
    assert segment.frame_size(5) == len(frame) == 40
    assert segment.durable_of(frame, 0) == 0x1122


def test_large_frames_are_not_copied_together() -> None:
    payload = bytes(65_537)
    parts = segment.flatten(payload, 0)
    assert parts[1] is payload
    assert sum(map(len, parts)) == segment.frame_size(len(payload))


def test_frames_are_walked_until_the_first_that_is_not_whole() -> None:
    payloads = [b"", b"a", b"12345678", b"x" * 100]
    content = file_of(*payloads)
    view = memoryview(content)
    found = list(segment.frames(view, HEADER_BYTES, len(view), 1 << 40))
    assert [bytes(payload) for _, payload in found] == payloads
    assert found[0][0] == (1 << 40) + HEADER_BYTES
    last, end = segment.valid_end(view, HEADER_BYTES, len(view))
    assert (last, end) == (found[-1][0] - (1 << 40), len(content))
    assert segment.valid_end(view, HEADER_BYTES, len(view) - 1)[1] == last
    assert segment.valid_end(view, HEADER_BYTES, HEADER_BYTES) == (-1, HEADER_BYTES)


def test_every_byte_of_a_frame_counts() -> None:
    content = file_of(b"abc")
    for at in range(HEADER_BYTES, len(content)):
        content[at] ^= 1
        assert not segment.is_frame(memoryview(content), HEADER_BYTES, len(content)), at
        content[at] ^= 1
    assert segment.is_frame(memoryview(content), HEADER_BYTES, len(content))


def test_lengths_are_checked_before_bytes_are_touched() -> None:
    content = file_of(b"abc")
    stop = len(content)
    assert segment.payload_length(content, HEADER_BYTES, stop) == 3
    assert segment.payload_length(content, HEADER_BYTES + 1, stop) == -1
    assert segment.payload_length(content, 0, stop) == -1
    assert segment.payload_length(content, stop, stop) == -1
    content[HEADER_BYTES + 5] = 255
    assert segment.payload_length(content, HEADER_BYTES, stop) == -1


def test_a_later_frame_confirms_only_what_it_knew_durable() -> None:
    place = segment.place_of(1, 0)
    start = HEADER_BYTES
    for durable, expected in ((0, -1), (start, -1), (start + 40, start + 40), (1 << 50, -1)):
        content = file_of(b"damaged")
        content += b"".join(segment.flatten(b"ATEfATEf later", place + durable))
        content[start + 33] ^= 1
        view = memoryview(content)
        assert segment.confirms(view, start, place + start) == expected


def test_index_preamble() -> None:
    raw = segment.encode_index(12345)
    assert len(raw) == HEADER_BYTES
    assert segment.decode_index(raw + b"more") == 12345
    assert segment.decode_index(raw[:63]) is None
    assert segment.decode_index(bytes(64)) is None
    assert segment.decode_index(raw[:20] + b"\x01" + raw[21:]) is None


def test_is_zero() -> None:
    assert segment.is_zero(b"")
    assert segment.is_zero(memoryview(bytes(100)))
    assert not segment.is_zero(b"\0\0\1")
