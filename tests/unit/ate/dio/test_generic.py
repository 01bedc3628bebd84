"""Four methods are enough to read and change everything, here or from the other side."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import ate
from ate.dio.generic import Delete, Get, Item, List, Put, delete, get, list_, put, serve_generic


@dataclass(frozen=True)
class City:
    name: str
    people: int = 0


async def test_everything_can_be_read_and_changed_from_the_other_side() -> None:
    async with ate.open("any", memory=True, session=ate.Session.new("me")) as chain:
        serve_generic(chain)
        delft = await put.call(chain, Put({"name": "Delft"}, type="City"))
        assert (await chain.dio().load(City, delft)).value == City("Delft")

        await put.call(chain, Put({"name": "Delft", "people": 9}, id=delft))
        item = await get.call(chain, Get(delft))
        assert (item.type, item.value) == ("City", {"name": "Delft", "people": 9})
        assert (await chain.dio().load(City, delft)).value == City("Delft", 9)

        inside = await put.call(chain, Put({"x": 1}, parent=delft))
        await put.call(chain, Put({"name": "Bern"}, type="City"))
        assert [one.id for one in await list_.call(chain, List(parent=delft))] == [inside]
        cities = await list_.call(chain, List(type="City"))
        assert [one.value["name"] for one in cities] == ["Delft", "Bern"]
        assert len(await list_.call(chain, List(most=1))) == 1

        await delete.call(chain, Delete(delft))
        for gone in (delft, inside):
            with pytest.raises(ate.Deleted):
                await get.call(chain, Get(gone))


async def test_the_same_methods_run_here() -> None:
    async with ate.open("any", memory=True) as chain:
        dio = chain.dio()
        key = await put(dio, Put([1, 2]))
        await dio.commit()
        item = await get(dio, Get(key))
        assert item == Item(key, "list", [1, 2], ate.ObjectId(bytes(16)), chain.head)
        with pytest.raises(ate.NotFound):
            await delete(dio, Delete(ate.ObjectId(b"x" * 16)))
