from __future__ import annotations

import msgspec
import pytest

from ate.errors import ProtocolError, UnsupportedFormat
from ate.event.prefix import (
    MARK,
    NODES_MARK,
    Prefix,
    decode_nodes,
    decode_prefix,
    encode_nodes,
    is_commit,
)

TOLD = Prefix(5, 40, 12345, b"l" * 32, [(1, 2, 3, 4), (1 << 63, (1 << 64) - 1, 9, 8)])


def packed(**fields: object) -> memoryview:
    known = {name: getattr(TOLD, name) for name in TOLD.__struct_fields__}
    return memoryview(bytes([MARK, 1]) + bytes(6) + msgspec.msgpack.encode({**known, **fields}))


def test_a_prefix_comes_back() -> None:
    assert decode_prefix(memoryview(TOLD.encode())) == TOLD
    assert decode_prefix(packed(later=True)) == TOLD


@pytest.mark.parametrize(
    "fields",
    [
        {"cut": 0}, {"cut": -1}, {"cut": 1 << 63}, {"head": "x"}, {"link": b"short"},
        {"origins": [(1, 2, 3)]}, {"origins": [(-1, 0, 0, 0)]}, {"origins": 1}, {"time_us": 1.5},
    ],
)  # fmt: skip
def test_what_is_none_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        decode_prefix(packed(**fields))


def test_other_versions_and_short_ones() -> None:
    for raw in (b"", b"\x82", b"\x82\x01", bytes([MARK, 2]) + bytes(20)):
        with pytest.raises(UnsupportedFormat):
            decode_prefix(memoryview(raw))
    with pytest.raises(ProtocolError):
        decode_prefix(memoryview(bytes([MARK, 1]) + bytes(6) + b"\x91" * 50_000))


def test_nodes_come_in_frames_of_bounded_size() -> None:
    hashes = bytes(range(32)) * 40_000
    frames = list(encode_nodes(hashes))
    assert len(frames) == 2
    assert b"".join(decode_nodes(memoryview(one)) for one in frames) == hashes
    assert list(encode_nodes(b"")) == []
    for raw in (b"", b"\x83", bytes([NODES_MARK]) + bytes(7), frames[0][:-1], b"\x82" + bytes(39)):
        with pytest.raises(ProtocolError):
            decode_nodes(memoryview(raw))


def test_the_first_byte_tells() -> None:
    assert [is_commit(bytes([mark])) for mark in (1, 0x81, MARK, NODES_MARK)] == [
        True, True, False, False,
    ]  # fmt: skip
    assert is_commit(b"")
