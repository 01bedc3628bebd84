"""Deltas from arbitrary bytes: who may write decides what its readers put together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ate import limits
from ate.errors import LimitExceeded, ProtocolError
from ate.trust import delta

BASE = bytes(range(256)) * 20
GOOD = delta.encode(BASE, BASE[:1000] + b"new" + BASE[1300:4000] + BASE[:700], 3) or b""
NUMBERS = st.integers(0, 1 << 50)


def varint(number: int) -> bytes:
    out = bytearray()
    delta._put(out, number)
    return bytes(out)


#: Numbers where numbers should be, whatever they say.
PIECES = st.lists(
    st.one_of(NUMBERS.map(varint), st.integers(0, 300).map(varint), st.binary(max_size=8)),
    max_size=30,
).map(b"".join)


def put_together(base: bytes, raw: bytes) -> None:
    try:
        made = delta.apply(base, raw, check=False)
    except (ProtocolError, LimitExceeded):
        return
    assert len(made) <= limits.BODY_BYTES_MAX
    assert delta.number_of(raw) >= 0


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_any_bytes(raw: bytes, base: bytes) -> None:
    put_together(base, raw)
    put_together(BASE, raw)


@given(NUMBERS, st.one_of(NUMBERS, st.integers(0, 6000)), PIECES)
def test_any_pieces(number: int, size: int, pieces: bytes) -> None:
    put_together(BASE, varint(number) + varint(size) + bytes(16) + pieces)


@given(st.data())
def test_a_delta_with_some_bytes_changed(data: st.DataObject) -> None:
    raw = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(0, len(raw))) :]
    put_together(BASE, bytes(raw))
    try:
        made = delta.apply(BASE, bytes(raw))
    except (ProtocolError, LimitExceeded):
        return
    assert made == delta.apply(BASE, GOOD), "what is not refused is what was meant"


def test_a_small_delta_cannot_claim_much_memory() -> None:
    """Each copy of a large base costs three bytes: the size that is announced bounds their sum."""
    large = bytes(1 << 20)
    copy = b"\x00" + varint((1 << 21) - 1) + varint(1 << 20)
    raw = varint(1) + varint(limits.BODY_BYTES_MAX) + bytes(16) + copy * 8000
    put_together(large, raw)
