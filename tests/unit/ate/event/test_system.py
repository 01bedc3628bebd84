from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate.errors import ProtocolError
from ate.event.system import (
    CertificateBody,
    Checkpoint,
    Flip,
    Genesis,
    Grant,
    PublicKeys,
    Role,
    decode,
    encode,
    system_id,
)
from ate.testing.stage import member

KEYS = PublicKeys.of(member("alice").public)
BODIES: list[msgspec.Struct] = [
    KEYS,
    Genesis("notes", 2, "distributed", b"s" * 16, (KEYS,), {"worm": True, "later": [1]}),
    Role("Staff", 3, (KEYS,), {b"k" * 16: b"wrapped"}),
    CertificateBody(b"s" * 32, b"i" * 16, b"c" * 32, 99, b"signature"),
    Grant(b"d" * 16, 2, {b"k" * 16: b"wrapped"}, b"past"),
    Checkpoint(3, b"r" * 32, 99, b"k" * 16, b"signature"),
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_a_body_survives_the_wire(body: msgspec.Struct) -> None:
    assert decode(type(body), encode(body)) == body
    assert decode(type(body), memoryview(encode(body))) == body


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
@given(data=st.data())
def test_altered_bodies_are_protocol_errors(body: msgspec.Struct, data: st.DataObject) -> None:
    raw = bytearray(encode(body))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, min(len(raw), 80) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for hostile in (bytes(raw), bytes(raw[:cut])):
        try:
            decode(type(body), hostile)
        except ProtocolError:
            pass


@given(st.binary(max_size=40), st.sampled_from([type(body) for body in BODIES]))
def test_hostile_bytes_are_protocol_errors(raw: bytes, cls: type[Any]) -> None:
    try:
        decode(cls, raw)
    except ProtocolError:
        pass


@pytest.mark.parametrize(
    "cls, fields",
    [
        (CertificateBody, [b"s", b"i", b"c", -1, b""]),
        (CertificateBody, [b"s", b"i", b"c", 1 << 63, b""]),
        (Checkpoint, [-1, b"r", 0, b"k"]),
        (Checkpoint, [0, b"r", 1 << 63, b"k"]),
        (Grant, {"domain": b"d", "epoch": 0, "wraps": {}}),
        (Grant, {"domain": b"d", "epoch": 1 << 32, "wraps": {}}),
        (Role, {"name": "Staff", "generation": 0, "keys": []}),
    ],
)
def test_numbers_that_fit_no_signed_message_are_protocol_errors(
    cls: type[Any], fields: Any
) -> None:
    """They would be an OverflowError later, in the middle of judging somebody's commit."""
    with pytest.raises(ProtocolError):
        decode(cls, msgspec.msgpack.encode(fields))


def test_deep_nesting_is_a_protocol_error() -> None:
    nested = b"\x81\xa6policy" + b"\x81\xa1x" * 100_000 + b"\xc0"
    with pytest.raises(ProtocolError):
        decode(Genesis, nested)


def test_public_keys_are_a_principal() -> None:
    assert KEYS.principal == member("alice").public


def test_a_checkpoint_signs_chain_size_root_and_time() -> None:
    one = Checkpoint(3, b"r" * 32, 99, b"k" * 16)
    message = one.message(b"c" * 32)
    assert message == b"c" * 32 + (3).to_bytes(8, "little") + b"r" * 32 + (99).to_bytes(8, "little")
    assert Checkpoint(*one.fields()) == one


def test_behind_the_present_stands_where_all_compact() -> None:
    plain = Checkpoint(3, b"r" * 32, 99, b"k" * 16, b"", b"p" * 32)
    assert (plain.present, plain.flip) == (b"p" * 32, None)
    flip = Flip(3, 2, 60_000_000)
    told = Checkpoint(3, b"r" * 32, 99, b"k" * 16, b"", b"p" * 32 + flip.encode())
    assert (told.present, told.flip) == (b"p" * 32, flip)
    assert told.message(b"c" * 32) == plain.message(b"c" * 32) + flip.encode()
    assert Checkpoint(3, b"r" * 32, 99, b"k" * 16).flip is None


def test_system_ids_differ_by_kind_and_subject() -> None:
    ids = {system_id(what, name) for what in ("key", "role") for name in (b"a", b"b")}
    assert len(ids) == 4
    assert all(len(one) == 16 for one in ids)
