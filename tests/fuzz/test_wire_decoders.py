"""The wire from arbitrary bytes, in every state: typed errors only, bounded in memory and time."""

from __future__ import annotations

import time
import tracemalloc
from functools import cache

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire import PLAIN, SECRET, carry, client, key, pair, server

from ate import limits
from ate.errors import (
    AteError,
    CannotOpen,
    ProtocolError,
    RemoteProtocolError,
    TrustError,
    UnsupportedFormat,
    UsageError,
)
from ate.wire.certificate import parse_pin, pin_of
from ate.wire.codec import Codec
from ate.wire.connection import Connection
from ate.wire.frame import Deframer, Joiner
from ate.wire.message import Open, Opened, Ping, Records, Submit

EXPECTED = (RemoteProtocolError, TrustError, UnsupportedFormat)
STAGES = ("client greets", "client knows keys", "client ready",
          "server waits", "server greeted", "server ready")  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.binary(max_size=40)
    | st.text(max_size=9) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=9), inner,
                                                                max_size=4),
    max_leaves=20,
)  # fmt: skip


def at_stage(stage: str, *, secret: bool) -> Connection:
    """Return an end that has come so far."""
    left, right = client(terms=SECRET if secret else PLAIN), server()
    if stage in ("client greets", "server waits"):
        return left if stage == "client greets" else right
    carry(left, right)
    if stage == "server greeted":
        return right
    if stage == "client knows keys":
        hello, _ = right.outgoing()
        left.receive(hello, 0.0)
        return left
    carry(right, left)
    carry(left, right)
    return left if stage == "client ready" else right


def survive(end: Connection, frames: list[bytes]) -> None:
    """Whatever comes: an expected error or messages, and after an error nothing more."""
    for frame in frames:
        try:
            end.receive(frame, 0.0)
        except EXPECTED:
            assert end.is_closed
            assert isinstance(end.lost(), EXPECTED)
            break
    end.outgoing()
    end.tick(0.0)
    assert isinstance(end.lost(), AteError)


@given(st.sampled_from(STAGES), st.booleans(), st.lists(st.binary(max_size=80), max_size=4))
def test_any_bytes(stage: str, secret: bool, frames: list[bytes]) -> None:
    survive(at_stage(stage, secret=secret), frames)


@given(
    st.sampled_from(STAGES), st.booleans(), st.sampled_from([0, 1, 2, 3, 4, 8, 10]), VALUES,
    st.booleans(),
)  # fmt: skip
def test_any_values_in_frames_of_every_kind(
    stage: str, secret: bool, flags: int, value: object, json: bool
) -> None:
    raw = msgspec.json.encode(value) if json else msgspec.msgpack.encode(value)
    survive(at_stage(stage, secret=secret), [bytes((flags,)) + raw])


@cache
def conversation(role: str) -> tuple[bytes, ...]:
    """Return the frames that a good end sends, in clear: changes get through to the decoders."""
    left, right = client(identity=key(1)), server(identity=key(2))
    frames: dict[str, list[bytes]] = {"client": [], "server": []}
    for _ in range(2):
        for source, target in ((left, right), (right, left)):
            for frame in source.outgoing():
                frames[source.role].append(frame)
                target.receive(frame, 0.0)
    left.send(Open(1, "chain", sources=[(1, 2)], more={"x": [1]}), Submit(1, b"commit", at=3))
    right.send(Opened(1, bytes(32), 1, 1, bytes(32), last=[(1, 2)]), Records(1, [b"a", b"b"]))
    frames["client"] += left.outgoing()
    frames["server"] += right.outgoing()
    return tuple(frames[role])


@given(st.data(), st.sampled_from(["client", "server"]))
def test_changed_frames(data: st.DataObject, role: str) -> None:
    """The same seeds give the same hellos, so all but the changed frame is as it should be."""
    frames = list(conversation(role))
    number = data.draw(st.integers(0, len(frames) - 1))
    bad = bytearray(frames[number])
    for _ in range(data.draw(st.integers(1, 4))):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del bad[data.draw(st.integers(0, len(bad))) :]
    frames[number] = bytes(bad)
    survive(server() if role == "client" else client(), frames)


@given(st.sampled_from(Codec.NAMES), st.binary(max_size=200), st.data())
def test_codecs(name: str, raw: bytes, data: st.DataObject) -> None:
    codec = Codec(name)
    good = codec.encode([Open(1, "chain"), Submit(1, b"commit" * 20), Ping(1, {"a": [1, None]})])
    at = data.draw(st.integers(0, len(good)))
    for plain in (raw, good[:at] + raw + good[at:], good[:at] + raw):
        try:
            messages = codec.decode(plain)
        except ProtocolError:
            continue
        assert codec.decode(codec.encode(messages)) == messages


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_streams(pieces: list[bytes]) -> None:
    deframer = Deframer(100)
    try:
        for piece in pieces:
            deframer.feed(piece)
            assert all(0 < len(frame) <= 100 for frame in deframer.frames())
    except RemoteProtocolError:
        pass


@given(st.lists(st.tuples(st.binary(max_size=40), st.booleans()), max_size=20))
def test_pieces(pieces: list[tuple[bytes, bool]]) -> None:
    joiner = Joiner(100)
    try:
        for plain, more in pieces:
            whole = joiner.add(plain, more=more)
            assert whole is None or len(whole) <= 100
    except RemoteProtocolError:
        pass


@given(st.text(max_size=60) | st.binary(max_size=20).map(lambda raw: "ate-key:" + raw.hex()))
def test_pins(text: str) -> None:
    try:
        found = parse_pin(text)
    except UsageError:
        return
    assert len(found) == 16


def test_pins_that_are_some() -> None:
    assert parse_pin(pin_of(key(1).public)) == key(1).public.key_id


# --- memory and time ----------------------------------------------------------------------------

SIZE = limits.UNCOUNTED_BYTES_MAX - 100
BOMBS = {
    "many empty maps": b"\xdd" + (SIZE // 2).to_bytes(4, "big") + b"\x80" * (SIZE // 2),
    "more of empty maps": b"\x91\x93\x01\x01\x81\xa1a\xdd"
    + SIZE.to_bytes(4, "big") + b"\x80" * SIZE,
    "empty frames": b"\x91\x93\x21\x01\xdd" + (SIZE // 2).to_bytes(4, "big") + b"\xc4\x00" * SIZE,
    "claims without bytes": b"\x91\x93\x21\x01\xdd\xff\xff\xff\xff",
    "a long claim": b"\x91\x93\x11\x01\xc6\xff\xff\xff\xff",
    "deep": b"\x91\x93\x01\x01\x81\xa1a" + b"\x91" * SIZE,
    "long and small": b"\x91\x93\x21\x01\xdd\x01\x00\x00\x00" + b"\xc4\x01a" * (10 << 20),
    "long and deep": b"\x91" * (10 << 20),
    "digits": b'[[1,1,{"a":' + b"9" * (2 << 20) + b"}]]",
    "commas": b"[" + b"[]," * (2 << 20) + b"[]]",
    "deep json": b"[" * (2 << 20),
    "many keys": b"[[1,1,{" + b",".join(b'"%d":1' % n for n in range(100_000)) + b"}]]",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_small_input_does_not_become_large_nor_slow(name: str) -> None:
    """Twenty times a megabyte is the most, and ten seconds are far more than any of it takes."""
    raw = BOMBS[name]
    codec = Codec("json" if raw[:1] == b"[" else "msgpack")
    tracemalloc.start()
    begun = time.process_time()
    try:
        with pytest.raises(ProtocolError):
            codec.decode(raw)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20
    assert time.process_time() - begun < 10


def test_a_peer_that_cuts_a_message_for_ever_is_stopped() -> None:
    left, right = pair()
    piece = b"\x01" + bytes((1 << 20) - 1)
    with pytest.raises(RemoteProtocolError, match="more than"):
        for _ in range(100):
            left.receive(piece, 0.0)
    with pytest.raises(RemoteProtocolError):
        server().receive(b"\x01x", 0.0)
    assert right.is_ready


def test_a_sealed_frame_that_is_short() -> None:
    for size in range(17):
        left, _ = pair(terms=SECRET)
        with pytest.raises(CannotOpen):
            left.receive(b"\x02" + bytes(size), 0.0)
