"""`ate diff`: what is different between two versions of one object or of all; it stores nothing.

Colours are for terminals; `NO_COLOR` turns them off there too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from atecli import output
from atecli.exits import say
from atecli.opening import Target, examples, run, shared_command
from atecli.point import POINT, row_at
from atecli.text import brief, count, cut, dumps, iso, moment, visible

if TYPE_CHECKING:
    from atecli.between import Pair, Side
    from atecli.difference import Change

_LINES_MAX: Final = 40
_TEXT_MAX: Final = 72
_SIGNS: Final = {"added": "+", "changed": "~", "deleted": "-"}
_COLOURS: Final = {"+": "green", "-": "red", "~": "cyan", "@": "cyan"}


@click.command(
    "diff",
    epilog=examples(
        "ate diff notes 3f0c1d9a5b7e4c2f8a6d0b1e2c3d4f5a",
        "ate diff notes 3f0c1d9a5b7e4c2f8a6d0b1e2c3d4f5a 17 2026-01-31T18:00",
        "ate diff notes --at 2026-01-31 --json",
    ),
)
@shared_command
@click.argument("object_id", metavar="[ID]", required=False)
@click.argument("first", metavar="[A]", type=POINT, required=False)
@click.argument("last", metavar="[B]", type=POINT, required=False)
@click.option("--at", metavar="A", type=POINT, help="All objects: from this row or time …")
@click.option("--to", metavar="B", type=POINT, help="… to this one, the newest if not given.")
def command(target: Target, **options: Any) -> None:
    """Show what changed between two versions of an object of CHAIN, or of all objects.

    A and B are rows of the log or times: what the object was then. With ID alone its newest version
    is compared with the one before, with A its newest with the one at A. Without ID, --at and --to
    list the objects that were added, changed and deleted.

    With --json the changes of a value are a JSON patch (RFC 6902), with `old` besides.
    """
    run(target, _diff(target, **options))


async def _diff(
    target: Target,
    *,
    object_id: str | None,
    first: int | datetime | None,
    last: int | datetime | None,
    at: int | datetime | None,
    to: int | datetime | None,
) -> None:
    from ate.errors import UsageError
    from ate.ids import ObjectId
    from atecli.between import Between

    if (object_id is None) == (at is None) or (object_id is not None and to is not None):
        raise UsageError("diff wants an ID, or --at for all objects", hint="try `ate diff --help`")
    start, end = (at, to) if object_id is None else (first, last)
    chosen = ObjectId.parse(object_id) if object_id is not None else None
    async with target.open() as chain:
        begin = None if start is None else row_at(chain, start)
        stop = None if end is None else min(row_at(chain, end), chain.head)
        if begin is not None and begin > (chain.head if stop is None else stop):
            raise UsageError("the first point lies behind the second")
        between = Between(chain)
        if chosen is not None:
            _show_one(await between.one(chosen, begin, stop), as_json=target.as_json)
            return
        assert begin is not None
        async for pair in between.all(begin, chain.head if stop is None else stop):
            _show_line(pair, as_json=target.as_json)
        if between.has_gaps:
            say("versions in between are not held any more: they were dropped by compaction")


def _show_line(pair: Pair, *, as_json: bool) -> None:
    """Print one object of a chain in one line."""
    if as_json:
        output.document(_document(pair))
        return
    side = pair.after if pair.after.is_alive else pair.before
    line = f"{_SIGNS[pair.what]} {pair.id}  {visible(side.type)}  {_told(pair)}"
    output.line(_painted(cut(line.rstrip())))


def _told(pair: Pair) -> str:
    """Return what happened to an object, in a few words."""
    from atecli.difference import summary

    if pair.what != "changed":
        side = pair.after if pair.after.is_alive else pair.before
        return "(sealed)" if side.is_sealed else brief(side.value, _TEXT_MAX) if side.seq else ""
    if not pair.is_known:
        return "(what it was is not held any more)"
    words = ["moved"] if pair.is_moved else []
    if pair.is_sealed:
        words.append("(sealed)")
    elif steps := pair.steps():
        words.append(visible(summary(steps)))
    return ", ".join(words) or "written again"


def _document(pair: Pair) -> dict[str, Any]:
    """Return a pair for programs."""
    return {
        "id": pair.id,
        "change": pair.what or None,
        "from": _side(pair.before) if pair.is_known else None,
        "to": _side(pair.after),
        "held": pair.is_known,
        "moved": pair.is_moved,
        "patch": None if pair.is_sealed else [step.document() for step in pair.steps()],
    }


def _side(side: Side) -> dict[str, Any] | None:
    row = side.row
    if row is None:
        return None
    return {
        "seq": side.seq,
        "time": iso(side.time_us),
        "author": side.author or None,
        "deleted": not side.is_alive,
        "type": side.type,
        "parent": row.parent.hex() if any(row.parent) else None,
        "sealed": side.is_sealed,
    }


def _show_one(pair: Pair, *, as_json: bool) -> None:
    """Print what changed of one object."""
    from atecli.difference import in_order

    if as_json:
        output.document(_document(pair))
        return
    lines = [f"- {_title(pair.before)}", f"+ {_title(pair.after)}"]
    if pair.is_moved:
        lines += ["~ parent", *(f"{sign} {_parent(side)}" for sign, side in _sides(pair))]
    if pair.before.is_alive and pair.after.is_alive and pair.before.type != pair.after.type:
        lines += ["~ type", *(f"{sign} {visible(side.type)}" for sign, side in _sides(pair))]
    if pair.is_sealed:
        lines.append("  no key opens both versions")
    elif pair.what == "changed":
        steps = pair.steps()
        for step in in_order(steps):
            lines += _step_lines(step)
        if not steps:
            lines.append("  the values are the same")
    elif pair.what:
        side, sign = (pair.after, "+") if pair.what == "added" else (pair.before, "-")
        lines += [f"{sign} {line}" for line in _value_lines(side.value)]
    output.lines(map(_painted, lines))


def _sides(pair: Pair) -> Iterator[tuple[str, Side]]:
    yield "-", pair.before
    yield "+", pair.after


def _title(side: Side) -> str:
    if side.row is None:
        return "not there"
    what = [f"row {side.seq}", moment(side.time_us)]
    if side.author:
        what.append(visible(side.author))
    if not side.is_alive:
        what.append("deleted")
    return ", ".join(what)


def _parent(side: Side) -> str:
    parent = side.row.parent if side.row else b""
    return parent.hex() if any(parent) else "the top of the chain"


def _step_lines(step: Change) -> Iterator[str]:
    """Yield the lines of one change: where, then what was there and what is."""
    from atecli.difference import path_text, text_lines

    place = visible(path_text(step.path))
    texts = isinstance(step.old, str) and isinstance(step.new, str)
    if texts and ("\n" in step.old or "\n" in step.new):
        yield f"~ {place}"
        yield from _bounded([visible(line) for line in text_lines(step.old, step.new)])
        return
    yield f"{'~' if step.op == 'replace' else '+' if step.op == 'add' else '-'} {place}"
    if step.op != "add":
        yield from (f"-   {line}" for line in _value_lines(step.old))
    if step.op != "remove":
        yield from (f"+   {line}" for line in _value_lines(step.new))


def _value_lines(value: Any) -> list[str]:
    line = dumps(value)
    return [line] if len(line) <= _TEXT_MAX else _bounded(dumps(value, indent=2).split("\n"))


def _bounded(lines: list[str]) -> list[str]:
    if len(lines) <= _LINES_MAX:
        return lines
    return [*lines[:_LINES_MAX], f"  … {count(len(lines) - _LINES_MAX, 'more line')}"]


def _painted(line: str) -> str:
    """Return a line in the colour of its sign, where somebody sees it."""
    colour = _COLOURS.get(line[:1])
    if colour is None or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return line
    return click.style(line, fg=colour)
