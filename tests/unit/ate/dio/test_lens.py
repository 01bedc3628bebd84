"""What is shown depends on who looks; what may be read does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

import ate


@dataclass(frozen=True)
class Person:
    name: str
    salary: int
    retired: bool = False


def look(person: Person, claims: Mapping[str, Any]) -> str | None:
    if claims.get("staff"):
        return f"{person.name} earns {person.salary}"
    return None if person.retired else person.name


PEOPLE = ate.Lens(Person, look)


async def test_the_claims_of_the_session_decide_what_is_shown() -> None:
    boss, guest = ate.Session.new("boss"), ate.Session.new("guest")
    boss.claims["staff"] = True
    access = ate.Access(read=ate.Everyone)
    async with ate.open("lens", memory=True, session=boss, access=access) as chain:
        dio = chain.dio()
        firm = dio.store("firm")
        ada = dio.store(Person("ada", 9), parent=firm).id
        bob = dio.store(Person("bob", 8, retired=True), parent=firm).id
        await dio.commit()

        assert await PEOPLE.load(dio, ada) == "ada earns 9"
        assert [shown async for shown in PEOPLE.all(dio)] == ["ada earns 9", "bob earns 8"]

        theirs = chain.dio(guest)
        assert await PEOPLE.load(theirs, ada) == "ada"
        assert [shown async for shown in PEOPLE.all(theirs)] == ["ada"]
        assert [shown async for shown in PEOPLE.children(theirs, firm)] == ["ada"]
        with pytest.raises(ate.NotFound):
            await PEOPLE.load(theirs, bob)


async def test_without_a_session_there_are_no_claims() -> None:
    async with ate.open("lens", memory=True) as chain:
        assert PEOPLE.see(chain.dio(), Person("ada", 9)) == "ada"
