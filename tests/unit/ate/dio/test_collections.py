"""Vec, Map, Ref, Link and Child over a store that keeps encoded bodies in a dictionary."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate import limits
from ate.crypto.hash import digest, keyed
from ate.dio.collections import Child, Dao, Dio, Link, Map, MapEntry, Ref, Vec, bind
from ate.dio.collections import collection_number as number_of
from ate.dio.schema import schema_of
from ate.errors import Deleted, LimitExceeded, NotFound, UsageError, WrongType
from ate.event.access import Access
from ate.ids import ROOT, ChainName, ObjectId

T = TypeVar("T")


class Held(Generic[T]):
    """An object in the store."""

    def __init__(self, dio: Store, id: ObjectId, parent: ObjectId, value: T, place: int) -> None:
        self.id, self.parent, self.place = id, parent, place
        self.dio, self.access = dio, None
        self._value = value

    @property
    def value(self) -> T:
        return self._value

    @value.setter
    def value(self, value: T) -> None:
        self._value = value
        schema: Any = schema_of(type(value))
        bind(value, self.dio, self.id)
        self.dio.bodies[self.id] = (schema.encode(value), self.parent, self.place)


class Store:
    """A Dio over a dictionary: id to body, parent and collection; None marks what was deleted."""

    def __init__(self) -> None:
        self.bodies: dict[ObjectId, tuple[bytes, ObjectId, int] | None] = {}

    def store(
        self,
        value: T,
        *,
        parent: ObjectId | None = None,
        access: Access | None = None,
        id: ObjectId | None = None,
        collection: int = 0,
    ) -> Dao[T]:
        id = ObjectId.random() if id is None else id
        if self.bodies.get(id) is not None:
            raise UsageError(f"object {id} is there already")
        held: Held[T] = Held(self, id, ROOT if parent is None else parent, value, collection)
        held.value = value
        return held

    async def load(self, type: type[T], id: ObjectId) -> Dao[T]:
        if id not in self.bodies:
            raise NotFound(f"no object {id}")
        kept = self.bodies[id]
        if kept is None:
            raise Deleted(f"object {id} was deleted")
        body, parent, place = kept
        held: Held[T] = Held(self, id, parent, schema_of(type).decode(body), place)
        bind(held.value, self, id)
        return held

    async def children(
        self, parent: ObjectId, type: type[T], *, collection: int = 0
    ) -> AsyncIterator[Dao[T]]:
        for id, kept in list(self.bodies.items()):
            if kept is not None and kept[1:] == (parent, collection):
                yield await self.load(type, id)

    def delete(self, id: ObjectId) -> None:
        if id not in self.bodies:
            raise NotFound(f"no object {id}")
        if self.bodies[id] is None:
            raise Deleted(f"object {id} was deleted")
        self.bodies[id] = None


class Opened:
    """A chain as Links see it."""

    def __init__(self, name: str, dio: Dio) -> None:
        self.name, self._dio = name, dio

    def dio(self) -> Dio:
        return self._dio


class Resolving(Store):
    """A store that knows another chain."""

    def __init__(self, others: dict[str, Store]) -> None:
        super().__init__()
        self.others = others

    async def resolve(self, chain: ChainName) -> Dio:
        return self.others[chain]


@dataclass(frozen=True)
class Task:
    title: str
    cost: Decimal = Decimal(0)
    notes: Vec[str] = field(default_factory=Vec)


@dataclass(frozen=True)
class Project:
    name: str
    tasks: Vec[Task] = field(default_factory=Vec)
    spare: Vec[Task] = field(default_factory=Vec)
    by_name: Map[str, Task] = field(default_factory=Map)
    prices: Map[str, Decimal] = field(default_factory=Map)
    levels: Map[float, dict[str, Any]] = field(default_factory=Map)
    lead: Ref[Task] = field(default_factory=Ref)
    team: list[Ref[Task]] = field(default_factory=list)
    only: Child[Task] = field(default_factory=Child)
    upstream: Link[Task] | None = None


class Nested(msgspec.Struct):
    inner: Project
    tasks: Vec[Task] = msgspec.field(default_factory=Vec)


@pytest.fixture
def dio() -> Store:
    return Store()


async def reloaded(dio: Store, dao: Dao[Any]) -> Any:
    return (await dio.load(type(dao.value), dao.id)).value


# --- Vec -------------------------------------------------------------------------------------


async def test_a_vec_yields_what_was_pushed_in_order(dio: Store) -> None:
    project = dio.store(Project("p"))
    pushed = [project.value.tasks.push(Task(str(number))) for number in range(5)]
    for value in (project.value, await reloaded(dio, project)):
        assert [dao.value.title async for dao in value.tasks] == list("01234")
        assert [dao.id async for dao in value.tasks] == [dao.id for dao in pushed]
        assert await value.tasks.count() == 5
        assert await value.spare.count() == 0


async def test_elements_are_children_and_the_owner_is_not_rewritten(dio: Store) -> None:
    project = dio.store(Project("p"))
    before = dio.bodies[project.id]
    element = project.value.tasks.push(Task("t"))
    assert dio.bodies[project.id] is before
    kept = dio.bodies[element.id]
    assert kept is not None
    assert kept[1:] == (project.id, number_of("tasks"))
    assert number_of("tasks") == int.from_bytes(digest(b"tasks")[:8], "little")


async def test_clear_deletes_the_elements_of_one_collection(dio: Store) -> None:
    project = dio.store(Project("p"))
    for _ in range(3):
        project.value.tasks.push(Task("t"))
        project.value.spare.push(Task("s"))
    assert await project.value.tasks.clear() == 3
    assert await project.value.tasks.count() == 0
    assert await project.value.spare.count() == 3


async def test_elements_have_collections_of_their_own(dio: Store) -> None:
    project = dio.store(Project("p"))
    project.value.tasks.push(Task("t")).value.notes.push("note")
    async for task in (await reloaded(dio, project)).tasks:
        assert [note.value async for note in task.value.notes] == ["note"]


async def test_nested_records_have_collections_under_their_path(dio: Store) -> None:
    nested = dio.store(Nested(Project("p")))
    nested.value.inner.tasks.push(Task("inner"))
    nested.value.tasks.push(Task("outer"))
    back = await reloaded(dio, nested)
    assert [dao.value.title async for dao in back.inner.tasks] == ["inner"]
    assert [dao.value.title async for dao in back.tasks] == ["outer"]
    places = {kept[2] for kept in dio.bodies.values() if kept}
    assert places == {0, number_of("tasks"), number_of("inner.tasks")}


# --- Map -------------------------------------------------------------------------------------


async def test_a_map_finds_by_key(dio: Store) -> None:
    project = dio.store(Project("p"))
    made = project.value.by_name.insert("ä/b", Task("t", Decimal("1.5")))
    for value in (project.value, await reloaded(dio, project)):
        found = await value.by_name.find("ä/b")
        assert (found.id, found.value.key) == (made.id, "ä/b")
        assert await value.by_name.get("ä/b") == found.value.value
        assert found.value.value.cost == Decimal("1.5")
        assert await value.by_name.get("other") is None
        assert await value.by_name.get("other", 5) == 5
        with pytest.raises(NotFound):
            await value.by_name.find("other")


async def test_the_id_of_an_element_is_the_documented_one(dio: Store) -> None:
    project = dio.store(Project("p"))
    salt = schema_of(Project).decode_into_raw(schema_of(Project).encode(project.value))["by_name"]
    made = project.value.by_name.insert("key", Task("t"))
    assert made.id == keyed(salt + project.id, b"\xa3key")[:16]
    kept = dio.bodies[made.id]
    assert kept is not None
    raw = msgspec.msgpack.decode(kept[0].removeprefix(b"\xa8MapEntry"))
    assert raw[0] == "key"


async def test_a_key_is_there_once(dio: Store) -> None:
    project = dio.store(Project("p"))
    project.value.by_name.insert("a", Task("1"))
    with pytest.raises(UsageError, match="there already"):
        project.value.by_name.insert("a", Task("2"))
    await project.value.by_name.delete("a")
    assert await project.value.by_name.get("a") is None
    with pytest.raises(Deleted):
        await project.value.by_name.delete("a")
    with pytest.raises(NotFound):
        await project.value.by_name.delete("b")
    project.value.by_name.insert("a", Task("3"))
    assert (await project.value.by_name.find("a")).value.value.title == "3"


async def test_items_count_and_clear(dio: Store) -> None:
    project = dio.store(Project("p"))
    for name in "abc":
        project.value.prices.insert(name, Decimal(ord(name)))
    prices = (await reloaded(dio, project)).prices
    assert [(key, dao.value.value) async for key, dao in prices.items()] == [
        (name, Decimal(ord(name))) for name in "abc"
    ]
    assert await prices.count() == 3
    assert await prices.clear() == 3
    assert await prices.count() == 0


async def test_keys_are_made_to_fit_their_type(dio: Store) -> None:
    levels = dio.store(Project("p")).value.levels
    levels.insert(1, {"a": Decimal(1)})
    assert await levels.get(1.0) == {"a": Decimal(1)}
    for wrong in ("1", True, None, object()):
        with pytest.raises(UsageError, match="not a key"):
            levels.insert(wrong, {})  # type: ignore[arg-type]
    for long in ("x" * (limits.KEY_BYTES_MAX - 2), "ä" * (limits.KEY_BYTES_MAX // 2)):
        with pytest.raises(LimitExceeded, match="map key bytes"):
            dio.store(Project("p")).value.by_name.insert(long, Task("t"))
    longest = "x" * (limits.KEY_BYTES_MAX - 3)
    assert dio.store(Project("p")).value.by_name.insert(longest, Task("t")).value.key == longest


async def test_equal_keys_of_two_maps_do_not_meet(dio: Store) -> None:
    one, other = dio.store(Project("p")), dio.store(Project("p"))
    ids = {
        one.value.by_name.insert("a", Task("1")).id,
        one.value.prices.insert("a", Decimal(1)).id,
        other.value.by_name.insert("a", Task("2")).id,
    }
    assert len(ids) == 3


async def test_an_object_elsewhere_cannot_pose_as_an_element(dio: Store) -> None:
    project = dio.store(Project("p"))
    made = project.value.by_name.insert("a", Task("1"))
    entry = made.value
    dio.delete(made.id)
    dio.store(entry, parent=ObjectId.random(), id=made.id)
    with pytest.raises(NotFound, match="no such element"):
        await project.value.by_name.find("a")
    dio.delete(made.id)
    forged = type(entry)("b", Task("2"))
    dio.store(forged, parent=project.id, id=made.id)
    with pytest.raises(WrongType, match="another key"):
        await project.value.by_name.get("a")


async def test_an_element_is_changed_through_its_object(dio: Store) -> None:
    project = dio.store(Project("p"))
    project.value.prices.insert("a", Decimal(1))
    found = await project.value.prices.find("a")
    found.value = msgspec.structs.replace(found.value, value=Decimal(2))
    assert await (await reloaded(dio, project)).prices.get("a") == Decimal(2)


def test_an_entry_may_be_read_without_its_types(dio: Store) -> None:
    made = dio.store(Project("p")).value.by_name.insert("a", Task("1"))
    kept = dio.bodies[made.id]
    assert kept is not None
    entry = schema_of(MapEntry).decode(kept[0])
    assert (entry.key, entry.value["title"]) == ("a", "1")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5) | st.none())))
async def test_a_map_is_a_dict(steps: list[tuple[str, int | None]]) -> None:
    dio = Store()
    prices: Map[str, Decimal] = dio.store(Project("p")).value.prices
    model: dict[str, Decimal] = {}
    for key, number in steps:
        if number is None and key in model:
            await prices.delete(key)
            del model[key]
        elif number is not None and key not in model:
            prices.insert(key, Decimal(number))
            model[key] = Decimal(number)
        elif number is not None:
            with pytest.raises(UsageError):
                prices.insert(key, Decimal(number))
        assert {name: await prices.get(name) for name in "abc"} == {
            name: model.get(name) for name in "abc"
        }
    assert {key: dao.value.value async for key, dao in prices.items()} == model


# --- Child -----------------------------------------------------------------------------------


async def test_a_child_is_there_once(dio: Store) -> None:
    project = dio.store(Project("p"))
    only = project.value.only
    assert await only.get() is None
    with pytest.raises(NotFound):
        await only.find()
    first = await only.set(Task("1"))
    second = await only.set(Task("2"))
    assert first.id == second.id
    again = (await reloaded(dio, project)).only
    found = await again.get()
    assert found is not None
    assert found.title == "2"
    assert await again.count() == 1
    assert await again.clear() == 1
    assert await only.get() is None
    await only.set(Task("3"))
    assert (await only.find()).value.title == "3"


# --- Ref and Link ----------------------------------------------------------------------------


async def test_a_ref_loads_its_object(dio: Store) -> None:
    task = dio.store(Task("t"))
    project = dio.store(Project("p", lead=Ref(task), team=[Ref(task.id), Ref()]))
    for value in (project.value, await reloaded(dio, project)):
        assert (await value.lead.load()).value == task.value
        assert (await value.team[0].load()).id == task.id
        assert value.lead
        assert value.lead == value.team[0] == Ref(task.id)
        assert not value.team[1]
        with pytest.raises(NotFound, match="empty"):
            await value.team[1].load()


async def test_a_link_loads_from_another_chain(dio: Store) -> None:
    there = Store()
    task = there.store(Task("far"))
    for home in (dio, Resolving({"other/chain": there})):
        project = home.store(Project("p", upstream=Link("/other/chain", task)))
        link = (await reloaded(home, project)).upstream
        assert (link.chain, link.id) == ("other/chain", task.id)
        far: Dao[Task] = await link.load(Opened("other/chain", there))
        assert far.value.title == "far"
        with pytest.raises(UsageError, match="leads to other/chain"):
            await link.load(Opened("third", there))
        if home is dio:
            with pytest.raises(UsageError, match="not open here"):
                await link.load()
        else:
            assert (await link.load()).value.title == "far"


@pytest.mark.parametrize(
    "make",
    [lambda: Ref(b"short"), lambda: Link("a", b""), lambda: Link("..", bytes(16))],
)
def test_what_is_no_id_or_name_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(UsageError):
        make()


# --- binding ---------------------------------------------------------------------------------


async def test_fields_of_a_value_that_is_not_stored_say_so() -> None:
    project = Project("p", lead=Ref(bytes(16)), upstream=Link("a", bytes(16)))
    assert project.upstream is not None
    with pytest.raises(UsageError, match="Vec is in no stored object"):
        project.tasks.push(Task("t"))
    with pytest.raises(UsageError, match="Map is in no"):
        project.by_name.insert("a", Task("t"))
    for waiting in (project.lead.load(), project.upstream.load(), project.only.set(Task("t"))):
        with pytest.raises(UsageError, match="in no stored object"):
            await waiting


def test_a_collection_belongs_to_one_object(dio: Store) -> None:
    project = dio.store(Project("p"))
    with pytest.raises(UsageError, match="tasks: this Vec belongs to another object"):
        dio.store(dataclasses.replace(project.value, name="copy"))
    bind(project.value, Store(), project.id)


def test_a_collection_is_no_item_of_a_list(dio: Store) -> None:
    @dataclass
    class Listed:
        many: list[Vec[Task]]
        named: dict[str, Child[Task]] = field(default_factory=dict)

    dio.store(Listed([]))
    with pytest.raises(UsageError, match=r"many\[\]: a Vec must be a field"):
        dio.store(Listed([Vec()]))
    with pytest.raises(UsageError, match=r"named\[\]: a Child must be a field"):
        dio.store(Listed([], {"a": Child()}))


def test_salts_come_from_the_entropy_given(dio: Store) -> None:
    drawn: list[int] = []

    def entropy(size: int) -> bytes:
        drawn.append(size)
        return bytes([len(drawn)]) * size

    project = Project("p")
    bind(project, dio, ObjectId.random(), entropy)
    raw = schema_of(Project).decode_into_raw(schema_of(Project).encode(project))
    assert drawn == [16] * 6
    assert [raw[name][0] for name in ("tasks", "spare", "by_name", "only")] == [1, 2, 3, 6]
    assert Vec() != Vec()


async def test_a_collection_added_later_is_found_again_on_every_load(dio: Store) -> None:
    class Before(msgspec.Struct):
        __ate_type__ = "Grown"
        name: str

    class Grown(msgspec.Struct):
        name: str
        prices: Map[str, Decimal] = msgspec.field(default_factory=Map)
        only: Child[Task] = msgspec.field(default_factory=Child)

    old = dio.store(Before("old"))
    first = await dio.load(Grown, old.id)
    first.value.prices.insert("a", Decimal(1))
    await first.value.only.set(Task("t"))
    second = await dio.load(Grown, old.id)
    assert await second.value.prices.get("a") == Decimal(1)
    assert await second.value.only.get() is not None
    second.value = Grown("new", second.value.prices, second.value.only)
    assert await (await reloaded(dio, second)).prices.get("a") == Decimal(1)


async def test_generics_and_bare_collections_hold_anything(dio: Store) -> None:
    @dataclass
    class Shelf(Generic[T]):
        items: Vec[T] = field(default_factory=Vec)
        bare: Map = field(default_factory=Map)  # type: ignore[type-arg]

    typed = schema_of(Shelf[Task])
    shelf = typed.decode(typed.encode(Shelf()))
    bind(shelf, dio, ObjectId.random())
    shelf.items.push(Task("t"))
    assert [dao.value.title async for dao in shelf.items] == ["t"]
    shelf.bare.insert((1, "a"), {"any": Decimal(1)})
    assert await shelf.bare.get((1, "a")) == {"any": Decimal(1)}
    with pytest.raises(UsageError, match="not a key"):
        shelf.bare.insert(1j, 1)


# --- as values -------------------------------------------------------------------------------


def test_fields_compare_by_what_they_name() -> None:
    vec: Vec[int] = Vec()
    assert vec == vec  # noqa: PLR0124
    assert vec != Vec()
    assert vec != Child()
    assert len({vec, copy.deepcopy(vec)}) == 1
    assert Link[int]("a", bytes(16)) == Link("a", bytes(16))
    assert Ref[int]() != 5


def test_copies_and_pickles_name_the_same(dio: Store) -> None:
    link: Link[Task] = Link("a/b", bytes(16))
    project = dio.store(Project("p", lead=Ref(b"r" * 16), upstream=link)).value
    assert copy.deepcopy(project).tasks is project.tasks
    back = pickle.loads(pickle.dumps(project))
    assert back == project
    with pytest.raises(UsageError, match="in no stored object"):
        back.tasks.push(Task("t"))


def test_fields_print_without_their_salts(dio: Store) -> None:
    project = dio.store(Project("p", upstream=Link("a/b", bytes(16))))
    assert repr(Vec()) == "Vec(unbound)"
    assert repr(project.value.tasks) == f"Vec({project.id})"
    assert repr(Ref()) == "Ref()"
    assert repr(project.value.upstream) == f"Link(a/b, {ROOT})"
