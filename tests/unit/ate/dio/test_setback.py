"""Setbacks one by one; how they come about is in `tests/simulation/test_offline.py`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.shared import Note, World, play, texts
from tests.simulation.test_offline import both_change

import ate
from ate.dio.setback import Setback
from ate.errors import AteError, Conflict, WrongType


async def refused(world: World, mine: str | None, theirs: str | None) -> tuple[Any, Any, Any]:
    """Return a chain with a setback, a chain without, and what both changed."""
    one, a, b, dao = await both_change(world, "x", theirs)
    for setback in a.conflicts:
        setback.drop()
    world.net.heal()
    await a.sync()
    assert one
    return a, b, dao


def test_merging_field_by_field() -> None:
    async def main(world: World) -> None:
        a, b, dao = await refused(world, "x", "y")
        (setback,) = a.conflicts
        assert isinstance(setback.error, Conflict)
        assert repr(setback).startswith("Setback(1 changes, ")
        (change,) = setback.changes
        assert (change.id, change.is_delete) == (dao.id, False)
        assert change.base > 0
        with pytest.raises((WrongType, AteError)):
            change.value(int)
        receipt = await setback.merge(a, Note)
        assert receipt is not None
        assert (await a.dio().load(Note, dao.id)).value == Note("x", 7)
        assert a.conflicts == []
        setback.drop()  # it is decided already
        await a.close()
        await b.close()

    play(main)


def test_both_changed_the_same_field() -> None:
    async def main(world: World) -> None:
        one, a, b, dao = await both_change(world, "mine", "theirs")
        dio = b.dio()
        loaded = await dio.load(Note, dao.id)
        loaded.value = Note("theirs", 7)
        await dio.commit()
        world.net.heal()
        await a.sync()
        (setback,) = a.conflicts
        with pytest.raises(Conflict):
            await setback.merge(a, Note)
        assert a.conflicts == [setback]
        await setback.overwrite(a)
        assert await texts(a) == ["mine"]
        await a.close()
        await b.close()
        assert one

    play(main)


async def deleted_offline(world: World, *, changed: bool) -> tuple[Any, Any, Any]:
    one, two = world.device("one"), world.device("two")
    a, b = await one.open(), await two.open()
    dio = a.dio()
    daos = [dio.store(Note("0")), dio.store(Note("1"))]
    await dio.commit()
    await b.sync()
    world.net.cut("one", "server")
    world.net.reset("one", "server")
    await world.loop.pause(2)
    dio = a.dio()
    for dao in daos:
        dio.delete(dao.id)
    await dio.commit(ate.LOCAL)
    dio = b.dio()
    loaded = await dio.load(Note, daos[1].id)
    if changed:
        loaded.value = Note("changed")
    else:
        loaded.delete()
    await dio.commit()
    world.net.heal()
    await a.sync()
    return a, b, daos


def test_a_deletion_of_what_was_changed_is_a_conflict() -> None:
    async def main(world: World) -> None:
        a, b, _ = await deleted_offline(world, changed=True)
        (setback,) = a.conflicts
        with pytest.raises(Conflict, match="changed meanwhile"):
            await setback.merge(a)
        assert await texts(a) == ["0", "changed"]
        await setback.overwrite(a)
        assert await texts(a) == []
        await a.close()
        await b.close()

    play(main)


def test_a_deletion_of_what_was_deleted_is_done() -> None:
    async def main(world: World) -> None:
        a, b, _ = await deleted_offline(world, changed=False)
        (setback,) = a.conflicts
        await setback.merge(a)
        assert await texts(a) == []
        assert a.conflicts == []
        await a.close()
        await b.close()

    play(main)


def test_what_is_not_there_at_all_is_stored_anew() -> None:
    async def main(world: World) -> None:
        one, a, b, dao = await both_change(world, "mine", "theirs")
        world.net.heal()
        await a.sync()
        (setback,) = a.conflicts
        setbacks = a._remote.forwarder.setbacks
        drafts = setback._drafts
        drafts[0].id = bytes(16)[:-1] + b"\7"
        other = Setback(setbacks, 99, drafts, Conflict("no"))
        gone = Setback(setbacks, 98, [], Conflict("no"))
        assert await gone.merge(a) is None
        await gone.overwrite(a)
        await other.merge(a, Note)
        assert await texts(a) == ["base", "mine"]
        assert (dao.id, one.name) != (None, "")
        await a.close()
        await b.close()

    play(main)


def test_notes_of_before_become_errors_again() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        assert chain._remote is not None
        setbacks = chain._remote.forwarder.setbacks
        for number, note in enumerate(
            (b"conflict\nwhy", b"limit_exceeded\nwhy", b"never heard\nwhy", b"\xff"), 1
        ):
            setbacks.add(number, None, note)
        errors = [type(one.error).__name__ for one in setbacks.all()]
        assert errors[0] == "Conflict"
        assert errors[2:] == ["AteError", "AteError"]
        assert all(one.changes == () for one in setbacks.all())
        assert len(setbacks) == 4
        for one in setbacks.all():
            one.drop()
        await asyncio.sleep(0)
        await chain.close()

    play(main)
