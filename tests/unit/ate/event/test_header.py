from __future__ import annotations

from typing import Any as AnyValue

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate import limits
from ate.errors import LimitExceeded, ProtocolError
from ate.event.access import Access, Any, Everyone, Inherit, Nobody, Only
from ate.event.header import Header, decode_headers, encode_headers

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WHO = st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=3)
ACCESS = st.builds(
    Access,
    st.one_of(st.sampled_from([Everyone, Inherit]), WHO.map(lambda who: Only(*who))),
    st.one_of(st.sampled_from([Everyone, Inherit, Nobody]), WHO.map(lambda who: Any(*who))),
)
LATER = st.dictionaries(
    TEXT.filter(lambda name: name not in {"access", "author", "reply", "delta"}),
    st.one_of(st.integers(0, 99), TEXT, st.binary(max_size=9), st.lists(st.booleans(), max_size=3)),
    max_size=3,
)
HEADERS = st.builds(
    Header,
    st.none() | ACCESS,
    st.none() | TEXT,
    st.none() | st.binary(min_size=16, max_size=16),
    LATER,
    st.none() | st.integers(1, limits.CHAIN_ROWS_MAX - 1),
)


@given(st.dictionaries(st.integers(0, 9), HEADERS, max_size=5))
def test_headers_survive_the_wire_with_fields_of_later_versions(headers: dict[int, Header]) -> None:
    raw = encode_headers(headers)
    assert decode_headers(raw, 10) == headers
    assert encode_headers(decode_headers(memoryview(raw), 10)) == raw


def test_no_headers_are_no_bytes() -> None:
    assert encode_headers({}) == b""
    assert decode_headers(b"", 3) == {}


@given(st.binary(max_size=60))
def test_hostile_bytes_are_a_protocol_error(raw: bytes) -> None:
    try:
        decode_headers(raw, 4)
    except ProtocolError:
        pass


@given(st.dictionaries(st.integers(0, 9), HEADERS, min_size=1, max_size=3), st.data())
def test_altered_bytes_are_a_protocol_error(
    headers: dict[int, Header], data: st.DataObject
) -> None:
    raw = bytearray(encode_headers(headers))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    try:
        decode_headers(bytes(raw), 10)
    except ProtocolError:
        pass


@pytest.mark.parametrize(
    "found",
    [
        [], {4: {}}, {-1: {}}, {True: {}}, {"0": {}}, {0: []}, {0: {1: 2}}, {0: {"author": 7}},
        {0: {"reply": b"short"}}, {0: {"reply": "x" * 16}}, {0: {"access": "everyone"}},
        {0: {"delta": 0}}, {0: {"delta": -1}}, {0: {"delta": True}}, {0: {"delta": 1 << 40}},
    ],
)  # fmt: skip
def test_a_wrong_form_is_a_protocol_error(found: AnyValue) -> None:
    with pytest.raises(ProtocolError):
        decode_headers(msgspec.msgpack.encode(found), 4)


@pytest.mark.parametrize(
    "raw",
    [b"\xc1", b"\x81\x80\x01", b"\x91" * 100_000, b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff"],
)
def test_what_is_no_messagepack_is_a_protocol_error(raw: bytes) -> None:
    """Nesting, lengths without content and maps as keys are no other error than that."""
    with pytest.raises(ProtocolError):
        decode_headers(raw, 4)


@given(HEADERS)
def test_what_a_body_stands_on_is_not_repeated(header: Header) -> None:
    fields = header.encode()
    fields.pop("delta", None)
    lasting = header.lasting
    assert (lasting.encode() if lasting else {}) == fields
    assert lasting is not None or header.delta is not None


def test_the_section_has_a_bound_both_ways() -> None:
    large = "x" * limits.RARE_BYTES_MAX
    with pytest.raises(LimitExceeded):
        encode_headers({0: Header(author=large)})
    with pytest.raises(LimitExceeded):
        decode_headers(msgspec.msgpack.encode({0: {"author": large}}), 1)
