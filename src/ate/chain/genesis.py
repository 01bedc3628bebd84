"""The first commit of a chain, and the check that an existing chain is the one that was meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ate.chain.ledger import Ledger
from ate.chain.retention import Retention
from ate.errors import CorruptLog, ProtocolError, UntrustedRoot, UsageError
from ate.event.access import Access, Principal
from ate.event.commit import Commit, Origin, Record
from ate.event.draft import Draft
from ate.event.header import Header
from ate.event.row import Kind
from ate.event.system import Genesis, PublicKeys, decode, encode
from ate.ids import ROOT
from ate.trust.soundness import MODES
from ate.trust.state import check_sequencers

SUITES: Final = (1, 2)


@dataclass(frozen=True, slots=True)
class Founding:
    """What a chain is to be from birth on.

    Args:
        roots: root keys; empty for a purely local chain, which then signs and seals nothing.
        access: the chain's own rule; by default the roots alone read and write.
        suite: 1 or 2; without roots it is 0.
    """

    roots: Sequence[Principal] = ()
    access: Access | None = None
    suite: int = 2
    mode: str = "distributed"
    policy: Mapping[str, Any] = field(default_factory=dict)


async def write_genesis(ledger: Ledger, name: str, founding: Founding, origin: Origin) -> None:
    """Write and flush the first commit of an empty chain; raises as `prepare_genesis` does."""
    commit, rows = await prepare_genesis(ledger, name, founding, origin)
    pending = await ledger.append(commit, rows)
    ledger.store.flush()
    ledger.settle(pending)


async def prepare_genesis(
    ledger: Ledger, name: str, founding: Founding, origin: Origin
) -> tuple[Commit, list[Draft]]:
    """Return the first commit of an empty chain and its rows.

    Raises:
        UsageError: unknown mode or suite, a policy that says nothing that could be kept, or the
            session is none of the roots.
    """
    roots, suite = founding.roots, founding.suite
    _check_policy(founding.policy)
    if founding.policy.get("sequencers") and (founding.mode != "centralized" or not roots):
        raise UsageError("only a centralized chain that is made with a session has sequencers")
    if founding.mode not in MODES or suite not in SUITES:
        raise UsageError(f"mode is one of {', '.join(MODES)}; suite is 1 or 2")
    session = ledger.session
    if roots and (session is None or session.public.key_id not in {one.key_id for one in roots}):
        raise UsageError(
            "a new chain is signed by one of its roots, and the session is none of them",
            hint="open it with session= one of the roots first",
        )
    genesis = Genesis(
        name=str(name),
        suite=suite if roots else 0,
        mode=founding.mode,
        salt=ledger.entropy(16),
        roots=tuple(PublicKeys.of(one) for one in roots),
        policy=dict(founding.policy),
    )
    header = Header(access=founding.access or Access())
    row = Draft(int(Kind.GENESIS), bytes(ROOT), bytes(ROOT), 0, 0, 0, 0, 0, encode(genesis), header)
    preparer = ledger.preparer(session)
    preparer.expect_roots(roots)
    return await preparer.prepare([row], origin=origin, seen_seq=0, now_us=ledger.now_us())


def _check_policy(policy: Mapping[str, Any]) -> None:
    """Raise UsageError when a policy would not be understood; unknown entries are kept."""
    Retention.of_policy(policy)
    try:
        check_sequencers(policy.get("sequencers", ()))
    except (ProtocolError, TypeError):
        raise UsageError(
            "sequencers are public keys of servers, 32 bytes each",
            hint="leave them out: a centralized chain names the server that it is founded on",
        ) from None
    if not isinstance(policy.get("worm", False), bool):
        raise UsageError(
            f"whether a chain is write-once is true or false, not {policy['worm']!r:.40}",
            hint='policy={"worm": True}',
        )


def check_genesis(record: Record, name: str) -> Genesis:
    """Return what a first commit founds; raises UntrustedRoot unless it is the chain of this name.

    It was admitted, so its first row is a genesis row that its founder signed.
    """
    row = record.row(0)
    genesis = decode(Genesis, record.inline(row)) if row.kind == Kind.GENESIS else None
    if genesis is None or genesis.name != name:
        found = repr(genesis.name) if genesis is not None else "no chain"
        raise UntrustedRoot(f"the first commit founds {found}, not {name!r}")
    return genesis


def check_chain(ledger: Ledger, name: str, roots: Iterable[Principal]) -> None:
    """Raise UntrustedRoot when the chain that was opened is not the one the caller means.

    Args:
        name: the name it was opened under.
        roots: keys the caller pins; empty takes the chain's own word.
    """
    genesis = ledger.view.trust.genesis
    pinned = {one.key_id for one in roots}
    if genesis is None:
        raise UntrustedRoot("the log does not start with a genesis commit")
    if genesis.name != name:
        raise UntrustedRoot(f"the log holds the chain {genesis.name!r}, not {name!r}")
    if not pinned:
        return
    founding, _ = ledger.view.find(1)
    if founding.root != ledger.view.trust.chain_id:
        raise CorruptLog("the first commit is not the one that was here before")
    # To be named as a root proves nothing: anybody can name anybody. To have signed does.
    if founding.author.key_id not in pinned:
        raise UntrustedRoot("this chain was not founded by any of the pinned root keys")
