"""`ate.trust.signer`: whose signature a commit carries."""

from __future__ import annotations

import pytest

from ate.event.access import Access, Everyone
from ate.event.commit import Origin
from ate.event.draft import Draft
from ate.event.header import Header
from ate.session import KeyPair, Session
from ate.testing.office import Office, draft
from ate.testing.stage import member
from ate.trust.sequence import NO_SEQUENCE, Proved

ALICE, BOB = member("alice"), member("bob")


async def suite(made: Office, who: Session, *drafts: Draft, proved: Proved | None = None) -> int:
    """Return the suite of what the product makes of drafts."""
    ledger = await made.copy(who)
    ledger.proved = proved or ledger.proved
    commit, _ = await ledger.preparer(who).prepare(
        drafts, origin=Origin(who.device, 5, 1, 0), seen_seq=ledger.view.head,
        now_us=ledger.now_us(),
    )  # fmt: skip
    if not commit.author.suite:
        assert commit.signature == NO_SEQUENCE
        assert commit.author.key_id == who.public.key_id
    return commit.author.suite


@pytest.mark.parametrize("own", [1, 2])
async def test_values_are_left_to_the_server(own: int) -> None:
    made = await Office.of(ALICE, BOB, suite=own)
    assert await suite(made, BOB, draft()) == 0
    ruled = draft()
    ruled.header = Header(Access(read=Everyone))
    assert await suite(made, BOB, draft(), ruled) == own


async def test_only_who_has_proved_its_key_to_a_server_that_may_sign() -> None:
    made = await Office.of(ALICE, BOB)
    key = made.key.public.key_id
    assert await suite(made, BOB, draft(), proved=Proved(BOB.public.key_id, bytes(16))) == 2
    assert await suite(made, BOB, draft(), proved=Proved(ALICE.public.key_id, key)) == 2
    assert await suite(made, BOB, draft(), proved=Proved(BOB.public.key_id, key)) == 0
    plain = await Office.of(ALICE, BOB, mode="distributed", policy={})
    assert await suite(plain, BOB, draft()) == 2


async def test_who_acts_as_somebody_whom_the_chain_does_not_see_signs() -> None:
    made = await Office.of(ALICE, BOB)
    bob = Session("bob", BOB.own, roles={"Finance": (KeyPair.generate("Finance"),)})
    assert await suite(made, bob, draft()) == 2


async def test_what_moves_is_signed() -> None:
    made = await Office.of(ALICE, BOB)
    board, mine = draft(), draft()
    board.header = Header(Access(read=Everyone))
    await made.take(await made.made(ALICE, board))
    await made.take(await made.made(BOB, mine), over=BOB)
    seq = made.ledger.view.head
    stays = draft(id=mine.id, base=seq, created=seq)
    moves = draft(id=mine.id, base=seq, created=seq, parent=board.id)
    assert await suite(made, BOB, stays) == 0
    assert await suite(made, BOB, moves) == 2
