"""What `ate verify` finds: the library's own check, and what the caller knows; it prints nothing.

It takes no word of the chain for what the chain could have forged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ate.chain.ledger import Ledger
from ate.chain.snapshot import read_snapshot
from ate.chain.verify import Verification, verify
from ate.clock import SystemClock
from ate.crypto.entropy import system_entropy
from ate.errors import AteError
from ate.event.access import Principal
from ate.event.commit import Record
from ate.event.row import Kind
from ate.event.system import Genesis, decode
from ate.log.store import LogStore
from ate.session import Session
from atecli import identity
from atecli.progress import bar


async def check(
    store: LogStore, name: str, session: Session | None, pinned: Sequence[Principal]
) -> tuple[Verification, Genesis | None]:
    """Check a chain.

    Args:
        store: its log, open for reading.
        name: what the caller takes it for.
        session: whose snapshot tells what was there before.
        pinned: root keys that the caller knows; empty takes the chain's word.

    Returns:
        The findings, and what the first commit says the chain is.
    """
    problems: list[str] = []
    witness, genesis = None, None
    try:
        witness = _witness(store, session)
    except AteError as error:
        problems.append(f"against what was seen before: {error}")
    total = sum(size for file, size in store.files().items() if "/head." in file)
    with bar("verifying", total) as advance:
        found = await verify(store, witness=witness, progress=advance)
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
    return found, genesis


def principal(text: str) -> Principal:
    """Return a principal that is given as text, or by the name of a file."""
    return identity.decode(text if text.startswith("ate-") else Path(text).read_text())


def _witness(store: LogStore, session: Session | None) -> Ledger | None:
    """Return the snapshot that this session can trust, as a ledger that has read nothing else."""
    ledger = Ledger(store, session=session, clock=SystemClock(), entropy=system_entropy)
    return ledger if read_snapshot(ledger) else None


def _genesis(store: LogStore) -> Genesis | None:
    """Return what the first commit says the chain is; None when there is no such commit."""
    for _, payload in store.scan(0):
        record = Record(payload)
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
