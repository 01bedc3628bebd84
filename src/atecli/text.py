"""How things look in a terminal: aligned tables, times, values in a line, JSON; it prints nothing.

Chains may hold what strangers wrote, so control characters are escaped before a terminal sees them.
"""

from __future__ import annotations

import base64
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ate.ids import ObjectId

#: Right-aligned columns are marked so in the head of a table.
RIGHT: Final = ">"
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_CELL_MAX: Final = 200
_CONTAINERS: Final = (dict, list, tuple, set, frozenset)


def visible(text: str) -> str:
    """Return `text` with everything that could steer a terminal written out as an escape."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    # The form of JSON, so that escaped JSON is still the same JSON.
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def width() -> int:
    """Return how many columns a line may take: the terminal's, in a file as many as you like."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of an aligned table, cut to fit the terminal.

    Args:
        heads: a name for each column; `>` before it aligns to the right.
        rows: cells, as text or something that prints well.
    """
    names = [head.removeprefix(RIGHT) for head in heads]
    cells = [names, *([visible(str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(names))]
    lines = []
    for row in cells:
        padded = [
            cell.rjust(size) if head.startswith(RIGHT) else cell.ljust(size)
            for cell, size, head in zip(row, widths, heads, strict=True)
        ]
        lines.append(cut("  ".join(padded).rstrip()))
    return lines


class Columns:
    """A table that is written while it is made: widths are fixed beforehand, so rows can stream.

    Args:
        heads: (name, width) of each column; `>` before a name aligns to the right.
    """

    def __init__(self, *heads: tuple[str, int]) -> None:
        self._heads = heads

    def head(self) -> str:
        """Return the line that names the columns."""
        return self.row(*(name.removeprefix(RIGHT) for name, _ in self._heads))

    def row(self, *cells: object) -> str:
        """Return one line; a cell that is too wide pushes the rest to the right."""
        padded = [
            cell.rjust(size) if name.startswith(RIGHT) else cell.ljust(size)
            for cell, (name, size) in zip(map(visible, map(str, cells)), self._heads, strict=True)
        ]
        return cut("  ".join(padded).rstrip())


def cut(line: str, bound: int = 0) -> str:
    """Return a line, shortened to `bound` columns, or to the terminal's."""
    bound = bound or width()
    return line if len(line) <= bound else line[: bound - 1] + "…"


def facts(pairs: Iterable[tuple[str, object]]) -> list[str]:
    """Return lines of `name  value`, the values aligned."""
    known = [(name, visible(str(value))) for name, value in pairs]
    size = max((len(name) for name, _ in known), default=0)
    return [f"{name.ljust(size)}  {value}".rstrip() for name, value in known]


def moment(time: int | datetime) -> str:
    """Return a time, or microseconds since 1970, as UTC to the second, for people."""
    return iso(time)[:19].replace("T", " ")


def iso(time: int | datetime) -> str:
    """Return a time, or microseconds since 1970, as ISO 8601 in UTC, for programs."""
    if isinstance(time, int):
        time = datetime.fromtimestamp(time / 1_000_000, UTC)
    return time.isoformat().replace("+00:00", "Z")


def size(count: float) -> str:
    """Return bytes in a unit that people read."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} B" if not unit else f"{count:.1f} {_UNITS[unit]}"


def count(number: int, noun: str, plural: str = "") -> str:
    """Return e.g. `1 row` or `12 000 rows`."""
    return f"{number:,} ".replace(",", " ") + (noun if number == 1 else plural or f"{noun}s")


# --- values -------------------------------------------------------------------------------------


def dumps(value: Any, *, indent: int = 0) -> str:
    """Return a value as JSON; what JSON has no word for becomes text (bytes: base64)."""
    import msgspec

    encoded = _encode(value)
    if indent:
        encoded = msgspec.json.format(encoded, indent=indent)
        return "\n".join(map(visible, encoded.decode().split("\n")))
    return visible(encoded.decode())


def _encode(value: Any) -> bytes:
    import msgspec

    try:
        return msgspec.json.encode(value, enc_hook=_hook)
    except (TypeError, ValueError):
        # A key that is no text, a lone surrogate …: rare, so the slow way is enough.
        return msgspec.json.encode(_plain(value))


def _hook(value: Any) -> Any:
    if isinstance(value, ObjectId):
        return value.hex()
    if isinstance(value, (str, int, bytes)):
        # msgspec takes no subclasses.
        bases: tuple[Any, ...] = (str, int, bytes)
        return next(base(value) for base in bases if isinstance(value, base))
    if isinstance(value, _CONTAINERS):
        raise TypeError("a container comes here only as a key")
    return _plain(value)


def _plain(value: Any) -> Any:
    """Return what JSON can say about a value."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return int(value) if -(1 << 63) <= value < 1 << 64 else str(value)
    if isinstance(value, str):
        return str(value).encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, _CONTAINERS):
        return [_plain(item) for item in value]
    if isinstance(value, ObjectId):
        return value.hex()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if hasattr(value, "code") and hasattr(value, "data"):
        return {"ext": value.code, "data": base64.b64encode(value.data).decode()}
    return str(value)


def _key(key: Any) -> str:
    plain = _plain(key)
    return plain if isinstance(plain, str) else dumps(plain)


def brief(value: Any, bound: int = _CELL_MAX) -> str:
    """Return a value in one line of at most `bound` characters."""
    line = visible(value if isinstance(value, str) else dumps(value))
    return cut(line, bound)
