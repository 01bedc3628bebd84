"""`Reply`: how the outcome of a request is kept in a row, errors included; it sends nothing.

An error crosses as its stable code (AteError), or as a declared dataclass exception with its
fields. Of any other exception only the class is named: its text may hold what the caller must not
see.
"""

from __future__ import annotations

import builtins
import contextlib
import dataclasses
import typing
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from ate.dio import values
from ate.dio.schema import schema_of
from ate.errors import AteError, RemoteError, UsageError, WrongType, codes

#: Attributes of errors that may cross: plain facts such as a bound, an id, a seq.
_PLAIN = (bool, int, str, bytes, type(None))


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as it is stored.

    Args:
        code: of an AteError, else empty.
        name: class name of a declared exception, else empty.
        message, hint: for people.
        fields: further attributes.
    """

    code: str = ""
    name: str = ""
    message: str = ""
    hint: str = ""
    fields: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of a request: a value, or a failure."""

    __ate_type__: ClassVar[str] = "ate.Reply"

    value: Any = None
    failure: Failure | None = None


Declared = Iterable[type[Exception]]


def failure_of(error: Exception, declared: Declared = ()) -> Failure:
    """Return what the caller may know about an exception."""
    cls = next((one for one in type(error).__mro__ if one in tuple(declared)), None)
    if cls is not None:
        fields = {name: getattr(error, name) for name in _names_of(cls)}
        failure = Failure(name=cls.__name__, message=str(error), fields=fields)
        with contextlib.suppress(AteError):  # fields that cannot be stored cannot cross
            schema_of(Reply).encode(Reply(failure=failure))
            return failure
    if isinstance(error, AteError):
        facts = {key: one for key, one in vars(error).items() if _is_plain(one) and key != "hint"}
        return Failure(error.code, "", str(error), error.hint, facts)
    return Failure(RemoteError.code, "", f"the handler failed with {type(error).__name__}")


def error_of(failure: Failure, declared: Declared = ()) -> Exception:
    """Return the exception that a failure stands for."""
    for cls in declared:
        if cls.__name__ == failure.name:
            try:
                made = cls(**_fields(cls, failure.fields))
            except (TypeError, ValueError, msgspec.ValidationError):
                break
            if str(made) != failure.message:
                made.args = (failure.message,)
            return made
    if failure.name:
        return RemoteError(f"{failure.name}: {failure.message}")
    cls = codes().get(failure.code, RemoteError)
    error = cls.__new__(cls)
    Exception.__init__(error, failure.message)
    vars(error).update(failure.fields)
    error.hint = failure.hint
    return error


def value_of(reply: Reply, type: Any) -> Any:
    """Return a reply's value as an instance of `type` (`object`: as it is).

    Raises:
        WrongType: it does not fit.
    """
    if type in (object, Any):
        return reply.value
    try:
        return msgspec.convert(reply.value, type, dec_hook=_lift)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        name = getattr(type, "__name__", str(type))
        raise WrongType(f"the reply is not a {name}: {error}") from error


def check_declared(declared: Declared) -> tuple[type[Exception], ...]:
    """Return the declared exceptions; raises UsageError for one that cannot cross."""
    for cls in declared:
        if not dataclasses.is_dataclass(cls):
            raise UsageError(
                f"{cls.__name__} cannot be declared",
                hint="make it a dataclass: its fields are what crosses",
            )
    return tuple(declared)


def _fields(cls: Any, stored: dict[str, Any]) -> dict[str, Any]:
    """Convert stored fields to what the annotations of an exception say."""
    hints = typing.get_type_hints(cls)
    known = [name for name in _names_of(cls) if name in stored]
    return {name: msgspec.convert(stored[name], hints[name], dec_hook=_lift) for name in known}


def _names_of(cls: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(cls) if field.init]


def _lift(type: Any, stored: Any) -> Any:
    """Build a value of a type that msgspec does not know, unless it is one already."""
    if isinstance(type, builtins.type) and isinstance(stored, type):
        return stored
    return values.decode_hook(type, stored)


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (
        isinstance(value, tuple) and all(isinstance(one, _PLAIN) for one in value)
    )
