from __future__ import annotations

import struct

import msgspec
import pytest

from ate import limits
from ate.errors import ProtocolError
from ate.wire.codec import Codec, Shared, _count_items
from ate.wire.message import (
    Accepted,
    Bodies,
    Bye,
    Changed,
    Lookup,
    Message,
    Open,
    Ping,
    Records,
    Refused,
    Submit,
    Sync,
)

FORMATS = pytest.mark.parametrize("codec", [Codec(name) for name in Codec.NAMES], ids=Codec.NAMES)
WORD = (1 << 64) - 1
SAMPLES: list[Message] = [
    Ping(1),
    Bye("trust", "no", {"hint": "ask", "deep": [1, {"a": None}]}),
    Open(3, "a/b", sources=[(WORD, 1)], more={"new": "thing"}),
    Submit(4, b"\x00\xff" * 100, at=7, guards=[(bytes(16), 3)]),
    Lookup(5, 1, WORD, WORD, 9),
    Sync(6, {b"server": 7}, ["one", "two"]),
    Bodies(7, 1, [b"x", None, b""]),
    Records(1 << 31, [b"frame"]),
]


@FORMATS
def test_messages_come_back(codec: Codec) -> None:
    assert codec.decode(codec.encode(SAMPLES)) == SAMPLES
    assert codec.decode(memoryview(codec.encode(SAMPLES[:1]))) == SAMPLES[:1]


@FORMATS
def test_the_array_is_put_around_messages_that_were_encoded_alone(codec: Codec) -> None:
    room = msgspec.json if codec.name == "json" else msgspec.msgpack
    for many in (SAMPLES, SAMPLES * 10, [Ping(1)] * 15, [Ping(1)] * 16, [Ping(1)] * 4096):
        assert codec.encode(many) == room.encode(many)


@FORMATS
@pytest.mark.parametrize("ch", [0, 1, 127, 128, 255, 256, 65_535, 65_536, (1 << 32) - 1])
def test_shared_records_are_the_same_bytes_as_records_of_ones_own(codec: Codec, ch: int) -> None:
    for frames in ([], [b"a"], [b"a" * 300] * 20):
        shared = Shared(frames)
        assert codec.encode([shared.on(ch)]) == codec.encode([Records(ch, frames)])
    # The large part is made once, for all channels.
    assert codec.encode_one(shared.on(1))[1] is codec.encode_one(shared.on(2))[1]


@FORMATS
@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        [[99, 1]],
        [[1]],
        [[True, 1]],
        [[1, -1]],
        [[16, 1 << 32, "n"]],
        [[16, 0, 5]],
        [[3, "x" * 257]],
        [1],
        None,
    ],
)
def test_what_is_no_frame(codec: Codec, content: object) -> None:
    raw = (msgspec.json if codec.name == "json" else msgspec.msgpack).encode(content)
    with pytest.raises(ProtocolError, match="does not decode"):
        codec.decode(raw)


@FORMATS
def test_too_many_messages_in_a_frame(codec: Codec) -> None:
    assert len(codec.decode(codec.encode([Ping(1)] * limits.BATCH_MESSAGES_MAX))) == 4096
    with pytest.raises(ProtocolError):
        codec.decode(codec.encode([Ping(1)] * (limits.BATCH_MESSAGES_MAX + 1)))


@FORMATS
def test_fields_of_later_versions_are_passed_over(codec: Codec) -> None:
    raw = (msgspec.json if codec.name == "json" else msgspec.msgpack).encode([[1, 5, {}, "new"]])
    assert codec.decode(raw) == [Ping(5)]


def test_deep_nesting_is_refused_and_not_recursed_into() -> None:
    with pytest.raises(ProtocolError):
        Codec("msgpack").decode(b"\x91\x93\x01\x01\x81\xa1a" + b"\x91" * 200_000)
    with pytest.raises(ProtocolError):
        Codec("json").decode(b'[[1,1,{"a":' + b"[" * 200_000)


@pytest.mark.parametrize(
    "message", [Lookup(1, 1, 1, 1 << 64, 1), Accepted(1, 1 << 64, 1, 1, 1, 1),
                Refused(1, 1, 1 << 64, 1, 1, "", ""), Open(1, "n", sources=[(1, 1 << 64)])],
)  # fmt: skip
def test_json_has_no_numbers_beyond_64_bits(message: Message) -> None:
    loose = Codec("json").encode_one(message)[0]
    with pytest.raises(ProtocolError, match="64 bits"):
        Codec("json").decode(b"[%b]" % loose)
    with pytest.raises(ProtocolError, match="does not encode"):
        Codec("msgpack").encode([message])


@FORMATS
@pytest.mark.parametrize(
    "more",
    [{"a": [[[1]]]}, {"a": {"b": {"c": [1]}}}, {str(n): n for n in range(65)}, {"n": 1 << 63}, []],
)
def test_more_has_bounds_of_its_own(codec: Codec, more: object) -> None:
    raw = (msgspec.json if codec.name == "json" else msgspec.msgpack).encode([[1, 5, more]])
    with pytest.raises(ProtocolError):
        codec.decode(raw)


@pytest.mark.parametrize("more", [{1: 2}, {"a": {(1, 2): 3}}, {"a": b"bytes"}])
def test_more_holds_what_json_can_say(more: object) -> None:
    with pytest.raises(ProtocolError):
        Codec("msgpack").decode(msgspec.msgpack.encode([[1, 5, more]]))


@FORMATS
def test_a_value_without_a_form_is_refused_when_sent(codec: Codec) -> None:
    with pytest.raises(ProtocolError, match="does not encode"):
        codec.encode([Ping(1, {"x": object()})])  # type: ignore[dict-item]


# --- memory -----------------------------------------------------------------------------------


@FORMATS
def test_a_long_plaintext_of_many_small_values_is_refused_before_it_is_decoded(
    codec: Codec,
) -> None:
    many = [b""] * (limits.UNCOUNTED_BYTES_MAX)
    raw = codec.encode([Records(1, many)])
    with pytest.raises(ProtocolError, match="values"):
        codec.decode(raw)


@FORMATS
def test_a_long_plaintext_of_few_values_is_taken(codec: Codec) -> None:
    large = [Submit(1, b"x" * (2 << 20)), Changed(1, {}, [("n" * 20, 1)] * 60_000)]
    assert codec.decode(codec.encode(large)) == large


def test_every_kind_of_value_is_counted() -> None:
    value = [
        None, True, 5, -5, 200, 70_000, 1 << 40, -200, -70_000, -(1 << 40), 1.5, "", "x" * 31,
        "x" * 40, "x" * 300, "x" * 70_000, b"", b"x" * 300, b"x" * 70_000, {"a": [1, 2]},
        list(range(20)), {str(n): n for n in range(20)}, msgspec.msgpack.Ext(1, b"x" * 3),
        msgspec.msgpack.Ext(1, b"x" * 4), msgspec.msgpack.Ext(1, b"x" * 300), list(range(70_000)),
    ]  # fmt: skip
    raw = msgspec.msgpack.encode(value) + b""
    assert _count_items(raw, 1 << 30) == _count(value)
    assert _count_items(raw, 50) > 50
    assert _count_items(b"\xca" + struct.pack(">f", 1.5), 9) == 1
    assert _count_items(b"\xdd\xff\xff\xff\xff", 9) > 9
    assert _count_items(b"\xdf\x00\x00\x00\x02", 9) == 5


def _count(value: object) -> int:
    if isinstance(value, list):
        return 1 + sum(map(_count, value))
    if isinstance(value, dict):
        return 1 + sum(_count(key) + _count(one) for key, one in value.items())
    return 1
