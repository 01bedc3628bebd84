"""Does a value fit its own annotations: a quick test for each type, compiled once.

It stores nothing.

A value that does not fit would be acknowledged and then unreadable, so every encode asks.
"""

from __future__ import annotations

import datetime as dt
import typing
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from msgspec import inspect as shapes

from ate.dio import values

_EXACT: Final[dict[Any, type]] = {
    shapes.BoolType: bool,
    shapes.BytesType: bytes,
    shapes.DateTimeType: dt.datetime,
    shapes.DateType: dt.date,
    shapes.DecimalType: Decimal,
    shapes.FloatType: float,
    shapes.IntType: int,
    shapes.StrType: str,
    shapes.UUIDType: uuid.UUID,
}


_QUICK: Final = """
def encode(v, codec=1):
    if codec == 1 and {test}:
        try:
            body = prefix + pack(v)
        except refused:
            return slow(v, codec)
        if len(body) <= bound:
            return body
    return slow(v, codec)
"""


def checker(shape: Any) -> Callable[[Any], bool]:
    """Return a quick test: true for a value that fits its annotations, false if one must look."""
    words: dict[str, Any] = {}
    test = _test(shape, "v", words)
    return typing.cast("Callable[[Any], bool]", eval(f"lambda v: {test}", words))  # noqa: S307


def compile_encoder(shape: Any, slow: Any, **words: Any) -> Any:
    """Return a function that tests and encodes in one frame, `slow` if no quick test can tell.

    It is compiled because a chain of type tests costs less than one call. Field names are
    identifiers; all else in the text is ours.

    Args:
        shape: a type whose values are encoded as they are.
        slow: takes over for anything unusual: value and codec.
        words: `prefix`, `pack`, `refused` and `bound` of the text above.
    """
    words |= {"slow": slow}
    test = _test(shape, "v", words)
    if test is None:
        return slow
    exec(_QUICK.format(test=test), words)  # noqa: S102
    return words["encode"]


def _test(node: Any, part: str, words: dict[str, Any]) -> str | None:
    """Return the source of a test of one part, None if a chain of type tests cannot tell."""

    def is_exactly(kind: Any) -> str:
        words[f"t{len(words)}"] = kind
        return f"{part}.__class__ is t{len(words) - 1}"

    if values.is_open(node):
        return "True"
    if type(node) in _EXACT:
        limited = any(getattr(node, name) is not None for name in node.__struct_fields__)
        return None if limited else is_exactly(_EXACT[type(node)])
    if isinstance(node, shapes.NoneType):
        return f"{part} is None"
    if isinstance(node, (shapes.EnumType, shapes.CustomType)):
        return is_exactly(node.cls)
    if isinstance(node, shapes.UnionType):
        tests = [_test(option, part, words) for option in node.types]
        return None if None in tests else f"({' or '.join(filter(None, tests))})"
    if isinstance(node, (shapes.ListType, shapes.DictType)):
        free = node.min_length is node.max_length is None
        if not free or not all(values.is_open(inside) for inside in values.parts(node)):
            return None
        return is_exactly(list if isinstance(node, shapes.ListType) else dict)
    if part == "v" and isinstance(node, (shapes.StructType, shapes.DataclassType)):
        tests = [is_exactly(node.cls)]
        tests += [_test(field.type, f"v.{field.name}", words) for field in node.fields]
        return None if None in tests else " and ".join(filter(None, tests))
    return None
