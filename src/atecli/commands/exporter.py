"""`ate export`: the readable objects of a chain as JSON lines or CSV; it is no backup.

Each line has `_id`, `_type` and, below another object, `_parent`; a value that is no map of fields
stands in `_value`. `ate import` reads them again.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from atecli.commands.ls import tell_hidden
from atecli.opening import Target, examples, run, shared_command
from atecli.text import count, dumps, visible

if TYPE_CHECKING:
    from ate.client import Chain

_STEP: Final = 256


@click.command(
    "export",
    epilog=examples(
        "ate export people people.csv",
        "ate export people --type Person --plain | jq .name",
    ),
)
@shared_command
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), help="Else by FILE's name.")
@click.option("--type", "type_name", metavar="NAME", help="Objects of this type alone.")
@click.option("--plain", is_flag=True, help="Leave out _id, _type and _parent.")
def command(target: Target, **options: Any) -> None:
    """Write the objects of CHAIN to FILE, or to stdout, as JSON lines or CSV.

    FILE appears when it is complete. In CSV a nested value is JSON text.
    """
    run(target, _export(target, **options))


async def _export(
    target: Target, *, file: Path | None, form: str | None, type_name: str | None, plain: bool
) -> None:
    from atecli.progress import bar

    if file is not None and str(file) == "-":
        file = None
    chosen = form or ("csv" if file is not None and file.suffix.lower() == ".csv" else "jsonl")
    async with target.open() as chain:
        total = len(chain) * (2 if chosen == "csv" else 1)
        rows = _Rows(chain, type_name, is_plain=plain)
        is_wanted = file is not None or not sys.stdout.isatty()
        with _destination(file) as out, bar("exporting", total, is_wanted=is_wanted) as advance:
            await (_write_csv if chosen == "csv" else _write_jsonl)(rows, out, advance)
        hidden = len(chain) - rows.seen
    tell_hidden(hidden, target)
    if file is not None:
        _report(target, file, rows.written)


class _Rows:
    """The objects of a chain as flat rows."""

    def __init__(self, chain: Chain, type_name: str | None, *, is_plain: bool) -> None:
        self._chain, self._type, self._is_plain = chain, type_name, is_plain
        self.seen = self.written = 0

    async def each(
        self, take: Callable[[dict[str, Any]], None], advance: Callable[[int], None]
    ) -> None:
        """Hand every row to `take`."""
        self.seen = self.written = 0
        async for dao in self._chain.dio().all(object):
            self.seen += 1
            if not self.seen % _STEP:
                advance(_STEP)
            if self._type is None or dao.type_name == self._type:
                take(self._row(dao))
                self.written += 1

    def _row(self, dao: Any) -> dict[str, Any]:
        from atecli.source import SPECIAL

        value = dao.value
        is_map = isinstance(value, dict) and all(isinstance(key, str) for key in value)
        # A field with one of our own names must not be taken for ours.
        fields = (
            value if is_map and not any(name in value for name in SPECIAL) else {"_value": value}
        )
        if self._is_plain:
            return fields
        row = {"_id": dao.id.hex(), "_type": dao.type_name}
        if any(dao.parent):
            row["_parent"] = dao.parent.hex()
        return {**row, **fields}


async def _write_jsonl(rows: _Rows, out: _Out, advance: Callable[[int], None]) -> None:
    await rows.each(lambda row: _line(out, row), advance)


def _line(out: _Out, row: dict[str, Any]) -> None:
    out.write(dumps(row) + "\n")


async def _write_csv(rows: _Rows, out: _Out, advance: Callable[[int], None]) -> None:
    """Walk twice: the first line has to name the columns of all rows."""
    columns: dict[str, None] = {}
    await rows.each(lambda row: columns.update(dict.fromkeys(row)), advance)
    writer = csv.writer(out, lineterminator="\n")
    if columns:
        writer.writerow(columns)
    await rows.each(lambda row: writer.writerow([_cell(row.get(one)) for one in columns]), advance)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    text = dumps(value)
    # Scalars that JSON writes as text (times, decimals) need no second pair of quotes.
    return text[1:-1] if text.startswith('"') else text


class _Out(Protocol):
    """Where rows go."""

    def write(self, text: str, /) -> object: ...


class _Screen:
    """A terminal: CSV holds text as it is, so what could steer the terminal is taken out here."""

    def __init__(self, out: _Out) -> None:
        self._out = out

    def write(self, text: str, /) -> object:
        return self._out.write("\n".join(map(visible, text.split("\n"))))


@contextmanager
def _destination(file: Path | None) -> Iterator[_Out]:
    """Yield stdout, or a file that takes its name when it is complete and on the disk."""
    if file is None:
        yield _Screen(sys.stdout) if sys.stdout.isatty() else sys.stdout
        return
    partial = file.with_name(file.name + ".part")
    try:
        with partial.open("w", encoding="utf-8", newline="") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        partial.replace(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _report(target: Target, file: Path, written: int) -> None:
    from atecli import output

    if target.as_json:
        output.document({"file": str(file), "rows": written})
    else:
        output.line(f"{count(written, 'row')} in {file.name}")
