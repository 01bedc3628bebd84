"""`ate watch`: changes of objects with their new values, as other processes make them."""

from __future__ import annotations

from typing import Any, Final

import click

from atecli import output
from atecli.commands.log import document
from atecli.opening import Target, examples, run, shared_command
from atecli.text import Columns, brief, moment

_TABLE: Final = Columns(
    (">seq", 8), ("time", 19), ("kind", 6), ("type", 12), ("id", 32), ("value", 0)
)  # fmt: skip


@click.command(
    "watch",
    epilog=examples(
        "ate watch people",
        "ate watch people --since 0 --once --json | jq .value",
    ),
)
@shared_command
@click.option(
    "--since", metavar="SEQ", type=click.IntRange(min=0), help="Changes behind this row first."
)
@click.option("--type", "type_name", metavar="NAME", help="Objects of this type alone.")
@click.option("--once", is_flag=True, help="Stop at the newest change, wait for no more.")
def command(target: Target, **options: Any) -> None:
    """Print changes of CHAIN with their values as they come, until ctrl-c.

    Without --since it begins now, with `--since 0` at the start of the chain.
    """
    run(target, _watch(target, **options))


async def _watch(target: Target, *, since: int | None, type_name: str | None, once: bool) -> None:
    from atecli.history import History, heads

    async with target.open() as chain:
        history = History(chain)
        done = chain.head if since is None else since
        if not target.as_json:
            output.line(_TABLE.head())
        output.flush()
        async for head in heads(chain, follow=not once):
            async for entry, event in history.events(done + 1, head):
                if type_name is None or entry.type == type_name:
                    _show(entry, event, as_json=target.as_json)
            done = max(done, head)
            output.flush()


def _show(entry: Any, event: Any, *, as_json: bool) -> None:
    is_sealed = event.change.plain is None and not event.is_delete
    if as_json:
        output.document({**document(entry), "sealed": is_sealed, "value": event.value})
        return
    value = "(sealed)" if is_sealed else "" if event.is_delete else brief(event.value)
    place = (entry.seq, moment(entry.time_us), entry.kind, entry.type)
    output.line(_TABLE.row(*place, entry.row.id.hex(), value))
