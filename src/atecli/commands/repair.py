"""`ate repair`: replaces what is damaged by what copies hold; `ate.chain.repair` does the work.

It writes nothing that was not verified as a whole chain before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from atecli import output
from atecli.exits import say
from atecli.opening import Target, chain_command, examples, run_to_write
from atecli.text import count, facts

if TYPE_CHECKING:
    from ate.chain.mended import Mend
    from ate.chain.repair import Repair

_HEADS: Final = "[0-9]" * 6 + "/head." + "[0-9]" * 6


@click.command(
    "repair",
    epilog=examples(
        "ate repair people --from copy-of-people --dry-run",
        "ate repair people --from copy-of-people",
        "ate repair people --from copy-a --from copy-b --tail",
        "ate repair people --from backups",
    ),
)
@chain_command
@click.option(
    "--from", "sources", metavar="COPY", multiple=True, required=True,
    help="A copy of the chain's directory or of the one that holds it, or a destination of "
    "`ate backup`; may be repeated.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be replaced, and change nothing.")
@click.option("--tail", is_flag=True, help="Also append the commits that only the copy has.")
def command(target: Target, **options: Any) -> None:
    """Replace the damaged ranges of CHAIN by what a copy of it holds there.

    A copy is not trusted: what it gives must fit the hash links of CHAIN, and the whole chain is
    verified with it before a byte is written. Sound bytes stay as they are; a file that is changed
    is kept as FILE.damaged-N beside it. The copy may be damaged too, in other places.
    """
    run_to_write(target, _repair(target, **options))


async def _repair(target: Target, *, sources: Sequence[str], dry_run: bool, tail: bool) -> None:
    from ate.chain.repair import repair
    from atecli.copies import copies_of
    from atecli.progress import bar

    directory = target.directory()
    total = sum(one.stat().st_size for one in directory.glob(_HEADS))
    with (
        copies_of(target.name, sources, directory) as copies,
        bar("verifying", 2 * total) as advance,
    ):
        result = await repair(directory, copies, tail=tail, dry_run=dry_run, progress=advance)
    if target.as_json:
        output.document(_document(target, result, dry_run=dry_run))
    else:
        output.lines(facts(_shown(target, result, dry_run=dry_run)))
        _advise(result)


def _document(target: Target, result: Repair, *, dry_run: bool) -> dict[str, Any]:
    """Return what was done for programs."""
    return {
        "chain": target.name,
        "dry_run": dry_run,
        "written": result.is_written,
        "generation": result.generation,
        "replaced": [asdict(one) for one in result.mends],
        "bytes": sum(one.length for one in result.mends),
        "appended": result.appended,
        "beyond": result.beyond,
        "torn": result.torn,
        "kept": result.kept,
        "ok": result.found.ok,
        "commits": result.found.commits,
        "head": result.found.head,
        "root": result.found.root.hex(),
    }


def _shown(target: Target, result: Repair, *, dry_run: bool) -> list[tuple[str, object]]:
    """Return what was done for people."""
    verb = "would replace" if dry_run else "replaced"
    rows: list[tuple[str, object]] = [("chain", target.name)]
    rows += [(verb if not at else "", _told(one)) for at, one in enumerate(result.mends)]
    if not result.mends:
        rows.append((verb, "nothing: no byte that a commit names is damaged"))
    if result.appended:
        word = "would append" if dry_run else "appended"
        rows.append((word, count(result.appended, "commit")))
    rows += [("kept", name) for name in result.kept]
    rows.append(("head", f"{result.found.head}, {count(result.found.commits, 'commit')}"))
    rows.append(("root", result.found.root.hex()))
    rows.append(("verdict", "sound" if result.found.ok else "not sound"))
    return rows


def _told(one: Mend) -> str:
    """Return one range in a line."""
    where = f"{one.file}, {count(one.length, 'byte')} at {one.offset}"
    if one.first < 0:
        return f"{where}: {one.what}"
    is_one = one.first == one.last
    numbers = f"commit {one.first}" if is_one else f"commits {one.first} to {one.last}"
    what = numbers if one.what == "commits" else f"{one.what} of {numbers}"
    return f"{where}: {what}" + (f", from {one.source}" if one.source else "")


def _advise(result: Repair) -> None:
    if result.torn and not result.appended:
        say(f"the log ends with {count(result.torn, 'byte')} of an unfinished write, left alone")
    if result.beyond > 0:
        say(f"the copy has {count(result.beyond, 'commit')} more behind the end of this chain")
        say("hint: --tail appends them, once they were judged like any other")
