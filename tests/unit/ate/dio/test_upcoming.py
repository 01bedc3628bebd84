from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.shared import Note, World, play, put, texts
from tests.unit.ate.dio.test_forwarder import away

import ate
from ate.errors import Deleted, NotFound, WrongType


@dataclass
class Box:
    name: str = ""
    notes: ate.Vec[Note] = field(default_factory=ate.Vec)
    named: ate.Map[str, Note] = field(default_factory=ate.Map)
    lid: ate.Child[Note] = field(default_factory=ate.Child)


async def names(dio: ate.Dio, kind: Any) -> list[Any]:
    return [dao.value async for dao in dio.all(kind)]


def test_what_waits_is_listed_and_loaded() -> None:
    async def main(world: World) -> None:
        _, chain = await away(world)
        await world.loop.pause(2)
        dao = await put(chain, "waits")
        dio = chain.dio()
        loaded = await dio.load(Note, dao.id)
        assert (loaded.value, loaded.seq, loaded.place[1]) == (Note("waits"), 0, 0)
        assert (await dio.load(dict, dao.id)).value == {"text": "waits", "n": 0}
        with pytest.raises(WrongType, match="Note"):
            await dio.load(Box, dao.id)
        with pytest.raises(NotFound):
            await dio.load(Note, ate.ObjectId(bytes(15) + b"\1"))
        assert {one["text"] for one in await names(dio, dict)} == {"first", "waits"}
        assert await names(dio, Box) == []
        loaded.value = Note("changed here")
        assert sorted([one.text for one in await names(dio, Note)]) == ["changed here", "first"]
        dio.store(Note("new here"))
        assert len(await names(dio, Note)) == 3
        loaded.delete()
        assert sorted([one.text for one in await names(dio, Note)]) == ["first", "new here"]
        await dio.commit()
        assert await texts(chain) == ["first", "new here"]
        with pytest.raises(Deleted):
            await chain.dio().load(Note, dao.id)
        world.start()
        await chain.sync()
        assert await texts(chain) == ["first", "new here"]
        await chain.close()

    play(main)


def test_collections_of_what_waits() -> None:
    async def main(world: World) -> None:
        _, chain = await away(world)
        await world.loop.pause(2)
        dio = chain.dio()
        box = dio.store(Box("b"))
        box.value.notes.push(Note("1"))
        box.value.named.insert("k", Note("v"))
        await box.value.lid.set(Note("lid"))
        await dio.commit()
        for step in range(3):
            dio = chain.dio()
            loaded = await dio.load(Box, box.id)
            found = [one.value.text async for one in loaded.value.notes]
            assert found == ["1", "2", "3"][: step + 1]
            assert await loaded.value.named.get("k") == Note("v", step)
            assert await loaded.value.lid.get() == Note("lid", step)
            assert await loaded.value.notes.count() == step + 1
            if step < 2:
                loaded.value.notes.push(Note(f"{step + 2}"))
                entry = await loaded.value.named.find("k")
                entry.value = type(entry.value)("k", Note("v", step + 1))
                await loaded.value.lid.set(Note("lid", step + 1))
                await dio.commit()
        world.start()
        await chain.sync()
        assert chain.conflicts == []
        loaded = await chain.dio().load(Box, box.id)
        assert [one.value.text async for one in loaded.value.notes] == ["1", "2", "3"]
        assert await loaded.value.named.get("k") == Note("v", 2)
        assert await loaded.value.lid.get() == Note("lid", 2)
        await world.stop()
        await world.loop.pause(2)
        dio = chain.dio()
        loaded = await dio.load(Box, box.id)
        assert await loaded.value.notes.clear() == 3
        await loaded.value.named.delete("k")
        await dio.commit()
        loaded = await chain.dio().load(Box, box.id)
        assert await loaded.value.notes.count() == 0
        assert await loaded.value.named.get("k") is None
        world.start()
        await chain.sync()
        assert chain.conflicts == []
        assert await loaded.value.notes.count() == 0
        await chain.close()

    play(main)


def test_nothing_is_missed_while_what_waits_lands() -> None:
    async def main(world: World) -> None:
        _, chain = await away(world)
        await world.loop.pause(2)
        ids = [(await put(chain, f"{n}")).id for n in range(30)]
        listing = chain.dio().all(Note)
        seen = [(await anext(listing)).id]
        world.start()
        await chain.sync()
        seen += [dao.id async for dao in listing]
        assert sorted(set(seen)) == sorted(seen)
        assert set(ids) <= set(seen)
        await chain.close()

    play(main)
