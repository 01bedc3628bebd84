"""`ate ls`: the living objects of a chain; what no key opens is counted, not shown."""

from __future__ import annotations

from typing import Any, Final

import click

from atecli import output
from atecli.exits import say
from atecli.opening import Target, examples, run, shared_command
from atecli.text import Columns, brief, count, iso, moment

_TABLE: Final = Columns(("id", 32), (">seq", 8), ("updated", 19), ("type", 12), ("value", 0))


@click.command(
    "ls",
    epilog=examples("ate ls people", "ate ls people --type Person --json | jq .value.name"),
)
@shared_command
@click.option("--type", "type_name", metavar="NAME", help="Objects of this type alone.")
def command(target: Target, *, type_name: str | None) -> None:
    """List the objects of CHAIN in the order of the log, with the beginning of their values.

    With --json one document for each object, with the whole value.
    """
    run(target, _ls(target, type_name))


async def _ls(target: Target, type_name: str | None) -> None:
    seen = shown = 0
    async with target.open() as chain:
        async for dao in chain.dio().all(object):
            seen += 1
            if type_name is not None and dao.type_name != type_name:
                continue
            shown += 1
            if target.as_json:
                output.document(described(dao))
                continue
            if shown == 1:
                output.line(_TABLE.head())
            when = moment(dao.updated) if dao.updated else ""
            output.line(_TABLE.row(dao.id, dao.seq, when, dao.type_name, brief(dao.value)))
        hidden = len(chain) - seen
    tell_hidden(hidden, target)


def described(dao: Any) -> dict[str, Any]:
    """Return an object for programs."""
    return {
        "id": dao.id,
        "type": dao.type_name,
        "parent": dao.parent if any(dao.parent) else None,
        "seq": dao.seq,
        "updated": iso(dao.updated) if dao.updated else None,
        "author": dao.author,
        "value": dao.value,
    }


def tell_hidden(hidden: int, target: Target) -> None:
    """Say that there is more than this session may see."""
    if hidden <= 0:
        return
    say(f"{count(hidden, 'object')} not shown: no key opens {'it' if hidden == 1 else 'them'}")
    if target.identity is None:
        say("hint: act as somebody who may read: --as NAME")
