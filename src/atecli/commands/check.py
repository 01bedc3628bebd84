"""`ate check`: check proofs, and what servers signed, with nothing but files; it opens no chain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from atecli import output
from atecli.exits import CORRUPT, Failed, say
from atecli.opening import examples, json_option
from atecli.text import facts, visible

if TYPE_CHECKING:
    from atecli.proofs import Findings


@click.command(
    "check",
    epilog=examples(
        "ate check note.proof --root alice.pub",
        "ate check old.proof new.proof --root alice.pub --json",
        "ate check evidence",
    ),
)
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True,
    type=click.Path(dir_okay=False, path_type=Path),
)  # fmt: skip
@click.option(
    "--root", "roots", metavar="PRINCIPAL", multiple=True,
    help="A key you know, as text or the file that holds it.",
)  # fmt: skip
@json_option
def command(files: Sequence[Path], roots: Sequence[str], *, as_json: bool) -> None:
    """Check proofs that `ate prove` has written, evidence that a server lied, and its receipts.

    No chain and no network are needed. With --root a key that you know must have signed; without,
    the file's own word is taken for who that was. Several proofs must be of one history. Ends with
    status 5 when anything is wrong: when a proof does not hold, or evidence proves nothing.
    """
    from atecli import signed
    from atecli.audit import principal
    from atecli.proofs import Findings, document

    pinned = [principal(one) for one in roots]
    found = Findings(files, pinned)
    if as_json:
        output.document(
            {
                "ok": not found.problems,
                "problems": [
                    {"code": one.code, "message": one.message, "hint": one.hint}
                    for one in found.problems
                ],
                "proofs": [document(path, one) for path, one in found.proofs],
                "servers": [signed.document(path, one) for path, one in found.signed],
            }
        )
    else:
        output.lines(_lines(found))
        _advise(found, is_pinned=bool(pinned))
    if found.problems:
        raise Failed(CORRUPT)


def _lines(found: Findings) -> list[str]:
    """Return the findings for people."""
    from atecli import signed
    from atecli.proofs import shown

    rows: list[tuple[str, object]] = []
    for path, one in found.proofs:
        rows += shown(path, one)
    for path, said in found.signed:
        rows += signed.shown(path, said)
    if len(found.proofs) > 1 and not found.problems:
        rows.append(("together", "one history"))
    rows += [("wrong", one.message) for one in found.problems]
    rows.append(("verdict", "not proved" if found.problems else "proved"))
    return facts(rows)


def _advise(found: Findings, *, is_pinned: bool) -> None:
    """Say what the verdict does not cover, or what to do about a bad one."""
    if found.problems:
        say(visible(found.problems[0].message))
        if found.problems[0].hint:
            say(f"hint: {found.problems[0].hint}")
    elif not is_pinned and found.signed:
        say(
            "hint: is that the server you mean? compare its key, or give those you know with --root"
        )
    elif not is_pinned:
        say("hint: the proof names its own root keys; give those you know with --root")
