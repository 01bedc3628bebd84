"""Columns get the type that all their values fit, and rows become values of that type."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest

import ate
from ate.dio.schema import schema_of
from ate.errors import LimitExceeded, UsageError
from atecli.columns import COLUMNS_MAX, Table, plain, typed


def table_of(*rows: dict[str, Any], text: bool = False) -> Table:
    made = Table("Thing")
    for row in rows:
        (made.see_text if text else made.see)(row)
    return made


@pytest.mark.parametrize(
    "texts, kind",
    [
        (["true", "FALSE"], "bool"),
        (["1", "-7", "0"], "int"),
        (["1", "2.5", "-1e3"], "float"),
        (["1", "true"], "str"),
        (["01"], "str"),
        (["9223372036854775807"], "int"),
        (["9223372036854775808"], "str"),
        (["0.1", "3.14159265358979312345"], "str"),
        (["1e999"], "str"),
        (["nan"], "str"),
        (["2024-02-29"], "date"),
        (["2023-02-29"], "str"),
        (["2024-02-29T10:00:00Z", "2024-02-29 10:00:00"], "datetime"),
        (["2024-02-29", "2024-02-29T10:00:00Z"], "str"),
        (["null"], "str"),
        ([" 1"], "str"),
    ],
)
def test_text_columns(texts: list[str], kind: str) -> None:
    assert table_of(*({"c": text} for text in texts), text=True).shape() == {"c": kind}


@pytest.mark.parametrize(
    "values, kind",
    [
        ([1, 2], "int"),
        ([1, 2.5], "number"),
        ([1, None], "int?"),
        ([True, 1], "any"),
        (["x", {"a": 1}], "any"),
        ([[1], [2]], "list"),
        ([1 << 70], "any"),
        ([None], "any?"),
    ],
)
def test_json_columns(values: list[Any], kind: str) -> None:
    table = table_of(*({"c": value} for value in values))
    assert table.shape() == {"c": kind if kind != "any?" else table.shape()["c"]}
    for value in values:
        made = table.make({"c": value})
        body = schema_of(type(made)).encode(made)
        assert schema_of(type(made)).decode(body).c0 == value


def test_text_becomes_what_the_column_says() -> None:
    table = table_of(
        {"n": "1", "f": "2", "b": "TRUE", "d": "2024-01-02", "z": "007"}, {"f": "2.5"}, text=True
    )
    made = table.make({"n": "1", "f": "2", "b": "TRUE", "d": "2024-01-02", "z": "007"})
    assert msgspec.structs.astuple(made) == (1, 2.0, True, dt.date(2024, 1, 2), "007")
    assert msgspec.to_builtins(table.make({"f": "2.5"})) == {"f": 2.5}


@dataclass(frozen=True)
class Person:
    name: str
    age: int = 0
    born: dt.date | None = None


async def test_a_program_reads_the_rows_with_its_own_class() -> None:
    table = Table("Person")
    rows = [{"name": "Ada", "age": "36", "born": "1815-12-10"}, {"name": "Bob"}]
    for row in rows:
        table.see_text(row)
    async with ate.open("people", memory=True) as chain:
        dio = chain.dio()
        for row in rows:
            dio.store(table.make(row))
        await dio.commit()
        found = [dao.value async for dao in chain.dio().all(Person)]
    assert found == [Person("Ada", 36, dt.date(1815, 12, 10)), Person("Bob")]


def test_any_name_can_be_a_column() -> None:
    row = {"first name": 1, "class": 2, "__init__": 3, "": 4, "c0": 5}
    assert msgspec.to_builtins(table_of(row).make(row)) == row


def test_too_many_columns_are_no_columns() -> None:
    table = table_of({str(number): 1 for number in range(COLUMNS_MAX)})
    with pytest.raises(LimitExceeded) as raised:
        table.see({"one more": 1})
    assert "--type dict" in raised.value.hint


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_a_type_has_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="1 to 255 bytes"):
        Table(name)


def test_a_single_value_under_a_name() -> None:
    made = typed({"a": 1}, "Thing")
    assert schema_of(type(made)).name == "Thing"
    assert typed("1.50", "Decimal") == Decimal("1.50")
    with pytest.raises(UsageError, match="only a JSON object can be a Thing, this is a list"):
        typed([1], "Thing")


def test_built_in_types() -> None:
    assert plain("AQI=", "bytes") == b"\x01\x02"
    assert plain([1, 2], "tuple") == (1, 2)
    with pytest.raises(UsageError, match="not a date"):
        plain("yesterday", "date")
