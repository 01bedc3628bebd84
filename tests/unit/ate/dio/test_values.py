"""Untyped values: every type comes back as it went in, and no bytes do harm."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import uuid
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ate import limits
from ate.dio import values
from ate.dio.collections import Ref
from ate.errors import LimitExceeded, UsageError
from ate.ids import ObjectId

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.decimals(allow_nan=False),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.binary(min_size=16, max_size=16).map(ObjectId),
)
SMALL_INTS = st.integers(-(1 << 63), (1 << 64) - 1)
PLAIN_KEYS = st.one_of(
    st.text(), SMALL_INTS, st.binary(), st.floats(allow_nan=False), st.booleans(), st.none()
)
KEYS = st.one_of(PLAIN_KEYS, st.tuples(PLAIN_KEYS, st.tuples(PLAIN_KEYS)))
HASHABLE = st.one_of(st.text(), SMALL_INTS, st.uuids(), st.decimals(allow_nan=False))
VALUES = st.recursive(
    SCALARS | st.sets(HASHABLE) | st.frozensets(HASHABLE),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(KEYS, inner)
        | st.tuples(inner, inner)
        | st.frozensets(st.tuples(HASHABLE, st.frozensets(HASHABLE)))
    ),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal, and of equal types all the way down."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, dict):
        return all(same(a, b) for a, b in zip([*one, *one.values()], [*other, *other.values()]))
    return not isinstance(one, (list, tuple)) or all(same(a, b) for a, b in zip(one, other))


@given(VALUES)
@example([1 << 64, -(1 << 63) - 1, 1 << 10_000])
@example({"a": (1, [Decimal("1.10"), {dt.date(1, 1, 1)}])})
def test_every_untyped_value_comes_back_with_its_type(value: Any) -> None:
    assert same(values.decode(values.encode(value)), value)


def test_not_a_number_comes_back() -> None:
    assert math.isnan(values.decode(values.encode(float("nan"))))
    assert values.decode(values.encode(Decimal("NaN"))).is_nan()


def test_the_codes_are_the_documented_ones() -> None:
    documented: list[tuple[Any, int]] = [
        (Decimal(1), 1),
        (dt.datetime(2020, 1, 2), 2),  # noqa: DTZ001 - naive on purpose
        (dt.date(2020, 1, 2), 3),
        (dt.time(1), 4),
        (dt.timedelta(1), 5),
        (uuid.UUID(int=1), 6),
        ((1,), 7),
        ({1}, 8),
        (frozenset({1}), 9),
        (1 << 64, 10),
        (ObjectId(bytes(16)), 11),
    ]
    for value, code in documented:
        assert msgspec.msgpack.decode(values.encode(value)).code == code


def test_an_aware_datetime_is_the_instant() -> None:
    there = dt.datetime(2020, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=5)))
    back = values.decode(values.encode({"at": there, there: 1}))
    assert back["at"] == there
    assert back[there] == 1


def test_an_unknown_extension_is_kept() -> None:
    body = msgspec.msgpack.encode([msgspec.msgpack.Ext(99, b"new")])
    back = values.decode(body)
    assert (back[0].code, back[0].data) == (99, b"new")
    assert values.encode(back) == body


def test_subclasses_of_builtins_are_stored_as_these() -> None:
    class Name(str):
        __slots__ = ()

    class Bag(dict[str, int]):
        pass

    class Row(list[int]):
        pass

    assert values.decode(values.encode([Name("a"), Bag(b=1), Row([2])])) == ["a", {"b": 1}, [2]]


class Colour(enum.Enum):
    RED = "red"


class Point(msgspec.Struct):
    x: int
    note: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    price: Decimal
    extra: dict[str, Any]


def test_records_and_enums_in_untyped_places_become_maps_and_values() -> None:
    value = [Colour.RED, Point(1, (2,)), Slotted(Decimal("1.5"), {"d": Decimal("2.5")})]
    assert values.decode(values.encode(value)) == [
        "red",
        {"x": 1, "note": (2,)},
        {"price": "1.5", "extra": {"d": Decimal("2.5")}},
    ]


@pytest.mark.parametrize("key", [Decimal(1), uuid.UUID(int=1), dt.date(1, 1, 1), (1, Decimal(1))])
def test_a_key_that_would_change_is_refused(key: Any) -> None:
    with pytest.raises(UsageError, match="cannot be a key"):
        values.encode({key: 1})


def test_an_enum_key_is_refused() -> None:
    class Level(enum.IntEnum):
        LOW = 1

    with pytest.raises(UsageError, match="enum"):
        values.encode({Level.LOW: 1})


def test_a_collection_field_needs_an_annotation() -> None:
    with pytest.raises(UsageError, match="needs a field"):
        values.encode({"owner": Ref[Any]()})


def test_what_msgspec_does_not_know_is_refused() -> None:
    for value in (object(), 1j, lambda: None):
        with pytest.raises(TypeError, match="no way"):
            values.encode([value])


def test_a_value_that_contains_itself_ends() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(RecursionError):
        values.encode(loop)


# --- untyped places inside types ----------------------------------------------------------------


class Pair(NamedTuple):
    key: str
    value: Any


class Options(TypedDict):
    value: Any


class Node(msgspec.Struct):
    extra: Any
    next: Node | None = None
    many: list[Node] = []


class Holder(msgspec.Struct, tag=True, rename="camel", omit_defaults=True):
    any_thing: Any = None
    plain_dict: dict[Any, Any] = {}
    by_name: dict[str, dict[str, Any]] = {}
    items: list[list[Any]] = []
    either: int | list[Any] | dict[str, Any] | None = None
    fixed: tuple[int, Any] = (0, None)
    many: tuple[Any, ...] = ()
    unique: set[object] = set()
    node: Node | None = None
    bare: object = None
    noted: Annotated[list[Any], msgspec.Meta(max_length=3)] = []


D = Decimal("1.50")


@pytest.mark.parametrize(
    "holder",
    [
        Holder(),
        Holder(any_thing=D),
        Holder(plain_dict={"a": D, 1: (D,)}),
        Holder(by_name={"a": {"b": D}}),
        Holder(items=[[D], []]),
        Holder(either=[D]),
        Holder(either={"a": D}),
        Holder(either=5),
        Holder(fixed=(1, D)),
        Holder(many=(D, 1)),
        Holder(unique={D, uuid.UUID(int=1)}),
        Holder(node=Node(D, Node((D,)), [Node({1})])),
        Holder(bare=dt.date(2020, 1, 1)),
        Holder(noted=[D]),
    ],
)
def test_untyped_places_inside_a_type_keep_their_types(holder: Holder) -> None:
    plan = values.lowering(Holder)
    assert plan is not None
    before = msgspec.structs.replace(holder)
    body = values.encoder.encode(plan(holder))
    back = msgspec.msgpack.Decoder(
        Holder, dec_hook=values.decode_hook, ext_hook=values.extension_hook
    ).decode(body)
    assert back == holder == before


def test_a_dataclass_keeps_its_untyped_places() -> None:
    @dataclasses.dataclass
    class Loose:
        id: int
        extra: Any

    plan = values.lowering(Loose)
    assert plan is not None
    body = values.encoder.encode(plan(Loose(1, D)))
    assert values.decode(body) == {"id": 1, "extra": D}


def test_wrong_shapes_pass_through_to_the_decoder_that_names_them() -> None:
    plan = values.lowering(Holder)
    assert plan is not None
    wrong: Any = Holder()
    wrong.plain_dict, wrong.items, wrong.node = 5, 6, 7
    lowered = plan(wrong)
    assert (lowered.plain_dict, lowered.items, lowered.node) == (5, 6, 7)
    assert plan(5) == 5


def test_a_typed_dict_with_untyped_places_is_refused() -> None:
    for kind in (Pair, Options):
        with pytest.raises(UsageError, match="untyped places"):
            values.lowering(kind)


def test_a_closed_type_needs_no_lowering() -> None:
    assert values.lowering(list[int]) is None


def test_a_bad_key_deep_inside_a_type_is_refused() -> None:
    plan = values.lowering(Holder)
    assert plan is not None
    with pytest.raises(UsageError, match="cannot be a key"):
        plan(Holder(plain_dict={D: 1}))


# --- hooks --------------------------------------------------------------------------------------


def test_own_subclasses_of_builtins_are_rebuilt() -> None:
    assert values.decode_hook(ObjectId, bytes(16)) == ObjectId(bytes(16))
    assert values.decode_hook(ObjectId, "AAAAAAAAAAAAAAAAAAAAAA==") == ObjectId(bytes(16))
    assert values.decode_hook(object, 5) == 5


@pytest.mark.parametrize("stored", [b"short", "not base64", "====", 5, None, []])
def test_a_hook_raises_only_value_errors(stored: Any) -> None:
    for kind in (ObjectId, Ref[int], complex):
        if stored is None and kind is not ObjectId and kind is not complex:
            continue
        with pytest.raises(ValueError):
            values.decode_hook(kind, stored)


# --- hostile bytes ------------------------------------------------------------------------------

HARMLESS = (ValueError, TypeError, msgspec.MsgspecError, RecursionError, UsageError, OverflowError)


@given(st.binary())
def test_any_bytes_end_in_a_value_or_a_decoder_error(body: bytes) -> None:
    try:
        values.decode(body)
    except (*HARMLESS, ArithmeticError):
        pass


@given(st.integers(1, 12), st.binary(max_size=40))
def test_any_extension_ends_in_a_value_or_an_error(code: int, data: bytes) -> None:
    try:
        values.decode(msgspec.msgpack.encode(msgspec.msgpack.Ext(code, data)))
    except (*HARMLESS, ArithmeticError):
        pass


@pytest.mark.parametrize("opener", [0xC6, 0xC9, 0xDB, 0xDD, 0xDF])
def test_a_huge_length_is_not_allocated(opener: int) -> None:
    with pytest.raises(msgspec.DecodeError, match="truncated"):
        values.decode(bytes([opener]) + b"\xff" * 5 + b"\x01" * 50)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_depth_is_counted_exactly() -> None:
    bound = limits.VALUE_DEPTH_MAX
    paddings: list[list[Any]] = [[], ["x" * 200], [[]] * 200]
    for padding in paddings:
        ok = [nested(bound - 1), *padding]
        values.check_depth(values.encode(ok))
        values.check_depth(msgspec.json.encode(ok), json=True)
        deep = [nested(bound), *padding]
        with pytest.raises(LimitExceeded, match="depth"):
            values.check_depth(values.encode(deep))
        with pytest.raises(LimitExceeded, match="depth"):
            values.check_depth(msgspec.json.encode(deep), json=True)


def test_depth_counts_maps_keys_and_extensions() -> None:
    tower: Any = ()
    for _ in range(limits.VALUE_DEPTH_MAX):
        tower = ({"a": tower},)
    with pytest.raises(LimitExceeded):
        values.check_depth(values.encode(tower))
    key: Any = ()
    for _ in range(limits.VALUE_DEPTH_MAX):
        key = (key,)
    with pytest.raises(LimitExceeded):
        values.check_depth(values.encode({key: 1}))


@pytest.mark.parametrize("opener", [b"\x91", b"\x81\x01", b"\x81"])
def test_a_depth_bomb_is_refused(opener: bytes) -> None:
    with pytest.raises((LimitExceeded, msgspec.DecodeError)):
        values.check_depth(opener * 1_000_000 + b"\x90")


def test_a_bomb_of_extensions_is_refused() -> None:
    body = b""
    for _ in range(2000):
        body = values.encoder.encode(msgspec.msgpack.Ext(7, b"\x91" + body if body else b"\x90"))
    with pytest.raises(LimitExceeded):
        values.check_depth(body)
