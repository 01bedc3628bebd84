"""`ate verify`: check a chain from its first byte to its last; `atecli.audit` does the work.

It says what was checked and by which keys, so that "sound" means something.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atecli import output
from atecli.commands.info import SUITES
from atecli.exits import CORRUPT, Failed, say
from atecli.opening import Target, chain_command, examples, run
from atecli.text import count, facts, iso, size, visible

if TYPE_CHECKING:
    from ate.chain.statement import Statement
    from ate.event.access import Principal
    from atecli.audit import Audit


@click.command(
    "verify",
    epilog=examples(
        "ate verify people",
        "ate verify people --as alice --deep",
        "ate verify people --root alice.pub --json",
        "ate verify people --as alice --receipt people.seen",
        "ate verify people --since people.seen",
    ),
)
@chain_command
@click.option(
    "--root",
    "roots",
    metavar="PRINCIPAL",
    multiple=True,
    help="A root key you know, as text or the file that holds it.",
)
@click.option("--deep", is_flag=True, help="Also open and decode every body --as may read.")
@click.option(
    "--receipt",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write down what was seen, sealed by --as, to compare with later.",
)
@click.option(
    "--since", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A receipt from before: all that it saw must still be there.",
)  # fmt: skip
def command(target: Target, **options: Any) -> None:
    """Check all of CHAIN: every hash, link, signature and write rule, every stored byte.

    With --as it also compares with what this session has seen before, so that a chain that was cut
    short or written anew is found; a receipt that you keep elsewhere does that too. With --root the
    chain must be rooted in keys you know; without, the chain's own word is taken for who its roots
    are. --deep looks inside: seals, values, versions, parents, the snapshot, files that belong to
    nothing; it says what it could not open. Ends with status 5 when anything is wrong.
    """
    run(target, _verify(target, **options))


async def _verify(
    target: Target, *, roots: Sequence[str], deep: bool, receipt: Path | None, since: Path | None
) -> None:
    from ate.chain import statement
    from ate.chain.verify import Verification
    from ate.errors import CorruptLog
    from atecli import audit

    pinned = [audit.principal(one) for one in roots]
    before = statement.decode(_read(since)) if since is not None else None
    session = target.session()
    told = audit.Audit(Verification())
    try:
        store = target.store()
    except CorruptLog as error:
        told.found.checks, told.found.problems = (), [str(error)]
    else:
        try:
            told = await audit.check(
                store, target.name, session, pinned, is_deep=deep, since=before
            )
        finally:
            store.close()
    if deep:
        strays = audit.strays(target.directory())
        told.found.notes += [f"{name}: not a file of the chain" for name in strays]
    if before is not None:
        told.found.notes.append(_signed(before, told, [*pinned, *_own(session)]))
    if receipt is not None:
        _write(target, told, receipt, is_deep=deep)
    if target.as_json:
        output.document(_document(target, told))
    else:
        output.lines(_lines(target, told))
        _advise(told, is_pinned=bool(pinned))
    if not told.found.ok:
        raise Failed(CORRUPT)


def _read(path: Path) -> bytes:
    from ate.chain.statement import BYTES_MAX

    with path.open("rb") as file:
        return file.read(BYTES_MAX + 1)


def _own(session: Any) -> list[Principal]:
    return [] if session is None else [session.public]


def _signed(before: Statement, told: Audit, known: list[Principal]) -> str:
    """Return one line about how far a receipt can be believed."""
    when = str(before.fields.get("time", "some time"))
    if not before.signer:
        return f"the receipt of {when} is not signed: whoever could write it could change it"
    if told.view is not None:
        known += told.view.trust.keys.values()
    who = before.known_to(known)
    if who is None:
        return f"the receipt of {when} is signed by a key that is not known here"
    return f"the receipt of {when} is signed by {who.identity} ({who.key_id.hex()[:8]})"


def _write(target: Target, told: Audit, path: Path, *, is_deep: bool) -> None:
    """Write the receipt, in one step."""
    from ate import __version__
    from ate.chain import statement
    from ate.clock import SystemClock
    from ate.log import recovery
    from ate.log.disk import RealDisk

    if told.view is None:
        say("no receipt was written: the chain does not open")
        return
    fields = statement.fields_of(
        told.found, told.view, chain=target.name, time=iso(SystemClock().now_us()),
        tool=f"ate {__version__}", deep=is_deep, counts=_counts(told), unchecked=told.unchecked,
    )  # fmt: skip
    raw = statement.encode(fields, target.session())
    recovery.replace(RealDisk(), str(path.absolute()), (raw,))


def _counts(told: Audit) -> dict[str, int]:
    """Return how much of everything there is."""
    found, depth = told.found, told.depth
    counts = {
        "rows": found.rows,
        "sealed_rows": found.sealed_rows,
        "body_bytes": found.body_bytes,
    }
    if depth is not None:
        counts |= {
            "opened": depth.opened,
            "plain": depth.plain,
            "values": depth.values,
            "closed": sum(depth.closed.values()),
            "filtered": depth.filtered,
            "grants": depth.grants,
            "checkpoints": depth.checkpoints,
            "orphan_bytes": depth.orphan_bytes,
        }
    return counts


def _lines(target: Target, told: Audit) -> list[str]:
    """Return the findings for people."""
    from atecli.identity import fingerprint

    found, genesis, depth = told.found, told.genesis, told.depth
    sealed = f", {found.sealed_rows} of them sealed" if found.sealed_rows else ""
    amount = f"{count(found.commits, 'commit')}, {count(found.rows, 'row')}{sealed}"
    rows: list[tuple[str, object]] = [("chain", target.name)]
    rows += [("checked" if not at else "", one) for at, one in enumerate(found.checks)]
    rows += [("not checked" if not at else "", one) for at, one in enumerate(told.unchecked)]
    rows.append(("amount", f"{amount}, {size(found.body_bytes)} of bodies"))
    if depth is not None:
        opened = f"{depth.opened} opened, {depth.plain} plain, {depth.values} decoded"
        rows.append(("inside", f"{opened}, {count(depth.checkpoints, 'checkpoint')}"))
    rows += [("head", found.head), ("root", found.root.hex())]
    if genesis is not None:
        rows.append(("suite", f"{genesis.suite}, {SUITES.get(genesis.suite, 'unknown')}"))
        if found.ordered:
            rows.append(("mode", "centralized: the server signs for authors"))
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


def _advise(told: Audit, *, is_pinned: bool) -> None:
    """Say what the verdict does not cover, or what to do about a bad one."""
    found, genesis = told.found, told.genesis
    if not found.ok:
        say(f"{visible(found.problems[0])}")
        say("hint: do not write to it; if you have a copy: ate repair CHAIN --from DIR --dry-run")
    elif genesis is not None and not genesis.roots:
        say("this chain has no keys: damage is found, forgery is not")
    elif genesis is not None and not is_pinned:
        say("hint: the chain names its own root keys; give those you know with --root")


def _document(target: Target, told: Audit) -> dict[str, Any]:
    """Return the findings for programs."""
    found, genesis = told.found, told.genesis
    roots = genesis.roots if genesis is not None else ()
    return {
        "chain": target.name,
        "ok": found.ok,
        "problems": found.problems,
        "notes": found.notes,
        "checked": found.checks,
        "unchecked": told.unchecked,
        "commits": found.commits,
        **_counts(told),
        "head": found.head,
        "root": found.root.hex(),
        "suite": genesis.suite if genesis is not None else None,
        "roots": [
            {"identity": one.identity, "key_id": one.principal.key_id.hex()} for one in roots
        ],
        "signatures": {str(suite): number for suite, number in found.signatures.items()},
        "signers": dict(found.signers),
        "ordered": found.ordered,
    }
