"""`ate.trust.centralized`: what nobody decides without signing it."""

from __future__ import annotations

import pytest

from ate.errors import BadSignature
from ate.event.access import Access, Any, Everyone, Only
from ate.event.header import Header
from ate.event.row import Kind
from ate.ids import ROOT
from ate.testing.forger import Line, ruled
from ate.testing.office import Office, draft, note
from ate.testing.stage import member

ALICE, BOB = member("alice"), member("bob")
BOARD = Access(Everyone, Any(ALICE.public, BOB.public))


async def with_board(**more: object) -> tuple[Office, bytes]:
    """Return an office and an object that everybody may read, which alice has signed."""
    made = await Office.of(ALICE, BOB, **more)
    board = draft(b"for all")
    board.header = Header(BOARD)
    await made.take(await made.made(ALICE, board))
    return made, board.id


async def refused(made: Office, why: str, *lines: Line) -> None:
    with pytest.raises(BadSignature, match=why):
        await made.take(made.forged(BOB, *lines), over=BOB)


async def test_one_domain_for_all() -> None:
    made = await Office.of(ALICE, BOB)
    await refused(made, "row 1: .* not sealed", note(), note(epoch=0))
    await refused(made, "not sealed", note(domain=b"d" * 16))
    await made.take(made.forged(BOB, note(), note()), over=BOB)


async def test_a_chain_that_everybody_reads_is_not_sealed() -> None:
    made = await Office.of(ALICE, BOB, access=Access(Everyone, Any(ALICE.public, BOB.public)))
    await made.take(made.forged(BOB, note(epoch=0)), over=BOB)


async def test_each_object_in_the_domain_that_its_rule_gives() -> None:
    made, board = await with_board()
    await made.take(made.forged(BOB, note(parent=board, epoch=0)), over=BOB)
    await refused(made, "not sealed", note(parent=bytes(ROOT), epoch=0))
    await refused(made, "not sealed", note(epoch=1, domain=board))
    first = note(parent=bytes(ROOT))
    await refused(made, "row 1: .* not sealed", first, note(parent=first.id, epoch=0))


async def test_a_rule_stays_as_it_is() -> None:
    made, board = await with_board()
    seq = made.ledger.view.head
    again = note(id=board, base=seq, created=seq, epoch=0)
    await refused(made, "not signed the rule", ruled(again, Access(Only(BOB.public))))
    await refused(made, "not signed the rule", ruled(note(), Access(Everyone)))
    await made.take(made.forged(BOB, ruled(again, BOARD)), over=BOB)
    seq = made.ledger.view.head
    dead = Line(board, kind=Kind.TOMBSTONE, base=seq, created=seq - 0)
    await made.take(made.forged(BOB, ruled(dead, BOARD)), over=BOB)


async def test_an_object_stays_where_it_is() -> None:
    made, board = await with_board()
    mine = note(parent=board, epoch=0)
    await made.take(made.forged(BOB, mine), over=BOB)
    seq = made.ledger.view.head
    moved = {"id": mine.id, "base": seq, "created": seq}
    await refused(made, "not signed that it moves", note(**moved))
    dead = Line(mine.id, kind=Kind.TOMBSTONE, base=seq, created=seq)
    await refused(made, "not signed that it moves", dead)
    await made.take(made.forged(BOB, note(**moved, parent=board, epoch=0)), over=BOB)


async def test_a_signed_commit_may_decide() -> None:
    made, board = await with_board()
    moved = draft()
    moved.parent = board
    await made.take(await made.made(BOB, moved), over=BOB)
    copy = await made.copy(ALICE)
    assert copy.view.head == made.ledger.view.head
