"""The wire carries what is said: any messages, any split of the stream, any sizes, both formats."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.wire import client, server

from ate.wire import message as m
from ate.wire.codec import Codec, Shared
from ate.wire.connection import Connection, Terms
from ate.wire.frame import Deframer, framed

COUNT = st.one_of(st.integers(0, 300), st.integers(0, (1 << 63) - 1))
WORD = st.integers(0, (1 << 64) - 1)
CH = st.one_of(st.integers(0, 300), st.integers(0, (1 << 32) - 1))
RAW = st.one_of(st.binary(max_size=100), st.integers(0, 9000).map(bytes))
HASH, ID = st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16)
SMALL, TEXT = st.binary(max_size=100), st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
LEAF = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | TEXT
MORE = st.dictionaries(
    TEXT, LEAF | st.lists(LEAF | st.lists(LEAF, max_size=2), max_size=3), max_size=3
)
BOOL = st.booleans()
PAIRS = st.lists(st.tuples(COUNT, COUNT), max_size=3)

FROM_CLIENT = st.one_of(
    st.builds(
        m.Open, CH, TEXT, SMALL, COUNT, HASH, st.lists(st.tuples(WORD, WORD), max_size=3), BOOL,
        COUNT, SMALL, SMALL, COUNT, MORE,
    ),
    st.builds(
        m.Submit, CH, RAW, st.none() | COUNT, st.lists(st.tuples(ID, COUNT), max_size=2), COUNT,
        MORE,
    ),
    st.builds(m.Credit, CH, COUNT, MORE),
    st.builds(m.Lookup, CH, COUNT, WORD, WORD, COUNT, MORE),
    st.builds(m.Fetch, CH, COUNT, st.lists(COUNT, max_size=4), MORE),
    st.builds(m.Close, CH, MORE),
    st.builds(
        m.Sync, COUNT, st.dictionaries(SMALL, COUNT, max_size=3), st.lists(TEXT, max_size=3), MORE
    ),
    st.builds(m.Evidence, CH, COUNT, COUNT, COUNT, MORE),
)  # fmt: skip
FROM_SERVER = st.one_of(
    st.builds(
        m.Opened, CH, SMALL, COUNT, COUNT, HASH, COUNT, COUNT, PAIRS, COUNT, BOOL, TEXT, SMALL,
        COUNT, MORE,
    ),
    st.builds(m.Records, CH, st.lists(RAW, max_size=5), MORE),
    st.builds(m.Accepted, CH, WORD, WORD, COUNT, COUNT, COUNT, BOOL, MORE),
    st.builds(
        m.Refused, CH, WORD, WORD, COUNT, COUNT, TEXT, TEXT, TEXT, SMALL, COUNT, BOOL, COUNT, MORE
    ),
    st.builds(m.Stated, CH, SMALL, MORE),
    st.builds(m.Found, CH, COUNT, COUNT, COUNT, COUNT, MORE),
    st.builds(m.Bodies, CH, COUNT, st.lists(st.none() | RAW, max_size=4), MORE),
    st.builds(m.Moved, CH, TEXT, COUNT, MORE),
    st.builds(m.Lagged, CH, COUNT, MORE),
    st.builds(
        m.Changed, COUNT, st.dictionaries(SMALL, COUNT, max_size=3),
        st.lists(st.tuples(TEXT, COUNT), max_size=3), MORE,
    ),
    st.builds(m.Failed, CH, COUNT, TEXT, TEXT, TEXT, COUNT, MORE),
    st.builds(m.Closed, CH, MORE),
    st.builds(m.Proved, CH, COUNT, st.lists(HASH, max_size=3), MORE),
    st.builds(m.Throttle, CH, COUNT, COUNT, MORE),
)  # fmt: skip
TERMS = st.builds(
    Terms,
    frame_max=st.sampled_from([4096, 5000, 1 << 20]),
    message_max=st.sampled_from([65_536, 70_000, 1 << 26]),
    encryption=BOOL,
    formats=st.permutations(Codec.NAMES).map(tuple) | st.sampled_from([("json",), ("msgpack",)]),
)


@given(st.sampled_from(Codec.NAMES), st.lists(FROM_CLIENT | FROM_SERVER, min_size=1, max_size=20))
def test_both_formats_carry_every_message(name: str, said: list[m.AnyMessage]) -> None:
    codec = Codec(name)
    raw = codec.encode(said)
    assert codec.decode(raw) == said
    assert codec.encode(codec.decode(raw)) == raw
    other = Codec({"json": "msgpack", "msgpack": "json"}[name])
    assert codec.encode(other.decode(other.encode(said))) == raw


class Pipe:
    """A byte stream between two ends that breaks it where it likes."""

    def __init__(self, source: Connection, target: Connection) -> None:
        self.source, self.target, self.heard = source, target, list[m.AnyMessage]()
        self._deframer = Deframer()

    def flow(self, data: st.DataObject) -> bool:
        stream = b"".join(map(framed, self.source.outgoing()))
        at = 0
        while at < len(stream):
            step = data.draw(st.sampled_from([1, 3, 4, 5, 100, 4099, 1 << 24]))
            step = step if step > 5 or at < 50 else 1000  # or a long one takes for ever
            self._deframer.feed(stream[at : at + step])
            at += step
            while (frame := self._deframer.next_frame()) is not None:
                self.heard += self.target.receive(frame, 0.0)
                self._deframer.bound = self.target.frame_bound
        return bool(stream)


def settle(pipes: tuple[Pipe, Pipe], data: st.DataObject) -> None:
    while pipes[0].flow(data) + pipes[1].flow(data):
        pass


@given(st.data(), TERMS, TERMS)
def test_a_conversation_over_any_stream(data: st.DataObject, mine: Terms, theirs: Terms) -> None:
    if not set(mine.formats) & set(theirs.formats) or (theirs.encryption and not mine.encryption):
        return
    left, right = client(terms=mine), server(terms=theirs)
    pipes = (Pipe(left, right), Pipe(right, left))
    said: dict[str, list[Any]] = {"client": [], "server": []}
    settle(pipes, data)
    for _ in range(data.draw(st.integers(0, 6))):
        one = data.draw(st.sampled_from([left, right]))
        batch: list[Any] = data.draw(
            st.lists(FROM_CLIENT if one is left else FROM_SERVER, min_size=1, max_size=5)
        )
        one.send(*batch)
        said[one.role] += batch
        if one is right:
            shared = Shared(data.draw(st.lists(RAW, max_size=3)))
            one.send(shared.on(5), shared.on(6))
            said["server"] += [m.Records(5, shared.frames), m.Records(6, shared.frames)]
        data.draw(st.sampled_from(pipes)).flow(data)
    left.close()
    settle(pipes, data)
    assert pipes[0].heard == said["client"]
    assert right.ended_well
    # What the server said late may cross with the client's Bye.
    assert pipes[1].heard == said["server"][: len(pipes[1].heard)]


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.data())
def test_frames_come_out_as_they_went_in(frames: list[bytes], data: st.DataObject) -> None:
    stream, deframer, found, at = b"".join(map(framed, frames)), Deframer(50), [], 0
    while at < len(stream):
        step = data.draw(st.integers(1, 30))
        deframer.feed(stream[at : at + step])
        at += step
        found += list(deframer.frames())
    assert found == frames
