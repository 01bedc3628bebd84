r"""The bytes of segment files: headers, frames, places; it never opens a file.

    file header   64 bytes: magic "ATELOG1\n" · u16 version · u8 kind · u8 0 · u32 segment
                  · u32 generation · zeros · u64 check of the first 56 bytes
    frame         magic "ATEf" · u32 length · u64 check · u64 durable · u64 0 · payload · zeros to 8
    index         64 bytes: magic "ATEIDX1\n" · u64 place of a durable frame · zeros · u64 check,
                  then the chain's own bytes

All little-endian. A frame's check covers its bytes from 16 on up to the end of the payload.
`durable` is the place up to which the medium had confirmed everything when the frame was written:
with it, damage to confirmed bytes can be told from a torn write.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Sequence
from typing import Final

from ate.crypto.hash import check64
from ate.errors import CorruptLog, UnsupportedFormat
from ate.log.disk import Buffer

HEADER_BYTES: Final = 64
FRAME_BYTES: Final = 32
VERSION: Final = 1
HEAD: Final = 1
BODY: Final = 2
KIND_NAMES: Final = {HEAD: "head", BODY: "body"}

#: Bit 63 of a place: it names a body.
BODY_BIT: Final = 1 << 63
_OFFSET_BITS: Final = 40
_OFFSET_MASK: Final = (1 << _OFFSET_BITS) - 1

_SEGMENT_MAGIC: Final = b"ATELOG1\n"
_INDEX_MAGIC: Final = b"ATEIDX1\n"
_FRAME_MAGIC: Final = b"ATEf"
_FRAME_WORD: Final = int.from_bytes(_FRAME_MAGIC, "little")
_SEGMENT: Final = struct.Struct("<8sHBBII36x")
_INDEX: Final = struct.Struct("<8sQ40x")
_CHECK: Final = struct.Struct("<Q")
_FRONT: Final = struct.Struct("<IIQ")
_REST: Final = struct.Struct("<QQ")
_FRAME: Final = struct.Struct("<IIQQQ")
#: What fills a payload up to a multiple of 8, by the low three bits of its length.
PADDING: Final = tuple(bytes(-length & 7) for length in range(8))


def place_of(number: int, offset: int) -> int:
    """Return the place of a frame."""
    return number << _OFFSET_BITS | offset


def split(place: int) -> tuple[int, int]:
    """Return (segment number, byte offset) of a frame's or body's place."""
    return (place & ~BODY_BIT) >> _OFFSET_BITS, place & _OFFSET_MASK


def bytes_before(places: Sequence[int], segment_bytes: int) -> int:
    """Return about how many bytes lie before these ends, all earlier segments taken as full."""
    return sum(max(number - 1, 0) * segment_bytes + at for number, at in map(split, places))


def file_name(kind: int, number: int) -> str:
    """Return the name of a segment's file."""
    return f"{KIND_NAMES[kind]}.{number:06d}"


def encode_header(kind: int, number: int, generation: int) -> bytes:
    """Return the first 64 bytes of a segment file."""
    front = _SEGMENT.pack(_SEGMENT_MAGIC, VERSION, kind, 0, number, generation)
    return front + _CHECK.pack(check64((front,)))


def check_header(raw: bytes, kind: int, number: int, generation: int) -> None:
    """Compare the first bytes of a segment file with what they must be.

    Raises:
        UnsupportedFormat: not a segment file, or one of another version.
        CorruptLog: a segment file with a damaged header, or in the wrong place.
    """
    name = file_name(kind, number)
    if raw[:8] != _SEGMENT_MAGIC:
        raise UnsupportedFormat(f"{name} is not a log segment")
    version = int.from_bytes(raw[8:10], "little")
    if version != VERSION:
        raise UnsupportedFormat(f"{name} has format {version}, this version reads {VERSION}")
    if raw[:HEADER_BYTES] != encode_header(kind, number, generation):
        raise CorruptLog("the segment header is damaged", offset=0, file=name)


def encode_index(place: int) -> bytes:
    """Return the preamble of an index file; `place` names the last durable frame, or is 0."""
    front = _INDEX.pack(_INDEX_MAGIC, place)
    return front + _CHECK.pack(check64((front,)))


def decode_index(raw: Buffer) -> int | None:
    """Return the place in an index preamble, or None when it is not one."""
    head = bytes(raw[:HEADER_BYTES])
    if len(head) < HEADER_BYTES or head[:8] != _INDEX_MAGIC:
        return None
    place = int(_INDEX.unpack_from(head)[1])
    return place if head == encode_index(place) else None


def frame_size(length: int) -> int:
    """Return the bytes that a payload of `length` takes as a frame."""
    return FRAME_BYTES + length + (-length & 7)


def encode_frame(payload: bytes, durable: int) -> bytes:
    """Return the 32 bytes in front of a payload."""
    rest = _REST.pack(durable, 0)
    return _FRONT.pack(_FRAME_WORD, len(payload), check64((rest, payload))) + rest


def payload_length(view: Buffer, offset: int, stop: int) -> int:
    """Return the payload length of the frame at `offset`, its check not computed; -1 if none."""
    if offset & 7 or offset + FRAME_BYTES > stop:
        return -1
    magic, length, _ = _FRONT.unpack_from(view, offset)
    if magic != _FRAME_WORD or offset + FRAME_BYTES + length > stop:
        return -1
    return int(length)


def is_frame(view: memoryview, offset: int, stop: int) -> bool:
    """Tell whether a whole and undamaged frame starts at `offset`."""
    return next(frames(view, offset, stop), None) is not None


def frames(
    view: memoryview, start: int, stop: int, place: int = 0
) -> Generator[tuple[int, memoryview], None, int]:
    """Yield (place + offset, payload) of each frame from `start` to the first that is not whole.

    The generator's own result is the offset where that one starts.

    Args:
        view: the segment's bytes.
        start: offset of a frame.
        stop: offset behind the last byte to look at.
        place: what to add to the offsets.

    Raises:
        UnsupportedFormat: a whole frame of a kind that a newer version has made.
    """
    unpack, check, padding = _FRAME.unpack_from, check64, PADDING
    offset, last = start, stop - FRAME_BYTES
    while offset <= last:
        magic, length, expected, _durable, reserved = unpack(view, offset)
        if magic != _FRAME_WORD:
            return offset
        data = offset + FRAME_BYTES
        behind = data + length
        fill = padding[length & 7]
        following = behind + len(fill)
        if following > stop or check((view[offset + 16 : behind],)) != expected:
            return offset
        if fill and view[behind:following] != fill:
            return offset
        if reserved:
            raise UnsupportedFormat(f"a frame of kind {reserved}, this version reads 0")
        yield place + offset, view[data:behind]
        offset = following
    return offset


def valid_end(view: memoryview, start: int, stop: int) -> tuple[int, int]:
    """Return (offset of the last whole frame from `start` on or -1, offset behind it)."""
    last, end = -1, start
    for last, payload in frames(view, start, stop):
        end = last + FRAME_BYTES + len(payload)
    return last, (end + 7) & ~7


def durable_of(view: Buffer, offset: int) -> int:
    """Return the place that the frame at `offset` knew to be durable."""
    return int(_REST.unpack_from(view, offset + 16)[0])


def confirms(view: memoryview, start: int, place: int) -> int:
    """Return the offset of a frame behind `start` that knew bytes behind `place` durable; or -1.

    Args:
        view: bytes of the segment up to the end of the file.
        start: where the first frame that is not whole begins.
        place: the place of `start`.
    """
    data = bytes(view[start:])
    at = data.find(_FRAME_MAGIC)
    while at >= 0:
        offset = start + at
        # The cheap question first: no frame knows more durable than what lies before it.
        if payload_length(view, offset, len(view)) >= 0:
            known = durable_of(view, offset)
            if place < known <= place + at and is_frame(view, offset, len(view)):
                return offset
        at = data.find(_FRAME_MAGIC, at + 1)
    return -1


def is_zero(data: Buffer) -> bool:
    """Tell whether there is nothing but zeros."""
    return bytes(data) == bytes(len(data))


def flatten(payload: bytes, durable: int) -> Sequence[bytes]:
    """Return one frame as the parts to write: one part when copying is cheaper than a vector."""
    front = encode_frame(payload, durable)
    if len(payload) < 65_536:
        return (b"".join((front, payload, PADDING[len(payload) & 7])),)
    return (front, payload, PADDING[len(payload) & 7])
