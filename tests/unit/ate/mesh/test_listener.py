"""Whose statements count, and when the chain must be opened anew to show what was heard last."""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.unit.ate.mesh.served import NAME, Scribe

from ate.chain.ledger import Ledger
from ate.chain.ordering import consider
from ate.crypto.entropy import system_entropy
from ate.crypto.sign import SigningKey, VerifyKey
from ate.dio.receipt import Receipt
from ate.errors import ReadOnly, RemoteProtocolError, TrustError, UsageError, WriteDenied
from ate.log.beside import Beside
from ate.log.memory import MemoryLog
from ate.mesh.listener import Listener, unwritable
from ate.mesh.stating import stating
from ate.mesh.vigil import Vigil
from ate.testing.simclock import SimClock
from ate.wire.message import Opened
from ate.wire.terms import PeerSession

RELAY, MASTER = SigningKey.generate(), SigningKey.generate()
MASTERS: Final = MASTER.public.raw.hex()


def opened(by: Any = MASTERS, role: str = "relay", **fields: Any) -> Opened:
    more = {"master": "ws://m/", "key": by} if by else {}
    return Opened(1, b"", 0, 0, bytes(32), role=role, more={**more, **fields})


async def chain() -> Ledger:
    ledger = Ledger(MemoryLog(), clock=SimClock(), entropy=system_entropy)
    await ledger.replay()
    record, current = await consider(ledger, memoryview(await Scribe().founding(NAME)))
    ledger.accept(record, current)
    return ledger


async def test_a_relay_names_the_master_and_its_key_is_judged() -> None:
    judged: list[bytes] = []

    def judge(key: VerifyKey | None) -> None:
        assert key is not None
        judged.append(key.key_id)
        if key != MASTER.public:
            raise TrustError("not the master")

    ledger = await chain()
    listener = Listener(Vigil(Beside()), lambda url: judge if url == "ws://m/" else None)
    listener.peer = PeerSession(key=RELAY.public)
    assert listener.show(ledger) == b""
    assert listener.learn(opened(), ledger)
    assert judged == [MASTER.public.key_id]
    with pytest.raises(TrustError, match="not the master"):
        listener.learn(opened(RELAY.public.raw.hex()), ledger)
    for wrong in ("zz", "00", "0" * 100_000):
        with pytest.raises(RemoteProtocolError):
            listener.learn(opened(wrong), ledger)


async def test_what_the_master_said_before_is_shown_to_it() -> None:
    ledger, vigil = await chain(), Vigil(Beside())
    listener, state = Listener(vigil), stating(MASTER)
    listener.peer = PeerSession(key=MASTER.public)
    assert listener.show(ledger) == b""
    listener.hear(state(ledger, b""), ledger, is_answer=True)
    seen = listener.show(ledger)
    assert seen
    listener.hear(state(ledger, seen), ledger, is_answer=True)
    listener.keep()
    # By way of a relay the same memory counts, so that the chain is opened once more to show it.
    listener.peer = PeerSession(key=RELAY.public)
    shown = listener.show(ledger)
    assert shown == b""
    assert not listener.learn(opened(), ledger)
    again = listener.show(ledger)
    assert again not in (b"", seen)
    assert listener.learn(opened(), ledger)
    listener.hear(state(ledger, again), ledger, is_answer=True)
    listener.look(ledger)
    with pytest.raises(TrustError):
        listener.hear(stating(RELAY)(ledger, b""), ledger)
    listener.forget()
    assert listener.show(ledger) == b"", "the relay itself never said a word"


async def test_without_a_vigil_nothing_is_compared() -> None:
    ledger, listener = await chain(), Listener()
    listener.peer = PeerSession(key=RELAY.public)
    assert listener.show(ledger) == b""
    listener.hear(b"anything", ledger)
    listener.look(ledger)
    listener.keep()
    assert listener.learn(opened(""), ledger)


def test_why_no_commits_are_taken() -> None:
    assert isinstance(unwritable("notes", opened(role="master")), WriteDenied)
    archived = unwritable("notes", opened(role="archive", owner="ws://m/"))
    assert isinstance(archived, ReadOnly)
    assert "ws://m/" in archived.hint


async def test_an_acknowledgement_needs_a_server_that_signs() -> None:
    ledger = await chain()
    receipt = Receipt(1, bytes(32), 1, 0, 1, ledger.view.frontier)
    with pytest.raises(UsageError, match="signs no statements"):
        Listener().acknowledge(receipt, None, ledger)
