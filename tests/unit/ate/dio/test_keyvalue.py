"""A table is a dict that lasts; two writers of different keys do not meet."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

import ate
from ate.dio.keyvalue import KeyValue


async def test_it_keeps_what_is_set(tmp_path: Path) -> None:
    async with ate.open("table", path=tmp_path, session=(me := ate.Session.new("me"))) as chain:
        dio = chain.dio()
        table = await KeyValue.open(dio)
        await table.set("colour", "red")
        await table.set("size", 3)
        await table.set("colour", {"r": 255, "on": dt.date(2026, 1, 1)})
        await dio.commit()
    async with ate.open("table", path=tmp_path, session=me) as chain:
        table = await KeyValue.open(chain.dio())
        assert await table.get("colour") == {"r": 255, "on": dt.date(2026, 1, 1)}
        assert [item async for item in table.items()][1] == ("size", 3)
        assert await table.count() == 2
        assert await table.get("weight", "none") == "none"


async def test_an_entry_can_be_changed_and_deleted() -> None:
    async with ate.open("table", memory=True) as chain:
        dio = chain.dio()
        await (await KeyValue.open(dio)).set("a", 1)
        await dio.commit()
        dio = chain.dio()
        table = await KeyValue.open(dio)
        await table.set("a", 2)
        await dio.commit()
        assert await (await KeyValue.open(chain.dio())).get("a") == 2
        await table.delete("a")
        await dio.commit()
        assert await (await KeyValue.open(chain.dio())).get("a") is None
        with pytest.raises(ate.LoadError):
            await table.delete("a")


async def test_tables_of_different_names_are_different() -> None:
    async with ate.open("table", memory=True) as chain:
        dio = chain.dio()
        one, two = await KeyValue.open(dio, "one"), await KeyValue.open(dio, "two")
        await one.set("a", 1)
        await dio.commit()
        assert await two.get("a") is None


async def test_writers_of_different_keys_do_not_meet_and_of_one_key_they_do() -> None:
    async with ate.open("table", memory=True) as chain:
        dio = chain.dio()
        await KeyValue.open(dio)
        await dio.commit()
        one, two, three = chain.dio(), chain.dio(), chain.dio()
        await (await KeyValue.open(one)).set("a", 1)
        await (await KeyValue.open(two)).set("b", 2)
        await (await KeyValue.open(three)).set("a", 3)
        await one.commit()
        await two.commit()
        with pytest.raises(ate.Conflict):
            await three.commit()
