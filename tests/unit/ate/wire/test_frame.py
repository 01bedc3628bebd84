from __future__ import annotations

import pytest

from ate import limits
from ate.errors import RemoteProtocolError
from ate.wire.frame import (
    HELLO,
    MORE,
    PROOF,
    SEALED,
    Deframer,
    Joiner,
    cut,
    flags_of,
    framed,
)


@pytest.mark.parametrize("flags", [0, MORE, SEALED, MORE | SEALED, HELLO, PROOF, PROOF | SEALED])
def test_flags_that_go_together(flags: int) -> None:
    assert flags_of(bytes((flags,))) == flags


@pytest.mark.parametrize(
    "frame",
    [b"", b"\x10", b"\x80x", bytes((HELLO | MORE,)), bytes((HELLO | SEALED,)),
     bytes((HELLO | PROOF,)), bytes((PROOF | MORE,))],
)  # fmt: skip
def test_flags_that_do_not(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        flags_of(frame)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 21, 1000])
def test_what_is_cut_is_joined_again(size: int) -> None:
    plain = bytes(n % 251 for n in range(size))
    joiner, pieces = Joiner(size), list(cut(plain, 10))
    assert [flags for flags, _ in pieces] == [MORE] * (len(pieces) - 1) + [0]
    assert all(0 < len(piece) <= 10 for _, piece in pieces) or size == 0
    for flags, piece in pieces[:-1]:
        assert joiner.add(piece, more=bool(flags)) is None
        assert not joiner.is_empty
    assert joiner.add(pieces[-1][1], more=False) == plain
    assert joiner.is_empty


def test_a_message_over_the_bound_is_refused_before_it_is_held() -> None:
    joiner = Joiner(100)
    assert joiner.add(b"x" * 60, more=True) is None
    with pytest.raises(RemoteProtocolError, match="100 bytes"):
        joiner.add(b"x" * 41, more=True)
    with pytest.raises(RemoteProtocolError, match="100 bytes"):
        Joiner(100).add(b"x" * 101, more=False)


def test_pieces_of_nothing_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="empty"):
        Joiner(100).add(b"", more=True)
    joiner = Joiner(100)
    joiner.add(b"x", more=True)
    with pytest.raises(RemoteProtocolError, match="empty"):
        joiner.add(b"", more=False)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 1000])
def test_frames_come_out_of_a_stream_however_it_is_split(step: int) -> None:
    frames = [b"a", b"bc" * 50, b"d" * 3]
    stream, deframer, found = b"".join(map(framed, frames)), Deframer(100), []
    for at in range(0, len(stream), step):
        deframer.feed(stream[at : at + step])
        found += list(deframer.frames())
    assert found == frames
    assert deframer.is_empty


def test_the_bound_of_a_stream_may_rise_between_two_frames() -> None:
    deframer = Deframer()
    assert deframer.bound == limits.HELLO_BYTES_MAX
    deframer.feed(framed(b"hello") + framed(b"x" * 70_000))
    assert deframer.next_frame() == b"hello"
    deframer.bound = 1 << 20
    assert deframer.next_frame() == b"x" * 70_000
    assert deframer.next_frame() is None


@pytest.mark.parametrize("size", [0, 101, 0xFFFF_FFFF])
def test_a_length_out_of_bounds_is_refused_before_its_bytes_come(size: int) -> None:
    deframer = Deframer(100)
    deframer.feed(size.to_bytes(4, "little"))
    with pytest.raises(RemoteProtocolError, match="the limit is 100"):
        deframer.next_frame()


def test_a_stream_that_ends_in_a_frame_is_seen() -> None:
    deframer = Deframer(100)
    deframer.feed(framed(b"abc")[:-1])
    assert list(deframer.frames()) == []
    assert not deframer.is_empty
