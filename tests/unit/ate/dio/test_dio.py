from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any as Anything

import pytest

import ate
from ate import Map, ObjectId, Vec, limits
from ate.client import Chain
from ate.errors import Conflict, Deleted, LimitExceeded, NoReadKey, NotFound, UsageError, WrongType
from ate.event.access import Access, Everyone, Only
from ate.ids import ROOT
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member


@dataclass
class Task:
    text: str
    done: bool = False
    notes: Vec[str] = field(default_factory=Vec)
    by_name: Map[str, int] = field(default_factory=Map)


@dataclass
class Person:
    name: str
    age: int = 0


async def values(source: AsyncIterator[Anything]) -> list[Anything]:
    return [dao.value async for dao in source]


async def ids(source: AsyncIterator[Anything]) -> list[ObjectId]:
    return [dao.id async for dao in source]


# --- D1: store, load, change, delete, children ------------------------------------------------


@pytest.mark.parametrize("codec", [1, 2])
@pytest.mark.parametrize("who", [None, "alice"])
async def test_store_load_change_delete(who: str | None, codec: int) -> None:
    session = member(who) if who else None
    async with ate.open("d", memory=True, session=session) as chain:
        dio = chain.dio(codec=codec)
        dao = dio.store(Person("Ada", 36))
        await dio.commit()
        fresh = chain.dio(codec=codec)
        found = await fresh.load(Person, dao.id)
        assert found.value == Person("Ada", 36)
        found.update(age=37)
        await fresh.commit()
        assert (await chain.dio().load(Person, dao.id)).value.age == 37
        assert (await chain.dio().load(dict, dao.id)).value == {"name": "Ada", "age": 37}
        found.delete()
        await fresh.commit()
        with pytest.raises(Deleted):
            await chain.dio().load(Person, dao.id)
        assert not await chain.dio().exists(dao.id)
        assert len(chain) == 0


async def test_raw_bytes_are_a_format_too() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio(codec=3)
        dao = dio.store(b"\0\1\2")
        await dio.commit()
        assert (await chain.dio().load(bytes, dao.id)).value == b"\0\1\2"


async def test_children_roots_and_all_in_the_order_of_creation() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        top = dio.store(Person("top"))
        below = [dio.store(Task(str(number)), parent=top) for number in range(3)]
        deeper = dio.store(Task("deep"), parent=below[0].id)
        odd = dio.store(Person("odd"), parent=top)
        await dio.commit()
        below[1].update(done=True)
        await dio.commit()
        for unit in (dio, chain.dio()):
            assert await ids(unit.children(top, Task)) == [dao.id for dao in below]
            assert await ids(unit.children(top.id, Person)) == [odd.id]
            assert len(await ids(unit.children(top, object))) == 4
            assert await ids(unit.roots(Person)) == [top.id]
            assert await ids(unit.children(None, Person)) == [top.id]
            assert set(await ids(unit.all(Task))) == {deeper.id, *(dao.id for dao in below)}
            assert len(await ids(unit.all(dict))) == 6
        assert await ids(dio.children(deeper, Task)) == []


async def test_more_objects_than_one_batch() -> None:
    async with ate.open("d", memory=True) as chain:
        async with chain.dio() as dio:
            top = dio.store("top")
            for number in range(1000):
                dio.store(number, parent=top)
        dio = chain.dio()
        assert await values(dio.children(top, int)) == list(range(1000))
        assert len(await values(dio.all(object))) == 1001


# --- the unit of work ---------------------------------------------------------------------------


async def test_nobody_else_sees_what_is_not_committed() -> None:
    async with ate.open("d", memory=True) as chain:
        mine, theirs = chain.dio(), chain.dio()
        dao = mine.store(Person("Ada"))
        assert await mine.exists(dao.id)
        assert (await mine.load(Person, dao.id)) is dao
        assert await ids(mine.roots(Person)) == await ids(mine.all(object)) == [dao.id]
        assert not await theirs.exists(dao.id)
        assert await ids(theirs.all(object)) == []
        with pytest.raises(NotFound):
            await theirs.load(Person, dao.id)
        await mine.commit()
        assert await theirs.exists(dao.id)


async def test_its_own_changes_lie_over_what_it_reads() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        one, two = dio.store(Person("one")), dio.store(Person("two"))
        child = dio.store(Task("child"), parent=one)
        await dio.commit()
        unit = chain.dio()
        (await unit.load(Person, one.id)).update(name="ONE")
        (await unit.load(Task, child.id)).move(two.id)
        unit.delete(two.id)
        new = unit.store(Task("new"), parent=one.id)
        assert await values(unit.all(Person)) == [Person("ONE")]
        assert await ids(unit.children(one.id, Task)) == [new.id]
        assert await ids(unit.children(two.id, Task)) == [child.id], "moved, not yet committed"
        assert not await unit.exists(two.id)
        with pytest.raises(Deleted, match="in this Dio"):
            await unit.load(Person, two.id)
        with pytest.raises(Deleted, match="in this Dio"):
            unit.delete(two.id)
        with pytest.raises(WrongType):
            await unit.load(Person, new.id)
        assert await values(dio.all(Person)) == [Person("one"), Person("two")]
        unit.cancel()
        assert not unit.has_changes
        assert await values(unit.all(Person)) == [Person("one"), Person("two")]


async def test_an_object_is_listed_once_while_it_is_changed_on_the_way() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        for number in range(5):
            dio.store(Person(str(number)))
        await dio.commit()
        seen = []
        async for dao in dio.all(Person):
            dao.update(age=1)
            seen.append(dao.id)
        assert len(seen) == len(set(seen)) == 5
        async for dao in dio.roots(Person):
            dao.update(age=2)
            seen.remove(dao.id)
        assert not seen


async def test_an_id_stored_anew_as_another_type_is_listed_as_that() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store(Person("x"))
        await dio.commit()
        dao.delete()
        dio.store(Task("y"), id=dao.id)
        assert await values(dio.all(Person)) == []
        assert [one.value.text async for one in dio.all(Task)] == ["y"]
        assert len(await ids(dio.all(object))) == 1
        await dio.commit()
        assert (await chain.dio().load(Task, dao.id)).value.text == "y"


async def test_leaving_the_block_commits_and_an_error_cancels() -> None:
    async with ate.open("d", memory=True) as chain:
        async with chain.dio() as dio:
            dio.store(1)
        assert len(chain) == 1
        with pytest.raises(KeyError):
            async with chain.dio() as dio:
                dio.store(2)
                raise KeyError
        assert len(chain) == 1
        assert not dio.has_changes
        async with chain.dio():
            pass


async def test_committing_nothing_is_a_mistake() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        with pytest.raises(UsageError, match="nothing to commit"):
            await dio.commit()
        dio.store(1).delete()
        with pytest.raises(UsageError, match="deleted again"):
            await dio.commit()
        with pytest.raises(UsageError, match="on_conflict"):
            await dio.commit(on_conflict="hope")


async def test_commits_are_atomic_over_objects_and_collections() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        task = dio.store(Task("t"))
        task.value.notes.push("n")
        task.value.by_name.insert("a", 1)
        taken = dio.store(Person("x"))
        await dio.commit()
        unit = chain.dio()
        loaded = await unit.load(Task, task.id)
        loaded.value.notes.push("m")
        unit.store(Person("y"))
        unit.store(Person("clash"), id=taken.id)
        head = chain.head
        with pytest.raises(Conflict):
            await unit.commit()
        assert chain.head == head
        assert unit.has_changes


# --- conflicts ----------------------------------------------------------------------------------


async def pair(chain: Chain, value: Anything) -> tuple[ate.Dao[Anything], ate.Dao[Anything]]:
    """Return two handles on one object, each in a Dio of its own."""
    dio = chain.dio()
    dao = dio.store(value)
    await dio.commit()
    kind = type(value)
    return await chain.dio().load(kind, dao.id), await chain.dio().load(kind, dao.id)


async def test_changes_to_different_fields_merge() -> None:
    async with ate.open("d", memory=True) as chain:
        ours, theirs = await pair(chain, Person("Ada", 36))
        theirs.update(age=37)
        await theirs._dio.commit()
        ours.update(name="Ada L.")
        with pytest.raises(Conflict) as caught:
            await ours._dio.commit()
        assert caught.value.theirs == theirs.seq
        await ours._dio.commit(on_conflict="merge")
        assert ours.value == Person("Ada L.", 37)
        assert (await chain.dio().load(Person, ours.id)).value == Person("Ada L.", 37)


async def test_changes_to_one_field_conflict_or_the_last_one_wins() -> None:
    async with ate.open("d", memory=True) as chain:
        ours, theirs = await pair(chain, Person("Ada", 36))
        theirs.update(age=37)
        await theirs._dio.commit()
        ours.update(age=38)
        with pytest.raises(Conflict, match="age") as caught:
            await ours._dio.commit(on_conflict="merge")
        assert (caught.value.object, caught.value.theirs) == (ours.id, theirs.seq)
        assert ours._dio.has_changes
        await ours._dio.commit(on_conflict="last")
        assert (await chain.dio().load(Person, ours.id)).value.age == 38


async def test_what_is_gone_or_going_does_not_merge() -> None:
    async with ate.open("d", memory=True) as chain:
        ours, theirs = await pair(chain, Person("Ada"))
        theirs.delete()
        await theirs._dio.commit()
        ours.update(age=1)
        with pytest.raises(Conflict, match="was deleted"):
            await ours._dio.commit(on_conflict="merge")
        ours, theirs = await pair(chain, Person("Bob"))
        theirs.update(age=2)
        await theirs._dio.commit()
        ours.delete()
        with pytest.raises(Conflict):
            await ours._dio.commit(on_conflict="merge")
        await ours._dio.commit(on_conflict="last")
        assert not await chain.dio().exists(ours.id)
        fresh = chain.dio()
        fresh.store(Person("new"), id=(await pair(chain, Person("old")))[0].id)
        with pytest.raises(Conflict, match="exists already"):
            await fresh.commit(on_conflict="merge")


async def test_fields_of_a_newer_program_survive_an_update() -> None:
    @dataclass
    class Wide:
        __ate_type__ = "Person"
        name: str
        age: int = 0
        mail: str = ""

    async with ate.open("d", memory=True) as chain:
        async with chain.dio() as dio:
            dao = dio.store(Wide("Ada", 36, "ada@example.com"))
        async with chain.dio() as unit:
            (await unit.load(Person, dao.id)).update(age=37)
        assert (await chain.dio().load(Wide, dao.id)).value == Wide("Ada", 37, "ada@example.com")


# --- history ------------------------------------------------------------------------------------


async def test_an_object_as_of_an_earlier_seq() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        first = dio.store(Person("other"))
        dao = dio.store(Person("v", 1))
        await dio.commit()
        seqs = [dao.seq]
        for age in (2, 3):
            dao.update(age=age)
            await dio.commit()
            seqs.append(dao.seq)
        dao.delete()
        await dio.commit()
        unit = chain.dio()
        for seq, age in zip(seqs, (1, 2, 3), strict=True):
            assert (await unit.load(Person, dao.id, at_seq=seq)).value.age == age
        with pytest.raises(Deleted):
            await unit.load(Person, dao.id, at_seq=chain.head)
        for seq in (0, first.seq):
            with pytest.raises(NotFound, match="as of seq"):
                await unit.load(Person, dao.id, at_seq=seq)
        with pytest.raises(NotFound):
            await unit.load(Person, ObjectId.random(), at_seq=5)


async def test_many_at_once() -> None:
    alice = member("alice")
    async with ate.open("d", memory=True, session=alice, access=Access(read=Everyone)) as chain:
        dio = chain.dio()
        wanted = [dio.store(Person(str(number))) for number in range(3)]
        secret = dio.store(Person("s"), access=Access(read=Only(alice.public)))
        await dio.commit()
        wanted[1].delete()
        await dio.commit()
        some = [wanted[2].id, wanted[0].id]
        assert [dao.value.name for dao in await dio.load_many(some, Person)] == ["2", "0"]
        untyped: list[ate.Dao[object]] = await dio.load_many(some)
        assert [dao.type_name for dao in untyped] == ["Person", "Person"]
        everything = [*(dao.id for dao in wanted), secret.id, ObjectId.random()]
        stranger = chain.dio(session=member("bob"))
        found = await stranger.load_many(everything, Person, missing="skip")
        assert [dao.value.name for dao in found] == ["0", "2"]
        with pytest.raises(Deleted):
            await dio.load_many(everything, Person)
        with pytest.raises(NoReadKey):
            await stranger.load(Person, secret.id)


# --- deleting -----------------------------------------------------------------------------------


async def test_deleting_by_id_opens_nothing() -> None:
    alice, bob = member("alice"), member("bob")
    public = Access(read=Everyone, write=Everyone)
    async with ate.open("d", memory=True, session=alice, access=public) as chain:
        dio = chain.dio()
        dao = dio.store(Person("secret"), access=Access(read=Only(alice.public)))
        child = dio.store("child", parent=dao)
        await dio.commit()
        unit = chain.dio(session=bob)
        unit.delete(dao.id)
        await unit.commit()
        assert not await dio.exists(child.id)
        for unknown, error in ((dao.id, Deleted), (ObjectId.random(), NotFound)):
            with pytest.raises(error):
                unit.delete(unknown)
        mine = dio.store(1)
        dio.delete(mine.id)
        assert not await dio.exists(mine.id)


async def test_elements_of_a_map_and_a_vec_are_deleted_through_the_field() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        task = dio.store(Task("t"))
        task.value.by_name.insert("a", 1)
        task.value.by_name.insert("b", 2)
        task.value.notes.push("n")
        await dio.commit()
        await task.value.by_name.delete("a")
        assert await task.value.notes.clear() == 1
        await dio.commit()
        loaded = (await chain.dio().load(Task, task.id)).value
        assert [key async for key, _ in loaded.by_name.items()] == ["b"]
        assert await loaded.by_name.get("a") is None
        assert await loaded.notes.count() == 0
        unit = chain.dio()
        (await unit.load(Task, task.id)).value.by_name.insert("a", 3)
        await unit.commit()
        assert await task.value.by_name.get("a") == 3, "a key can be used again"


# --- bad input ----------------------------------------------------------------------------------


async def test_what_cannot_be_stored_is_said_at_once() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        with pytest.raises(UsageError, match="cannot be stored"):
            dio.store(object())
        for wrong in ("x" * 16, b"short", 5):
            with pytest.raises(UsageError, match="id"):
                dio.store(1, id=wrong)  # type: ignore[arg-type]
            with pytest.raises(UsageError, match="parent"):
                dio.store(1, parent=wrong)  # type: ignore[arg-type]
        mine = dio.store(1)
        with pytest.raises(UsageError, match="holds an object"):
            dio.store(2, id=mine.id)
        assert await ids(dio.all(object)) == [mine.id]


async def test_a_value_that_cannot_be_encoded_stops_the_commit_and_names_the_place() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        dio.store(1)
        wrong: dict[str, Anything] = {"deep": [1, {"er": object()}]}
        bad = dio.store(wrong)
        with pytest.raises(UsageError, match="dict"):
            await dio.commit()
        assert (chain.head, dio.has_changes) == (1, True)
        bad.value = {"fine": 1}
        await dio.commit()
        assert len(chain) == 2


async def test_a_body_that_is_too_large_stays_in_the_dio() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        big = dio.store(bytes(limits.BODY_BYTES_MAX))
        with pytest.raises(LimitExceeded, match="body bytes"):
            await dio.commit()
        assert dio.has_changes
        big.delete()
        parts = [dio.store(bytes(limits.BODY_BYTES_MAX - 100)) for _ in range(4)]
        with pytest.raises(LimitExceeded, match="commit bytes") as caught:
            await dio.commit()
        assert "portions" in caught.value.hint
        parts[0].delete()
        await dio.commit()
        assert len(chain) == 3


async def test_the_chains_own_rows_are_nobodys_objects() -> None:
    disk = SimDisk()
    async with ate.open("d", path="/c", disk=disk, session=member("alice")) as chain:
        dio = chain.dio()
        dio.store(1)
        await dio.commit()
        with pytest.raises(WrongType):
            await dio.load(dict, ROOT)
        for how in ("error", "last"):
            dio.store({}, id=ROOT)
            with pytest.raises(ate.AteError):
                await dio.commit(on_conflict=how)
            dio.cancel()
        with pytest.raises(ate.AteError):
            dio.delete(ROOT)
            await dio.commit()
        head = chain.head
    disk.remove("/c/d/000001/index")
    async with ate.open("d", path="/c", disk=disk, readonly=True) as chain:
        assert chain.head == head


async def test_a_type_that_is_not_what_was_stored() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store(Person("x"))
        await dio.commit()
        with pytest.raises(WrongType, match="is a Person, not a Task") as caught:
            await dio.load(Task, dao.id)
        assert "dict" in caught.value.hint


@pytest.mark.parametrize("jump", [-40 * 86_400, 400 * 86_400])
async def test_a_clock_that_jumps_stops_nobody(jump: int) -> None:
    """The order is in the seqs; certificates are made for the time of the chain."""
    disk, clock, alice = SimDisk(), SimClock(), member("alice")
    async with ate.open("d", path="/c", disk=disk, clock=clock, session=alice) as chain:
        async with chain.dio() as dio:
            dio.store(1)
        clock.advance(jump)
        async with chain.dio() as dio:
            dio.store(2)
    clock.advance(-jump)
    for value in (3, 4):
        same = member("alice")
        async with ate.open("d", path="/c", disk=disk, clock=clock, session=same) as chain:
            async with chain.dio() as dio:
                dao = dio.store(value)
            assert dao.updated is not None
    async with ate.open("d", path="/c", disk=disk, clock=clock, session=alice) as chain:
        found = [dao async for dao in chain.dio().all(int)]
        assert [dao.value for dao in found] == [1, 2, 3, 4]
        times = [dao.updated for dao in found if dao.updated]
        assert times == sorted(times)


# --- D35, D36 -----------------------------------------------------------------------------------


def size_of_log(chain: Chain) -> int:
    return sum(len(payload) + 32 for _, payload in chain._ledger.store.scan(0))


async def test_ten_thousand_inserts_cost_the_same_each() -> None:
    """D35: an insert never rewrites the map or its owner."""
    async with ate.open("d", memory=True, durability=ate.NONE) as chain:
        dio = chain.dio()
        task = dio.store(Task("t"))
        await dio.commit()
        sizes = []
        for start in range(10_000, 20_000, 500):
            before = size_of_log(chain)
            for number in range(start, start + 500):
                task.value.by_name.insert(f"key {number}", number)
            await dio.commit()
            sizes.append((size_of_log(chain) - before) / 500)
        assert max(sizes) - min(sizes) < 1
        assert max(sizes) < 200
        assert await task.value.by_name.get("key 19999") == 19_999
        assert len(chain) == 10_001
        before = size_of_log(chain)
        task.value.by_name.insert("one more", 1)
        await dio.commit()
        alone = size_of_log(chain) - before
        assert alone < 700, "a commit of its own adds its header, and nothing that grows"


async def test_a_small_object_takes_little_more_than_its_row() -> None:
    """D36: 128 bytes of row, the body, and a share of the commit."""
    async with ate.open("d", memory=True, session=member("alice")) as chain:
        async with chain.dio() as dio:
            dio.store(Person("first"))
        before = size_of_log(chain)
        async with chain.dio() as dio:
            for number in range(1000):
                dio.store(Person(f"person {number}", number))
        body = len(b"\xa6Person\x82\xa4name\xaaperson 999\xa3age\xcd\x03\xe7")
        assert (size_of_log(chain) - before) / 1000 < 128 + body + 16 + 2


# --- E8 -----------------------------------------------------------------------------------------


async def test_large_bodies_are_written_once_and_orphans_are_collected() -> None:
    class Picky:
        name = "picky"

        async def validate(self, proposal: Anything) -> Anything:
            from ate.trust.plugin import ABSTAIN, Deny

            large = any(len(draft.body) > 250_000 for draft in proposal.drafts)
            return [Deny(0, "no")] if large else ABSTAIN

    disk = SimDisk()
    data = [os.urandom(200_000) for _ in range(20)]
    async with ate.open("d", path="/c", disk=disk, clock=SimClock(), plugins=[Picky()]) as chain:
        for part in data:
            async with chain.dio() as dio:
                dao = dio.store(part)
        written = sum(len(op[3]) for op in disk.journal if op[0] == "write")
        assert written <= 1.1 * sum(map(len, data))
        dio = chain.dio()
        dio.store(os.urandom(300_000))
        with pytest.raises(ate.AteError, match="no"):
            await dio.commit()
    sizes = {path: len(content) for path, content in disk.snapshot().items()}
    async with ate.open("d", path="/c", disk=disk) as chain:
        assert (await chain.dio().load(bytes, dao.id)).value == data[-1]
    body = "/c/d/000001/body.000001"
    after = len(disk.snapshot()[body])
    assert sum(map(len, data)) <= after <= sizes[body] - 300_000
    assert sum(map(len, disk.snapshot().values())) <= 1.1 * sum(map(len, data))
