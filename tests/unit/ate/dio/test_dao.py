from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

import ate
from ate import Vec
from ate.errors import UsageError
from ate.event.access import Access, Any, Everyone, Only
from ate.ids import ROOT
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member

NOON = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Task:
    text: str
    done: bool = False
    notes: Vec[str] = field(default_factory=Vec)


async def test_before_the_commit_it_has_an_id_and_no_history() -> None:
    async with ate.open("d", memory=True) as chain:
        dao = chain.dio().store(Task("x"))
        assert len(dao.id) == 16
        assert dao.seq == 0
        assert (dao.updated, dao.created, dao.author, dao.header) == (None, None, None, None)
        assert (dao.parent, dao.access, dao.type_name) == (ROOT, Access(), "Task")
        assert repr(dao) == f"Dao(Task {dao.id.hex()[:8]}, seq 0)"


async def test_history_marks_follow_the_versions() -> None:
    clock = SimClock()
    async with ate.open("d", memory=True, clock=clock) as chain:
        dio = chain.dio()
        dao = dio.store(Task("x"))
        await dio.commit()
        assert (dao.seq, dao.created, dao.updated) == (2, NOON, NOON)
        clock.advance(60)
        dao.update(done=True)
        await dio.commit()
        loaded = await chain.dio().load(Task, dao.id)
        for one in (dao, loaded):
            assert one.seq == 3
            assert one.created == NOON
            assert one.updated is not None
            assert (one.updated - NOON).total_seconds() == 60
            assert one.author is None
        assert repr(loaded).endswith("seq 3)")


async def test_values_are_changed_by_field_as_a_whole_and_in_place() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store(Task("x"))
        items = dio.store([1])
        await dio.commit()
        assert dao.update(text="y") is dao
        items.value.append(2)
        items.update()
        await dio.commit()
        fresh = chain.dio()
        assert (await fresh.load(Task, dao.id)).value.text == "y"
        assert (await fresh.load(list, items.id)).value == [1, 2]
        items.value = [3]
        await dio.commit()
        assert (await fresh.load(list, items.id)).value == [3]


async def test_what_cannot_be_stored_changes_nothing() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store(Task("x"))
        await dio.commit()
        with pytest.raises(UsageError, match="no"):
            dao.update(nonsense=1)
        with pytest.raises(UsageError):
            dao.update(done="maybe")
        with pytest.raises(UsageError):
            dao.value = {"text": 1}  # type: ignore[assignment]
        assert dao.value.text == "x"
        assert dao.value.done is False
        assert not dio.has_changes


async def test_a_new_value_keeps_its_collections_bound() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store(Task("x"))
        dao.value.notes.push("first")
        await dio.commit()
        dao.update(text="y")
        dao.value.notes.push("second")
        await dio.commit()
        loaded = await chain.dio().load(Task, dao.id)
        assert [note.value async for note in loaded.value.notes] == ["first", "second"]


async def test_a_deleted_object_takes_no_changes() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store(Task("x"))
        await dio.commit()
        dao.delete()
        for change in (
            lambda: dao.update(text="y"), lambda: dao.move(None), dao.delete,
            lambda: setattr(dao, "value", Task("z")), lambda: setattr(dao, "access", Access()),
        ):  # fmt: skip
            with pytest.raises(UsageError, match="was deleted"):
                change()


async def test_a_rule_is_set_kept_and_replaced() -> None:
    alice = member("alice")
    async with ate.open("d", memory=True, session=alice) as chain:
        dio = chain.dio()
        dao = dio.store("x")
        await dio.commit()
        dao.access = Access(write=Any(alice.public))
        await dio.commit()
        loaded = await chain.dio().load(str, dao.id)
        assert loaded.access == Access(write=Any(alice.public))
        loaded.value = "y"
        await loaded._dio.commit()
        again = await chain.dio().load(str, dao.id)
        assert again.access == Access(write=Any(alice.public)), "a new value keeps the rule"
        again.access = Access(read=Only(alice.public), write=Everyone)
        await again._dio.commit()
        last = await chain.dio().load(str, dao.id)
        assert last.access == Access(read=Only(alice.public), write=Everyone)
        assert (last.value, last.author) == ("y", "alice")


async def test_moving_hangs_it_elsewhere_and_leaves_its_collection() -> None:
    disk = SimDisk()
    async with ate.open("d", path="/c", disk=disk) as chain:
        dio = chain.dio()
        one, two = dio.store(Task("one")), dio.store(Task("two"))
        pushed = one.value.notes.push("n")
        assert isinstance(pushed, ate.Dao)
        note: ate.Dao[str] = pushed
        await dio.commit()
        assert note.move(two) is note
        assert note.parent == two.id
        await dio.commit()
        assert [dao.id async for dao in dio.children(two, str)] == [note.id]
        assert [dao async for dao in one.value.notes] == []
        note.move(None)
        await dio.commit()
    async with ate.open("d", path="/c", disk=disk) as chain:
        assert [dao.id async for dao in chain.dio().roots(str)] == [note.id]


async def test_who_wrote_it_is_the_identity_behind_the_key() -> None:
    alice, bob = member("alice"), member("bob")
    public = Access(read=Everyone, write=Everyone)
    for suite in (1, 2):
        async with ate.open("d", memory=True, session=alice, access=public, suite=suite) as chain:
            async with chain.dio() as dio:
                mine = dio.store(1)
            async with chain.dio(session=bob) as dio:
                theirs = dio.store(2)
            assert (mine.author, theirs.author) == ("alice", "bob")
            assert (await chain.dio().load(int, theirs.id)).author == "bob"


async def test_one_handle_for_each_object_that_is_changed() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store({"n": 1})
        await dio.commit()
        one, two = await dio.load(dict, dao.id), await dio.load(dict, dao.id)
        one.update()
        with pytest.raises(UsageError, match="loaded twice"):
            two.update()
        assert await dio.load(dict, dao.id) is one
