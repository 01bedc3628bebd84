"""A rule over values is asked at every commit, with what is stored and what is to come."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import ate


@dataclass(frozen=True)
class Balance:
    value: int


def rule(old: Balance | None, new: Balance | None) -> str | None:
    if new is None:
        assert old is not None
        return "it stays" if old.value else None
    if new.value < 0:
        return f"would be {new.value}"
    return "too fast" if old is not None and new.value - old.value > 10 else None


@pytest.mark.parametrize("session", [None, ate.Session.new("me")], ids=["plain", "sealed"])
async def test_a_rule_denies_what_it_gives_a_reason_for(session: ate.Session | None) -> None:
    plugins = [ate.Logic(Balance, rule)]
    async with ate.open("logic", memory=True, session=session, plugins=plugins) as chain:
        dio = chain.dio()
        dio.store(Balance(-1))
        with pytest.raises(ate.Refused, match="would be -1"):
            await dio.commit()
        dio.cancel()
        balance = dio.store(Balance(5))
        dio.store("something else")
        await dio.commit()
        for value, reason in ((-3, "would be -3"), (99, "too fast")):
            balance.update(value=value)
            with pytest.raises(ate.Refused, match=reason):
                await dio.commit()
        balance.update(value=15)
        await dio.commit()


async def test_no_way_around_it() -> None:
    """Deleting by id, or by way of a parent; becoming another type; another session."""
    me, other = ate.Session.new("me"), ate.Session.new("other")
    plugins, access = [ate.Logic(Balance, rule)], ate.Access(write=ate.Everyone)
    async with ate.open("logic", memory=True, session=me, access=access, plugins=plugins) as chain:
        dio = chain.dio()
        folder = dio.store("folder")
        balance = dio.store(Balance(5), parent=folder)
        await dio.commit()

        for act in ("by id", "by parent"):
            dio = chain.dio()
            dio.delete(balance.id if act == "by id" else folder.id)
            with pytest.raises(ate.Refused, match="it stays"):
                await dio.commit()

        dio = chain.dio()
        dio.store("no balance any more", id=balance.id)
        with pytest.raises(ate.Refused, match="it stays"):
            await dio.commit(on_conflict="last")

        dio = chain.dio(other)
        dio.store(Balance(-2), access=ate.Access(read=ate.Everyone))
        with pytest.raises(ate.Refused, match="would be -2"):
            await dio.commit()


async def test_an_id_that_is_used_again_is_new() -> None:
    plugins = [ate.Logic(Balance, rule)]
    async with ate.open("logic", memory=True, plugins=plugins) as chain:
        dio = chain.dio()
        balance = dio.store(Balance(0))
        await dio.commit()
        balance.delete()
        await dio.commit()
        dio.store(Balance(1000), id=balance.id)
        await dio.commit()
        assert (await dio.load(Balance, balance.id)).value == Balance(1000)


async def test_before_the_chain_is_open_there_is_no_stored_value() -> None:
    logic = ate.Logic(Balance, rule, name="mine")
    assert (logic.name, logic.load) == ("mine", None)
    async with ate.open("logic", memory=True) as chain:
        logic.attach(chain)
        assert logic.load is not None
        assert await logic.load(bytes(16)) is None
