"""Errors cross as what they are when they were declared, and say nothing when they were not."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import pytest

from ate.dio.reply import Failure, Reply, check_declared, error_of, failure_of, value_of
from ate.dio.schema import schema_of
from ate.errors import (
    AteError,
    Conflict,
    LimitExceeded,
    NotFound,
    Refused,
    RemoteError,
    UsageError,
    WrongType,
)
from ate.ids import ObjectId


@dataclass
class Broke(Exception):
    missing: Decimal
    since: date = date(2026, 1, 1)
    note: str = field(default="", init=False)


@dataclass
class VeryBroke(Broke):
    pass


def crossed(error: Exception, *declared: type[Exception]) -> Exception:
    """Return what arrives of an error: through bytes, as a reply does."""
    schema = schema_of(Reply)
    reply = schema.decode(schema.encode(Reply(failure=failure_of(error, declared))))
    assert reply.failure is not None
    return error_of(reply.failure, declared)


@pytest.mark.parametrize(
    "error",
    [
        NotFound("no such thing", hint="look elsewhere"),
        LimitExceeded("rows", 3, 2),
        Refused("no", verdicts=("row 0: no", "row 1: no")),
        Conflict("changed", object=ObjectId(b"x" * 16), theirs=7),
    ],
    ids=lambda one: one.code,
)
def test_errors_of_the_tree_keep_class_text_hint_and_facts(error: AteError) -> None:
    arrived = crossed(error)
    assert type(arrived) is type(error)
    assert isinstance(arrived, AteError)
    assert (str(arrived), arrived.hint) == (str(error), error.hint)
    assert vars(arrived) == vars(error)


def test_a_subclass_without_a_code_is_its_parent_elsewhere() -> None:
    class Special(NotFound):
        pass

    assert type(crossed(Special("x"))) is NotFound


def test_a_code_from_the_future_is_still_an_error() -> None:
    assert type(error_of(Failure(code="unheard_of", message="x"))) is RemoteError


def test_a_declared_exception_keeps_its_fields_and_text() -> None:
    arrived = crossed(Broke(Decimal("1.5"), date(2025, 5, 5)), Broke)
    assert arrived == Broke(Decimal("1.5"), date(2025, 5, 5))
    assert str(arrived) == str(Broke(Decimal("1.5"), date(2025, 5, 5)))


def test_a_subclass_of_a_declared_exception_arrives_as_that() -> None:
    assert type(crossed(VeryBroke(Decimal(1)), Broke)) is Broke


def test_a_declared_exception_that_cannot_be_stored_or_rebuilt_is_told_of() -> None:
    arrived = crossed(Broke(object()), Broke)  # type: ignore[arg-type]
    assert type(arrived) is RemoteError
    failure = failure_of(Broke(Decimal(1)), (Broke,))
    assert str(error_of(failure)) == "Broke: Decimal('1')" or "Broke" in str(error_of(failure))
    bent = Failure(name="Broke", message="x", fields={"missing": "much"})
    assert type(error_of(bent, (Broke,))) is RemoteError


def test_the_text_of_other_exceptions_stays_where_it_is() -> None:
    arrived = crossed(ValueError("key 0xdeadbeef"))
    assert type(arrived) is RemoteError
    assert "deadbeef" not in str(arrived)
    assert "ValueError" in str(arrived)


def test_facts_that_are_no_plain_values_stay_as_well() -> None:
    error = NotFound("x")
    error.secret = object()  # type: ignore[attr-defined]
    assert "secret" not in failure_of(error).fields


def test_values_are_built_as_asked() -> None:
    key = ObjectId(b"k" * 16)
    assert value_of(Reply([1, 2]), object) == [1, 2]
    assert value_of(Reply("1.5"), Decimal) == Decimal("1.5")
    assert type(value_of(Reply(bytes(key)), ObjectId)) is ObjectId
    assert value_of(Reply([key]), list[ObjectId]) == [key]
    assert value_of(Reply(None), type(None)) is None
    with pytest.raises(WrongType, match="int"):
        value_of(Reply("x"), int)


def test_only_dataclasses_can_be_declared() -> None:
    assert check_declared([Broke]) == (Broke,)
    with pytest.raises(UsageError):
        check_declared([KeyError])
