from __future__ import annotations

from typing import Any

import pytest
from tests.wire import PLAIN, SECRET, SERVER_ID, carry, client, key, meet, pair, sent, server

from ate import limits
from ate.crypto.sign import VerifyKey
from ate.errors import (
    AteError,
    Disconnected,
    EncryptionRequired,
    LocalProtocolError,
    RemoteProtocolError,
    TimedOut,
    TrustError,
    UnsupportedFormat,
    UsageError,
)
from ate.wire.codec import Codec
from ate.wire.connection import Connection, Shared, State, Terms
from ate.wire.message import (
    Accepted,
    Bye,
    Message,
    Open,
    Opened,
    Ping,
    Pong,
    Records,
    Submit,
)

ALL_TERMS = pytest.mark.parametrize(
    "terms",
    [Terms(encryption=secret, formats=(name,)) for secret in (False, True) for name in Codec.NAMES],
    ids=["plain-msgpack", "plain-json", "sealed-msgpack", "sealed-json"],
)
BOTH = pytest.mark.parametrize("terms", [PLAIN, SECRET], ids=["plain", "sealed"])
OPENED = Opened(1, bytes(32), 5, 5, bytes(32))


# --- meeting ----------------------------------------------------------------------------------


@ALL_TERMS
def test_two_ends_meet(terms: Terms) -> None:
    left, right = pair(terms=terms)
    assert left.peer is not None
    assert right.peer is not None
    assert left.peer.key == key(2).public
    assert right.peer.key == key(1).public
    assert left.peer.server_id == right.peer.server_id == SERVER_ID
    assert left.peer.path == right.peer.path == "/db"
    assert left.peer.format == terms.formats[0]
    assert left.peer.encrypted is right.peer.encrypted is terms.encryption


def test_one_round_trip_and_the_client_may_speak() -> None:
    left, right = client(terms=SECRET), server()
    carry(left, right)
    carry(right, left)
    left.send(Open(1, "name"))
    assert carry(left, right) == [Open(1, "name")]
    assert right.is_ready


def test_sizes_are_the_smaller_ones() -> None:
    left, right = pair(
        terms=Terms(frame_max=5000, message_max=1 << 20),
        server_terms=Terms(frame_max=9000, message_max=100_000),
    )
    for one in (left, right):
        assert one.peer is not None
        assert (one.peer.frame_max, one.peer.message_max) == (5000, 100_000)
        assert one.frame_bound == 5000
    frames = sent(left, Submit(1, b"x" * 20_000))
    assert max(map(len, frames)) == 5000 - 16  # room for a tag, always
    with pytest.raises(LocalProtocolError, match="100000"):
        left.send(Submit(1, b"x" * 100_000))


def test_before_the_peer_is_known_frames_are_short() -> None:
    right = server()
    assert right.frame_bound == limits.HELLO_BYTES_MAX
    with pytest.raises(RemoteProtocolError, match="65536"):
        right.receive(bytes(65_537), 0.0)


def test_a_server_need_not_be_started() -> None:
    left, right = client(), Connection("server")
    assert right.state is State.IDLE
    meet(left, right)
    assert right.is_ready


def test_arguments_that_cannot_be() -> None:
    for wrong in ({"server_id": b"short"}, {"path": "x" * 1025}, {"agent": "x" * 257}):
        with pytest.raises(UsageError):
            Connection("client", **wrong)  # type: ignore[arg-type]


# --- messages ---------------------------------------------------------------------------------


@ALL_TERMS
def test_messages_arrive_in_order(terms: Terms) -> None:
    left, right = pair(terms=terms)
    said: list[Message] = [Open(1, "a"), Submit(1, b"x" * 3_000_000), *[Submit(1, b"y")] * 5000]
    left.send(*said)
    assert carry(left, right) == said
    answers = [OPENED, Records(1, [b"z" * 100_000] * 9), Accepted(1, 2, 3, 4, 5, 6)]
    right.send(*answers)
    assert carry(right, left) == answers


@ALL_TERMS
def test_shared_records_arrive_like_others(terms: Terms) -> None:
    left, right = pair(terms=terms)
    shared = Shared([b"frame" * 100] * 50)
    right.send(OPENED, shared.on(7), shared.on(8))
    assert carry(right, left) == [OPENED, Records(7, shared.frames), Records(8, shared.frames)]


def test_nothing_is_sent_by_sending_nothing() -> None:
    left, _ = pair()
    left.send()
    assert left.outgoing() == []


@pytest.mark.parametrize("message", [OPENED, Ping(1), Pong(1), Bye(), Message()])
def test_what_a_client_does_not_send(message: Message) -> None:
    left, _ = pair()
    with pytest.raises(LocalProtocolError, match="does not send"):
        left.send(Open(1, "a"), message)
    assert left.outgoing() == []  # nothing of the call


def test_a_server_sends_no_requests_and_a_client_no_records() -> None:
    left, right = pair()
    with pytest.raises(LocalProtocolError):
        right.send(Open(1, "a"))
    with pytest.raises(LocalProtocolError):
        left.send(Shared([b""]).on(1))


def test_who_is_not_ready_does_not_send() -> None:
    for one in (client(), server(), Connection("client")):
        with pytest.raises(LocalProtocolError):
            one.send(Open(1, "a") if one.role == "client" else OPENED)


def test_what_cannot_be_sent_leaves_the_connection_as_it_was() -> None:
    left, right = pair()
    for wrong in (
        Submit(1, b"x" * limits.MESSAGE_BYTES_MAX),
        Open(1, "a", more={"x": object()}),
        Open(1, "a", more={"x": [0] * (2 << 20)}),
    ):
        with pytest.raises(LocalProtocolError):
            left.send(wrong)
    left.send(Open(1, "a"))
    assert carry(left, right) == [Open(1, "a")]


@BOTH
def test_a_message_over_the_agreed_size_is_refused(terms: Terms) -> None:
    left, right = pair(terms=terms, server_terms=Terms(message_max=65_536, frame_max=4096))
    left._out.message_max = limits.MESSAGE_BYTES_MAX  # it does not keep to what was agreed
    left.send(Submit(1, b"x" * 70_000))
    with pytest.raises(RemoteProtocolError, match="more than 65536 bytes"):
        carry(left, right)


def refused(terms: Terms, source: str, *said: Message) -> RemoteProtocolError:
    """Let one end say what its own table would not let it say."""
    left, right = pair(terms=terms)
    one, other = (left, right) if source == "client" else (right, left)
    for message in said:
        one._out.add(Codec("msgpack").encode_one(message))
    with pytest.raises(RemoteProtocolError) as found:
        carry(one, other)
    assert other.is_closed
    carry(other, one)
    assert one.lost().code == "protocol_local"
    return found.value


@BOTH
def test_what_a_peer_must_not_say(terms: Terms) -> None:
    assert "client does not say Opened" in refused(terms, "client", OPENED).message
    assert "server does not say Open " in refused(terms, "server", Open(1, "a")).message
    assert "after the Bye" in refused(terms, "client", Bye(), Ping(1)).message
    assert "without a Ping" in refused(terms, "server", Pong(1)).message
    many = [Ping(number) for number in range(limits.PINGS_MAX + 1)]
    assert "pings" in refused(terms, "client", *many).message


def test_unknown_message_numbers_are_a_protocol_error() -> None:
    for raw in (b"\x91\x92\x0f\x01", b"\x91\x92\x63\x01", b"[[15,1]]", b"", b"\xc1", b"\x90"):
        _, right = pair()
        with pytest.raises(RemoteProtocolError):
            right.receive(b"\0" + raw, 0.0)


@pytest.mark.parametrize(
    "frame", [b"", b"\x00", b"\x01\x90", b"\x02", b"\x02" + bytes(40), b"\x04\x80", b"\x08\x80",
              b"\x10", b"\x0a" + bytes(40), b"\xff" * 100],
)  # fmt: skip
@BOTH
def test_frames_out_of_place(terms: Terms, frame: bytes) -> None:
    for stage in range(4):
        left, right = client(terms=terms), server()
        if stage > 0:
            carry(left, right)
        if stage > 1:
            carry(right, left)
        if stage > 2:
            carry(left, right)
        if terms is PLAIN and stage > 2 and frame == b"\x01\x90":
            continue  # the first piece of a message
        with pytest.raises(AteError) as found:
            right.receive(frame, 0.0)
        assert isinstance(found.value, RemoteProtocolError | TrustError)
        assert right.is_closed
        assert right.receive(frame, 0.0) == []
        assert right.lost() is found.value


def test_a_cut_message_before_both_are_known_is_refused() -> None:
    """Its pieces in clear would become the beginning of the first sealed message."""
    left, right = client(terms=SECRET), server()
    with pytest.raises(RemoteProtocolError, match="cut before"):
        right.receive(b"\x01\x91", 0.0)
    carry(right, left)
    assert left.is_closed
    left, right = client(), server()
    carry(left, right)
    with pytest.raises(RemoteProtocolError, match="cut before"):
        right.receive(b"\x01\x91", 0.0)


def test_a_hello_twice_and_a_proof_twice() -> None:
    left, right = client(), server()
    (hello,) = left.outgoing()
    right.receive(hello, 0.0)
    with pytest.raises(RemoteProtocolError, match="a hello came"):
        right.receive(hello, 0.0)
    left, right = client(), server()
    carry(left, right)
    carry(right, left)
    (proof,) = left.outgoing()
    right.receive(proof, 0.0)
    with pytest.raises(RemoteProtocolError, match="a proof came"):
        right.receive(proof, 0.0)


# --- trust ------------------------------------------------------------------------------------


def no(_: VerifyKey | None) -> None:
    raise TrustError("not you", hint="ask")


@BOTH
def test_a_client_that_does_not_trust_the_server(terms: Terms) -> None:
    left, right = client(terms=terms, trust=no, identity=key(1)), server(identity=key(2))
    carry(left, right)
    with pytest.raises(TrustError, match="not you"):
        carry(right, left)
    assert left.lost().message == "not you"
    carry(left, right)
    error = right.lost()
    assert (type(error), error.message, error.hint) == (
        TrustError, "the client says: not you", "ask",
    )  # fmt: skip
    assert not right.ended_well


@BOTH
def test_a_server_that_does_not_trust_the_client(terms: Terms) -> None:
    left, right = client(terms=terms, identity=key(1)), server(trust=no)
    carry(left, right)
    carry(right, left)
    left.send(Open(1, "a"))
    with pytest.raises(TrustError, match="not you"):
        carry(left, right)
    assert carry(right, left) == []
    assert left.is_closed
    assert left.lost().message == "the server says: not you"


def test_a_judge_that_fails_lets_nobody_in() -> None:
    def broken(_: VerifyKey | None) -> None:
        raise KeyError("oops")

    left, right = client(), server(trust=broken)
    carry(left, right)
    carry(right, left)
    with pytest.raises(KeyError):
        carry(left, right)
    assert right.is_closed
    carry(right, left)
    assert left.lost().message == "the server says: the peer could not be judged"


@pytest.mark.parametrize("formats", [("msgpack",), ("json",)])
def test_refusals_of_a_hello_are_understood(formats: tuple[str, ...]) -> None:
    cases: list[tuple[Terms, Terms, type[AteError], str]] = [
        (Terms(formats=formats), SECRET, EncryptionRequired, "wants an encrypted connection"),
        (Terms(formats=formats, versions=(7,)), PLAIN, UnsupportedFormat, "the peer speaks 1"),
    ]
    for terms, server_terms, error, text in cases:
        left, right = client(terms=terms), server(terms=server_terms)
        with pytest.raises(error):
            carry(left, right)
        assert carry(right, left) == []
        assert type(left.lost()) is error
        assert text in left.lost().message


# --- time -------------------------------------------------------------------------------------


@BOTH
def test_silence_is_asked_about_and_then_taken_for_the_end(terms: Terms) -> None:
    left, right = pair(terms=terms)
    left.tick(14.9)
    assert left.outgoing() == []
    assert left.deadline_s == 15.0
    left.tick(15.0)
    left.tick(16.0)  # it is asked once
    (ping,) = left.outgoing()
    assert right.receive(ping, 15.1) == []
    (pong,) = right.outgoing()
    assert left.receive(pong, 15.2) == []
    assert left.deadline_s == pytest.approx(30.2)
    left.tick(30.2)
    assert len(left.outgoing()) == 1
    left.tick(45.1)
    with pytest.raises(TimedOut, match="for 30 s"):
        left.tick(45.2)
    assert left.is_closed
    assert isinstance(left.lost(), TimedOut)
    left.tick(99.0)
    assert left.deadline_s is None


def test_another_sign_of_life_counts_as_well() -> None:
    left, _ = pair()
    left.noticed(20.0)
    left.noticed(10.0)
    left.tick(34.9)
    assert left.outgoing() == []
    assert left.deadline_s == 35.0


def test_many_pings_are_fine_when_their_answers_are_taken() -> None:
    left, right = pair()
    for number in range(10 * limits.PINGS_MAX):
        left._out.add(Codec("msgpack").encode_one(Ping(number)))
        left._unanswered.add(number)
        carry(left, right)
        carry(right, left)
    assert left._unanswered == set()


def test_a_handshake_has_to_be_over_in_time() -> None:
    right = server()
    right.tick(9.9)
    assert right.deadline_s == 10.0
    carry(client(), right)
    with pytest.raises(TimedOut, match="handshake"):
        right.tick(10.0)
    assert len(right.outgoing()) == 3  # hello, proof, Bye
    unstarted = Connection("server")
    unstarted.tick(99.0)
    assert unstarted.deadline_s is None


# --- the end ----------------------------------------------------------------------------------


@BOTH
def test_a_good_end(terms: Terms) -> None:
    left, right = pair(terms=terms)
    left.send(Open(1, "a"))
    left.close()
    assert carry(left, right) == [Open(1, "a")]
    assert left.ended_well
    assert right.ended_well
    assert "closed by this end" in left.lost().message
    assert "peer has closed" in right.lost().message
    assert right.receive(b"whatever", 0.0) == []
    right.close("late", "x")
    assert right.ended_well


@BOTH
def test_an_end_with_a_reason(terms: Terms) -> None:
    left, right = pair(terms=terms)
    right.close("throttled", "too many\nconnections")
    carry(right, left)
    assert left.lost().code == "throttled"
    assert left.lost().message == "the server says: too many connections"
    assert not left.ended_well
    assert not right.ended_well


@BOTH
def test_a_cut_is_no_end(terms: Terms) -> None:
    left, _ = pair(terms=terms)
    error = left.lost()
    assert type(error) is Disconnected
    assert "cut" in error.message
    assert left.lost() is error
    assert not left.ended_well
    assert left.is_closed


def test_a_bye_of_a_stranger_is_no_good_end() -> None:
    left = client(terms=SECRET)
    assert left.receive(b"\0" + Codec("msgpack").encode([Bye()]), 0.0) == []
    assert left.is_closed
    assert not left.ended_well


@pytest.mark.parametrize("more", [{"versions": ["x"]}, {"versions": 5}, {"versions": []}, {}])
def test_a_refusal_of_odd_form(more: dict[str, Any]) -> None:
    left = client()
    raw = Codec("json").encode([Bye("unsupported_format", "old", {**more, "hint": 5})])
    left.receive(b"\0" + raw, 0.0)
    assert isinstance(left.lost(), UnsupportedFormat)
    assert left.lost().message == "the server says: old"


def test_closing_what_never_began() -> None:
    one = Connection("client")
    one.close()
    assert one.outgoing() == []
    assert one.is_closed
    with pytest.raises(LocalProtocolError):
        one.start(0.0)
    with pytest.raises(LocalProtocolError, match="we start"):
        client().start(1.0)


def test_how_it_shows_itself() -> None:
    assert repr(client()) == "Connection(client, waits for the peer's hello)"
