"""`ate.mesh.sequencing`: for whom a server signs, and when a client lets it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.ate.mesh.served import Scribe

from ate.chain.genesis import Founding
from ate.errors import BadSignature, TrustError, UsageError
from ate.mesh.sequencing import (
    OFFER,
    Sequencing,
    check_wire,
    consider,
    is_here,
    offered,
    proved,
    with_sequencer,
)
from ate.mesh.url import Url
from ate.testing.office import UNORDERED, Office, note, sequencer
from ate.testing.stage import member
from ate.testing.tamper import ordered
from ate.wire.message import Opened
from ate.wire.terms import PeerSession

ALICE, BOB = member("alice"), member("bob")
KEY = sequencer()


class Caller:
    """A connection, as far as it matters here."""

    def __init__(self, address: str = "127.0.0.1", **peer: Any) -> None:
        self.address = address
        self.peer = PeerSession(**{"key": BOB.own.sign.public, **peer})

    def send(self, *messages: Any) -> None: ...

    def close(self, code: str, text: str) -> None: ...


async def submit(made: Office, caller: Caller, sequencing: Sequencing | None) -> int:
    payload = ordered(made.forged(BOB, note()), UNORDERED)
    record, _ = await consider(sequencing, caller, made.ledger, "play", memoryview(payload))
    assert record.signature[:16] == KEY.public.key_id
    return record.author.suite


async def test_for_whom_a_server_signs() -> None:
    made = await Office.of(ALICE, BOB)
    ours = Sequencing(KEY)
    for caller in (Caller(), Caller("::1"), Caller("203.0.113.9", encrypted=True)):
        assert await submit(made, caller, ours) == 0
    assert await submit(made, Caller("203.0.113.9"), Sequencing(KEY, is_protected=True)) == 0
    with pytest.raises(BadSignature, match="others could write") as refused:
        await submit(made, Caller("203.0.113.9"), ours)
    assert "wss://" in (refused.value.hint or "")
    with pytest.raises(BadSignature, match="proves no key"):
        await submit(made, Caller(key=None), ours)
    with pytest.raises(BadSignature, match="another's connection"):
        await submit(made, Caller(key=ALICE.own.sign.public), ours)
    for foreign in (None, Sequencing(sequencer(b"another"))):
        with pytest.raises(BadSignature, match="this server may not sign") as refused:
            await submit(made, Caller(), foreign)
        assert "open the chain again" in (refused.value.hint or "")


@pytest.mark.parametrize(
    "sequencing, policy, said",
    [
        (None, {"sequencers": [KEY.public.raw]}, "mode distributed only"),
        (Sequencing(KEY), {"sequencers": [bytes(32)]}, "does not name this server"),
        (Sequencing(KEY), {}, "does not name this server"),
        (Sequencing(KEY), {"sequencers": [bytes(32), KEY.public.raw]}, ""),
    ],
)
async def test_what_may_be_founded(
    sequencing: Sequencing | None, policy: dict[str, Any], said: str
) -> None:
    first = await Scribe(who=ALICE).founding(mode="centralized", policy=policy)
    ledger = Office(ALICE, KEY).ledger
    asked = consider(sequencing, Caller(), ledger, "notes", memoryview(first))
    if not said:
        assert (await asked)[0].author.suite == 1
        return
    with pytest.raises(UsageError, match=said):
        await asked


def opened(more: dict[str, Any], role: str = "master") -> Opened:
    return Opened(1, b"", 0, 0, bytes(32), role=role, more=more)


def test_what_a_client_takes_for_an_offer() -> None:
    raw = KEY.public.raw
    assert offered(opened({OFFER: Sequencing(KEY).offer})) == raw
    for one in (None, opened({}), opened({OFFER: raw.hex()}, "relay"), opened({OFFER: 7}),
                opened({OFFER: "no hex"}), opened({OFFER: "00"})):  # fmt: skip
        assert offered(one) == b""


async def test_what_it_has_proved_then() -> None:
    made = await Office.of(ALICE, BOB)
    offer = opened({OFFER: Sequencing(KEY).offer})
    assert proved(offer, await made.copy(BOB)) == (BOB.public.key_id, KEY.public.key_id)
    assert proved(offer, await made.copy()) is None
    assert proved(opened({}), await made.copy(BOB)) is None


def test_a_new_chain_names_its_server() -> None:
    roots, raw = (ALICE.public,), KEY.public.raw
    plain = Founding(roots)
    assert with_sequencer(plain, raw) is plain
    wanted = Founding(roots, mode="centralized", policy={"worm": True})
    assert with_sequencer(wanted, raw).policy == {"worm": True, "sequencers": [raw]}
    several = Founding(roots, mode="centralized", policy={"sequencers": [bytes(32), raw]})
    assert with_sequencer(several, raw).policy == several.policy
    for founding, offer, said in (
        (wanted, b"", "signs for nobody"),
        (Founding((), mode="centralized"), raw, "has keys"),
        (several, b"\x01" * 32, "other servers than this"),
    ):
        with pytest.raises(UsageError, match=said):
            with_sequencer(founding, offer)


def test_connections_that_others_can_write_to() -> None:
    for url in ("wss://example.org", "tcps://example.org", "ws://localhost:1", "ws://[::1]:1",
                "ws://127.0.0.2:1"):  # fmt: skip
        check_wire(PeerSession(), Url.parse(url))
    check_wire(PeerSession(encrypted=True), Url.parse("ws://example.org"))
    for url in ("ws://example.org", "tcp://192.0.2.1"):
        with pytest.raises(TrustError, match="others can write") as refused:
            check_wire(PeerSession(), Url.parse(url))
        assert "encryption=True" in (refused.value.hint or "")
    assert is_here("localhost")
    assert not is_here("example.org")
