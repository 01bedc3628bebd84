from __future__ import annotations

import asyncio

from ate.dio.moving import Moving
from ate.dio.parcel import Parcel, changed
from ate.dio.transaction import Durability, Transaction
from ate.event.draft import Draft


def transaction(*ids: int, parent: int = 0, guard: int = 0) -> Transaction:
    drafts = [
        Draft(1, one.to_bytes(16, "big"), parent.to_bytes(16, "big"), 0, 0, 0, 1, 1, b"")
        for one in ids
    ]
    done = asyncio.get_running_loop().create_future()
    guards = [(guard.to_bytes(16, "big"), 1)] if guard else []
    return Transaction(drafts, None, Durability.FULL, None, done, guards=guards)


def parcel(lsn: int, *group: Transaction, session: int = 1) -> Parcel:
    made = Parcel(list(group), (session, lsn), b"", (), 0)
    made.ids = [one for transaction in group for one in changed(transaction)]
    return made


async def test_what_is_on_its_way_holds_up_what_stands_on_it() -> None:
    moving = Moving()
    assert not moving.holds_up(transaction(1))
    first, second = parcel(1, transaction(1, 2)), parcel(2, transaction(3, parent=2))
    moving.add(first)
    moving.add(second)
    assert len(moving) == 2
    assert list(moving) == [first, second]
    for one in (transaction(1), transaction(9, parent=3), transaction(9, guard=2)):
        assert moving.holds_up(one)
    assert not moving.holds_up(transaction(9, parent=8, guard=7))
    moving.settle(first)
    moving.settle(first)  # it is settled already
    assert not moving.holds_up(transaction(1))
    assert moving.holds_up(transaction(2)), "another one hangs something under it"
    moving.settle(second)
    assert not moving.holds_up(transaction(2))
    assert len(moving) == 0


async def test_the_last_of_each_session_is_known() -> None:
    moving = Moving()
    moving.add(parcel(1, transaction(1)))
    moving.add(parcel(9, transaction(2), session=7))
    moving.add(parcel(2, transaction(3)))
    assert [moving.last_lsn(0, one) for one in (1, 7, 8)] == [2, 9, 0]
