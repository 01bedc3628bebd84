"""Every quick test is right: what fits passes, all else is looked at."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import inspect as shapes

from ate.dio import fitting
from ate.dio.collections import Vec


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


class Colour(enum.Enum):
    RED = 1


class Many(msgspec.Struct):
    a: int
    b: float
    c: str
    d: bool
    e: bytes
    f: Decimal
    g: dt.datetime
    h: dt.date
    i: uuid.UUID
    j: Colour
    k: Any
    l: list[Any]  # noqa: E741
    m: dict[Any, Any]
    n: int | str | None
    o: Vec[int]


GOOD: dict[str, Any] = {
    "a": 1, "b": 1.0, "c": "c", "d": True, "e": b"e", "f": Decimal(1),
    "g": dt.datetime(2020, 1, 1, tzinfo=dt.UTC), "h": dt.date(2020, 1, 1), "i": uuid.UUID(int=1),
    "j": Colour.RED, "k": None, "l": [], "m": {}, "n": None, "o": Vec(),
}  # fmt: skip


def test_a_quick_test_says_yes_only_to_what_fits() -> None:
    fits = fitting.checker(shapes.type_info(Many))
    assert fits(Many(**GOOD))
    for name in set(GOOD) - {"k"}:
        assert not fits(Many(**{**GOOD, name: 1j})), name
    assert not fits(Many(**{**GOOD, "a": True}))
    assert not fits(5)


@pytest.mark.parametrize(
    "kind",
    [
        Annotated[int, msgspec.Meta(gt=0)],
        list[int],
        Annotated[list[Any], msgspec.Meta(max_length=1)],
        int | list[int],
    ],
)
def test_what_type_tests_cannot_tell_is_looked_at(kind: Any) -> None:
    struct = msgspec.defstruct("Struct", [("x", kind)])
    assert not fitting.checker(shapes.type_info(struct))(struct(1))


def test_a_compiled_encoder_hands_over_whatever_is_unusual() -> None:
    calls: list[tuple[Any, int]] = []

    def slow(value: Any, codec: int = 1) -> bytes:
        calls.append((value, codec))
        return b"slow"

    def compiled(kind: Any, bound: int = 100) -> Any:
        return fitting.compile_encoder(
            shapes.type_info(kind), slow, prefix=b">", pack=msgspec.msgpack.encode,
            refused=(ValueError, OverflowError), bound=bound,
        )  # fmt: skip

    quick = compiled(Point)
    assert quick(Point(1, 2)) == b">" + msgspec.msgpack.encode(Point(1, 2))
    assert not calls
    for value, codec in [(Point(1), 2), (Person("a"), 1), (Point("1"), 1), (Point(1 << 70), 1)]:  # type: ignore[arg-type]
        assert quick(value, codec) == b"slow"
        assert calls.pop() == (value, codec)
    assert compiled(Point, 3)(Point(1)) == b"slow"
    assert compiled(Person) is slow
