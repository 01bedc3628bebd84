from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.wire import SERVER_ID, key

from ate.crypto.entropy import SeededEntropy
from ate.crypto.hash import derive
from ate.crypto.kem import SealingKey
from ate.errors import (
    AteError,
    BadSignature,
    CannotOpen,
    EncryptionRequired,
    RemoteProtocolError,
    TrustError,
    UnsupportedFormat,
)
from ate.wire.handshake import CONTEXTS, WRAP_INFO, Handshake, versions_differ
from ate.wire.terms import PeerSession, Role, Terms

Change = Callable[[dict[str, Any]], object]


def end(role: Role, terms: Terms, *, seed: int | None = None, **more: Any) -> Handshake:
    own = PeerSession(
        agent=f"{role} 1", path="/db", server_id=SERVER_ID if role == "server" else b""
    )
    given: dict[str, Any] = {
        "identity": None if seed is None else key(seed), "trust": None,
        "entropy": SeededEntropy(seed or 9), "own": own, **more,
    }  # fmt: skip
    return Handshake(role, terms, **given)


def changed(frame: bytes, change: Change) -> bytes:
    """Return a hello with something else in it."""
    room: Any = msgspec.json if frame[1:2] == b"{" else msgspec.msgpack
    content = room.decode(frame[1:])
    change(content)
    return frame[:1] + room.encode(content)


@pytest.mark.parametrize("encryption", [False, True])
@pytest.mark.parametrize("formats", [("msgpack",), ("json",), ("json", "msgpack")])
def test_both_ends_come_to_know_each_other(encryption: bool, formats: tuple[str, ...]) -> None:
    left = end("client", Terms(encryption=encryption, formats=formats, frame_max=9000), seed=1)
    right = end("server", Terms(message_max=100_000), seed=2)
    left.answered(right.answer(left.hello()))
    server = left.check(right.prove())
    client = right.check(left.prove())
    assert server == PeerSession(
        key=key(2).public, agent="server 1", path="/db", format=formats[0], encrypted=encryption,
        frame_max=9000, message_max=100_000, server_id=SERVER_ID,
    )  # fmt: skip
    assert client.key == key(1).public
    assert (client.agent, client.path, client.encrypted) == ("client 1", "/db", encryption)
    assert left.codec.name == right.codec.name == formats[0]
    if not encryption:
        assert left.sending is left.receiving is right.sending is None
        return
    for source, target in ((left.sending, right.receiving), (right.sending, left.receiving)):
        assert source is not None
        assert target is not None
        assert target.open(source.seal(2, b"text")) == b"text"


def test_the_keys_are_those_of_the_specification() -> None:
    left, right = end("client", Terms(encryption=True), seed=1), end("server", Terms(), seed=2)
    hello = left.hello()
    answer = right.answer(hello)
    left.answered(answer)
    wrapped = msgspec.msgpack.decode(answer[1:])["wrapped"]
    ephemeral = SealingKey.from_seed(SeededEntropy(1)(32))
    secret = ephemeral.unwrap(wrapped, WRAP_INFO + derive("ate wire client hello 1", hello))
    both = b"".join(len(one).to_bytes(4, "little") + one for one in (hello, answer))
    transcript = derive("ate wire transcript 1", both)
    assert left.sending is not None
    assert left.sending._key == derive("ate wire client key 1", secret + transcript)
    assert right.sending is not None
    assert right.sending._key == derive("ate wire server key 1", secret + transcript)
    proof = msgspec.msgpack.decode(right.prove())
    assert proof["transcript"] == transcript
    key(2).public.verify(proof["signature"], transcript, CONTEXTS["server"])


def test_the_ephemeral_key_is_forgotten() -> None:
    left, right = end("client", Terms(encryption=True)), end("server", Terms())
    left.answered(right.answer(left.hello()))
    assert left._ephemeral is None


def test_unknown_fields_are_passed_over() -> None:
    left, right = end("client", Terms()), end("server", Terms())
    hello = changed(left.hello(), lambda told: told.update(later=[1, {"x": 2}]))
    answer = changed(right.answer(hello), lambda told: told.update(later=1))
    left.answered(answer)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.pop("versions"),
        lambda told: told.pop("nonce"),
        lambda told: told.update(nonce=b"short"),
        lambda told: told.update(formats=[]),
        lambda told: told.update(formats=["xml"]),
        lambda told: told.update(frame_max=100),
        lambda told: told.update(message_max=100),
        lambda told: told.update(frame_max=-1),
        lambda told: told.update(path="x" * 1025),
        lambda told: told.update(seal=b"short"),
        lambda told: told.update(seal=b"\xff" * 1216),
        lambda told: told.update(versions=[1] * 65),
    ],
)
def test_hellos_of_a_client_that_are_none(change: Change) -> None:
    left, right = end("client", Terms()), end("server", Terms())
    with pytest.raises(RemoteProtocolError):
        right.answer(changed(left.hello(), change))


@pytest.mark.parametrize(
    "raw", [b"\x04", b"\x04{", b"\x04[]", b"\x04\x80", b"\x04\xc1", b"\x04GET"]
)
def test_bytes_that_are_no_hello(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        end("server", Terms()).answer(raw)
    left = end("client", Terms())
    left.hello()
    with pytest.raises(RemoteProtocolError):
        left.answered(raw)


@pytest.mark.parametrize(
    "encryption, change, error",
    [
        (False, lambda told: told.update(version=2), RemoteProtocolError),
        (False, lambda told: told.update(format="xml"), RemoteProtocolError),
        (False, lambda told: told.update(server=b"short"), RemoteProtocolError),
        (False, lambda told: told.update(wrapped=b"x"), RemoteProtocolError),
        (False, lambda told: told.update(versions=[7], version=7), UnsupportedFormat),
        (True, lambda told: told.pop("wrapped"), TrustError),
        (True, lambda told: told.update(wrapped=bytes(1168)), CannotOpen),
        (True, lambda told: told.update(wrapped=b"short"), TrustError),
    ],
)
def test_answers_of_a_server_that_a_client_refuses(
    encryption: bool, change: Change, error: type[AteError]
) -> None:
    left, right = end("client", Terms(encryption=encryption)), end("server", Terms())
    answer = changed(right.answer(left.hello()), change)
    with pytest.raises(error):
        left.answered(answer)


def test_a_server_that_requires_encryption() -> None:
    with pytest.raises(EncryptionRequired, match="wants an encrypted connection"):
        end("server", Terms(encryption=True)).answer(end("client", Terms()).hello())


def test_versions() -> None:
    future = end("client", Terms(versions=(8, 9)))
    with pytest.raises(UnsupportedFormat, match="I speak 1, the peer speaks 8, 9") as found:
        end("server", Terms()).answer(future.hello())
    assert found.value.hint == "update this end"
    assert versions_differ([2], [1]).hint == "update the other end"
    assert "none" in versions_differ([1], []).message
    # A client that speaks more than the server gets on with what both speak.
    newer, right = end("client", Terms(versions=(1, 2))), end("server", Terms())
    newer.answered(right.answer(newer.hello()))
    assert newer.check(right.prove()).version == 1


@pytest.mark.parametrize("who", ["client", "server"])
@pytest.mark.parametrize(
    "change, error",
    [
        (lambda told: told.update(transcript=bytes(32)), BadSignature),
        (lambda told: told.update(signature=bytes(3373)), BadSignature),
        (lambda told: told.update(signature=b"short"), BadSignature),
        (lambda told: told.update(key=key(3).public.raw), BadSignature),
        (lambda told: told.update(key=b"short"), RemoteProtocolError),
        (lambda told: told.pop("signature"), RemoteProtocolError),
        (lambda told: told.pop("key"), RemoteProtocolError),
        (lambda told: told.pop("transcript"), RemoteProtocolError),
    ],
)
def test_proofs_that_prove_nothing(who: str, change: Change, error: type[AteError]) -> None:
    left, right = end("client", Terms(), seed=1), end("server", Terms(), seed=2)
    left.answered(right.answer(left.hello()))
    proof = right.prove()
    if who == "server":
        judge = left
    else:
        left.check(proof)
        proof, judge = left.prove(), right
    with pytest.raises(error):
        judge.check(changed(b"\x08" + proof, change)[1:])


def test_a_servers_signature_is_none_of_a_client() -> None:
    """The contexts differ: a proof can not be sent back to where it came from."""
    left, right = end("client", Terms(), seed=1), end("server", Terms(), seed=2)
    left.answered(right.answer(left.hello()))
    proof = msgspec.msgpack.decode(right.prove())
    with pytest.raises(BadSignature):
        key(2).public.verify(proof["signature"], proof["transcript"], CONTEXTS["client"])


def test_trust_is_asked_with_the_proved_key() -> None:
    asked: list[object] = []
    left = end("client", Terms(), seed=1, trust=asked.append)
    right = end("server", Terms(), trust=asked.append)
    left.answered(right.answer(left.hello()))
    assert left.check(right.prove()).key is None
    assert right.check(left.prove()).key == key(1).public
    assert asked == [None, key(1).public]
