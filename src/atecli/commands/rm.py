"""`ate rm`: delete one object with all that hangs below it; what it was stays in the past."""

from __future__ import annotations

import click

from atecli import output
from atecli.opening import Target, examples, run_to_write, shared_command


@click.command("rm", epilog=examples("ate rm notes 3f0c1d9a5b7e4c2f8a6d0b1e2c3d4f5a"))
@shared_command
@click.argument("object_id", metavar="ID")
def command(target: Target, *, object_id: str) -> None:
    """Delete an object of CHAIN, and everything below it, in one commit.

    The log keeps what was: `ate get CHAIN ID --at SEQ` still shows it.
    """
    run_to_write(target, _rm(target, object_id))


async def _rm(target: Target, text: str) -> None:
    from ate.ids import ObjectId

    object_id = ObjectId.parse(text)
    async with target.open_to_write() as chain:
        before = len(chain)
        dio = chain.dio()
        dio.delete(object_id)
        receipt = await dio.commit()
        deleted = before - len(chain)
    if target.as_json:
        output.document({"id": object_id, "seq": receipt.seq, "deleted": deleted})
