"""The index answers as a search through all objects would, now and after every reopening."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ate


@dataclass(frozen=True)
class Person:
    name: str
    city: str | None


def by_city() -> ate.SecondaryIndex[Person]:
    return ate.SecondaryIndex(Person, key=lambda person: person.city)


async def truth(chain: ate.Chain) -> dict[str, set[bytes]]:
    """Return what the index must say, from the objects themselves."""
    found: dict[str, set[bytes]] = {}
    async for dao in chain.dio().all(Person):
        if dao.value.city is not None:
            found.setdefault(dao.value.city, set()).add(dao.id)
    return found


def answers(index: ate.SecondaryIndex[Person]) -> dict[str, set[bytes]]:
    return {key: set(index.find(key)) for key, _ in index.range()}


async def test_objects_are_found_by_key_and_in_key_order() -> None:
    index = by_city()
    async with ate.open("people", memory=True, plugins=[index]) as chain:
        dio = chain.dio()
        ada = dio.store(Person("ada", "Delft")).id
        bob = dio.store(Person("bob", "Bern")).id
        cyd = dio.store(Person("cyd", "Delft")).id
        dio.store(Person("dan", None))
        dio.store("Delft")
        await dio.commit()
        await chain.seen(index)
        assert index.find("Delft") == [ada, cyd]
        assert index.find("Paris") == []
        assert index.keys() == ["Bern", "Delft"]
        assert list(index.range()) == [("Bern", bob), ("Delft", ada), ("Delft", cyd)]
        assert list(index.range("C")) == [("Delft", ada), ("Delft", cyd)]
        assert list(index.range("A", "Delft")) == [("Bern", bob)]
        assert len(index) == 3
        assert repr(index) == "SecondaryIndex('index of Person', 3 objects, 2 keys)"

        (await dio.load(Person, bob)).update(city="Delft")
        (await dio.load(Person, ada)).update(city=None)
        await dio.commit()
        dio.delete(cyd)
        await dio.commit()
        await chain.seen(index)
        assert answers(index) == await truth(chain) == {"Delft": {bob}}


async def test_what_cannot_be_read_is_not_in_it(tmp_path: Path) -> None:
    alice, bob = ate.Session.new("alice"), ate.Session.new("bob")
    access = ate.Access(read=ate.Only(alice.public, bob.public))
    async with ate.open("people", path=tmp_path, session=alice, access=access) as chain:
        dio = chain.dio()
        open_ = dio.store(Person("ada", "Delft")).id
        shut = dio.store(Person("bob", "Delft"))
        await dio.commit()
        shut.access = ate.Access(read=ate.Only(alice.public))
        await dio.commit()
    index = by_city()
    async with ate.open("people", path=tmp_path, session=bob, plugins=[index]):
        assert index.find("Delft") == [open_]


async def test_keys_without_an_order_can_be_found_but_not_ranged() -> None:
    index = ate.SecondaryIndex(Person, key=lambda person: person.city or 0, name="mixed")
    async with ate.open("people", memory=True, plugins=[index]) as chain:
        dio = chain.dio()
        zero = dio.store(Person("ada", None)).id
        dio.store(Person("bob", "Bern"))
        await dio.commit()
        await chain.seen(index)
        assert index.find(0) == [zero]
        with pytest.raises(ate.UsageError, match="mixed"):
            list(index.range())


Change = tuple[int, str | None]


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ABC") | st.none()))))
async def test_it_equals_a_rebuild_after_any_changes(commits: list[list[Change]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        index, rebuilt = by_city(), by_city()
        async with ate.open("people", path=place, plugins=[index]) as chain:
            ids: dict[int, ate.ObjectId] = {}
            for changes in commits:
                dio = chain.dio()
                for who, city in dict(changes).items():
                    if who not in ids:
                        ids[who] = dio.store(Person(str(who), city)).id
                    elif city == "C":
                        (await dio.load(Person, ids.pop(who))).delete()
                    else:
                        (await dio.load(Person, ids[who])).update(city=city)
                if dio.has_changes:
                    await dio.commit()
            await chain.seen(index)
            assert answers(index) == await truth(chain)
        async with ate.open("people", path=place, plugins=[rebuilt]):
            assert answers(rebuilt) == answers(index)
