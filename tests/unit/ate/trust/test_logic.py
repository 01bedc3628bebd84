from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

import ate
from ate.dio.schema import schema_of
from ate.errors import Refused
from ate.testing.stage import Stage
from ate.trust.logic import StructuredLogic


@dataclass
class Account:
    owner: str
    balance: int = 0


SCHEMA = schema_of(Account)


def not_negative(old: Account | None, new: Account | None) -> str | None:
    if new is None:
        return "accounts are closed, not deleted" if old is None or old.balance else None
    return f"{new.owner} would owe {-new.balance}" if new.balance < 0 else None


def rule() -> StructuredLogic:
    return StructuredLogic(SCHEMA.schema_id, SCHEMA.decode, not_negative, name="bank")


async def test_a_callback_denies_a_negative_balance() -> None:
    stage = Stage(plugins=[rule()])
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        dio = chain.dio()
        account = dio.store(Account("alice", 5))
        await dio.commit()
        account.update(balance=-3)
        with pytest.raises(Refused, match=r"bank: row \d+: alice would owe 3") as refused:
            await dio.commit()
        assert len(refused.value.verdicts) == 1
        assert (await chain.dio().load(Account, account.id)).value.balance == 5


async def test_one_bad_row_refuses_the_whole_commit() -> None:
    stage = Stage(plugins=[rule()])
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        dio = chain.dio()
        for value in (Account("a", 1), Account("b", -1), "a note"):
            dio.store(value)
        with pytest.raises(Refused):
            await dio.commit()
        assert len(chain) == 0


async def test_other_types_are_none_of_its_business() -> None:
    stage = Stage(plugins=[rule()])
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain, chain.dio() as dio:
        dio.store({"owner": "alice", "balance": -3})
    assert (await stage.ledger()).view.index.live == 1


async def test_the_rule_sees_the_stored_value_once_it_can_be_loaded() -> None:
    """Deleting an account is allowed only when the stored one is empty."""
    logic = rule()
    session = ate.Session.new("alice")
    async with ate.open("bank", memory=True, session=session, plugins=[logic]) as chain:

        async def load(object_id: bytes) -> Any:
            return (await chain.dio().load(Account, ate.ObjectId(object_id))).value

        logic.load = load
        dio = chain.dio()
        full, empty = dio.store(Account("full", 1)), dio.store(Account("empty"))
        await dio.commit()
        empty.delete()
        await dio.commit()
        full.delete()
        with pytest.raises(Refused, match="closed, not deleted"):
            await dio.commit()


async def test_where_bodies_are_sealed_it_has_no_opinion() -> None:
    """Replaying judges without plaintext: the rule binds authors here, not the log."""
    stage = Stage()
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain, chain.dio() as dio:
        dio.store(Account("alice", -3))
    stage.plugins = (rule(),)
    assert (await stage.ledger(alice)).view.index.live == 1
