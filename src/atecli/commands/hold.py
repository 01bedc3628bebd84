"""`ate hold`: put a chain under a legal hold, or release it; `ate info` shows it."""

from __future__ import annotations

import click

from atecli import output
from atecli.opening import Target, chain_command, examples, run_to_write


@click.command(
    "hold",
    epilog=examples(
        """ate hold people "case 12/2031, until the court has decided" --as alice""",
        "ate hold people --release --as alice",
    ),
)
@chain_command
@click.argument("reason", required=False)
@click.option("--release", is_flag=True, help="Allow compaction again.")
def command(target: Target, *, reason: str | None, release: bool) -> None:
    """Put CHAIN under a legal hold: nobody compacts it until a root releases it.

    REASON is text for people; it is not sealed. Only a root of the chain sets or releases a hold,
    and both stay in the log.
    """
    if release == bool(reason):
        raise click.UsageError("give a REASON, or say --release")
    run_to_write(target, _hold(target, reason))


async def _hold(target: Target, reason: str | None) -> None:
    async with target.open_to_write() as chain:
        receipt = await chain.set_hold(reason)
    if target.as_json:
        output.document({"name": target.name, "hold": reason, "seq": receipt.seq})
