from __future__ import annotations

from ate import limits
from ate.wire.codec import Codec
from ate.wire.frame import MORE, PROOF, SEALED
from ate.wire.message import Message, Ping, Submit
from ate.wire.outbound import Outbound
from ate.wire.secure import Direction

CODEC = Codec("msgpack")


def gathered(*messages: Message, frame_max: int = 1 << 20) -> list[bytes]:
    out = Outbound(CODEC)
    out.agreed(frame_max=frame_max, message_max=limits.MESSAGE_BYTES_MAX)
    for message in messages:
        out.add(CODEC.encode_one(message))
    return out.take()


def test_small_messages_share_a_frame() -> None:
    many: list[Message] = [Ping(number) for number in range(1000)]
    (frame,) = gathered(*many)
    assert CODEC.decode(frame[1:]) == many


def test_a_frame_is_full_at_a_size_and_at_a_number() -> None:
    commits = [Submit(1, b"x" * 100_000) for _ in range(7)]
    frames = gathered(*commits)
    assert [len(CODEC.decode(frame[1:])) for frame in frames] == [2, 2, 2, 1]
    assert all(len(frame) <= limits.BATCH_BYTES_MAX for frame in frames)
    frames = gathered(*[Ping(1)] * (limits.BATCH_MESSAGES_MAX + 1))
    assert [len(CODEC.decode(frame[1:])) for frame in frames] == [limits.BATCH_MESSAGES_MAX, 1]


def test_a_long_message_is_cut_and_alone() -> None:
    frames = gathered(Ping(1), Submit(1, b"x" * 300_000), Ping(2), frame_max=100_000)
    assert [frame[0] for frame in frames] == [0, MORE, MORE, MORE, 0, 0]
    assert max(map(len, frames)) <= 100_000
    whole = b"".join(frame[1:] for frame in frames[1:5])
    assert CODEC.decode(whole) == [Submit(1, b"x" * 300_000)]


def test_sealed_frames_fit_as_well() -> None:
    out = Outbound(CODEC)
    out.hello(b"\x04hello")
    out.keyed(CODEC, Direction(bytes(32)))
    out.proof(b"proof")
    out.agreed(frame_max=4096, message_max=1 << 20)
    out.add(CODEC.encode_one(Submit(1, b"x" * 10_000)))
    frames = out.take()
    assert [frame[0] for frame in frames] == [4, PROOF | SEALED, 3, 3, 2]
    assert max(map(len, frames)) == 4096
    there = Direction(bytes(32))
    assert there.open(frames[1]) == b"proof"
    assert CODEC.decode(b"".join(map(there.open, frames[2:]))) == [Submit(1, b"x" * 10_000)]


def test_what_is_forgotten_is_not_sent() -> None:
    out = Outbound(CODEC)
    out.add(CODEC.encode_one(Ping(1)))
    out.forget()
    assert out.take() == []
