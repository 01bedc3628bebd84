from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate import limits
from ate.errors import LimitExceeded, ProtocolError
from ate.event.draft import Against, Draft
from ate.event.header import Header
from ate.event.row import CODEC_DELTA, EPOCH_SHIFT, Kind, Row
from ate.trust import delta

NOISE = random.Random(3).randbytes(20_000)
DOMAIN = b"d" * 16


def edited(base: bytes, at: int, gone: int, new: bytes) -> bytes:
    return base[:at] + new + base[at + gone :]


EDITS = st.lists(
    st.tuples(st.integers(0, 20_000), st.integers(0, 300), st.binary(max_size=60)), max_size=6
)


@given(EDITS, st.integers(1, 1 << 40))
def test_a_delta_makes_the_version_it_was_made_of(
    edits: list[tuple[int, int, bytes]], number: int
) -> None:
    new = NOISE
    for at, gone, more in edits:
        new = edited(new, at, gone, more)
    packed = delta.encode(NOISE, new, number)
    assert packed is not None
    assert len(packed) < 1200
    assert delta.number_of(packed) == number
    assert delta.apply(NOISE, packed) == new


def test_a_replaced_byte_costs_a_handful() -> None:
    new = bytearray(NOISE)
    for at in range(100, 20_000, 200):
        new[at] ^= 255
    packed = delta.encode(NOISE, bytes(new), 1)
    assert packed is not None
    assert len(packed) < 26 + 7 * 100
    assert delta.apply(NOISE, packed) == bytes(new)


def test_what_is_not_clearly_smaller_stays_whole() -> None:
    other = random.Random(4).randbytes(20_000)
    assert delta.encode(NOISE, other, 1) is None
    assert delta.encode(NOISE, NOISE[:9000] + other[:11_000], 1) is None
    assert delta.encode(NOISE, NOISE[:11_000] + other[:9000], 1) is not None
    assert delta.encode(b"", b"", 1) is None


def test_another_base_is_noticed() -> None:
    new = edited(NOISE, 5000, 3, b"new")
    packed = delta.encode(NOISE, new, 1)
    assert packed is not None
    for base in (edited(NOISE, 9, 1, b"?"), NOISE + b"?"):
        if base[:20_000] != NOISE:
            with pytest.raises(ProtocolError, match="not made from"):
                delta.apply(base, packed)
            assert len(delta.apply(base, packed, check=False)) == len(new)
    for base in (NOISE[:-1], b""):
        with pytest.raises(ProtocolError, match="does not have"):
            delta.apply(base, packed)


def raw(size: int, *pieces: bytes, number: int = 1, made: bytes = b"") -> bytes:
    out = bytearray()
    delta._put(out, number)
    delta._put(out, size)
    return bytes(out) + delta.digest(made)[:16] + b"".join(pieces)


BASE = b"0123456789"


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\x01",
        b"\x01\x05",
        raw(5),
        raw(2, b"\x05hello"),
        raw(5, b"\x05hell"),
        raw(5, b"\x00\x00\x06"),
        raw(5, b"\x00\x01\x05"),
        raw(5, b"\x00\x0c\x05"),
        raw(5, b"\x00\x00"),
        raw(5, b"\x00\x00\x05", made=b"other"),
        raw(5, b"\xff\xff\xff\xff\xff\xff\xff\x01"),
        b"\x81" * 9,
    ],
)
def test_bytes_that_are_no_delta(bad: bytes) -> None:
    with pytest.raises(ProtocolError):
        delta.apply(BASE, bad)


def test_copies_may_go_back_and_repeat() -> None:
    made = b"01234" + b"x" + b"01234" + b"789"
    packed = raw(
        len(made), b"\x00\x00\x05", b"\x01x\x0b\x05", b"\x00\x04\x03", made=made
    )  # -6: back to the start; then 2 further on
    assert delta.apply(BASE, packed) == made


def test_bounds_hold_before_anything_is_made() -> None:
    with pytest.raises(LimitExceeded):
        delta.apply(BASE, raw(limits.BODY_BYTES_MAX + 1, b"\x00\x00\x05"))
    with pytest.raises(LimitExceeded, match="pieces"):
        delta.apply(BASE, raw(1 << 20, b"\x00\x00\x00" * 20_000))
    with pytest.raises(ProtocolError):
        delta.apply(bytes(1000), raw(5000, *[b"\x00\xcf\x0f\xe8\x07"] * 6))


# --- which row stands on which -------------------------------------------------------------------


def row(codec: int = 1, created: int = 1, *, id: int = 1, **fields: Any) -> Row:
    epoch = fields.pop("epoch", 0)
    made = Row(
        Kind.DATA, 1, codec, 0, 0, bytes([id]) * 16, bytes(16), 0, 0, DOMAIN,
        created | epoch << EPOCH_SHIFT, bytes(32), 0, 0, 0,
    )  # fmt: skip
    return made._replace(**fields)


PACKED = 1 | CODEC_DELTA


def test_a_whole_body_stands_on_nothing() -> None:
    assert delta.base_of(9, row(), None) == 0
    assert delta.base_of(9, row(), Header(delta=5)) == 0


@pytest.mark.parametrize(
    "one, header",
    [
        (row(PACKED), None),
        (row(PACKED), Header(author="x")),
        (row(PACKED), Header(delta=9)),
        (row(PACKED), Header(delta=10)),
        (row(PACKED, created=6), Header(delta=5)),
        (row(PACKED, created=0), Header(delta=5)),
        (row(PACKED, kind=Kind.TOMBSTONE), Header(delta=5)),
        (row(PACKED, kind=Kind.GRANT), Header(delta=5)),
    ],
)
def test_a_delta_names_an_earlier_version(one: Row, header: Header | None) -> None:
    with pytest.raises(ProtocolError):
        delta.base_of(9, one, header)
    assert delta.base_of(9, row(PACKED), Header(delta=5)) == 5


def test_kin_are_versions_under_one_key() -> None:
    assert delta.are_kin(row(PACKED), row())
    strangers = (
        row(id=2), row(epoch=1), row(domain=bytes(16)), row(kind=Kind.TOMBSTONE),
    )  # fmt: skip
    assert not any(delta.are_kin(row(PACKED), one) for one in strangers)


def test_the_way_back_is_a_logarithm() -> None:
    """Version n is made from n & (n - 1), and that is one that n - 1 stands on."""
    stands_on = {0: [0]}
    for number in range(1, 600):
        before = stands_on[number - 1]
        base = before[delta.steps_back(number)]
        assert base == number & (number - 1)
        stands_on[number] = [number, *stands_on[base]]
        assert len(stands_on[number]) <= (number + 1).bit_length()


# --- drafts -------------------------------------------------------------------------------------


def test_a_draft_becomes_a_delta_only_under_the_same_key() -> None:
    new = edited(NOISE, 500, 0, b"more")
    against = Against(5, DOMAIN, 2, 1, NOISE)
    draft = Draft(1, b"i" * 16, bytes(16), 0, 6, 4, 0, 3, new, Header(author="a"), against=against)
    for domain, epoch in ((DOMAIN, 1), (DOMAIN, 3), (bytes(16), 2), (DOMAIN, 0)):
        assert delta.shorten(draft, domain, epoch) is draft
    packed = delta.shorten(draft, DOMAIN, 2)
    assert packed.codec == 3 | CODEC_DELTA
    assert packed.header == Header(author="a", delta=5)
    assert delta.apply(NOISE, packed.body) == new
    assert (draft.body, draft.header) == (new, Header(author="a")), "the author's own stays whole"
    draft.body = bytes(9000)
    assert delta.shorten(draft, DOMAIN, 2) is draft
    draft.against = None
    assert delta.shorten(draft, DOMAIN, 2) is draft


def test_the_built_in_can_be_told_from_which_size_on() -> None:
    assert delta.Deltas().least_bytes == 16_384
    assert delta.Deltas(10).least_bytes == 10
    assert delta.Deltas(None).least_bytes > limits.BODY_BYTES_MAX
