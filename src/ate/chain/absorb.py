"""Takes in the thinned part of a compacted log: what is before its cut, vouched for as a whole.

It asks no validator about single rules: of the present in which a commit was judged much is gone.
What stands there is proved otherwise. Every row leads to its author's signature, every commit to
the root over all commits, and the checkpoint at the cut signs that root and the hash of the
present: so nothing can be added, altered, or left out of what is alive. Root keys are followed from
the genesis on, each change signed under the roots before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from ate.chain.admit import check_place, propose
from ate.chain.form import check_form, check_rows
from ate.chain.present import CHECKPOINT_ID, state_of
from ate.chain.view import View
from ate.crypto.hash import digest
from ate.errors import CorruptLog, ProtocolError
from ate.event.commit import Record
from ate.event.prefix import Prefix
from ate.event.row import Kind
from ate.event.system import Checkpoint, decode, system_id
from ate.merkle import HASH_BYTES, split
from ate.multiproof import levels_of
from ate.trust.pipeline import Pipeline
from ate.trust.state import ROOT_ROLE

_ROOT_ROLE_ID: Final = system_id("role", ROOT_ROLE.encode())


class Absorption:
    """The commits before the cut of one log.

    Args:
        view: empty; it is filled.
        prefix: the log's first frame.
        pipeline: checks signatures.
    """

    def __init__(self, view: View, prefix: Prefix, pipeline: Pipeline) -> None:
        if view.frontier.size:
            raise CorruptLog("the prefix of a compacted log is not its first frame")
        self.prefix = prefix
        self._view, self._pipeline = view, pipeline
        self._nodes: deque[bytes] = deque()

    def add_nodes(self, hashes: bytes) -> None:
        """Take roots of dropped subtrees, for the gaps to come."""
        if len(hashes) % HASH_BYTES:
            raise ProtocolError("half a node")
        if self._view.frontier.size:
            raise CorruptLog("the nodes of a compacted log stand in front of its commits")
        self._nodes.extend(split(hashes))

    async def take(self, record: Record, keep: Callable[[Record], tuple[int, Record]]) -> Record:
        """Check one commit, have it kept and fold it in; returns it as it was kept.

        Raises:
            CorruptLog, ProtocolError, BadSignature: it is not sound.
        """
        view, sequencer = self._view, record.sequencer
        if sequencer.first_seq <= view.head or sequencer.time_us < view.time_us:
            raise CorruptLog(f"commit {sequencer.index} is out of order")
        self._skip_to(sequencer.index)
        view.head, view.link = sequencer.first_seq - 1, sequencer.link
        ids = record.ids
        check_form(record, ids)
        check_rows(record)
        check_place(view, record)
        current = view.index.locate_many(ids)
        proposal = propose(view, record, current, time_us=sequencer.time_us)
        await self._pipeline.judge_signature(proposal)
        if not view.frontier.size and record.kinds[0] != Kind.GENESIS:
            raise CorruptLog("a chain starts with its genesis row")
        if _renews_roots(record) and not proposal.authorities & view.trust.root_keys():
            raise CorruptLog(f"commit {sequencer.index} names new roots and is signed by none")
        place, record = keep(record)
        view.apply(record, place, current)
        return record

    def _skip_to(self, index: int) -> None:
        """Put what is left of the dropped commits into the tree, up to commit `index`."""
        view = self._view
        if index < view.frontier.size:
            raise CorruptLog(f"commit {index} is repeated or out of order")
        for _, level in levels_of(view.frontier.size, index):
            if not self._nodes:
                raise CorruptLog(f"nothing stands for the commits before commit {index}")
            view.frontier = view.frontier.graft(level, self._nodes.popleft())

    def finish(self) -> bytes:
        """End the thinned part; returns the hash of the present that a checkpoint must vouch for.

        It is empty for a chain without roots, where nobody can.

        Raises:
            CorruptLog: the parts do not fit together.
        """
        view, prefix = self._view, self.prefix
        genesis = view.trust.genesis
        if genesis is None:
            raise CorruptLog("a compacted log does not hold the first commit of its chain")
        if genesis.policy.get("worm"):
            raise CorruptLog("a write-once chain was compacted")
        self._skip_to(prefix.cut)
        if self._nodes or prefix.head < view.head or prefix.time_us < view.time_us:
            raise CorruptLog("the prefix of a compacted log does not fit its commits")
        view.head, view.time_us, view.link = prefix.head, prefix.time_us, prefix.link
        view.cut, view.settled_rows = prefix.cut, view.held - view.index.objects
        view.origins.table = {(d, s): (lsn, seq) for d, s, lsn, seq in prefix.origins}
        return state_of(view) if genesis.roots else b""


def _renews_roots(record: Record) -> bool:
    return any(
        kind == Kind.ROLE and record.row(at).id == _ROOT_ROLE_ID
        for at, kind in enumerate(record.kinds)
    )


def check_vouched(view: View, record: Record, state: bytes) -> None:
    """Raise CorruptLog unless the commit at the cut vouches for everything before it.

    Args:
        view: the chain up to the cut.
        record: the commit behind it, which was admitted.
        state: what `Absorption.finish` returned.
    """
    if record.author.seen_seq != view.head:
        raise CorruptLog("the compacted part of this log does not end where its checkpoint says")
    for at, kind in enumerate(record.kinds):
        if kind == Kind.CHECKPOINT and record.row(at).id == CHECKPOINT_ID:
            body = view.body(record, record.row(at))
            if digest(body) != record.row(at).body_hash:
                break
            if decode(Checkpoint, body).present == state:
                return
    raise CorruptLog(
        "no root key vouches for the compacted part of this log: objects were left out or put back"
    )
