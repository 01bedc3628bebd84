from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ate.crypto.hash import derive
from ate.errors import CannotOpen
from ate.wire.secure import Direction

KEY = bytes(range(32))


def both(**more: int) -> tuple[Direction, Direction]:
    return Direction(KEY, **more), Direction(KEY, **more)


def test_frames_open_in_order() -> None:
    here, there = both()
    for size in (0, 1, 100, 70_000):
        assert there.open(here.seal(2, b"x" * size)) == b"x" * size


def test_the_bytes_are_those_of_the_specification() -> None:
    here = Direction(KEY)
    for number in range(3):
        nonce = number.to_bytes(12, "little")
        assert here.seal(3, b"text") == b"\x03" + AESGCM(KEY).encrypt(nonce, b"text", b"\x03")


def test_a_key_is_replaced_after_so_many_frames() -> None:
    here, there = both(rekey_frames=3)
    following = derive("ate wire next key", KEY)
    frames = [here.seal(2, b"%d" % number) for number in range(7)]
    assert frames[3] == b"\x02" + AESGCM(following).encrypt(bytes(12), b"3", b"\x02")
    assert [there.open(frame) for frame in frames] == [b"%d" % number for number in range(7)]


def test_a_key_is_replaced_after_so_many_bytes() -> None:
    here, there = both(rekey_bytes=10)
    frames = [here.seal(2, b"x" * size) for size in (4, 6, 1, 30, 0)]
    assert [len(there.open(frame)) for frame in frames] == [4, 6, 1, 30, 0]
    following = derive("ate wire next key", KEY)
    assert frames[2] == b"\x02" + AESGCM(following).encrypt(bytes(12), b"x", b"\x02")


@pytest.mark.parametrize("at", range(21))
def test_any_changed_byte_is_seen(at: int) -> None:
    here, there = both()
    bad = bytearray(here.seal(2, b"text"))
    bad[at] ^= 1
    with pytest.raises(CannotOpen):
        there.open(bytes(bad))


def test_repeated_missing_swapped_short_and_reflected_frames() -> None:
    here, there = both()
    first, second = here.seal(2, b"1"), here.seal(2, b"2")
    with pytest.raises(CannotOpen, match="out of order"):
        there.open(second)
    there = Direction(KEY)
    there.open(first)
    with pytest.raises(CannotOpen):
        there.open(first)
    with pytest.raises(CannotOpen, match="shorter"):
        there.open(first[:16])
    with pytest.raises(CannotOpen):
        Direction(bytes(32)).open(first)


def test_the_key_is_not_shown() -> None:
    assert repr(Direction(KEY)) == "Direction(frame 0)"
