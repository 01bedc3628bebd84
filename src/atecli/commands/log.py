"""`ate log`: the rows of a chain in their order, and those that come; it shows no values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from atecli import output
from atecli.exits import say
from atecli.opening import Target, examples, run, shared_command
from atecli.text import Columns, iso, moment, size

if TYPE_CHECKING:
    from atecli.history import Entry

_TABLE: Final = Columns(
    (">seq", 8), ("time", 19), ("kind", 11), ("type", 12), ("id", 32), ("author", 0)
)  # fmt: skip
_VERSIONS: Final = Columns(
    (">seq", 8), ("time", 19), ("kind", 11), ("type", 12), (">size", 9), ("author", 0)
)  # fmt: skip


@click.command(
    "log",
    epilog=examples(
        "ate log people",
        "ate log people --follow --since 1200",
        "ate log people --object 3f0c1d9a5b7e4c2f8a6d0b1e2c3d4f5a",
    ),
)
@shared_command
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until ctrl-c.")
@click.option(
    "--since", metavar="SEQ", type=click.IntRange(min=0), default=0, help="Rows behind this one."
)
@click.option("--object", "object_id", metavar="ID", help="The versions of this object alone.")
def command(target: Target, **options: Any) -> None:
    """List the rows of CHAIN, oldest first: what happened, when, to what, and who signed it.

    With --object the size of each version stands in place of the id; the log is not searched for
    them. --follow sees what other processes write, a moment after it is durable.
    """
    run(target, _log(target, **options))


async def _log(target: Target, *, follow: bool, since: int, object_id: str | None) -> None:
    from ate.ids import ObjectId
    from atecli.history import History, heads

    wanted = ObjectId.parse(object_id) if object_id else None
    async with target.open() as chain:
        history = History(chain)
        table = _TABLE if wanted is None else _VERSIONS
        if not target.as_json:
            output.line(table.head())
        async for head in heads(chain, follow=follow):
            rows = history.entries(since + 1, head)
            if wanted is not None:
                if follow and not history.knows(wanted):
                    continue
                rows = history.versions(wanted, since + 1, head)
            async for entry in rows:
                if target.as_json:
                    output.document(document(entry))
                else:
                    output.line(table.row(*_cells(entry, is_version=wanted is not None)))
            since = max(since, head)
            output.flush()
        if history.has_gaps:
            say("older versions are not held any more: they were dropped by compaction")


def _cells(entry: Entry, *, is_version: bool) -> tuple[object, ...]:
    about = size(entry.row.length) if is_version else entry.row.id.hex()
    return entry.seq, moment(entry.time_us), entry.kind, entry.type, about, entry.author


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
