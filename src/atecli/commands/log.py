"""`ate log`: the rows of a chain in their order, and those that come; it shows no values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from atecli import output
from atecli.opening import Target, chain_command, examples, run
from atecli.text import Columns, iso, moment

if TYPE_CHECKING:
    from atecli.history import Entry

_TABLE: Final = Columns(
    (">seq", 8), ("time", 19), ("kind", 11), ("type", 12), ("id", 32), ("author", 0)
)  # fmt: skip


@click.command(
    "log",
    epilog=examples(
        "ate log people",
        "ate log people --follow --since 1200",
        "ate log people --object 3f0c1d9a5b7e4c2f8a6d0b1e2c3d4f5a",
    ),
)
@chain_command
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until ctrl-c.")
@click.option(
    "--since", metavar="SEQ", type=click.IntRange(min=0), default=0, help="Rows behind this one."
)
@click.option("--object", "object_id", metavar="ID", help="The history of this object alone.")
def command(target: Target, **options: Any) -> None:
    """List the rows of CHAIN, oldest first: what happened, when, to what, and who signed it.

    --follow sees what other processes write, a moment after it is durable.
    """
    run(target, _log(target, **options))


async def _log(target: Target, *, follow: bool, since: int, object_id: str | None) -> None:
    from ate.ids import ObjectId
    from atecli.history import History, heads

    wanted = ObjectId.parse(object_id) if object_id else None
    async with target.open() as chain:
        history = History(chain)
        if not target.as_json:
            output.line(_TABLE.head())
        async for head in heads(chain, follow=follow):
            async for entry in history.entries(since + 1, head, object_id=wanted):
                _show(entry, as_json=target.as_json)
            since = max(since, head)
            output.flush()


def _show(entry: Entry, *, as_json: bool) -> None:
    if as_json:
        output.document(document(entry))
    else:
        place = (entry.seq, moment(entry.time_us), entry.kind, entry.type)
        output.line(_TABLE.row(*place, entry.row.id.hex(), entry.author))


def document(entry: Entry) -> dict[str, object]:
    """Return one row for programs."""
    row = entry.row
    return {
        "seq": entry.seq,
        "time": iso(entry.time_us),
        "kind": entry.kind,
        "type": None if entry.type == "-" else entry.type,
        "id": row.id.hex(),
        "parent": row.parent.hex() if any(row.parent) else None,
        "author": entry.author or None,
        "bytes": row.length,
    }
