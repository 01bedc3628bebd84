from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ate.archive.pieces import FAN, cut, kept
from ate.limits import PIECE_BYTES_MAX


def grow(lengths: list[int], total: int) -> tuple[list[int], int]:
    """Return the pieces after a file has grown, and how many bytes were sent."""
    keep = kept(lengths, total)
    start = sum(lengths[:keep])
    new = [length for _, length in cut(start, total)]
    return [*lengths[:keep], *new], sum(new)


@given(st.lists(st.integers(0, 3 * PIECE_BYTES_MAX), max_size=60))
def test_pieces_always_add_up(growth: list[int]) -> None:
    lengths: list[int] = []
    total = 0
    for more in growth:
        total += more
        lengths, _ = grow(lengths, total)
        assert sum(lengths) == total
        assert all(0 < length <= PIECE_BYTES_MAX for length in lengths)


def test_what_is_there_is_not_sent_again() -> None:
    lengths: list[int] = []
    for number in range(1, FAN):
        lengths, sent = grow(lengths, 1000 * number)
        assert sent == 1000
    assert grow(lengths, sum(lengths)) == (lengths, 0)


def test_many_small_backups_stay_few_pieces_and_little_traffic() -> None:
    lengths, sent, step = list[int](), 0, 4096
    for number in range(1, 4097):  # 16 MiB in steps of 4 KiB
        lengths, more = grow(lengths, step * number)
        sent += more
        assert len(lengths) < 64
    assert sent < 5 * step * 4096
    assert lengths[0] == PIECE_BYTES_MAX


def test_a_large_file_is_cut_into_full_pieces() -> None:
    lengths, sent = grow([], 3 * PIECE_BYTES_MAX + 5)
    assert lengths == [PIECE_BYTES_MAX] * 3 + [5]
    assert sent == sum(lengths)
