"""Deltas: a body as copies of stretches of an older version and what is new; it reads no log.

A delta is, in plain:

    number    varint   place in its run: 1 for the first delta behind a whole body
    size      varint   of the version it makes
    check     16       first half of BLAKE3 of that version
    pieces    until the end, in turn:
              literal  varint length, then the bytes
              copy     zigzag varint skip, varint length

A copy starts where the one before it ended, as many bytes further on as the literal between them
has, plus the skip. So a byte that is replaced costs some six bytes, wherever it is.

Delta number n is taken from the version n & (n - 1) of its run. That is the newest of those that
keep every version within log2 of a whole body, and it is always one that n - 1 stands on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeAlias

import msgspec

from ate import limits
from ate.crypto.hash import digest
from ate.errors import ProtocolError
from ate.event.draft import Draft
from ate.event.header import Header
from ate.event.row import CODEC_DELTA, Kind, Row
from ate.trust.matching import matches

CHECK_BYTES: Final = 16
#: What a piece costs besides its literal, when it is guessed.
_PIECE_BYTES: Final = 8
_VARINT_BYTES_MAX: Final = 7

Buffer: TypeAlias = "bytes | memoryview"


class Deltas:
    """The built-in that says which bodies are worth a delta.

    Args:
        least_bytes: smaller bodies are always kept whole; None keeps all of them whole.
    """

    name = "deltas"

    def __init__(self, least_bytes: int | None = limits.DELTA_LEAST_BYTES) -> None:
        self.least_bytes = limits.BODY_BYTES_MAX + 1 if least_bytes is None else least_bytes


# --- what a delta stands on --------------------------------------------------------------------


def base_of(seq: int, row: Row, header: Header | None) -> int:
    """Return the row that the body of row `seq` is a delta of; 0 when the body is whole.

    Raises:
        ProtocolError: it is a delta and does not name a row of its object's life so far.
    """
    if not row.codec & CODEC_DELTA:
        return 0
    base = header.delta if header else None
    if row.kind != Kind.DATA or not base or not (row.created or seq) <= base < seq:
        raise ProtocolError(f"row {seq} is a delta and names no earlier version of its object")
    return base


def are_kin(row: Row, older: Row) -> bool:
    """Tell whether the one may be a delta of the other.

    One object, one read domain, one epoch: whoever opens the one opens the other, and nobody can
    make a reader mix another object's secrets into this one.
    """
    same = (row.id, row.domain, row.epoch) == (older.id, older.domain, older.epoch)
    return same and older.kind == Kind.DATA


def steps_back(number: int) -> int:
    """Return how many deltas lie between version `number - 1` of a run and what `number` copies."""
    return (number & -number).bit_length() - 1


def shorten(draft: Draft, domain: bytes, epoch: int) -> Draft:
    """Return a draft with a delta for a body, if it has something to copy from and is worth it.

    Args:
        domain, epoch: under which it will be sealed.
    """
    against = draft.against
    if against is None or (against.domain, against.epoch) != (domain, epoch):
        return draft
    body = encode(against.plain, draft.body, against.number)
    if body is None:
        return draft
    header = replace(draft.header or Header(), delta=against.seq)
    codec = draft.codec | CODEC_DELTA
    return msgspec.structs.replace(draft, codec=codec, body=body, header=header)


# --- writing -----------------------------------------------------------------------------------


def encode(base: bytes, new: bytes, number: int) -> bytes | None:
    """Return `new` as a delta of `base`, or None when that is not less than half of it.

    Args:
        base: the older version, in plain.
        number: of the delta in its run.
    """
    bound = len(new) // 2
    found = matches(base, new)
    literal = len(new) - sum(match.size for match in found)
    if literal + _PIECE_BYTES * len(found) > bound:
        return None
    out = bytearray()
    for one in (number, len(new)):
        _put(out, one)
    out += digest(new)[:CHECK_BYTES]
    expected = start = 0
    for match in found:
        literal = match.start - start
        _put(out, literal)
        out += new[start : match.start]
        skip = match.base - (expected + literal)
        _put(out, skip << 1 if skip >= 0 else ~(skip << 1))
        _put(out, match.size)
        expected, start = match.base + match.size, match.start + match.size
    if start < len(new):
        _put(out, len(new) - start)
        out += new[start:]
    return bytes(out) if len(out) <= bound else None


def _put(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


# --- reading -----------------------------------------------------------------------------------


def number_of(delta: bytes) -> int:
    """Return the number of a delta in its run; raises ProtocolError."""
    return _take(delta, 0)[0]


def apply(base: bytes, delta: bytes, *, check: bool = True) -> bytes:
    """Return the version that a delta makes of `base`.

    Args:
        check: compare the digest. A version in between needs none if the one made of it is checked.

    Raises:
        ProtocolError: the bytes are no delta, or not one of this base.
        LimitExceeded: it would make more than a body may hold, or has too many pieces.
    """
    _, at = _take(delta, 0)
    size, at = _take(delta, at)
    limits.check("body bytes", size, limits.BODY_BYTES_MAX)
    wanted = delta[at : at + CHECK_BYTES]
    at += CHECK_BYTES
    source, parts, made, expected = memoryview(base), list[Buffer](), 0, 0
    end = len(delta)
    while at < end:
        count, at = _take(delta, at)
        parts.append(delta[at : at + count])
        at += count
        made += count
        if at >= end:
            break
        skip, at = _take(delta, at)
        length, at = _take(delta, at)
        place = expected + count + (skip >> 1 if not skip & 1 else ~(skip >> 1))
        expected = place + length
        made += length
        if place < 0 or expected > len(base) or made > size:
            raise ProtocolError("a delta copies what its base does not have")
        parts.append(source[place:expected])
        limits.check("pieces of a delta", len(parts), 2 * limits.DELTA_PIECES_MAX + 8)
    if at != end or made != size:
        raise ProtocolError("a delta does not make what it says")
    out = b"".join(parts)
    if check and digest(out)[:CHECK_BYTES] != wanted:
        raise ProtocolError("a delta was applied to a version that it was not made from")
    return out


def _take(raw: bytes, at: int) -> tuple[int, int]:
    """Read a varint; return it and where it ends."""
    number = shift = 0
    for byte in raw[at : at + _VARINT_BYTES_MAX]:
        number |= (byte & 127) << shift
        shift += 7
        at += 1
        if byte < 128:
            return number, at
    raise ProtocolError("a delta ends in the middle, or holds a number that is too large")
