"""Files of rows: JSON lines and CSV; it tells what is wrong in which line, and stores nothing.

Four names are not columns: `_id`, `_type`, `_parent` and `_value`, as `ate export` writes them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from ate import limits
from ate.errors import UsageError

FORMATS: Final = ("jsonl", "csv")
_SUFFIXES: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv"}
#: Built-in types whose values JSON writes as text; a cell holds them without its quotes.
_TEXTS: Final = frozenset(
    {"str", "bytes", "Decimal", "datetime", "date", "time", "timedelta", "UUID", "ObjectId"}
)
SPECIAL: Final = ("_id", "_type", "_parent", "_value")


class Row(NamedTuple):
    """One row of a file.

    Args:
        line: where it ends in the file, counted from 1.
        value: a dict, or whatever `_value` holds.
        id, type, parent: the special columns, None when they are missing or empty.
        is_text: the fields are mere text, whatever they stand for.
    """

    line: int
    value: Any
    id: str | None = None
    type: str | None = None
    parent: str | None = None
    is_text: bool = False


class Source:
    """A file of rows; iterate over it as often as you like.

    Args:
        path: the file.
        form: "jsonl" or "csv"; by the file's name when not given.

    Raises (while iterating, too):
        UsageError: a line is not what it should be; the message has its number.
    """

    def __init__(self, path: Path, form: str | None = None) -> None:
        chosen = form or _SUFFIXES.get(path.suffix.lower())
        if chosen is None:
            raise UsageError(
                f"what is in {path.name}? its name does not say",
                hint="add --format jsonl or --format csv",
            )
        self.path, self.form = path, chosen
        self.size = path.stat().st_size
        #: Bytes read so far in the current pass.
        self.consumed = 0

    def __iter__(self) -> Iterator[Row]:
        self.consumed = 0
        with self.path.open("rb") as file:
            yield from self._csv(file) if self.form == "csv" else self._jsonl(file)

    def fault(self, line: int, what: str, *, hint: str = "") -> UsageError:
        """Return the error for a line."""
        return UsageError(f"{self.path.name} line {line}: {what}", hint=hint)

    def _lines(self, file: BinaryIO) -> Iterator[tuple[int, str]]:
        number = 0
        while raw := file.readline(limits.BODY_BYTES_MAX + 1):
            number += 1
            self.consumed += len(raw)
            if len(raw) > limits.BODY_BYTES_MAX:
                raise self.fault(number, f"longer than {limits.BODY_BYTES_MAX} bytes")
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise self.fault(number, "not UTF-8 text") from None

    def _jsonl(self, file: BinaryIO) -> Iterator[Row]:
        decode = msgspec.json.Decoder().decode
        for number, line in self._lines(file):
            if line.isspace():
                continue
            try:
                value = decode(line)
            except RecursionError:
                raise self.fault(number, "nested too deeply") from None
            except ValueError as error:
                raise self.fault(number, f"not JSON: {error}") from None
            if not isinstance(value, dict):
                raise self.fault(
                    number, f"a {type(value).__name__}, not an object",
                    hint='each line is a JSON object: {"name": "Ada"}',
                )  # fmt: skip
            yield self._row(number, value)

    def _csv(self, file: BinaryIO) -> Iterator[Row]:
        reader = csv.reader((line for _, line in self._lines(file)), strict=True)
        csv.field_size_limit(limits.BODY_BYTES_MAX)
        try:
            heads = next(reader, [])
            self._check_heads(heads)
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(heads):
                    raise self.fault(
                        reader.line_num, f"has {len(cells)} cells, the first line has {len(heads)}"
                    )
                named = {name: cell for name, cell in zip(heads, cells, strict=True) if cell}
                yield self._row(reader.line_num, named)
        except csv.Error as error:
            raise self.fault(reader.line_num, f"not CSV: {error}") from None

    def _check_heads(self, heads: list[str]) -> None:
        hint = "the first line of a CSV file names its columns"
        if not heads:
            raise self.fault(1, "there are no columns", hint=hint)
        for at, name in enumerate(heads):
            if not name or name in heads[:at]:
                raise self.fault(1, f"column {at + 1} has no name of its own", hint=hint)

    def _row(self, number: int, fields: dict[str, Any]) -> Row:
        special = {name: fields.pop(name) for name in SPECIAL if name in fields}
        texts = [special.get(name) for name in SPECIAL[:3]]
        if not all(text is None or isinstance(text, str) for text in texts):
            raise self.fault(number, "_id, _type and _parent are text")
        if "_value" in special and fields:
            raise self.fault(number, "has _value and other columns as well")
        object_id, kind, parent = (text or None for text in texts)
        is_text = self.form == "csv" and "_value" not in special
        value = special.get("_value", fields)
        if self.form == "csv" and not is_text:
            value = _from_cell(value, kind)
        return Row(number, value, object_id, kind, parent, is_text)


def _from_cell(text: str, kind: str | None) -> Any:
    """Return what a `_value` cell stands for: JSON, unless its type is written as text."""
    if kind in _TEXTS:
        return text
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return text
