"""`ate verify`: check a chain from its first byte to its last; `atecli.audit` does the work.

It says what was checked and by which keys, so that "sound" means something.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from atecli import output
from atecli.commands.info import SUITES
from atecli.exits import CORRUPT, Failed, say
from atecli.opening import Target, chain_command, examples, run
from atecli.text import count, facts, size, visible

if TYPE_CHECKING:
    from ate.chain.verify import Verification
    from ate.event.system import Genesis


@click.command(
    "verify",
    epilog=examples(
        "ate verify people",
        "ate verify people --as alice",
        "ate verify people --root alice.pub --json",
    ),
)
@chain_command
@click.option(
    "--root", "roots", metavar="PRINCIPAL", multiple=True,
    help="A root key you know, as text or the file that holds it.",
)  # fmt: skip
def command(target: Target, *, roots: Sequence[str]) -> None:
    """Check all of CHAIN: every hash, link, signature and write rule, every stored byte.

    With --as it also compares with what this session has seen before, so that a chain that was cut
    short or written anew is found. With --root the chain must be rooted in keys you know; without,
    the chain's own word is taken for who its roots are. Ends with status 5 when anything is wrong.
    """
    run(target, _verify(target, roots))


async def _verify(target: Target, roots: Sequence[str]) -> None:
    from ate.chain.verify import Verification
    from ate.errors import CorruptLog, UnsupportedFormat
    from atecli import audit

    pinned = [audit.principal(one) for one in roots]
    session = target.session()
    found, genesis = Verification(), None
    try:
        store = target.store()
    except (CorruptLog, UnsupportedFormat) as error:
        found.checks, found.problems = (), [str(error)]
    else:
        try:
            found, genesis = await audit.check(store, target.name, session, pinned)
        finally:
            store.close()
    if target.as_json:
        output.document(_document(target, found, genesis))
    else:
        output.lines(_lines(target, found, genesis))
        _advise(found, genesis, is_pinned=bool(pinned))
    if not found.ok:
        raise Failed(CORRUPT)


def _lines(target: Target, found: Verification, genesis: Genesis | None) -> list[str]:
    """Return the findings for people."""
    from atecli.identity import fingerprint

    sealed = f", {found.sealed_rows} of them sealed" if found.sealed_rows else ""
    amount = f"{count(found.commits, 'commit')}, {count(found.rows, 'row')}{sealed}"
    rows: list[tuple[str, object]] = [("chain", target.name)]
    rows += [("checked" if not at else "", one) for at, one in enumerate(found.checks)]
    rows += [("amount", f"{amount}, {size(found.body_bytes)} of bodies"), ("head", found.head)]
    rows.append(("root", found.root.hex()))
    if genesis is not None:
        rows.append(("suite", f"{genesis.suite}, {SUITES.get(genesis.suite, 'unknown')}"))
        for one in genesis.roots:
            rows.append(("root key", f"{one.identity}  {fingerprint(one.principal.key_id.hex())}"))
    rows += [
        ("signed by", f"{who}, {count(number, 'commit')}")
        for who, number in sorted(found.signers.items())
    ]
    rows += [("note", one) for one in found.notes]
    rows += [("wrong", one) for one in found.problems]
    rows.append(("verdict", "sound" if found.ok else "not sound"))
    return facts(rows)


def _advise(found: Verification, genesis: Genesis | None, *, is_pinned: bool) -> None:
    """Say what the verdict does not cover, or what to do about a bad one."""
    if not found.ok:
        say(f"{visible(found.problems[0])}")
        say("hint: do not write to it; restore it from a backup or a replica")
    elif genesis is not None and not genesis.roots:
        say("this chain has no keys: damage is found, forgery is not")
    elif not is_pinned:
        say("hint: the chain names its own root keys; give those you know with --root")


def _document(target: Target, found: Verification, genesis: Genesis | None) -> dict[str, Any]:
    """Return the findings for programs."""
    roots = genesis.roots if genesis is not None else ()
    return {
        "chain": target.name,
        "ok": found.ok,
        "problems": found.problems,
        "notes": found.notes,
        "checked": found.checks,
        "commits": found.commits,
        "rows": found.rows,
        "sealed_rows": found.sealed_rows,
        "body_bytes": found.body_bytes,
        "head": found.head,
        "root": found.root.hex(),
        "suite": genesis.suite if genesis is not None else None,
        "roots": [
            {"identity": one.identity, "key_id": one.principal.key_id.hex()} for one in roots
        ],
        "signatures": {str(suite): number for suite, number in found.signatures.items()},
        "signers": dict(found.signers),
    }
