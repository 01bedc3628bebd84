"""`ate compact`: drop what was superseded, erase it on demand; it decides nothing about rows."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ate.limits import RETENTION_DAYS_MAX
from atecli import output
from atecli.exits import CORRUPT, LOCKED, Failed, say, tell
from atecli.opening import Target, chain_command, examples, run_to_write
from atecli.text import count, facts, size

if TYPE_CHECKING:
    from ate.chain.compact import Thinned
    from ate.chain.erase import Erased
    from ate.chain.retention import Retention

_DAYS = click.FloatRange(0, RETENTION_DAYS_MAX)


@click.command(
    "compact",
    epilog=examples(
        "ate compact people",
        "ate compact people --keep-versions 3 --keep-days 365",
        "ate compact people --erase --as alice",
        "ate compact --all --json",
    ),
)
@partial(chain_command, is_required=False)
@click.option("--all", "every", is_flag=True, help="Compact every chain, one after the other.")
@click.option(
    "--keep-versions", metavar="N", type=click.IntRange(1), default=1,
    help="Keep the last N versions of each object.  [default: 1]",
)  # fmt: skip
@click.option(
    "--keep-days", metavar="D", type=_DAYS,
    help="Keep the versions that were current within the last D days.",
)  # fmt: skip
@click.option(
    "--drop-tombstones", metavar="DAYS", type=_DAYS,
    help="Forget objects that were deleted longer ago than this, and free their ids.",
)  # fmt: skip
@click.option("--erase", is_flag=True, help="Overwrite what is dropped, and prove that it is gone.")
def command(
    target: Target,
    *,
    every: bool,
    keep_versions: int,
    keep_days: float | None,
    drop_tombstones: float | None,
    erase: bool,
) -> None:
    """Drop the versions of CHAIN that were superseded, and what was deleted.

    The present stays as it is, and so does every proof about it; readers may go on meanwhile. What
    the chain's own policy keeps is kept. On a chain with keys act as one of its roots; without, all
    since the newest checkpoint of a root stays.

    With --erase the old files are overwritten before they are removed, and every file that is left
    is searched for the values that were dropped. Ends with status 5 when a copy is left, and with 6
    when another process still reads the old files, so that nothing can be said.
    """
    from ate.chain.retention import Retention

    retention = Retention(keep_versions, _span(keep_days), _span(drop_tombstones))
    if every == bool(target.name):
        raise click.UsageError("name a CHAIN, or say --all")
    if every:
        _every(target, retention, erase=erase)
    else:
        run_to_write(target, _compact(target, retention, erase=erase))


def _span(days: float | None) -> timedelta | None:
    if days is None:
        return None
    if math.isnan(days):  # it is in every range
        raise click.UsageError("days are a number")
    return timedelta(days=days)


def _every(target: Target, retention: Retention, *, erase: bool) -> None:
    """Compact all chains; one that fails does not keep the others from it."""
    from ate.errors import AteError
    from atecli.commands.chains import found

    target.session()
    status = 0
    for name in sorted(one.name for one in found(target.path)):
        one = dataclasses.replace(target, name=name)
        try:
            run_to_write(one, _compact(one, retention, erase=erase))
        except Failed as failed:
            status = status or failed.status
        except AteError as error:
            error.args = (f"{name}: {error.message}",)
            status = status or tell(error, as_json=target.as_json)
    if status:
        raise Failed(status)


async def _compact(target: Target, retention: Retention, *, erase: bool) -> None:
    from atecli.progress import meter

    async with target.open_to_write(signs=False) as chain:
        with meter(f"compacting {target.name}") as progress:
            done = await chain.compact(retention, erase=erase, progress=progress)
    if target.as_json:
        output.document({"name": target.name, **_document(done)})
    else:
        output.lines(facts([("chain", target.name), *_shown(done)]))
    if done.erased is not None and not done.erased.is_proved:
        raise Failed(_advise(done.erased))
    if done.still_read and not target.as_json:
        say(f"another process still reads generation {', '.join(done.still_read)}")
        say("hint: its files go when the chain is opened for writing and nobody reads them")


def _document(done: Thinned) -> dict[str, Any]:
    """Return the report for programs."""
    told = dataclasses.asdict(done)
    if done.erased is not None:
        told["erased"]["is_proved"] = done.erased.is_proved
    return told


def _shown(done: Thinned) -> list[tuple[str, object]]:
    """Return the report for people."""
    rows: list[tuple[str, object]] = [
        ("generation", done.generation),
        ("rows", f"{done.rows_after}, before {done.rows_before}"),
        ("commits", f"{done.commits_after}, before {done.commits_before}"),
        ("on disk", f"{size(done.bytes_after)}, before {size(done.bytes_before)}"),
        ("whole", f"from row {done.cut} on"),
    ]
    return rows + (_erased(done.erased) if done.erased is not None else [])


def _erased(erased: Erased) -> list[tuple[str, object]]:
    if erased.still_read:
        return [("erased", f"nothing: generation {erased.still_read} is still read")]
    place = f"{count(erased.files, 'file')}, {size(erased.searched)}"
    rows: list[tuple[str, object]] = [
        ("erased", f"{count(erased.bodies, 'value')}, {size(erased.overwritten)} overwritten"),
        ("searched", f"{place}: {count(len(erased.left), 'copy', 'copies')}"),
    ]
    if erased.too_short:
        told = count(erased.too_short, "value")
        rows.append(("too short", f"{told} of under 16 bytes or of zeros: not searched for"))
    if erased.superseded:
        told = count(erased.superseded, "older value")
        rows.append(("still there", f"{told}: kept by retention, or since the checkpoint"))
    return rows + [("copy left", one) for one in erased.left]


def _advise(erased: Erased) -> int:
    """Say what to do when it is not proved that everything is gone; returns the exit status."""
    if erased.still_read:
        say(f"another process still reads generation {erased.still_read}: nothing was erased yet")
        say("hint: end it; the next command that writes overwrites and removes the old files")
        return LOCKED
    say(f"a value that was dropped is still in a file: {erased.left[0]}")
    say("hint: something beside the log holds it: look at that file, remove it, and run it again")
    return CORRUPT
