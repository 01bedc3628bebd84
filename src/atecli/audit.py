"""What `ate verify` finds: the library's own check, and what the caller knows; it prints nothing.

It takes no word of the chain for what the chain could have forged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ate.chain.deep import Deep, Depth
from ate.chain.ledger import Ledger
from ate.chain.snapshot import read_snapshot
from ate.chain.statement import Remembered, Statement
from ate.chain.verify import Verification, verify
from ate.chain.view import View
from ate.clock import SystemClock
from ate.crypto.entropy import system_entropy
from ate.dio.schema import decode_any, name_of
from ate.errors import AteError, UnsupportedFormat, WrongType
from ate.event.access import Principal
from ate.event.commit import Record
from ate.event.prefix import is_commit
from ate.event.row import Kind
from ate.event.system import Genesis, decode
from ate.event.thinned import decode_record
from ate.log.disk import RealDisk
from ate.log.recovery import CURRENT, LOCK, home
from ate.log.store import LogStore
from ate.session import Session
from atecli import identity
from atecli.history import schema_id
from atecli.opening import filters
from atecli.progress import bar

_GENERATION: Final = re.compile(r"(doomed\.)?[0-9]{6}")


@dataclass(slots=True)
class Audit:
    """What is known about a chain after it was checked.

    Args:
        found: the findings.
        genesis: what the first commit says the chain is.
        view: the chain as it was folded.
        depth: what was found inside, if it was looked into.
        unchecked: what could not be looked at, and why.
    """

    found: Verification
    genesis: Genesis | None = None
    view: View | None = None
    depth: Depth | None = None
    unchecked: list[str] = field(default_factory=list)


async def check(
    store: LogStore,
    name: str,
    session: Session | None,
    pinned: Sequence[Principal],
    *,
    is_deep: bool = False,
    since: Statement | None = None,
) -> Audit:
    """Check a chain.

    Args:
        store: its log, open for reading.
        name: what the caller takes it for.
        session: whose snapshot tells what was there before, and whose keys open.
        pinned: root keys that the caller knows; empty takes the chain's word.
        is_deep: also open and decode bodies, and look at how the objects hang together.
        since: what was seen before.

    Raises:
        UnsupportedFormat: a newer version wrote some of it.
    """
    problems: list[str] = []
    witness, genesis = None, None
    try:
        witness = _witness(store, session)
    except UnsupportedFormat:
        raise
    except AteError as error:
        problems.append(f"against what was seen before: {error}")
    ledger = _ledger(store, session, filters() if is_deep else ())
    audit = Audit(Verification(), view=ledger.view)
    deep = Deep(ledger, _judge, witness) if is_deep else None
    memory = Remembered(since, ledger.view) if since is not None else None
    visits = [one.visit for one in (deep, memory) if one is not None]

    async def visit(found: Verification, record: Record, place: int) -> None:
        for one in visits:
            await one(found, record, place)

    total = sum(size for file, size in store.files().items() if "/head." in file)
    with bar("verifying", total) as advance:
        found = await verify(
            store, witness=witness, progress=advance, view=ledger.view,
            visit=visit if visits else None,
        )  # fmt: skip
    if found.newer is not None:
        raise found.newer
    if deep is not None:
        audit.depth = deep.finish(found)
        audit.unchecked += audit.depth.unchecked
    if memory is not None:
        audit.unchecked += filter(None, [memory.finish(found)])
    try:
        genesis = _genesis(store)
    except AteError as error:
        problems.append(f"the first commit: {error}")
    found.problems = [*problems, *found.problems, *_misidentified(genesis, name, pinned)]
    if witness is not None:
        seen = f"snapshot of what was seen before, up to row {witness.view.head}"
        found.checks = (*found.checks, seen)
    if pinned:
        found.checks = (*found.checks, "root keys against those given")
    audit.found, audit.genesis = found, genesis
    return audit


def strays(directory: Path) -> list[str]:
    """Return what lies in a chain's directory and is neither the chain's nor another chain."""
    directory = Path(home(RealDisk(), str(directory)))
    try:
        current = (directory / CURRENT).read_text().strip()
    except (OSError, UnicodeDecodeError):
        current = ""
    found = []
    for one in sorted(directory.iterdir()):
        if one.is_dir():
            # Other directories are chains whose names begin with this one's.
            is_stray = one.name != current and bool(_GENERATION.fullmatch(one.name))
        else:
            is_stray = one.name not in (LOCK, CURRENT)
        if is_stray:
            found.append(one.name)
    return found


def _judge(plain: bytes, codec: int, schema: int) -> None:
    """Decode a value, and compare the type it names with the number its row has."""
    name = name_of(plain)
    if schema_id(name) != schema:
        raise WrongType(f"the value is a {name}, and its row says otherwise")
    decode_any(plain, codec)


def principal(text: str) -> Principal:
    """Return a principal that is given as text, or by the name of a file."""
    return identity.decode(text if text.startswith("ate-") else Path(text).read_text())


def _ledger(store: LogStore, session: Session | None, plugins: Sequence[Any] = ()) -> Ledger:
    return Ledger(
        store, plugins=plugins, session=session, clock=SystemClock(), entropy=system_entropy
    )


def _witness(store: LogStore, session: Session | None) -> Ledger | None:
    """Return the snapshot that this session can trust, as a ledger that has read nothing else."""
    ledger = _ledger(store, session)
    return ledger if read_snapshot(ledger) else None


def _genesis(store: LogStore) -> Genesis | None:
    """Return what the first commit says the chain is; None when there is no such commit."""
    for _, payload in store.scan(0):
        if not is_commit(payload):
            continue
        record = decode_record(payload)
        row = record.row(0)
        return decode(Genesis, record.inline(row)) if row.kind == Kind.GENESIS else None
    return None


def _misidentified(
    genesis: Genesis | None, name: str, pinned: Sequence[Principal]
) -> Iterable[str]:
    """Yield why this is not the chain that was meant."""
    if genesis is None:
        yield "the log does not start with a genesis commit"
        return
    if genesis.name != name.strip("/"):
        yield f"the log holds the chain {genesis.name!r}, not {name!r}"
    known = {one.principal.key_id for one in genesis.roots}
    if pinned and not known & {one.key_id for one in pinned}:
        yield "none of the root keys given is a root of this chain"
