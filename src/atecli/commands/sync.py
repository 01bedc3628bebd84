"""`ate sync`: send what waits, and decide about what was refused; it merges nothing."""

from __future__ import annotations

from typing import Final

import click

from atecli.commands.status import check_url, end, show
from atecli.opening import Target, examples, run_to_write, shared_command

_WAIT_S: Final = 30.0


@click.command(
    "sync",
    epilog=examples(
        "ate sync notes --url ws://localhost/ --path ~/work",
        "ate sync notes --url ws://localhost/ --path ~/work --drop",
    ),
)
@shared_command
@click.option("--drop", is_flag=True, help="Forget all refused work: what is there now stays.")
@click.option("--overwrite", is_flag=True, help="Let all refused work replace what is there now.")
@click.option(
    "--timeout", metavar="SECONDS", type=click.FloatRange(min=0, min_open=True), default=_WAIT_S,
    help=f"How long it may take, {_WAIT_S:g} by default.",
)  # fmt: skip
def command(target: Target, *, drop: bool, overwrite: bool, timeout: float) -> None:
    """Bring the copy of CHAIN in --path and the server of --url to the same state.

    What was committed here without a connection is sent. What the server refused, because somebody
    else had changed the same objects, stays until it is decided about: with --drop, with
    --overwrite, or by a program. The exit status is as of `ate status`.
    """
    check_url(target)
    if drop and overwrite:
        raise click.UsageError("--drop or --overwrite, not both")
    run_to_write(target, _sync(target, timeout, drop=drop, overwrite=overwrite))


async def _sync(target: Target, timeout_s: float, *, drop: bool, overwrite: bool) -> None:
    from ate.errors import AteError

    async with target.join(recovery="async") as chain:
        trouble: AteError | None = None
        try:
            await chain.sync(timeout_s)
            for setback in chain.conflicts:
                if overwrite:
                    await setback.overwrite(chain)
                elif drop:
                    setback.drop()
        except AteError as error:
            trouble = error
        await show(target, chain)
        end(chain, trouble)
