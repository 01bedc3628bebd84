"""`ate.mesh.sequencing`: for whom a server signs, and when a client lets it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.ate.mesh.served import Scribe

from ate.chain.genesis import Founding
from ate.errors import BadSignature, UsageError
from ate.mesh.sequencing import (
    OFFER,
    Sequencing,
    consider,
    offered,
    proved,
    with_sequencer,
)
from ate.testing.office import UNORDERED, Office, note, sequencer
from ate.testing.stage import member
from ate.testing.tamper import ordered
from ate.wire.message import Opened
from ate.wire.terms import PeerSession

ALICE, BOB = member("alice"), member("bob")
KEY = sequencer()


class Caller:
    """A connection, as far as it matters here."""

    address = "in memory"

    def __init__(self, **peer: Any) -> None:
        self.peer = PeerSession(**{"key": BOB.own.sign.public, "encrypted": True, **peer})

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
    assert await submit(made, Caller(), ours) == 0
    assert ours.offer(Caller()) == {OFFER: KEY.public.raw.hex()}
    for caller in (Caller(encrypted=False), Caller(key=None)):
        assert ours.offer(caller) == {}
        with pytest.raises(BadSignature, match="over an encrypted connection") as refused:
            await submit(made, caller, ours)
        assert "open the chain again" in (refused.value.hint or "")
    with pytest.raises(BadSignature, match="another's connection"):
        await submit(made, Caller(key=ALICE.own.sign.public), ours)
    for foreign in (None, Sequencing(sequencer(b"another"))):
        with pytest.raises(BadSignature, match="this server may not sign"):
            await submit(made, Caller(), foreign)


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
    assert offered(opened(Sequencing(KEY).offer(Caller()))) == raw
    for one in (None, opened({}), opened({OFFER: raw.hex()}, "relay"), opened({OFFER: 7}),
                opened({OFFER: "no hex"}), opened({OFFER: "00"})):  # fmt: skip
        assert offered(one) == b""


async def test_what_it_has_proved_then() -> None:
    made = await Office.of(ALICE, BOB)
    offer = opened(Sequencing(KEY).offer(Caller()))
    peer = Caller().peer
    told = BOB.public.key_id, KEY.public.key_id
    assert proved(offer, peer, await made.copy(BOB)) == told
    assert proved(offer, peer, await made.copy()) is None
    assert proved(opened({}), peer, await made.copy(BOB)) is None
    for open_peer in (None, Caller(encrypted=False).peer):  # somebody between may have offered it
        assert proved(offer, open_peer, await made.copy(BOB)) is None


def test_a_new_chain_names_its_server() -> None:
    roots, raw = (ALICE.public,), KEY.public.raw
    plain = Founding(roots)
    assert with_sequencer(plain, raw) is plain
    wanted = Founding(roots, mode="centralized", policy={"worm": True})
    assert with_sequencer(wanted, raw).policy == {"worm": True, "sequencers": [raw]}
    several = Founding(roots, mode="centralized", policy={"sequencers": [bytes(32), raw]})
    assert with_sequencer(several, raw).policy == several.policy
    for founding, offer, said in (
        (wanted, b"", "does not sign over this connection"),
        (Founding((), mode="centralized"), raw, "has keys"),
        (several, b"\x01" * 32, "other servers than this"),
    ):
        with pytest.raises(UsageError, match=said):
            with_sequencer(founding, offer)
