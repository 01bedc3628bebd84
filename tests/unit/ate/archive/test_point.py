from __future__ import annotations

import msgspec
import pytest

from ate.archive.point import File, Piece, Point, decode, encode
from ate.crypto.hash import digest
from ate.errors import CorruptBackup, UnsupportedFormat
from ate.limits import MANIFEST_BYTES_MAX, PIECE_BYTES_MAX

HEX = digest(b"x").hex()


def a_point(**changes: object) -> Point:
    point = Point(
        point=2, previous=HEX, name="a/b", chain=HEX, line=1, generation=1, head=9, commits=3,
        time_us=5, made_us=6, root=HEX, link=HEX, frontier="", last_place=64, last_digest=HEX,
        bodies_end=0, thinned=0,
        files=(File("head.000001", (Piece(1, HEX, 100), Piece(2, HEX, 20))),),
    )  # fmt: skip
    return msgspec.structs.replace(point, **changes)


def test_a_manifest_comes_back() -> None:
    point = a_point()
    assert decode(encode(point), "k") == point
    assert (point.size, point.files[0].length) == (120, 120)


def test_every_bit_counts() -> None:
    raw = encode(a_point())
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= 1
        with pytest.raises(CorruptBackup, match=r"^a/key: "):
            decode(bytes(changed), "a/key")


def test_every_cut_is_seen() -> None:
    raw = encode(a_point())
    for size in (0, 1, 60, len(raw) // 2, len(raw) - 1):
        with pytest.raises(CorruptBackup):
            decode(raw[:size], "k")
    with pytest.raises(CorruptBackup, match="too long"):
        decode(bytes(MANIFEST_BYTES_MAX + 1), "k")


def sealed(text: bytes) -> bytes:
    return text + b"\nblake3 " + digest(text).hex().encode() + b"\n"


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"format":"ate-backup/1"}', b"\xff{"])
def test_other_things_are_refused(text: bytes) -> None:
    with pytest.raises((CorruptBackup, UnsupportedFormat)):
        decode(sealed(text), "k")


def test_a_newer_format_is_not_read_as_this_one() -> None:
    with pytest.raises(UnsupportedFormat, match="ate-backup/2"):
        decode(encode(a_point(format="ate-backup/2")), "k")


@pytest.mark.parametrize(
    "changes",
    [
        {"files": ()},
        {"files": (File("body.000001", ()),)},
        {"files": (File("head.000002", ()),)},
        {"files": (File("head.000001", ()), File("head.000001", ()))},
        {"files": (File("../../evil", ()),)},
        {"files": (File("head.000001", (Piece(1, "../x", 3),)),)},
        {"files": (File("head.000001", (Piece(1, HEX, 0),)),)},
        {"files": (File("head.000001", (Piece(0, HEX, 1),)),)},
        {"files": (File("head.000001", (Piece(1, HEX, PIECE_BYTES_MAX + 1),)),)},
        {"generation": 0},
        {"generation": 1_000_000},
        {"head": 0},
        {"root": "x"},
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(CorruptBackup, match="does not add up"):
        decode(encode(a_point(**changes)), "k")
