"""`ate.chain.ordering`: a commit from elsewhere gets its place, and the server's signature."""

from __future__ import annotations

import pytest

from ate.chain.ordering import consider
from ate.errors import BadSignature, LimitExceeded, ProtocolError, ReadOnly
from ate.event.commit import Record
from ate.testing.office import UNORDERED, Office, draft, note
from ate.testing.stage import member
from ate.testing.tamper import ordered
from ate.trust.sequence import Vouch, check_sequence

ALICE, BOB = member("alice"), member("bob")


async def test_it_is_judged_and_numbered_and_nothing_is_written() -> None:
    made = await Office.of(ALICE, BOB)
    view = made.ledger.view
    before = view.head, view.frontier.size, view.link
    commit = await made.made(BOB, draft())
    vouch = Vouch(BOB.own.sign.public.raw, made.key.sign)
    payload = memoryview(ordered(commit, UNORDERED))
    record, current = await consider(made.ledger, payload, vouch)
    part = record.sequencer
    assert (part.first_seq, part.index, part.link) == (before[0] + 1, *before[1:])
    assert current == [0] * record.row_count
    assert (view.head, view.frontier.size, view.link) == before
    assert record.author == commit.author
    check_sequence(view.trust.sequencers, record.signature, record.leaf)
    assert bytes(payload[256:]) != bytes(record.payload[256:])  # the room was filled


async def test_what_is_signed_stays_as_it_is() -> None:
    made = await Office.of(ALICE, BOB, mode="distributed", policy={})
    commit = await made.made(BOB, draft())
    record, _ = await consider(made.ledger, memoryview(ordered(commit, UNORDERED)))
    assert record.signature == commit.signature


async def test_what_is_refused() -> None:
    made = await Office.of(ALICE, BOB)
    payload = memoryview(ordered(made.forged(BOB, note()), UNORDERED))
    with pytest.raises(BadSignature):
        await consider(made.ledger, payload)
    with pytest.raises(ProtocolError):
        await consider(made.ledger, payload[:-8])
    outside = bytearray(payload)
    outside[272 + 127] |= 0x80
    with pytest.raises(ProtocolError, match="carries all its bodies"):
        await consider(made.ledger, memoryview(bytes(outside)))
    made.ledger.view.head = (1 << 48) - 1
    with pytest.raises(LimitExceeded):
        await consider(made.ledger, payload)


async def test_a_ledger_that_only_reads_orders_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await Office.of(ALICE, BOB)
    monkeypatch.setattr(made.ledger.store, "readonly", True, raising=False)
    payload = memoryview(ordered(made.forged(BOB, note()), UNORDERED))
    with pytest.raises(ReadOnly):
        await consider(made.ledger, payload)
    assert Record(payload).signature == bytes(80)
