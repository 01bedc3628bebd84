"""Checkpoints: a root key signs the tree over all commits so far, with the composite signature.

In suite 2 commits carry the fast signature of a certified session key; the next checkpoint seals
them with the long-term one. A checkpoint is a row like any other, checked by everybody who admits
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ate.chain.flip import check_flip, flip_at
from ate.chain.present import CHECKPOINT_ID, state_of
from ate.chain.run import U64
from ate.chain.view import View
from ate.crypto.sign import VerifyKey
from ate.errors import BadSignature, CorruptLog, ProtocolError, UsageError
from ate.event.commit import Record
from ate.event.draft import Draft
from ate.event.row import Kind
from ate.event.system import (
    CHECKPOINT_CONTEXT,
    FLIP_BYTES,
    PRESENT_BYTES,
    Checkpoint,
    decode,
    encode,
)
from ate.ids import ROOT
from ate.session import KeyPair, Session

if TYPE_CHECKING:
    from ate.chain.ledger import Ledger
    from ate.chain.retention import Retention


def root_key(ledger: Ledger, session: Session | None) -> KeyPair | None:
    """Return a key of the session that is a root of the chain now, or None."""
    trust = ledger.view.trust
    held = session.authorities(trust.chain_id) if session else ()
    return next((one for one in held if one.key_id in trust.root_keys()), None)


def checkpoint_row(
    ledger: Ledger, session: Session | None, dropped: U64 | None = None, *,
    keep: Retention | None = None,
) -> Draft:  # fmt: skip
    """Return the row that seals everything up to the present head, and vouches for the present.

    It must be committed `at` that head; a commit in between would make it untrue.

    Args:
        dropped: seqs of live rows that retention is about to drop, sorted.
        keep: let all who hold the chain compact here, and keep this.

    Raises:
        UsageError: the session holds none of the chain's root keys.
    """
    view = ledger.view
    pair = root_key(ledger, session)
    if pair is None:
        raise UsageError("a checkpoint is signed with a root key, and the session holds none")
    frontier = view.frontier
    flip = view.trust.checkpoint.flip if view.trust.checkpoint else None
    if keep is not None:
        flip = flip_at(frontier.size, keep, view)
    now_us, state = ledger.now_us(), state_of(view, dropped)
    if flip is not None:
        state += flip.encode()
    unsigned = Checkpoint(frontier.size, frontier.root(), now_us, pair.key_id, state=state)
    message = unsigned.message(view.trust.chain_id)
    signature = pair.sign.sign(message, CHECKPOINT_CONTEXT)
    body = encode(Checkpoint(*unsigned.fields(), signature, state))
    known = view.stored(CHECKPOINT_ID)
    base = known.seq if known else 0
    created = (known.row.created or known.seq) if known else 0
    return Draft(int(Kind.CHECKPOINT), CHECKPOINT_ID, bytes(ROOT), 0, base, created, 0, 0, body)


def is_sealed(view: View) -> bool:
    """Return whether the newest commit holds a checkpoint, or is the genesis."""
    sealed = view.trust.checkpoint.size if view.trust.checkpoint else 0
    return view.frontier.size <= sealed + 1


def checkpoint_in(view: View, record: Record) -> Checkpoint | None:
    """Return the checkpoint in a commit, unjudged; None when there is none."""
    at = record.kinds.find(Kind.CHECKPOINT)
    return decode(Checkpoint, view.body(record, record.row(at))) if at >= 0 else None


def check_checkpoints(view: View, record: Record) -> None:
    """Raise CorruptLog or BadSignature when a commit's checkpoint is not true of `view`."""
    checkpoint = checkpoint_in(view, record)
    if checkpoint is None:
        return
    if len(checkpoint.state) not in (0, PRESENT_BYTES, PRESENT_BYTES + FLIP_BYTES):
        raise ProtocolError("a checkpoint's hash of the present has the wrong length")
    if checkpoint.size != view.frontier.size or checkpoint.root != view.frontier.root():
        raise CorruptLog(
            f"the checkpoint in commit {record.sequencer.index} does not cover what is before it"
        )
    check_flip(view, checkpoint)
    check_signature(view, checkpoint)


def check_signature(view: View, checkpoint: Checkpoint) -> None:
    """Raise BadSignature unless a root of the chain has signed a checkpoint."""
    keys = view.trust.keys.get(checkpoint.key_id)
    if keys is None or checkpoint.key_id not in view.trust.root_keys():
        raise BadSignature("a checkpoint is not signed by a root key")
    VerifyKey(keys.sign).verify(
        checkpoint.signature, checkpoint.message(view.trust.chain_id), CHECKPOINT_CONTEXT
    )
