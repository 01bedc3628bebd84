"""`ate restore`: make chains from their backup, as they are or as they were.

`ate.archive` does the work and refuses what is not whole; this never replaces a chain.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from atecli import output
from atecli.commands.backup import split
from atecli.exits import Failed, say, status_of
from atecli.opening import chain_names, examples, json_option, path_option
from atecli.text import count, facts, iso, moment, size

if TYPE_CHECKING:
    from ate.archive.restore import Moment, Restored
    from ate.archive.series import Series


@click.command(
    "restore",
    epilog=examples(
        "ate restore people /media/disk",
        "ate restore people /media/disk --at p7 --path elsewhere",
        "ate restore people s3://bucket/chains --at 2026-05-04T17:00:00",
        "ate restore --all /media/disk",
    ),
)
@click.argument(
    "words", metavar="[CHAIN] DEST", nargs=-1, required=True, shell_complete=chain_names
)
@click.option("--all", "is_all", is_flag=True, help="Restore every chain that DEST holds.")
@click.option(
    "--at", metavar="SEQ|TIME|POINT",
    help="A row, a time such as 2026-05-04T17:00, or a restore point such as p7.",
)  # fmt: skip
@click.option("--id", "chain_id", metavar="HEX", default="", help="Of two chains of one name.")
@path_option
@json_option
def command(
    *,
    words: tuple[str, ...],
    is_all: bool,
    at: str | None,
    chain_id: str,
    path: Path | None,
    as_json: bool,
) -> None:
    """Make CHAIN from what DEST holds.

    The newest restore point, or with --at the chain as it was when that row or time was the
    newest. Every object is compared with its digest and the whole chain is verified before it
    gets its name; what is damaged is named, and nothing is restored then. A chain that is there
    is never replaced.
    """
    from ate.archive.destination import open_destination
    from ate.archive.series import every, find
    from ate.errors import AteError

    name, where = split(words, is_all=is_all)
    wanted = _moment(at)
    if is_all and wanted is not None and not wanted.time_us:
        raise click.UsageError("--all goes with a time, not with a row or a point",
                               click.get_current_context())  # fmt: skip
    store = open_destination(where, create=False)
    if name is not None:
        _restore(find(store, name, chain_id), wanted, path, as_json=as_json)
        return
    failed: list[AteError] = []
    for one in every(store):
        try:
            _restore(one, wanted, path, as_json=as_json)
        except AteError as error:
            failed.append(error)
            say(f"{one.name}: {error.message}")
    if failed:
        raise Failed(status_of(failed[0]))


def _moment(text: str | None) -> Moment | None:
    from ate.archive.restore import Moment

    if text is None:
        return None
    if re.fullmatch(r"p[0-9]{1,12}", text) and int(text[1:]):
        return Moment(point=int(text[1:]))
    if re.fullmatch(r"[0-9]{1,13}", text) and int(text):
        return Moment(seq=int(text))
    try:
        time = datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise click.UsageError(f"--at wants a row, a time or a point such as p7, not {text!r}",
                               click.get_current_context()) from None  # fmt: skip
    return Moment(time_us=max(int(time.timestamp() * 1_000_000), 1))


def _restore(series: Series, wanted: Moment | None, path: Path | None, *, as_json: bool) -> None:
    from ate.archive.restore import restore
    from ate.dio.opening import chain_directory
    from ate.ids import ChainName
    from atecli.progress import bar

    done = restore(
        series,
        chain_directory(ChainName(series.name), path),
        moment=wanted,
        bar=lambda what, total: bar(what, total, is_wanted=not as_json),
    )
    if as_json:
        output.document(_document(done))
        return
    output.lines(_lines(done))
    if any(done.found.signatures):
        say("hint: the chain names its own root keys; compare them: ate verify --root")


def _lines(done: Restored) -> list[str]:
    point, found = done.point, done.found
    amount = f"{count(found.commits, 'commit')}, {count(found.rows, 'row')}"
    rows: list[tuple[str, object]] = [
        ("restored", point.name),
        ("from", f"p{point.point}, made {moment(point.made_us)}"),
        ("amount", f"{amount}, {size(point.size)} fetched"),
        ("head", found.head),
        ("root", found.root.hex()),
    ]
    rows += [
        ("signed by", f"{who}, {count(number, 'commit')}")
        for who, number in sorted(found.signers.items())
    ]
    return facts([*rows, ("verdict", "sound")])


def _document(done: Restored) -> dict[str, object]:
    point, found = done.point, done.found
    return {
        "chain": point.name, "id": point.chain, "point": point.point, "made": iso(point.made_us),
        "head": found.head, "commits": found.commits, "rows": found.rows,
        "root": found.root.hex(), "signers": dict(found.signers),
    }  # fmt: skip
