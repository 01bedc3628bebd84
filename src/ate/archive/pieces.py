"""How a growing file is cut into objects that never change; it never reads a byte.

Each backup adds what is new as one piece, or several of full size. So that a file which is backed
up every second does not become thousands of pieces, sixteen small neighbours become one: a byte
is sent again at most once for each factor of sixteen between its first piece and a full one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ate.limits import PIECE_BYTES_MAX

#: So many pieces of one size become one.
FAN: Final = 16
_FAN_BITS: Final = 4


def kept(lengths: Sequence[int], total: int) -> int:
    """Return how many of the pieces stay when their file has grown to `total` bytes.

    Args:
        lengths: of the pieces there are, in order.
        total: not less than their sum.
    """
    keep, start = len(lengths), sum(lengths)
    if start == total:
        return keep
    while keep and total - start < PIECE_BYTES_MAX:
        run, tier = 0, _tier(total - start)
        while run < keep and _joins(lengths[keep - run - 1], tier):
            run += 1
        if run + 1 < FAN:
            break
        start -= sum(lengths[keep - run : keep])
        keep -= run
    return keep


def _tier(length: int) -> int:
    return (length.bit_length() - 1) // _FAN_BITS


def _joins(length: int, tier: int) -> bool:
    return length < PIECE_BYTES_MAX and _tier(length) <= tier


def cut(start: int, total: int) -> Iterator[tuple[int, int]]:
    """Yield (offset, length) of the pieces from `start` to the end of a file."""
    for offset in range(start, total, PIECE_BYTES_MAX):
        yield offset, min(PIECE_BYTES_MAX, total - offset)
