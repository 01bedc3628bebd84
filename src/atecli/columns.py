"""Types made from rows: their columns and what is in them; it reads no file and stores nothing.

A row becomes an instance of a class that is made on the spot, under the name that was asked for. In
the chain it is a map of named fields like any other, so a program reads what
`ate import people people.csv --type Person` stored with a class `Person` of its own.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from ate.dio.values import BUILTINS
from ate.errors import LimitExceeded, UsageError

#: A file with more has no columns but keys, and belongs into a dict.
COLUMNS_MAX: Final = 512

#: Types that are their own name; `Person` is none of them.
PLAIN_TYPES: Final[dict[str, type]] = {cls.__name__: cls for cls in BUILTINS}

_INT: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_FLOAT: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Table:
    """What the rows of one type look like. See all rows first, then make instances.

    Args:
        name: of the type.
    """

    def __init__(self, name: str) -> None:
        if not 0 < len(name.encode(errors="replace")) < 256:
            raise UsageError("the name of a type has 1 to 255 bytes")
        self.name = name
        self._seen: dict[str, set[Any]] = {}
        self._possible: dict[str, list[Any]] = {}
        self._class: Any = None

    def see(self, row: dict[str, Any]) -> None:
        """Take note of a row whose values have types."""
        for column, value in row.items():
            kinds = self._seen.get(column)
            if kinds is None:
                kinds = self._new(column)
            kind = value.__class__
            kinds.add(kind if kind is not int or -(1 << 63) <= value < 1 << 63 else object)

    def see_text(self, row: dict[str, str]) -> None:
        """Take note of a row of mere text; the type of a column is what all its values fit."""
        for column, text in row.items():
            kinds = self._possible.get(column)
            if kinds is None:
                self._new(column)
                kinds = self._possible[column] = list(_READS)
            if kinds:
                self._possible[column] = [kind for kind in kinds if _READS[kind](text)]

    def make(self, row: dict[str, Any]) -> Any:
        """Return a row as an instance of the type that all rows together gave."""
        if self._class is None:
            self._class = self._build()
        return msgspec.convert(row, self._class, strict=not self._possible)

    def shape(self) -> dict[str, str]:
        """Return column → type, in words."""
        return {column: _words(self._kinds(column)) for column in self._seen}

    def _new(self, column: str) -> set[Any]:
        if len(self._seen) >= COLUMNS_MAX:
            raise LimitExceeded(
                f"columns of {self.name}", len(self._seen) + 1, COLUMNS_MAX,
                hint="store each row as it is: --type dict",
            )  # fmt: skip
        kinds: set[Any] = set()
        self._seen[column] = kinds
        return kinds

    def _kinds(self, column: str) -> set[Any]:
        if column in self._possible:
            return {(self._possible[column] or [str])[0]}
        return self._seen[column]

    def _build(self) -> Any:
        names = {f"c{at}": column for at, column in enumerate(self._seen)}
        fields = [(name, _annotation(self._kinds(column)), UNSET) for name, column in names.items()]
        # A column may be called anything, a field may not; what is missing in a row is not written.
        return msgspec.defstruct(
            "Row", fields, rename=names, namespace={"__ate_type__": self.name}, omit_defaults=True
        )


def typed(value: Any, name: str) -> Any:
    """Return a single value under the name of a type.

    Raises:
        UsageError: only a map has fields, or the value does not fit a built-in type.
    """
    if name in PLAIN_TYPES:
        return plain(value, name)
    if not isinstance(value, dict):
        raise UsageError(
            f"only a JSON object can be a {name}, this is a {type(value).__name__}",
            hint="leave out --type, or put the value into a field",
        )
    table = Table(name)
    table.see(value)
    return table.make(value)


def plain(value: Any, name: str) -> Any:
    """Return a value as one of the built-in types; raises UsageError when it does not fit."""
    try:
        return msgspec.convert(value, PLAIN_TYPES[name])
    except (msgspec.ValidationError, ValueError) as error:
        raise UsageError(f"not a {name}: {error}") from None


def _annotation(kinds: set[Any]) -> Any:
    """Return a type that takes everything a column holds, and nothing at all."""
    rest = kinds - {type(None)}
    found: Any
    if len(rest) == 1 or rest == {int, float}:
        found = next(iter(rest)) if len(rest) == 1 else int | float
    else:
        found = object
    if found is object:
        return object
    return found | None | UnsetType if type(None) in kinds else found | UnsetType


def _words(kinds: set[Any]) -> str:
    rest = sorted(kind.__name__ for kind in kinds - {type(None)})
    found = rest[0] if len(rest) == 1 else "number" if rest == ["float", "int"] else "any"
    return f"{'any' if found == 'object' else found}{'?' if type(None) in kinds else ''}"


def _reads_int(text: str) -> bool:
    return bool(_INT.fullmatch(text)) and -(1 << 63) <= int(text) < 1 << 63


def _reads_float(text: str) -> bool:
    """Tell whether text is a number that a float holds without changing it."""
    return bool(_FLOAT.fullmatch(text)) and Decimal(repr(float(text))) == Decimal(text)


def _reads_bool(text: str) -> bool:
    return text.lower() in ("true", "false")


def _reads_date(text: str) -> bool:
    return bool(_DATE.fullmatch(text)) and _converts(text, dt.date)


def _reads_datetime(text: str) -> bool:
    return len(text) > 10 and _converts(text, dt.datetime)


def _converts(text: str, kind: type) -> bool:
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return True


#: What text can stand for, most special first; a column is the first that all its values fit.
_READS: Final[dict[Any, Callable[[str], bool]]] = {
    bool: _reads_bool,
    int: _reads_int,
    float: _reads_float,
    dt.date: _reads_date,
    dt.datetime: _reads_datetime,
}
