"""Checkpoints: a root key signs the tree over all commits so far, with the composite signature.

In suite 2 commits carry the fast signature of a certified session key; the next checkpoint seals
them with the long-term one. A checkpoint is a row like any other, checked by everybody who admits
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ate.chain.view import View
from ate.crypto.sign import VerifyKey
from ate.errors import BadSignature, CorruptLog, UsageError
from ate.event.commit import Record
from ate.event.draft import Draft
from ate.event.row import Kind
from ate.event.system import CHECKPOINT_CONTEXT, Checkpoint, decode, encode, system_id
from ate.ids import ROOT
from ate.session import KeyPair, Session

if TYPE_CHECKING:
    from ate.chain.ledger import Ledger

CHECKPOINT_ID: Final = system_id("checkpoint", b"")


def checkpoint_row(ledger: Ledger, session: Session | None) -> Draft:
    """Return the row that seals everything up to the present head.

    It must be committed `at` that head; a commit in between would make it untrue.

    Raises:
        UsageError: the session holds none of the chain's root keys.
    """
    view = ledger.view
    pair = root_key(ledger, session)
    frontier = view.frontier
    unsigned = Checkpoint(frontier.size, frontier.root(), ledger.now_us(), pair.key_id)
    message = unsigned.message(view.trust.chain_id)
    signature = pair.sign.sign(message, CHECKPOINT_CONTEXT)
    body = encode(Checkpoint(*unsigned.fields(), signature))
    known = view.stored(CHECKPOINT_ID)
    base = known.seq if known else 0
    created = (known.row.created or known.seq) if known else 0
    return Draft(int(Kind.CHECKPOINT), CHECKPOINT_ID, bytes(ROOT), 0, base, created, 0, 0, body)


def root_key(ledger: Ledger, session: Session | None) -> KeyPair:
    """Return a root key of the chain that the session holds; raises UsageError without one."""
    trust = ledger.view.trust
    roots = trust.root_keys()
    for pair in session.authorities(trust.chain_id) if session else ():
        if pair.key_id in roots:
            return pair
    raise UsageError("a checkpoint is signed with a root key, and the session holds none")


def is_sealed(view: View) -> bool:
    """Return whether the newest commit holds a checkpoint, or is the genesis."""
    sealed = view.trust.checkpoint.size if view.trust.checkpoint else 0
    return view.frontier.size <= sealed + 1


def check_checkpoints(view: View, record: Record) -> None:
    """Raise CorruptLog or BadSignature when a commit's checkpoint is not true of `view`."""
    at = record.kinds.find(Kind.CHECKPOINT)
    if at < 0:
        return
    checkpoint = decode(Checkpoint, view.body(record, record.row(at)))
    if checkpoint.size != view.frontier.size or checkpoint.root != view.frontier.root():
        raise CorruptLog(
            f"the checkpoint in commit {record.sequencer.index} does not cover what is before it"
        )
    keys = view.trust.keys.get(checkpoint.key_id)
    if keys is None or checkpoint.key_id not in view.trust.root_keys():
        raise BadSignature("a checkpoint is not signed by a root key")
    VerifyKey(keys.sign).verify(
        checkpoint.signature, checkpoint.message(view.trust.chain_id), CHECKPOINT_CONTEXT
    )
