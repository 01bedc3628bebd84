"""`ate backups`: what a destination holds, and whether it is whole; it changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from atecli import output
from atecli.exits import CORRUPT, Failed, say
from atecli.opening import chain_names, examples, json_option
from atecli.text import count, iso, moment, size, table

if TYPE_CHECKING:
    from ate.archive.point import Point
    from ate.archive.series import Series


@click.command(
    "backups",
    epilog=examples(
        "ate backups /media/disk",
        "ate backups s3://bucket/chains people",
        "ate backups /media/disk people --check",
    ),
)
@click.argument("dest")
@click.argument("chain", required=False, shell_complete=chain_names)
@click.option("--id", "chain_id", metavar="HEX", default="", help="Of two chains of one name.")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1), default=50, show_default=True,
    help="The newest N restore points.",
)  # fmt: skip
@click.option("--check", is_flag=True, help="Read every object and compare it with its digest.")
@json_option
def command(
    *, dest: str, chain: str | None, chain_id: str, limit: int, check: bool, as_json: bool
) -> None:
    """List the chains that DEST holds, or the restore points of CHAIN.

    Each can be restored: `ate restore CHAIN DEST --at p7`. With --check every object is read, and
    those that are missing, cut short or altered are named; the status is 5 then.
    """
    from ate.archive.destination import open_destination
    from ate.archive.series import every, find

    store = open_destination(dest, create=False)
    series = [find(store, chain, chain_id)] if chain else every(store)
    if check:
        _check(series, as_json=as_json)
    elif chain:
        _points(series[0], limit, as_json=as_json)
    else:
        _chains(series, as_json=as_json)


def _chains(series: list[Series], *, as_json: bool) -> None:
    rows: list[tuple[object, ...]] = []
    for one in series:
        numbers = one.numbers()
        if not numbers:
            continue  # its first backup has not ended yet
        point = one.load(numbers[-1]).point
        if as_json:
            output.document({**_facts(point), "points": len(numbers)})
        rows.append((one.name, len(numbers), f"p{point.point}", point.head, moment(point.time_us),
                     moment(point.made_us), size(point.size), one.chain))  # fmt: skip
    if rows and not as_json:
        heads = ("name", ">points", ">newest", ">head", "last commit", "made", ">size", "id")
        output.lines(table(heads, rows))


def _points(series: Series, limit: int, *, as_json: bool) -> None:
    from ate.errors import CorruptBackup

    rows: list[tuple[object, ...]] = []
    is_bad = False
    numbers = series.numbers()
    for number in numbers[-limit:]:
        try:
            point = series.load(number).point
        except CorruptBackup as error:
            say(error.message)
            is_bad = True
            continue
        if as_json:
            output.document(_facts(point))
        rows.append((f"p{point.point}", point.head, point.commits, moment(point.time_us),
                     moment(point.made_us), size(point.size), point.line))  # fmt: skip
    if not as_json and rows:
        heads = (">point", ">head", ">commits", "last commit", "made", ">size", ">line")
        output.lines(table(heads, rows))
    if len(numbers) > limit and not as_json:
        say(f"the newest {limit} of {count(len(numbers), 'restore point')}; see more with --limit")
    if is_bad:
        raise Failed(CORRUPT)


def _facts(point: Point) -> dict[str, object]:
    return {
        "chain": point.name, "id": point.chain, "point": point.point, "head": point.head,
        "commits": point.commits, "time": iso(point.time_us), "made": iso(point.made_us),
        "bytes": point.size, "generation": point.generation, "line": point.line,
        "root": point.root,
    }  # fmt: skip


def _check(series: list[Series], *, as_json: bool) -> None:
    from ate.archive.prune import check
    from atecli.progress import bar

    is_bad = False
    for one in series:
        numbers = one.numbers()
        total = one.load(numbers[-1]).point.size if numbers else 0
        with bar(f"checking {one.name}", total, is_wanted=not as_json) as advance:
            problems = check(one, advance)
        is_bad = is_bad or bool(problems)
        if as_json:
            document = {"chain": one.name, "points": len(numbers), "ok": not problems}
            output.document({**document, "problems": problems})
            continue
        verdict = "damaged" if problems else "whole"
        output.line(f"{one.name}: {count(len(numbers), 'restore point')}, {verdict}")
        output.lines(f"  {problem}" for problem in problems)
    if is_bad:
        raise Failed(CORRUPT)
