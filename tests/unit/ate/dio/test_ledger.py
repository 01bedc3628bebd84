"""Money moves by entries; the rules refuse whatever else would move it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

import ate
from ate.dio.ledger import Account, Entry, audit, ledger_rules, statement, transfer
from ate.dio.opening import Opening


async def opened(chain: ate.Chain) -> tuple[ate.ObjectId, ate.ObjectId]:
    """Return alice, who has 100, and bob, who has nothing."""
    dio = chain.dio()
    vault = dio.store(Account("vault", floor=-1000)).id
    alice, bob = dio.store(Account("alice")).id, dio.store(Account("bob")).id
    await dio.commit()
    await transfer(dio, vault, alice, 100, "gift")
    await dio.commit()
    return alice, bob


def bank() -> Opening:
    return ate.open("bank", memory=True, plugins=ledger_rules(), session=ate.Session.new("teller"))


async def test_a_transfer_is_two_entries() -> None:
    async with bank() as chain:
        alice, bob = await opened(chain)
        dio = chain.dio()
        await transfer(dio, alice, bob, 30, "lunch")
        await dio.commit()
        assert (await dio.load(Account, alice)).value.balance == 70
        assert [entry.value.amount for entry in await statement(dio, alice)] == [100, -30]
        assert [entry.value for entry in await statement(dio, bob)] == [Entry(30, "lunch", alice)]
        assert await audit(dio) == []


async def test_a_balance_does_not_fall_below_its_floor() -> None:
    async with bank() as chain:
        alice, bob = await opened(chain)
        dio = chain.dio()
        await transfer(dio, alice, bob, 101)
        with pytest.raises(ate.Refused, match="alice would be -1"):
            await dio.commit()
        assert (await chain.dio().load(Account, bob)).value.balance == 0


async def test_many_transfers_at_once_create_no_money() -> None:
    async with bank() as chain:
        alice, bob = await opened(chain)

        async def pay() -> bool:
            while True:
                dio = chain.dio()
                await transfer(dio, alice, bob, 15)
                try:
                    await dio.commit()
                except ate.Conflict:
                    continue
                except ate.Refused:
                    return False
                return True

        paid = await asyncio.gather(*(pay() for _ in range(10)))
        assert sum(paid) == 6
        assert (await chain.dio().load(Account, alice)).value.balance == 10
        assert await audit(chain.dio()) == []


async def cook(dio: ate.Dio, alice: ate.ObjectId) -> None:
    (await dio.load(Account, alice)).update(balance=1000)


async def lower(dio: ate.Dio, alice: ate.ObjectId) -> None:
    (await dio.load(Account, alice)).update(floor=-1000)


async def forge(dio: ate.Dio, alice: ate.ObjectId) -> None:
    dio.store(Entry(5, "found it"), parent=alice)


async def rewrite(dio: ate.Dio, alice: ate.ObjectId) -> None:
    (await statement(dio, alice))[0].update(text="salary")


async def erase(dio: ate.Dio, alice: ate.ObjectId) -> None:
    (await statement(dio, alice))[0].delete()


async def vanish(dio: ate.Dio, alice: ate.ObjectId) -> None:
    (await dio.load(Account, alice)).delete()


async def born_rich(dio: ate.Dio, alice: ate.ObjectId) -> None:
    dio.store(Account("carol", balance=7))


CRIMES = [cook, lower, forge, rewrite, erase, vanish, born_rich]


@pytest.mark.parametrize("crime", CRIMES, ids=lambda one: one.__name__)
async def test_books_cannot_be_cooked(
    crime: Callable[[ate.Dio, ate.ObjectId], Awaitable[None]],
) -> None:
    async with bank() as chain:
        alice, _ = await opened(chain)
        dio = chain.dio()
        await crime(dio, alice)
        with pytest.raises(ate.Refused):
            await dio.commit()


async def test_an_empty_account_without_entries_can_be_closed() -> None:
    async with bank() as chain:
        _, bob = await opened(chain)
        dio = chain.dio()
        (await dio.load(Account, bob)).delete()
        await dio.commit()


async def test_without_the_rules_an_audit_tells() -> None:
    async with ate.open("bank", memory=True) as chain:
        dio = chain.dio()
        dio.store(Account("carol", balance=7))
        await dio.commit()
        assert await audit(dio) == ["carol: 7, the entries say 0"]


async def test_a_transfer_moves_something_from_one_to_another() -> None:
    async with bank() as chain:
        alice, bob = await opened(chain)
        for source, target, amount in ((alice, alice, 1), (alice, bob, 0), (alice, bob, -1)):
            with pytest.raises(ate.UsageError):
                await transfer(chain.dio(), source, target, amount)


async def test_existing_chains_are_opened_under_the_rules() -> None:
    rules = ledger_rules()
    verdicts = [await rule.validate(_Nothing()) for rule in rules]
    assert len(verdicts) == 3


class _Nothing:
    """A proposal that was not prepared here: its bodies are sealed."""

    drafts = None
