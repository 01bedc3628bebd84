"""`ate get`: print the value of one object, as it is or as it was; it changes nothing."""

from __future__ import annotations

from datetime import datetime

import click

from atecli import output
from atecli.commands.ls import described
from atecli.opening import Target, examples, run, shared_command
from atecli.point import POINT, row_at
from atecli.text import dumps, iso


@click.command(
    "get",
    epilog=examples(
        "ate get notes 3f0c1d9a5b7e4c2f8a6d0b1e2c3d4f5a",
        "ate get notes 3f0c1d9a5b7e4c2f8a6d0b1e2c3d4f5a --at 17",
        "ate get notes 3f0c1d9a5b7e4c2f8a6d0b1e2c3d4f5a --at 2026-01-31T18:00",
    ),
)
@shared_command
@click.argument("object_id", metavar="ID")
@click.option("--at", metavar="SEQ|TIME", type=POINT, help="As of this row of the log, or time.")
def command(target: Target, *, object_id: str, at: int | datetime | None) -> None:
    """Print the value of an object of CHAIN as JSON.

    With --json it comes with what is known about the object: type, place, times, author.
    """
    run(target, _get(target, object_id, at))


async def _get(target: Target, text: str, at: int | datetime | None) -> None:
    from ate.ids import ObjectId

    object_id = ObjectId.parse(text)
    async with target.open() as chain:
        seq = None if at is None else row_at(chain, at)
        dao = await chain.dio().load(object, object_id, at_seq=seq)
        if target.as_json:
            created = iso(dao.created) if dao.created else None
            output.document({**described(dao), "created": created})
        else:
            output.line(dumps(dao.value, indent=2))
