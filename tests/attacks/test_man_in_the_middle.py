"""Man in the middle: carries the frames between client and server, and does with them as it likes.

Both ends have keys, the client expects the server's. What is claimed of a connection that is
encrypted: each end hears a beginning of what the other one said, and an end that was not said is
seen. What is claimed of one that is not: who it is with was true when it began.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire import PLAIN, SECRET, carry, client, key, meet, server

from ate.errors import (
    AteError,
    BadSignature,
    CannotOpen,
    RemoteProtocolError,
    TrustError,
    UnsupportedFormat,
    UntrustedRoot,
)
from ate.wire.certificate import allowed, pin_of, pinned
from ate.wire.codec import Codec
from ate.wire.connection import Connection, Terms
from ate.wire.handshake import CONTEXTS, Proof
from ate.wire.message import (
    Accepted,
    AnyMessage,
    Bye,
    Message,
    Open,
    Opened,
    Records,
    Submit,
)

#: Side that sends ("client" or "server"), number of the frame, the frame → what arrives instead.
Tamper = Callable[[str, int, bytes], list[bytes]]
ASKED: list[Message] = [Open(1, "chain"), Submit(1, b"commit " * 2000), Submit(1, b"another")]
ANSWERED: list[Message] = [
    Opened(1, bytes(32), 1, 1, bytes(32)),
    Records(1, [b"record " * 1000]),
    Accepted(1, 2, 3, 4, 5, 6),
]
SMALL = 4096


class Talk:
    """A conversation, with somebody in between."""

    def __init__(
        self, tamper: Tamper, *, terms: Terms = SECRET, reflected: tuple[str, int] | None = None
    ) -> None:
        terms = Terms(encryption=terms.encryption, formats=terms.formats, frame_max=SMALL)
        self.client = client(terms=terms, identity=key(1), trust=pinned([pin_of(key(2).public)]))
        self.server = server(identity=key(2), trust=allowed([pin_of(key(1).public)]))
        self.heard: dict[str, list[AnyMessage]] = {"client": [], "server": []}
        self.frames: dict[str, list[bytes]] = {"client": [], "server": []}
        self.errors: dict[str, AteError] = {}
        self._tamper, self._reflected = tamper, reflected
        self._run()

    def _run(self) -> None:
        self._carry_all()
        for one, said in ((self.client, ASKED), (self.server, ANSWERED)):
            for message in said:
                if one.is_ready:
                    one.send(message)
                    self._carry_all()
        self.client.close()
        self._carry_all()
        for one in (self.client, self.server):
            one.lost()

    def _carry_all(self) -> None:
        while self._carry(self.client, self.server) + self._carry(self.server, self.client):
            pass

    def _carry(self, source: Connection, target: Connection) -> int:
        moved = 0
        for frame in source.outgoing():
            number = len(self.frames[source.role])
            self.frames[source.role].append(frame)
            moved += 1
            for arrived in self._tamper(source.role, number, frame):
                self._arrive(target, arrived)
            if (source.role, number) == self._reflected:
                self._arrive(source, frame)
        return moved

    def _arrive(self, target: Connection, frame: bytes) -> None:
        try:
            self.heard[target.role] += target.receive(frame, 0.0)
        except AteError as error:
            self.errors[target.role] = error

    def check(self) -> None:
        """What holds whatever was done: nothing but what was said, in order, and a true end."""
        assert self.heard["server"] == ASKED[: len(self.heard["server"])]
        assert self.heard["client"] == ANSWERED[: len(self.heard["client"])]
        if self.server.ended_well:
            assert self.heard["server"] == ASKED
        for one in (self.client, self.server):
            assert one.is_closed
            assert one.peer is None or one.peer.encrypted

    @property
    def is_whole(self) -> bool:
        return self.heard == {"server": ASKED, "client": ANSWERED} and self.server.ended_well


def untouched(_: str, __: int, frame: bytes) -> list[bytes]:
    return [frame]


WHOLE = Talk(untouched)
BYE = len(WHOLE.frames["client"]) - 1
PLACES = [(side, number) for side, frames in WHOLE.frames.items() for number in range(len(frames))]
AT = pytest.mark.parametrize("side, number", PLACES)


def at(side: str, number: int, change: Callable[[bytes], list[bytes]]) -> Tamper:
    return lambda source, index, frame: (
        change(frame) if (source, index) == (side, number) else [frame]
    )


def test_untouched_it_arrives() -> None:
    assert WHOLE.is_whole
    assert not WHOLE.errors
    assert len(PLACES) == 15
    assert PLACES[BYE] == ("client", 8)


def test_nothing_of_it_can_be_read() -> None:
    recorded = b"".join(WHOLE.frames["client"] + WHOLE.frames["server"])
    for text in (b"commit ", b"another", b"record ", b"chain", key(1).public.raw[:32]):
        assert text not in recorded


@AT
def test_a_changed_byte(side: str, number: int) -> None:
    """Some twenty bytes of each frame, each bit in turn."""
    size = len(WHOLE.frames[side][number])
    for turn, place in enumerate(sorted({*range(0, size, max(1, size // 20)), 0, 1, size - 1})):

        def change(frame: bytes, place: int = place, bit: int = turn % 8) -> list[bytes]:
            bad = bytearray(frame)
            bad[place % len(bad)] ^= 1 << bit
            return [bytes(bad)]

        talk = Talk(at(side, number, change))
        talk.check()
        assert talk.errors
        assert not talk.is_whole


@AT
@pytest.mark.parametrize(
    "change",
    [lambda _: [], lambda frame: [frame, frame], lambda frame: [frame[:-1]],
     lambda frame: [frame + b"\0"], lambda frame: [frame[:1]], lambda frame: [b"\0" + frame[1:]]],
    ids=["dropped", "repeated", "shorter", "longer", "empty", "unsealed"],
)  # fmt: skip
def test_a_frame(side: str, number: int, change: Callable[[bytes], list[bytes]]) -> None:
    talk = Talk(at(side, number, change))
    talk.check()
    was_last = (side, number) == PLACES[BYE]
    repeated = len(change(b"12")) == 2
    # Behind the Bye nothing counts, and a Bye that is dropped is a cut.
    assert talk.is_whole == (was_last and repeated)
    if side == "client" and not talk.is_whole:
        assert not talk.server.ended_well


@AT
def test_a_frame_sent_back_to_where_it_came_from(side: str, number: int) -> None:
    talk = Talk(untouched, reflected=(side, number))
    talk.check()
    if (side, number) == PLACES[BYE]:  # its own Bye: it listens no more
        assert talk.is_whole
    else:
        assert side in talk.errors


@AT
def test_cut_off_at_any_place(side: str, number: int) -> None:
    cut = False

    def tamper(source: str, index: int, frame: bytes) -> list[bytes]:
        nonlocal cut
        cut = cut or (source, index) == (side, number)
        return [] if cut else [frame]

    talk = Talk(tamper)
    talk.check()
    assert not talk.server.ended_well
    assert "cut" in talk.server.lost().message or talk.errors


# --- anything ---------------------------------------------------------------------------------


@given(st.data())
def test_whatever_is_done(data: st.DataObject) -> None:
    """Frames of this and of another connection, changed, held back, swapped, repeated, made up."""
    held: list[bytes] = []
    pool = [frame for frames in WHOLE.frames.values() for frame in frames]

    def tamper(_: str, __: int, frame: bytes) -> list[bytes]:
        pool.append(frame)
        action = data.draw(st.sampled_from(["pass"] * 6 + ["hold", "old", "flip", "make"]))
        if action == "hold":
            held.append(frame)
            return []
        if action == "old":
            return [data.draw(st.sampled_from(pool)), frame]
        if action == "flip":
            bad = bytearray(frame)
            bad[data.draw(st.integers(0, len(bad) - 1))] ^= data.draw(st.integers(1, 255))
            return [bytes(bad)]
        if action == "make":
            return [data.draw(st.binary(max_size=40)), frame]
        late, held[:] = list(held), []
        return data.draw(st.permutations([frame, *late])) if late else [frame]

    Talk(tamper).check()


# --- another key, another server --------------------------------------------------------------


def middle(*, terms: Terms = PLAIN, seed: int = 3) -> tuple[Connection, Connection]:
    """Return the attacker's two ends: one for the client, one for the server."""
    return server(seed=7, identity=key(seed)), client(seed=8, terms=terms, identity=key(seed))


@pytest.mark.parametrize("terms", [PLAIN, SECRET], ids=["plain", "sealed"])
def test_a_man_in_the_middle_with_a_key_of_his_own(terms: Terms) -> None:
    victim = client(terms=terms, identity=key(1), trust=pinned([pin_of(key(2).public)]))
    false_server, false_client = middle(terms=terms)
    carry(victim, false_server)
    with pytest.raises(UntrustedRoot):
        carry(false_server, victim)
    real = server(identity=key(2), trust=allowed([pin_of(key(1).public)]))
    carry(false_client, real)
    carry(real, false_client)
    with pytest.raises(TrustError, match="may not connect"):
        carry(false_client, real)
    # Nor without any key.
    victim = client(terms=terms, identity=key(1), trust=pinned([pin_of(key(2).public)]))
    nobody = server(seed=7)
    carry(victim, nobody)
    with pytest.raises(UntrustedRoot, match="not shown"):
        carry(nobody, victim)


def test_a_server_that_passes_a_clients_proof_on() -> None:
    """The client means to talk to it. It is not let in elsewhere in the client's name."""
    victim = client(identity=key(1), trust=pinned([pin_of(key(3).public)]))
    real = server(identity=key(2), trust=allowed([pin_of(key(1).public)]))
    (hello,) = victim.outgoing()
    real.receive(hello, 0.0)
    answer, _ = real.outgoing()
    victim.receive(answer, 0.0)
    transcript = real._shake._transcript  # behind the server's proof
    before = victim._shake._transcript
    forged = Proof(
        transcript=before, key=key(3).public.raw, signature=key(3).sign(before, CONTEXTS["server"])
    )
    victim.receive(b"\x08" + msgspec.msgpack.encode(forged), 0.0)
    assert victim.is_ready
    assert victim._shake._transcript != transcript
    (proof,) = victim.outgoing()
    with pytest.raises(BadSignature):
        real.receive(proof, 0.0)
    told = msgspec.msgpack.decode(proof[1:])
    told["transcript"] = transcript
    again = server(identity=key(2))
    again.receive(hello, 0.0)
    with pytest.raises(BadSignature):
        again.receive(b"\x08" + msgspec.msgpack.encode(told), 0.0)


# --- downgrade --------------------------------------------------------------------------------


def changed_hello(**fields: object) -> Callable[[bytes], list[bytes]]:
    """Return a change of a hello; a field that is None goes."""

    def change(frame: bytes) -> list[bytes]:
        told = {**msgspec.msgpack.decode(frame[1:]), **fields}
        told = {name: value for name, value in told.items() if value is not None}
        return [frame[:1] + msgspec.msgpack.encode(told)]

    return change


@pytest.mark.parametrize(
    "side, fields, error",
    [
        ("client", {"seal": None}, TrustError),
        ("client", {"seal": b"x"}, RemoteProtocolError),
        ("client", {"formats": ["json"]}, CannotOpen),
        ("client", {"frame_max": 5000}, CannotOpen),
        ("client", {"path": "/other"}, CannotOpen),
        ("client", {"versions": [1, 2]}, CannotOpen),
        ("client", {"versions": [2]}, UnsupportedFormat),
        ("server", {"wrapped": None}, TrustError),
        ("server", {"versions": [1, 2]}, CannotOpen),
        ("server", {"message_max": 70_000}, CannotOpen),
        ("server", {"server": bytes(16)}, CannotOpen),
        ("server", {"added": 1}, CannotOpen),
    ],
)
def test_a_hello_made_weaker(side: str, fields: dict[str, object], error: type[AteError]) -> None:
    talk = Talk(at(side, 0, changed_hello(**fields)))
    talk.check()
    assert talk.heard == {"client": [], "server": []}
    assert any(isinstance(one, error) for one in talk.errors.values())


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize(
    "fields", [{"frame_max": 5000}, {"versions": [1, 2]}, {"added": 1}, {"nonce": bytes(32)}]
)
def test_a_hello_changed_where_nothing_is_encrypted(side: str, fields: dict[str, object]) -> None:
    talk = Talk(at(side, 0, changed_hello(**fields)), terms=PLAIN)
    assert talk.heard == {"client": [], "server": []}
    assert isinstance(talk.errors["client"], BadSignature)


def test_a_client_that_wants_encryption_says_nothing_in_clear() -> None:
    """Whatever a server answers to the hello, what follows is sealed or is only a Bye."""
    victim, other = client(terms=SECRET), server()
    meet(client(), other)
    (hello,) = victim.outgoing()
    assert hello[0] == 4
    plain = server()
    plain.receive(changed_hello(seal=None)(hello)[0], 0.0)
    with pytest.raises(TrustError, match="does not encrypt"):
        carry(plain, victim)
    said = victim.outgoing()
    assert [Codec("msgpack").decode(frame[1:])[0].__class__ for frame in said] == [Bye]


# --- replay -----------------------------------------------------------------------------------


def recorded(kind: str) -> list[bytes]:
    """Return what a client has sent to a server that was content with it."""
    if kind != "anonymous":
        return Talk(untouched, terms=SECRET if kind == "sealed" else PLAIN).frames["client"]
    left, right = client(), server()
    frames = left.outgoing()
    for frame in frames:
        right.receive(frame, 0.0)
    carry(right, left)
    left.send(*ASKED)
    return frames + left.outgoing()


@pytest.mark.parametrize("kind", ["sealed", "signed", "anonymous"])
def test_a_recorded_client_is_refused_by_a_fresh_server(kind: str) -> None:
    frames = recorded(kind)
    fresh = server(seed=77, identity=key(2))
    fresh.receive(frames[0], 0.0)
    with pytest.raises(CannotOpen if kind == "sealed" else BadSignature):
        fresh.receive(frames[1], 0.0)
    assert fresh.is_closed
    assert [heard for frame in frames[2:] for heard in fresh.receive(frame, 0.0)] == []


def test_a_recorded_server_is_refused_by_a_fresh_client() -> None:
    fresh = client(seed=77, terms=SECRET, trust=pinned([pin_of(key(2).public)]))
    with pytest.raises(TrustError):
        for frame in WHOLE.frames["server"]:
            fresh.receive(frame, 0.0)
    assert not fresh.is_ready
