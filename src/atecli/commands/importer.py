"""`ate import`: typed objects from the rows of a file; `atecli.loading` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from atecli import output
from atecli.exits import say
from atecli.opening import Target, examples, run_to_write, shared_command
from atecli.text import count

if TYPE_CHECKING:
    from atecli.loading import Loader, Plan

_BATCH_ROWS_MAX: Final = 60_000


@click.command(
    "import",
    epilog=examples(
        "ate import people people.csv --type Person --id-field email",
        "ate import events events.jsonl --as robot --batch 10000",
    ),
)
@shared_command
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--type", "type_name", metavar="NAME", help="The type of the rows; else FILE's name.")
@click.option("--id-field", metavar="F", help="The field that tells rows apart.")
@click.option(
    "--batch", metavar="N", type=click.IntRange(1, _BATCH_ROWS_MAX), default=5000,
    show_default=True, help="Rows in one commit.",
)  # fmt: skip
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), help="Else by FILE's name.")
def command(
    target: Target,
    *,
    file: Path,
    form: str | None,
    type_name: str | None,
    id_field: str | None,
    batch: int,
) -> None:
    """Make objects in CHAIN from the rows of FILE: JSON lines (.jsonl) or CSV (.csv).

    The type of a column is the one that all its values fit. The whole file is read first, so a bad
    line stops it before anything is stored. Each batch is one commit. A row that was imported
    before is left out: after an interruption, run the same command again. The type `dict` stores
    the rows as they are.
    """
    from atecli.loading import Plan
    from atecli.progress import bar
    from atecli.source import Source

    source = Source(file, form)
    plan = Plan(source, type_name or file.stem, id_field)
    with bar("reading", source.size) as advance:
        plan.look(advance)
    run_to_write(target, _import(target, plan, batch), create=True)


async def _import(target: Target, plan: Plan, batch: int) -> None:
    from ate.clock import SystemClock
    from atecli.loading import Loader
    from atecli.progress import bar

    clock = SystemClock()
    async with target.open_to_write(create=True) as chain:
        start = clock.monotonic_s()
        loader = Loader(chain, plan, batch)
        try:
            with bar("importing", plan.source.size) as advance:
                await loader.load(advance)
        except BaseException:
            if loader.stored:
                stored = count(loader.stored, "row is", "rows are")
                say(f"{stored} in the chain; the same command again goes on from there")
            raise
        taken = clock.monotonic_s() - start
    _report(target, plan, loader, taken)


def _report(target: Target, plan: Plan, loader: Loader, taken: float) -> None:
    rate = round(loader.stored / taken) if taken else 0
    shapes = {name: table.shape() for name, table in plan.tables.items()}
    if target.as_json:
        output.document(
            {
                "rows": plan.rows,
                "stored": loader.stored,
                "skipped": loader.skipped,
                "commits": loader.commits,
                "seconds": round(taken, 3),
                "rows_per_second": rate,
                "types": shapes,
            }
        )
        return
    for name, shape in shapes.items():
        output.line(f"{name}: {', '.join(f'{column} {kind}' for column, kind in shape.items())}")
    told = f"{count(loader.stored, 'row')} in {count(loader.commits, 'commit')}"
    if loader.stored:
        told += f", {taken:.2f} s, {count(rate, 'row')}/s"
    if loader.skipped:
        told += f", {count(loader.skipped, 'row was', 'rows were')} there already"
    output.line(told)
