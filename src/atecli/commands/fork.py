"""`ate fork`: a new chain from a point in the past of another; it never writes to the other one."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from atecli import output
from atecli.exits import say
from atecli.opening import Target, chain_command, examples, run
from atecli.point import POINT, row_at
from atecli.text import count

if TYPE_CHECKING:
    from ate.dio.fork import Fork

_PERCENT = 100


@click.command(
    "fork",
    epilog=examples(
        "ate fork people people-2",
        "ate fork people before-the-import --at 2026-01-31T18:00 --as alice",
        "ate fork people mine --at 1200 --as bob --skip-unreadable",
    ),
)
@chain_command
@click.argument("new")
@click.option("--at", metavar="SEQ|TIME", type=POINT, help="As of this row or time, not now.")
@click.option("--skip-unreadable", is_flag=True, help="Leave out what no key opens.")
def command(target: Target, *, new: str, at: int | datetime | None, skip_unreadable: bool) -> None:
    """Make the chain NEW of the objects that CHAIN has, or had at some point.

    NEW has the same objects with their ids, places, types, values and rules, a history of its own
    that begins now, and one root: who forks. It is there when it is complete. `ate info NEW` tells
    where it came from.
    """
    run(target, _fork(target, new, at, skip_unreadable=skip_unreadable))


async def _fork(
    target: Target, new: str, at: int | datetime | None, *, skip_unreadable: bool
) -> None:
    from ate.errors import Deleted, NoReadKey, UsageError
    from atecli.history import is_signed
    from atecli.progress import bar

    async with target.open() as chain:
        if chain.session is None and is_signed(chain):
            hint = "act as somebody who may read it: --as NAME"
            raise UsageError("the chain is signed, and a fork of it needs a root", hint=hint)
        seq = chain.head if at is None else row_at(chain, at)
        shown = 0
        with bar("forking", _PERCENT) as advance:

            def step(done: int, total: int) -> None:
                nonlocal shown
                percent = done * _PERCENT // max(total, 1)
                advance(percent - shown)
                shown = percent

            try:
                made = await chain.fork(
                    new, at=seq, path=target.path, skip_unreadable=skip_unreadable, advance=step
                )
            except (NoReadKey, Deleted) as error:
                hint = "act as somebody who may read them, or leave them out: --skip-unreadable"
                raise type(error)(error.message, hint=hint) from None
    _report(target, made)


def _report(target: Target, made: Fork) -> None:
    if made.left_out:
        say(f"{count(made.left_out, 'object')} left out")
    if target.as_json:
        output.document(
            {
                "name": made.name,
                "id": made.id.hex(),
                "source": target.name,
                "seq": made.seq,
                "objects": made.objects,
                "left_out": made.left_out,
            }
        )
        return
    objects = count(made.objects, "object")
    output.line(f"{made.name}: {objects} of {target.name} as of row {made.seq}")
