"""Proofs of an open chain: who asks for one gets a checkpoint that covers it, if that can be had.

It shows nothing beyond what is asked for: a key that opens more than one value is a word of its
own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from ate.chain import prover
from ate.chain.checkpoint import root_key
from ate.chain.evidence import Evidence
from ate.dio.receipt import Receipt
from ate.errors import UsageError
from ate.ids import ObjectId
from ate.session import Session

if TYPE_CHECKING:
    from ate.dio.chain import Chain

#: What an earlier state of a chain can be known by.
Known: TypeAlias = "int | Receipt | Evidence"


async def prove(
    chain: Chain,
    object_id: ObjectId | None = None,
    *,
    at_seq: int | None = None,
    value: bool = False,
    reveal: bool = False,
    continues: Known | None = None,
    to: int | None = None,
    session: Session | None = None,
) -> Evidence:
    """Return a proof that anybody can check with nothing but a root key; see `ate.check_proof`.

    When no checkpoint covers it yet, and the session holds a root key, one is written.

    Args:
        object_id: what was stored, its newest version; without one the proof is about the chain.
        at_seq: the version that was the newest one at this row instead; a deletion is one too.
        value: show the value as well, with the key that opens it. Without, its hash is proved.
        reveal: also when that key opens other values of the same commit.
        continues: show that the chain continues what it was: a number of commits, a receipt, or an
            earlier proof.
        to: choose the checkpoint by the number of commits it covers.
        session: whose keys open the value, and sign the checkpoint.

    Raises:
        NotFound: there is no such object.
        UsageError: no checkpoint covers it and this session can write none; the value cannot be
            shown alone; the chain has no keys.
        NoReadKey: the value is not for this session.
        Compacted: what the proof stands on is not kept any more.
        TrustError: the chain does not continue what it was.
    """
    ledger = chain._ledger
    acting = session or chain.session
    if object_id is None and (at_seq is not None or value):
        raise UsageError("whose value? name an object")
    seq = prover.version(ledger.view, bytes(object_id), at_seq) if object_id is not None else 0
    shown = _shown(chain, acting, seq, reveal=reveal) if value else None
    earlier = [_state(continues)] if continues is not None else []
    lacks = to is None and not prover.is_covered(ledger.view, seq, earlier)
    if lacks and not chain.readonly and _can_seal(chain, acting):
        await chain.checkpoint(session=acting)
    return prover.prove(ledger, seq, shown=shown, earlier=earlier, to=to)


def lacks_checkpoint(
    chain: Chain,
    object_id: ObjectId | None = None,
    *,
    at_seq: int | None = None,
    continues: Known | None = None,
) -> bool:
    """Return whether a proof needs a new checkpoint, and the chain's session could sign it."""
    view = chain._ledger.view
    seq = prover.version(view, bytes(object_id), at_seq) if object_id is not None else 0
    earlier = [_state(continues)] if continues is not None else []
    return not prover.is_covered(view, seq, earlier) and _can_seal(chain, chain.session)


def _shown(chain: Chain, session: Session | None, seq: int, *, reveal: bool) -> prover.Opened:
    shown = prover.opened(chain._ledger, session, seq)
    if shown.others and not reveal:
        raise UsageError(
            f"the key of this value opens {shown.others} more of the same commit",
            hint="prove its hash alone, or show all of them: --reveal, reveal=True",
        )
    return shown


def _state(known: Known) -> prover.Earlier:
    if isinstance(known, Receipt):
        return known.proof().size, known.chain_root
    if isinstance(known, Evidence):
        return known.checkpoint.size, known.checkpoint.root
    return known, None


def _can_seal(chain: Chain, session: Session | None) -> bool:
    has_roots = chain._ledger.view.trust.has_roots
    return has_roots and root_key(chain._ledger, session) is not None
