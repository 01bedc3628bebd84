"""`ate.testing.office`: a centralized chain, and everybody who writes to it."""

from __future__ import annotations

import pytest

from ate.errors import BadSignature
from ate.event.commit import Record
from ate.ids import ROOT
from ate.testing.office import Office, draft, note, sequencer
from ate.testing.stage import member

ALICE, BOB = member("alice"), member("bob")


async def test_what_members_send_is_signed_by_the_server_and_kept_in_copies() -> None:
    made = await Office.of(ALICE, BOB)
    forged = await made.take(made.forged(BOB, note()), over=BOB)
    true = await made.take(await made.made(ALICE, draft(b"hello")), over=ALICE)
    for frame in (forged, true):
        assert Record(memoryview(frame)).signature[:16] == made.key.public.key_id
    copy = await made.copy(ALICE)
    assert copy.view.frontier.root() == made.ledger.view.frontier.root()
    assert copy.view.head == made.ledger.view.head
    row = copy.view.find(copy.view.head)[0].row(0)
    assert (row.epoch, row.domain) == (1, bytes(ROOT))
    assert (await made.copy(frames=made.frames[:1])).view.frontier.size == 1


async def test_it_signs_with_any_key_for_any_connection() -> None:
    made = await Office.of(ALICE, BOB)
    other = sequencer(b"other")
    frame = await made.take(made.forged(BOB, note()), over=BOB, key=other)
    assert Record(memoryview(frame)).signature[:16] == other.public.key_id
    with pytest.raises(BadSignature):
        await made.take(made.forged(BOB, note()), over=ALICE)
