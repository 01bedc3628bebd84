"""Field by field: merges lose no change, unknown fields survive, every quick test is right."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate.dio import merge
from ate.dio.collections import Child, Map, Ref, Vec
from ate.dio.schema import Schema, schema_of
from ate.dio.text import Text
from ate.errors import Conflict, UsageError


@dataclasses.dataclass(frozen=True)
class Address:
    street: str
    zip: str = ""


@dataclasses.dataclass
class Person:
    name: str
    age: int = 0
    tags: set[str] = dataclasses.field(default_factory=set)
    address: Address = Address("")
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    items: list[int] = dataclasses.field(default_factory=list)


class Point(msgspec.Struct, frozen=True):
    x: int
    y: int = 0


# --- three-way ----------------------------------------------------------------------------------


def test_changes_of_different_fields_join() -> None:
    base = Person("Ada", 1, {"a", "b"}, Address("High St", "1"), {"k": 1, "gone": 2}, [1])
    ours = dataclasses.replace(
        base, age=2, tags={"a", "b", "c"}, address=Address("Low St", "1"), extra={"k": 1, "o": 3}
    )
    theirs = dataclasses.replace(
        base, name="Ada L", tags={"b"}, address=Address("High St", "2"), items=[1, 2],
        extra={"k": 5, "gone": 2},
    )  # fmt: skip
    assert merge.merge(base, ours, theirs, "Person") == Person(
        "Ada L", 2, {"b", "c"}, Address("Low St", "2"), {"k": 5, "o": 3}, [1, 2]
    )


def test_one_side_alone_wins_whatever_the_type() -> None:
    for base, changed in [(1, 2), ("a", "b"), (Point(1), Point(2)), ([1], [2]), ({}, {"a": 1})]:
        assert merge.merge(base, changed, base, "x") == changed
        assert merge.merge(base, base, changed, "x") == changed
        assert merge.merge(base, changed, changed, "x") == changed


def test_equal_values_of_other_types_are_changes() -> None:
    assert merge.merge({"a": 1}, {"a": True}, {"a": 1}, "x")["a"] is True


@pytest.mark.parametrize(
    "base, ours, theirs, path",
    [
        (Point(1), Point(2), Point(3), r"P\.x"),
        (Person("a"), Person("b"), Person("c"), r"P\.name"),
        ({"k": 1}, {"k": 2}, {}, r"P\['k'\]"),
        ({}, {"k": 2}, {"k": 3}, r"P\['k'\]"),
        ([1], [2], [3], r"the items from 0 on, each differently, in P"),
        (["a", "b"], ["b"], ["c", "b"], r"the items from 0 on, each differently, in P"),
        (1, 2, "3", "P"),
        (
            Person("a", extra={"k": {"l": 1}}),
            Person("a", extra={"k": {"l": 2}}),
            Person("a", extra={"k": {"l": 3}}),
            r"P\.extra\['k'\]\['l'\]",
        ),
    ],
)
def test_a_clash_names_the_field(base: Any, ours: Any, theirs: Any, path: str) -> None:
    with pytest.raises(Conflict, match=f"changed {path}(,|$)"):
        merge.merge(base, ours, theirs, "P")


@pytest.mark.parametrize(
    "base, ours, theirs, merged",
    [
        ([1, 2, 3], [1, 2, 3, 4], [0, 1, 2, 3], [0, 1, 2, 3, 4]),
        ([1, 2, 3], [1, 3], [1, 2, 3, 4], [1, 3, 4]),
        ([1, 2, 3], [2, 3], [1, 2], [2]),
        ([], ["ours"], ["theirs"], ["theirs", "ours"]),
        ([1], [1, 2, 3], [1, 9], [1, 9, 2, 3]),
        ([1, 2, 3], [1, 2, 3, 7], [1, 2, 3, 7], [1, 2, 3, 7]),
        ([1, 2, 3], [8, 2, 3], [1, 2, 9], [8, 2, 9]),
        ([{"a": 1}, {"b": 2}], [{"b": 2}], [{"a": 1}, {"b": 2}, {"c": 3}], [{"b": 2}, {"c": 3}]),
        ([Point(1), Point(2), 5], [Point(0), Point(1), Point(2), 5], [Point(1), Point(2), 6],
         [Point(0), Point(1), Point(2), 6]),
    ],
)  # fmt: skip
def test_what_was_put_into_lists_and_taken_out(
    base: list[Any], ours: list[Any], theirs: list[Any], merged: list[Any]
) -> None:
    assert merge.merge(base, ours, theirs, "x") == merged


@pytest.mark.parametrize(
    "ours, theirs",
    [
        # Two things in one place may be different things: their fields are never joined.
        ([{"id": 1, "done": True}], [{"id": 1, "name": "new"}]),
        ([], [{"id": 1, "done": True}]),
    ],
)
def test_items_of_lists_are_not_merged_with_each_other(ours: list[Any], theirs: list[Any]) -> None:
    with pytest.raises(Conflict, match="in x"):
        merge.merge([{"id": 1}], ours, theirs, "x")


LISTS = st.lists(st.integers(0, 5), max_size=8)


@given(LISTS, LISTS, LISTS)
def test_merged_lists_have_what_either_side_put_in(
    base: list[int], ours: list[int], theirs: list[int]
) -> None:
    try:
        merged = merge.merge(base, ours, theirs, "x")
    except Conflict:
        return
    for item in {*base, *ours, *theirs, *merged}:
        was, here, there = base.count(item), ours.count(item), theirs.count(item)
        if was == 0:
            assert merged.count(item) in range(max(here, there), here + there + 1)
        assert merged.count(item) >= was - max(0, was - here) - max(0, was - there)


@dataclasses.dataclass
class Page:
    title: str
    body: Text = ""
    footer: Text | None = None
    chapters: dict[str, Text] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


LINES = "one\ntwo\nthree\nfour\n"


def test_text_fields_are_merged_and_names_never() -> None:
    schema = schema_of(Page)
    base = Page("a title", LINES, "x\ny\nz\n", {"i": LINES})
    ours = Page("a title", LINES.replace("one", "1"), "x!\ny\nz\n", {"i": "zero\n" + LINES})
    theirs = Page("a title", LINES.replace("four", "4"), "x\ny\nz!\n", {"i": LINES + "five\n"})
    assert schema.decode(schema.encode(ours)) == ours
    assert schema.merge(base, ours, theirs) == Page(
        "a title", "1\ntwo\nthree\n4\n", "x!\ny\nz!\n", {"i": "zero\n" + LINES + "five\n"}
    )
    for clash in (Page, lambda text: Page("", names={"i": text})):
        with pytest.raises(Conflict, match=r"Page\.(title|names\['i'\])"):
            schema.merge(*map(clash, (LINES, LINES.replace("one", "1"), LINES + "five\n")))
    with pytest.raises(Conflict, match=r"line 1, each differently, in Page\.body"):
        schema.merge(*(Page("", text) for text in (LINES, "1\n" + LINES, "0\n" + LINES)))
    with pytest.raises(Conflict, match=r"Page\.footer"):
        schema.merge(*(Page("", footer=text) for text in (LINES, None, LINES + "!")))


DICTS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2))


@given(DICTS, DICTS, DICTS)
def test_a_merge_is_symmetrical_and_complete(
    base: dict[str, int], ours: dict[str, int], theirs: dict[str, int]
) -> None:
    before = copy.deepcopy((base, ours, theirs))
    try:
        merged = merge.merge(base, ours, theirs, "x")
    except Conflict:
        with pytest.raises(Conflict):
            merge.merge(base, theirs, ours, "x")
        return
    assert merged == merge.merge(base, theirs, ours, "x")
    for key in "abcd":
        versions = {ours.get(key), theirs.get(key)}
        assert merged.get(key) in versions
        if ours.get(key) != base.get(key):
            assert merged.get(key) == ours.get(key)
    assert (base, ours, theirs) == before


# --- replace ------------------------------------------------------------------------------------


@dataclasses.dataclass
class Counted:
    name: str
    count: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a name is needed")


def test_replace_keeps_all_other_fields() -> None:
    counted = Counted("a")
    counted.count = 5
    assert dataclasses.asdict(merge.replace(counted, {"name": "b"})) == {"name": "b", "count": 5}
    assert dataclasses.asdict(merge.replace(counted, {"count": 6})) == {"name": "a", "count": 6}
    assert counted.count == 5
    assert merge.replace(Point(1, 2), {"x": 3}) == Point(3, 2)
    assert merge.replace({"a": 1}, {"b": 2}) == {"a": 1, "b": 2}


def test_replace_runs_the_checks_of_the_class() -> None:
    with pytest.raises(ValueError, match="a name is needed"):
        merge.replace(Counted("a"), {"name": ""})


def test_replace_refuses_fields_that_are_not_there() -> None:
    for value in (Point(1), Counted("a")):
        with pytest.raises(UsageError, match="no field 'z'"):
            merge.replace(value, {"z": 1})
    with pytest.raises(UsageError, match="has no fields"):
        merge.replace([1], {"z": 1})


# --- unknown fields -----------------------------------------------------------------------------


class OldItem(msgspec.Struct):
    id: int


class NewItem(msgspec.Struct):
    id: int
    colour: str


class Old(msgspec.Struct):
    __ate_type__ = "Doc"
    title: str
    item: OldItem | None = None
    items: list[OldItem] = []
    named: dict[str, OldItem] = {}
    added: int = 7


class New(msgspec.Struct):
    __ate_type__ = "Doc"
    title: str
    author: dict[str, Any]
    item: NewItem | None = None
    items: list[NewItem] = []
    named: dict[str, NewItem] = {}


OLD, NEW = schema_of(Old), schema_of(New)
STORED = New(
    "t", {"name": ["x", {"y": 1}]}, NewItem(1, "red"), [NewItem(n, str(n)) for n in range(4)],
    {"a": NewItem(8, "a"), "b": NewItem(9, "b")},
)  # fmt: skip


def update(change: Any, codec: int = 1) -> New:
    """Let the older program load, change and store; read it with the newer one."""
    raw = NEW.encode(STORED, codec)
    old = OLD.decode(raw, codec)
    change(old)
    body = OLD.encode_keeping(old, raw, codec)
    assert OLD.decode(body, codec) == old
    return NEW.decode(body, codec)


@pytest.mark.parametrize("codec", [1, 2])
def test_unknown_fields_survive_an_update_by_an_older_program(codec: int) -> None:
    def change(old: Old) -> None:
        old.title, old.added = "T", 8
        assert old.item is not None
        old.item.id = 100
        old.items[2].id = 200
        old.named["b"].id = 300
        del old.named["a"]

    new = update(change, codec)
    assert (new.title, new.author) == ("T", STORED.author)
    assert new.item == NewItem(100, "red")
    assert [item.colour for item in new.items] == ["0", "1", "2", "3"]
    assert new.named == {"b": NewItem(300, "b")}


@pytest.mark.parametrize("codec", [1, 2])
@pytest.mark.parametrize("keep", [[0, 1, 2], [1, 2, 3], [0, 3], [0, 1, 3]])
def test_unknown_fields_survive_in_the_items_that_stay(keep: list[int], codec: int) -> None:
    def change(old: Old) -> None:
        old.items = [old.items[place] for place in keep]

    assert update(change, codec).items == [STORED.items[place] for place in keep]


def test_nothing_changed_means_the_same_bytes() -> None:
    raw = NEW.encode(STORED)
    assert OLD.encode_keeping(OLD.decode(raw), raw) == raw
    own = OLD.encode(Old("t"))
    assert OLD.encode_keeping(Old("u"), own) == OLD.encode(Old("u"))


class OldRow(msgspec.Struct, array_like=True):
    __ate_type__ = "Row"
    a: int


class NewRow(msgspec.Struct, array_like=True):
    __ate_type__ = "Row"
    a: int
    b: int


def test_the_tail_of_a_record_laid_out_as_an_array_survives() -> None:
    raw = schema_of(NewRow).encode(NewRow(1, 2))
    body = schema_of(OldRow).encode_keeping(OldRow(5), raw)
    assert schema_of(NewRow).decode(body) == NewRow(5, 2)


class OldSet(msgspec.Struct):
    __ate_type__ = "Tagged"
    tags: set[int]


class NewSet(msgspec.Struct):
    __ate_type__ = "Tagged"
    tags: list[int]
    more: str


@pytest.mark.parametrize("tags", [{2, 1 << 40, 9}, {1, 2, 4, 1 << 40}, {1, 2, 3, 4}, set()])
def test_sets_have_no_order_to_be_confused_by(tags: set[int]) -> None:
    """Stored as 3, 1, 2, 2^40 and read into another order, places say nothing about items."""
    raw = schema_of(NewSet).encode(NewSet([3, 1, 2, 1 << 40], "more"))
    body = schema_of(OldSet).encode_keeping(OldSet(tags), raw)
    back = schema_of(NewSet).decode(body)
    assert (set(back.tags), back.more) == (tags, "more")


class Omits(msgspec.Struct, omit_defaults=True):
    __ate_type__ = "Doc"
    title: str = ""


def test_a_field_set_back_to_its_default_stays_there() -> None:
    raw = NEW.encode(STORED)
    body = schema_of(Omits).encode_keeping(Omits(), raw)
    assert schema_of(Omits).decode(body).title == ""
    assert schema_of(dict).decode_into_raw(body)["author"] == STORED.author


def test_stored_bytes_that_fit_no_type_are_replaced() -> None:
    class Strange(msgspec.Struct):
        __ate_type__ = "Doc"
        title: int

    raw = schema_of(Strange).encode(Strange(5))
    plain = OLD.encode(Old("t"))
    assert OLD.encode_keeping(Old("t"), raw) == plain
    assert OLD.encode_keeping(Old("t"), b"") == plain
    bomb = OLD.encode(Old("t"))[:4] + b"\x82\xa5title\xa1t\xa1z" + b"\x91" * 200 + b"\x90"
    assert OLD.encode_keeping(Old("u"), bomb) == OLD.encode(Old("u"))


@given(
    st.dictionaries(
        st.text(max_size=3), st.recursive(st.integers() | st.text(), st.lists), max_size=4
    ),
    st.text(),
)
def test_any_unknown_fields_survive(unknown: dict[str, Any], title: str) -> None:
    names = {"title", "item", "items", "named", "added"}
    unknown = {key: item for key, item in unknown.items() if key not in names}
    raw = OLD.encode(Old("t"))[:4] + schema_of(dict).encode({"title": "t", **unknown})[5:]
    body = OLD.encode_keeping(Old(title), raw)
    back = OLD.decode_into_raw(body)
    assert {key: back[key] for key in unknown} == unknown
    assert OLD.decode(body) == Old(title)


def test_a_class_that_compares_by_identity_keeps_the_unknown() -> None:
    @dataclasses.dataclass(eq=False)
    class Same:
        title: str
        __ate_type__ = "Doc"

    raw = NEW.encode(STORED)
    body = schema_of(Same).encode_keeping(Same("n"), raw)
    assert NEW.decode(body).author == STORED.author


# --- finding ------------------------------------------------------------------------------------


@dataclasses.dataclass
class Inner:
    deep: Vec[int]


@dataclasses.dataclass
class Outer:
    vec: Vec[Point]
    map: Map[str, Point]
    refs: list[Ref[Point]]
    by_name: dict[str, list[Ref[Address]]]
    inner: Inner
    maybe: Child[Point] | None = None
    bare: Ref = field(default_factory=Ref)  # type: ignore[type-arg]


def test_every_field_is_found_with_path_and_items() -> None:
    outer = Outer(
        Vec(), Map(), [Ref()], {"a": [Ref(), Ref()]}, Inner(Vec()), Child()
    )  # fmt: skip
    found = [(path, items) for _, path, items in merge.fields_of(outer)]
    assert found == [
        ("vec", (Point,)),
        ("map", (str, Point)),
        ("refs[]", (Point,)),
        ("by_name[][]", (Address,)),
        ("by_name[][]", (Address,)),
        ("inner.deep", (int,)),
        ("maybe", (Point,)),
        ("bare", None),
    ]
    assert list(merge.fields_of({"no": "record"})) == []


def test_the_blame_goes_to_the_innermost_part() -> None:
    person = Person("a", extra={"k": [1, {"deep": object()}]})
    assert merge.blame(person, "Person", TypeError()) == "Person.extra['k'][1]['deep']"
    assert merge.blame({1: object()}, "dict", TypeError()) == "dict[…]"
    assert merge.blame(object(), "x", TypeError()) == "x"
    assert merge.blame(Person("a", 1 << 64), "Person", OverflowError()) == "Person.age"


# --- quick tests --------------------------------------------------------------------------------


def test_the_schema_of_a_merge_is_checked() -> None:
    schema: Schema[Counted] = schema_of(Counted)
    base, ours, theirs = Counted("a"), Counted("b"), Counted("a")
    theirs.count = 3
    merged = schema.merge(base, ours, theirs)
    assert (merged.name, merged.count) == ("b", 3)
