"""A default type: accounts whose balance moves by entries that never change; no currency in it.

    async with ate.open("bank", plugins=ledger_rules()) as chain:
        dio = chain.dio()
        await transfer(dio, alice, bob, 250, "lunch")
        await dio.commit()

`transfer` writes what should happen; whether it may is said by the rules, at the commit: no balance
falls below its floor, no entry is changed or taken back, and a balance moves by its entries alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ate.dio.dao import Dao
from ate.dio.dio import Dio
from ate.dio.logic import Logic
from ate.dio.schema import schema_of
from ate.errors import UsageError
from ate.event.row import CODEC_FORMAT, Kind
from ate.ids import ObjectId
from ate.trust.plugin import ABSTAIN, Deny, Proposal, Verdict


@dataclass(frozen=True)
class Account:
    """Args: name, balance in the smallest unit, floor: the least that the balance may be."""

    __ate_type__: ClassVar[str] = "ate.Account"

    name: str
    balance: int = 0
    floor: int = 0


@dataclass(frozen=True)
class Entry:
    """One change of one account: a child of it.

    Args:
        amount: what was added; negative when it was taken.
        other: the account on the other side.
    """

    __ate_type__: ClassVar[str] = "ate.Entry"

    amount: int
    text: str = ""
    other: ObjectId | None = None


async def transfer(
    dio: Dio, source: ObjectId, target: ObjectId, amount: int, text: str = ""
) -> None:
    """Move `amount` from one account to another, in this unit of work.

    Raises:
        UsageError: the amount is not above zero, or both are one account.
        NotFound, Deleted: no such account.
    """
    if amount <= 0 or source == target:
        raise UsageError("a transfer moves more than 0 between two accounts")
    giver, taker = await dio.load(Account, source), await dio.load(Account, target)
    giver.update(balance=giver.value.balance - amount)
    taker.update(balance=taker.value.balance + amount)
    dio.store(Entry(-amount, text, target), parent=source)
    dio.store(Entry(amount, text, source), parent=target)


async def statement(dio: Dio, account: ObjectId) -> list[Dao[Entry]]:
    """Return an account's entries, oldest first."""
    return [entry async for entry in dio.children(account, Entry)]


async def audit(dio: Dio) -> list[str]:
    """Return what is wrong: accounts whose balance is not the sum of their entries."""
    found = []
    async for account in dio.all(Account):
        total = sum(entry.value.amount for entry in await statement(dio, account.id))
        if total != account.value.balance:
            found.append(f"{account.value.name}: {account.value.balance}, the entries say {total}")
    return found


def ledger_rules() -> list[Any]:
    """Return the plug-ins that make a chain a ledger; one list for one chain."""
    accounts = Logic(Account, _account_rule, name="accounts")
    return [accounts, Logic(Entry, _entry_rule, name="entries"), Books(accounts)]


def _account_rule(old: Account | None, new: Account | None) -> str | None:
    if new is None:
        assert old is not None
        return f"{old.name} still holds {old.balance}" if old.balance else None
    if old is not None and new.floor != old.floor:
        return f"the floor of {new.name} stays {old.floor}"
    if new.balance < new.floor:
        return f"the balance of {new.name} would be {new.balance}, the least is {new.floor}"
    return None


def _entry_rule(old: Entry | None, _: Entry | None) -> str | None:
    return "entries are not changed or deleted" if old is not None else None


class Books:
    """Denies a commit in which an account's balance does not move by exactly its new entries."""

    name = "books"
    reads_values = True

    def __init__(self, accounts: Logic) -> None:
        self._accounts = accounts
        self._account, self._entry = schema_of(Account), schema_of(Entry)

    async def validate(self, proposal: Proposal) -> Verdict:
        if proposal.drafts is None:
            return ABSTAIN
        moved: dict[bytes, int] = {}
        where: dict[bytes, int] = {}
        for index, draft in enumerate(proposal.drafts):
            codec = draft.codec & CODEC_FORMAT
            if draft.kind != Kind.DATA:
                continue
            if draft.schema == self._account.schema_id:
                old = await self._old(draft.id) if proposal.current[index] else None
                before = old.balance if old else 0
                after = self._account.decode(draft.body, codec).balance
                moved[draft.id] = moved.get(draft.id, 0) + after - before
                where[draft.id] = index
            elif draft.schema == self._entry.schema_id and not proposal.current[index]:
                amount = self._entry.decode(draft.body, codec).amount
                moved[draft.parent] = moved.get(draft.parent, 0) - amount
                where.setdefault(draft.parent, index)
        wrong = {account: rest for account, rest in moved.items() if rest}
        return [
            Deny(where[account], f"a balance moves by {rest} that no entry tells of")
            for account, rest in wrong.items()
        ] or ABSTAIN

    async def _old(self, account_id: bytes) -> Account | None:
        load = self._accounts.load
        found: Account | None = await load(account_id) if load else None
        return found
