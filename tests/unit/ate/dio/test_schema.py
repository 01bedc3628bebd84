"""Schemas: what is written can be read, by this program and others; bytes never do harm."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate import limits
from ate.crypto.hash import digest
from ate.dio.collections import Child, Link, Map, MapEntry, Ref, Vec
from ate.dio.schema import Codec, Schema, decode_any, name_of, schema_of, type_name
from ate.errors import Conflict, LimitExceeded, UsageError, WrongType
from ate.ids import ObjectId

T = TypeVar("T")


@dataclass
class World:
    id: int
    name: str
    data: str


@dataclass(frozen=True)
class Frozen:
    id: int
    name: str = "n"


@dataclass(frozen=True, slots=True)
class Slotted:
    id: int


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Leaf(msgspec.Struct, tag="leaf", frozen=True):
    n: int


class Branch(msgspec.Struct, tag="branch"):
    left: Leaf | Branch
    right: Leaf | Branch | None = None


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Everything:
    i: int
    f: float
    s: str
    y: bytes
    b: bool
    d: Decimal
    t: dt.datetime
    day: dt.date
    u: uuid.UUID
    c: Colour
    level: Level
    frozen: Frozen
    maybe: Slotted | None
    tree: Leaf | Branch
    many: list[Frozen]
    named: dict[int, Leaf]
    fixed: tuple[int, str]
    unique: set[int]
    loose: Any
    bag: dict[Any, Any]
    id: ObjectId
    point: Point


@dataclass
class Box(Generic[T]):
    item: T
    more: list[T] = field(default_factory=list)


@dataclass
class Linked:
    tasks: Vec[Frozen] = field(default_factory=Vec)
    by_name: Map[str, Frozen] = field(default_factory=Map)
    owner: Ref[World] = field(default_factory=Ref)
    friends: list[Ref[World]] = field(default_factory=list)
    other: Link[World] | None = None
    only: Child[Frozen] = field(default_factory=Child)


class LinkedStruct(msgspec.Struct):
    tasks: Vec[Frozen]
    maybe: Map[str, Frozen] | None = None


INTS = st.integers(-(1 << 63), (1 << 64) - 1)
LEAVES = st.builds(Leaf, INTS)
TREES = st.recursive(LEAVES, lambda t: st.builds(Branch, t, st.none() | t), max_leaves=6)
LOOSE = st.recursive(
    st.none() | INTS | st.text() | st.decimals(allow_nan=False) | st.uuids() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    max_leaves=5,
)
FLOATS = st.floats(allow_nan=False)
EVERYTHING = st.builds(
    Everything,
    i=INTS,
    f=FLOATS,
    s=st.text(),
    y=st.binary(),
    b=st.booleans(),
    d=st.decimals(allow_nan=False),
    t=st.datetimes() | st.datetimes(timezones=st.just(dt.UTC)),
    day=st.dates(),
    u=st.uuids(),
    c=st.sampled_from(Colour),
    level=st.sampled_from(Level),
    frozen=st.builds(Frozen, INTS, st.text()),
    maybe=st.none() | st.builds(Slotted, INTS),
    tree=TREES,
    many=st.lists(st.builds(Frozen, INTS)),
    named=st.dictionaries(INTS, LEAVES),
    fixed=st.tuples(INTS, st.text()),
    unique=st.sets(INTS),
    loose=LOOSE,
    bag=st.dictionaries(st.text() | INTS, LOOSE),
    id=st.binary(min_size=16, max_size=16).map(ObjectId),
    point=st.builds(Point, INTS, INTS),
)
BUILTINS = st.one_of(
    st.dictionaries(st.text(), LOOSE),
    st.lists(LOOSE),
    st.text(),
    st.binary(),
    st.integers(),
    FLOATS,
    st.booleans(),
    st.decimals(allow_nan=False),
    st.datetimes(),
    st.dates(),
    st.uuids(),
    st.sampled_from(Colour),
    st.sampled_from(Level),
)


# --- round trips --------------------------------------------------------------------------------


@given(EVERYTHING)
def test_a_record_of_everything_comes_back(value: Everything) -> None:
    schema = schema_of(Everything)
    back = schema.decode(schema.encode(value))
    assert back == value
    assert type(back.loose) is type(value.loose)
    assert type(back.id) is ObjectId


@given(BUILTINS)
def test_a_builtin_comes_back(value: Any) -> None:
    schema = schema_of(type(value))
    body = schema.encode(value)
    for buffer in (body, bytearray(body), memoryview(body)):
        back = schema.decode(buffer)
        assert back == value
        assert type(back) is type(value)


@pytest.mark.parametrize(
    "value",
    [World(1, "a", "b"), Frozen(1), Slotted(1), Leaf(1), Branch(Leaf(1)), Point(1, 2), {1}, (1, 2),
     frozenset({1}), ObjectId(bytes(16)), dt.time(1), dt.timedelta(1), Level.LOW],
)  # fmt: skip
@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_values_of_each_kind_come_back(value: Any, convert: Callable[[bytes], Any]) -> None:
    schema = schema_of(type(value))
    assert schema.decode(convert(schema.encode(value))) == value
    assert schema.check(value) is value


def test_a_body_is_the_name_and_the_value() -> None:
    body = schema_of(Frozen).encode(Frozen(5, "x"))
    assert body == msgspec.msgpack.encode("Frozen") + msgspec.msgpack.encode({"id": 5, "name": "x"})
    assert name_of(body) == Schema.name_in(body) == "Frozen"
    assert schema_of(Frozen).schema_id == int.from_bytes(digest(b"Frozen")[:4], "little")


def test_generics_are_read_with_their_arguments() -> None:
    box = Box(Decimal("1.5"), [Decimal(2)])
    body = schema_of(Box).encode(box)
    assert schema_of(Box[Decimal]).decode(body) == box
    assert schema_of(Box[Decimal]).encode(box) == body
    records = Box(Frozen(1), [Frozen(2)])
    assert schema_of(Box[Frozen]).decode(schema_of(Box).encode(records)) == records
    with pytest.raises(WrongType, match="Box"):
        schema_of(Box[int]).decode(body)


def test_a_list_of_records_is_read_by_a_typed_load() -> None:
    body = schema_of(list).encode([Frozen(1), Frozen(2)])
    assert schema_of(list).decode(body)[0] == {"id": 1, "name": "n"}
    assert schema_of(list[Frozen]).decode(body) == [Frozen(1), Frozen(2)]
    assert schema_of(dict[str, Decimal]).decode(schema_of(dict).encode({"a": Decimal(1)})) == {
        "a": Decimal(1)
    }
    as_json = schema_of(list[int]).encode([1], Codec.JSON)
    assert schema_of(list[int]).decode(as_json, Codec.JSON) == [1]


# --- names and caching --------------------------------------------------------------------------


def test_a_schema_is_made_once() -> None:
    assert schema_of(World) is schema_of(World)
    assert repr(schema_of(World)) == "Schema(World)"


def test_a_class_may_choose_its_name() -> None:
    class Renamed(msgspec.Struct):
        __ate_type__ = "com.example.World"
        a: int

    class Sub(Renamed):
        pass

    assert type_name(Renamed) == "com.example.World"
    assert type_name(Sub) == "Sub"
    assert type_name(Box[int]) == "Box"
    assert type_name(list[int]) == "list"
    assert type_name(MapEntry) == "MapEntry"


@pytest.mark.parametrize("name", ["", "x" * 256, 5, None])
def test_a_name_has_1_to_255_bytes(name: Any) -> None:
    kind = type("Bad", (msgspec.Struct,), {"__ate_type__": name})
    with pytest.raises(UsageError, match="__ate_type__"):
        schema_of(kind)


@pytest.mark.parametrize("name", ["x" * 31, "x" * 32, "x" * 255, "ä" * 100])
def test_names_of_all_lengths(name: str) -> None:
    kind = type("Long", (msgspec.Struct,), {"__ate_type__": name})
    body = schema_of(kind).encode(kind())
    assert name_of(body) == name
    assert decode_any(body) == {}


@pytest.mark.parametrize("kind", [complex, type(None), object, int | str, Any, 5, [], Callable, T])
def test_types_that_cannot_be_stored(kind: Any) -> None:
    with pytest.raises(UsageError):
        schema_of(kind)


def test_a_type_that_msgspec_refuses() -> None:
    @dataclass
    class Twice:
        either: World | Frozen

    with pytest.raises(UsageError, match="Twice cannot be stored"):
        schema_of(Twice)


# --- annotations --------------------------------------------------------------------------------


def test_a_class_in_a_function_resolves_what_it_can() -> None:
    @dataclass
    class Local:
        id: int
        world: World
        tasks: Vec[Frozen] = field(default_factory=Vec)

    class Chain(msgspec.Struct):
        next: Chain | None = None

    @dataclass
    class Tree:
        children: list[Tree]
        tasks: Vec[Tree] = field(default_factory=Vec)

    local = Local(1, World(1, "a", "b"))
    assert schema_of(Local).decode(schema_of(Local).encode(local)) == local
    chain = Chain(Chain())
    assert schema_of(Chain).decode(schema_of(Chain).encode(chain)) == chain
    tree = Tree([Tree([])])
    assert schema_of(Tree).decode(schema_of(Tree).encode(tree)) == tree


def test_what_cannot_be_resolved_is_said() -> None:
    @dataclass
    class Inner:
        id: int

    @dataclass
    class Outer:
        inner: Inner

    with pytest.raises(UsageError, match=r"Outer: the annotation 'Inner'") as caught:
        schema_of(Outer)
    assert "top of a module" in caught.value.hint


# --- refusing to write --------------------------------------------------------------------------

WORLD: dict[str, Any] = {"id": 1, "name": "a", "data": "b"}


@pytest.mark.parametrize(
    "kind, value, path",
    [
        (World, World(**{**WORLD, "id": "x"}), r"World\.id: Expected `int`, got `str`"),
        (World, World(**{**WORLD, "id": True}), r"World\.id: Expected `int`, got `bool`"),
        (World, World(**{**WORLD, "id": 1 << 64}), r"World\.id: the number does not fit"),
        (World, World(**{**WORLD, "name": "\ud800"}), r"World\.name: .*surrogates"),
        (World, World(**{**WORLD, "name": None}), r"World\.name: Expected `str`, got `None`"),
        (World, World(**{**WORLD, "data": object()}), r"World\.data: .*a object"),
        (World, Frozen(1), r"World: expected World, got Frozen"),
        (Branch, Branch(5), r"Branch\.left: "),  # type: ignore[arg-type]
        (Box, Box(1, [1, 2, {"k": 1j}]), r"Box\.more\[2\]\['k'\]: .*complex"),
        (Box, Box({Decimal(1): 1}), r"Box\.item: a Decimal cannot be a key"),
        (dict, {"a": [object()]}, r"dict\['a'\]\[0\]: "),
        (dict, [], "dict: expected dict, got list"),
        (int, True, "int: a bool comes back as int"),
        (list, [Ref[Any]()], r"list\[0\]: a Ref needs"),
        (Level, 5, "Level: expected Level, got int"),
    ],
)
def test_a_value_that_could_not_be_read_is_not_written(kind: Any, value: Any, path: str) -> None:
    with pytest.raises(UsageError, match=f"^{path}"):
        schema_of(kind).encode(value)
    with pytest.raises(UsageError, match=f"^{path}"):
        schema_of(kind).check(value)


def test_annotated_bounds_are_checked_when_writing() -> None:
    class Bounded(msgspec.Struct):
        n: Annotated[int, msgspec.Meta(gt=0)]

    assert schema_of(Bounded).encode(Bounded(1))
    with pytest.raises(UsageError, match=r"Bounded\.n: Expected `int` >= 1"):
        schema_of(Bounded).encode(Bounded(0))


def test_a_body_has_a_largest_size() -> None:
    bound = limits.BODY_BYTES_MAX
    schema = schema_of(bytes)
    room = bound - len(schema.encode(b"x" * 70_000)) + 70_000
    assert len(schema.encode(bytes(room))) == bound
    too_large: list[tuple[Any, Any]] = [
        (bytes, bytes(room + 1)),
        (World, World(1, "a", "x" * bound)),
    ]
    for kind, value in too_large:
        with pytest.raises(LimitExceeded, match="body bytes"):
            schema_of(kind).encode(value)
    with pytest.raises(LimitExceeded):
        schema.encode(bytes(bound), Codec.RAW)


def test_values_nested_too_deeply_or_into_themselves() -> None:
    chain: Leaf | Branch = Leaf(1)
    for _ in range(limits.VALUE_DEPTH_MAX - 1):
        chain = Branch(chain)
    schema: Schema[Any] = schema_of(Branch)
    assert schema.decode(schema.encode(chain)) == chain
    with pytest.raises(LimitExceeded, match="value depth"):
        schema.encode(Branch(chain))
    loop = Branch(Leaf(1))
    loop.left = loop
    with pytest.raises(LimitExceeded, match="value depth"):
        schema.encode(loop)
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(LimitExceeded, match="value depth"):
        schema_of(list).encode(ring)


# --- evolution ----------------------------------------------------------------------------------


class Old(msgspec.Struct):
    __ate_type__ = "Doc"
    a: int


class New(msgspec.Struct):
    __ate_type__ = "Doc"
    a: int
    b: str = "default"
    c: list[int] = []
    tasks: Vec[Frozen] = msgspec.field(default_factory=Vec)


def test_new_fields_with_defaults_read_old_rows() -> None:
    back = schema_of(New).decode(schema_of(Old).encode(Old(1)))
    assert (back.a, back.b, back.c) == (1, "default", [])


def test_a_new_field_without_default_says_what_is_missing() -> None:
    class Strict(msgspec.Struct):
        __ate_type__ = "Doc"
        a: int
        needed: str

    with pytest.raises(WrongType, match="Doc: Object missing required field `needed`"):
        schema_of(Strict).decode(schema_of(Old).encode(Old(1)))


def test_unknown_fields_survive_an_update_by_an_older_program() -> None:
    raw = schema_of(New).encode(New(1, "b", [1, 2]))
    body = schema_of(Old).encode_keeping(Old(5), memoryview(raw))
    back = schema_of(New).decode(body)
    assert (back.a, back.b, back.c) == (5, "b", [1, 2])
    assert schema_of(Old).decode_into_raw(body)["b"] == "b"
    other = schema_of(World).encode(World(1, "a", "b"))
    assert schema_of(Old).encode_keeping(Old(5), other) == schema_of(Old).encode(Old(5))


def test_an_untyped_handle_keeps_the_name() -> None:
    body = schema_of(World).encode(World(1, "a", "b"))
    schema = Schema.any(body)
    assert (schema.name, schema.schema_id) == ("World", schema_of(World).schema_id)
    value = schema.decode(body)
    again = schema.encode(schema.replace(value, {"name": "z"}))
    assert schema_of(World).decode(again) == World(1, "z", "b")
    assert Schema.any(body) is schema


def test_raw_maps_are_of_records_only() -> None:
    with pytest.raises(WrongType, match="list has no named fields"):
        schema_of(list).decode_into_raw(schema_of(list).encode([]))


# --- replace and merge --------------------------------------------------------------------------


def test_replace_checks_the_new_value() -> None:
    schema = schema_of(Frozen)
    assert schema.replace(Frozen(1), {"name": "b"}) == Frozen(1, "b")
    with pytest.raises(UsageError, match=r"Frozen\.id: Expected `int`"):
        schema.replace(Frozen(1), {"id": "x"})
    with pytest.raises(UsageError, match="no field 'z'"):
        schema.replace(Frozen(1), {"z": 1})


@dataclass
class Guarded:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


def test_replace_and_merge_respect_the_checks_of_the_class() -> None:
    schema = schema_of(Guarded)
    with pytest.raises(UsageError, match="Guarded: low is above high"):
        schema.replace(Guarded(1, 2), {"low": 3})
    with pytest.raises(Conflict, match="low is above high"):
        schema.merge(Guarded(1, 5), Guarded(4, 5), Guarded(1, 3))
    with pytest.raises(Conflict, match=r"Guarded\.low"):
        schema.merge(Guarded(1, 5), Guarded(2, 5), Guarded(3, 5))
    assert schema.merge(Guarded(1, 5), Guarded(2, 5), Guarded(1, 6)) == Guarded(2, 6)


# --- codecs -------------------------------------------------------------------------------------


@given(EVERYTHING)
def test_json_keeps_the_value_or_refuses_it(value: Everything) -> None:
    schema = schema_of(Everything)
    try:
        body = schema.encode(value, Codec.JSON)
    except UsageError:
        return
    assert schema.encode(schema.decode(body, Codec.JSON)) == schema.encode(value)


def test_one_object_in_three_formats() -> None:
    world = World(1, "a", "b")
    schema = schema_of(World)
    assert schema.encode(world, Codec.JSON)[6:] == b'{"id":1,"name":"a","data":"b"}'
    for codec in (Codec.MSGPACK, Codec.JSON):
        body = schema.encode(world, codec)
        assert schema.decode(memoryview(body), codec) == world
        assert decode_any(body, codec) == dataclasses.asdict(world)
    raw = schema_of(bytes).encode(b"\x00\xff", Codec.RAW)
    assert raw == b"\xa5bytes\x00\xff"
    assert schema_of(bytes).decode(memoryview(raw), Codec.RAW) == b"\x00\xff"
    assert decode_any(raw, Codec.RAW) == b"\x00\xff"
    assert schema_of(bytes).encode_keeping(b"b", raw, Codec.RAW) == b"\xa5bytesb"


def test_fields_of_records_survive_json() -> None:
    friends: list[Ref[World]] = [Ref(), Ref(b"x" * 16)]
    linked = Linked(owner=Ref(bytes(16)), friends=friends, other=Link("a/b", bytes(16)))
    schema = schema_of(Linked)
    assert schema.decode(schema.encode(linked, Codec.JSON), Codec.JSON) == linked


@pytest.mark.parametrize(
    "value",
    [{"a": b"bytes"}, {"a": Decimal(1)}, {"a": float("nan")}, {1: 2}, Decimal(1), (1,), b"x"],
)
def test_what_json_would_change_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="JSON"):
        schema_of(type(value)).encode(value, Codec.JSON)


@pytest.mark.parametrize("codec", [0, 4, 15, 255])
def test_codecs_that_hold_no_value(codec: int) -> None:
    with pytest.raises(UsageError, match="codec"):
        schema_of(bytes).encode(b"", codec)
    with pytest.raises(WrongType, match="codec"):
        schema_of(bytes).decode(schema_of(bytes).encode(b""), codec)


def test_raw_is_for_bytes_only() -> None:
    with pytest.raises(UsageError, match="raw"):
        schema_of(str).encode("a", Codec.RAW)
    with pytest.raises(WrongType):
        schema_of(str).decode(schema_of(str).encode("a"), Codec.RAW)


# --- collection fields --------------------------------------------------------------------------


def test_fields_travel_as_salts_and_ids() -> None:
    linked = Linked(friends=[Ref(b"f" * 16)], other=Link("a/b", b"l" * 16))
    schema = schema_of(Linked)
    assert schema.has_fields
    assert not schema_of(World).has_fields
    body = schema.encode(linked)
    raw = schema.decode_into_raw(body)
    assert len(raw["tasks"]) == len(raw["by_name"]) == len(raw["only"]) == 16
    assert raw["owner"] is None
    assert raw["friends"] == [b"f" * 16]
    assert raw["other"] == ["a/b", b"l" * 16]
    assert schema.decode(body) == linked
    struct = LinkedStruct(Vec(), Map())
    assert schema_of(LinkedStruct).decode(schema_of(LinkedStruct).encode(struct)) == struct


@pytest.mark.parametrize(
    "name, stored",
    [
        ("tasks", b"short"), ("tasks", 5), ("tasks", None), ("tasks", "x"), ("owner", b""),
        ("owner", []), ("other", []), ("other", [1, bytes(16)]), ("other", ["../x", bytes(16)]),
        ("other", ["a", b""]), ("other", ["x" * 999, bytes(16)]), ("friends", [b"1"]),
    ],
)  # fmt: skip
def test_fields_that_hold_something_else(name: str, stored: Any) -> None:
    body = msgspec.msgpack.encode("Linked") + msgspec.msgpack.encode({name: stored})
    with pytest.raises(WrongType, match=rf"^Linked\.{name}"):
        schema_of(Linked).decode(body)


# --- hostile bytes ------------------------------------------------------------------------------

READERS: list[Any] = [
    World, Everything, Branch, Linked, New, dict, list, bytes, str, int, float, bool, Decimal,
    dt.datetime, dt.date, uuid.UUID, Colour, Level, Point, set, ObjectId, list[Frozen], Box[int],
]  # fmt: skip
CODECS = [0, 1, 2, 3, 9]


@given(st.sampled_from(READERS), st.binary(), st.booleans(), st.sampled_from(CODECS))
def test_hostile_bytes_raise_wrong_type_only(
    kind: Any, data: bytes, named: bool, codec: int
) -> None:
    body = msgspec.msgpack.encode(type_name(kind)) + data if named else data
    for read in (schema_of(kind).decode, schema_of(kind).decode_into_raw, decode_any):
        with suppress(WrongType):
            read(body, codec)


@given(EVERYTHING, st.data())
def test_altered_bytes_raise_wrong_type_only(value: Everything, data: st.DataObject) -> None:
    schema = schema_of(Everything)
    body = bytearray(schema.encode(value))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    for cut in (body, body[:place]):
        with suppress(WrongType):
            schema.decode(cut)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("opener", [b"\x91", b"\x81\xa1a", b"\x81\x01", b"\xdd\x00\x00\x00\x01"])
def test_a_depth_bomb_is_refused(kind: Any, opener: bytes) -> None:
    body = msgspec.msgpack.encode(type_name(kind)) + opener * 100_000 + b"\xc0"
    for read in (schema_of(kind).decode, decode_any):
        with pytest.raises(WrongType):
            read(body)
    bomb = msgspec.msgpack.encode(type_name(kind)) + b'{"left":' * 100_000
    with pytest.raises(WrongType):
        schema_of(kind).decode(bomb, Codec.JSON)


@pytest.mark.parametrize("levels", [limits.VALUE_DEPTH_MAX + 1, limits.VALUE_DEPTH_MAX * 2])
def test_what_is_too_deep_to_write_is_too_deep_to_read(levels: int) -> None:
    body = msgspec.msgpack.encode("list") + b"\x91" * (levels - 1) + b"\x90"
    for read in (schema_of(list).decode, decode_any):
        with pytest.raises(WrongType, match="value depth"):
            read(body)
    text = msgspec.msgpack.encode("list") + b"[" * levels + b"]" * levels
    with pytest.raises(WrongType, match="value depth"):
        schema_of(list).decode(text, Codec.JSON)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("opener", [0xC6, 0xC9, 0xDB, 0xDD, 0xDF])
def test_a_huge_length_is_refused(kind: Any, opener: int) -> None:
    body = msgspec.msgpack.encode(type_name(kind)) + bytes([opener]) + b"\xff" * 5 + b"\x01" * 50
    with pytest.raises(WrongType):
        schema_of(kind).decode(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xa0", b"\xa5Wo", b"\xd9", b"\xd9\x05Worl", b"\xd9\x05World", b"\xa1\xff", b"\xc0"],
)
def test_bytes_without_a_name(body: bytes) -> None:
    for read in (name_of, decode_any, Schema.any):
        with pytest.raises(WrongType, match="no stored value"):
            read(body)
    with pytest.raises(WrongType, match="no value"):
        schema_of(World).decode(body)


def test_another_type_is_named() -> None:
    with pytest.raises(WrongType, match="stored as Frozen, not as World"):
        schema_of(World).decode(schema_of(Frozen).encode(Frozen(1)))


def test_messages_do_not_quote_what_is_stored() -> None:
    body = msgspec.msgpack.encode("Colour") + msgspec.msgpack.encode("my secret")
    with pytest.raises(WrongType, match="Invalid enum value") as caught:
        schema_of(Colour).decode(body)
    assert "secret" not in caught.value.message


def test_the_constructor_of_a_class_may_raise_anything() -> None:
    @dataclass
    class Rude:
        id: int

        def __post_init__(self) -> None:
            if self.id == 1:
                raise KeyError("rude")
            if self.id == 2:
                raise UsageError("rude in our words")
            if self.id == 3:
                raise MemoryError

    for number in (1, 2):
        body = msgspec.msgpack.encode("Rude") + msgspec.msgpack.encode({"id": number})
        with pytest.raises(WrongType, match=r"^Rude: .*rude"):
            schema_of(Rude).decode(body)
    with pytest.raises(MemoryError):
        schema_of(Rude).decode(msgspec.msgpack.encode("Rude") + msgspec.msgpack.encode({"id": 3}))
