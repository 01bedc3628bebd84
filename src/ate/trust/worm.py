"""WORM policy: write once, read many; it refuses new versions and deletions, roots included."""

from __future__ import annotations

import numpy as np

from ate.event.row import Kind
from ate.trust.plugin import ABSTAIN, Deny, Proposal, Verdict


class Worm:
    """Denies when the genesis policy says `worm` and a commit touches what is already there."""

    name = "worm"

    async def validate(self, proposal: Proposal) -> Verdict:
        genesis = proposal.trust.genesis
        if genesis is None or not genesis.policy.get("worm"):
            return ABSTAIN
        current = np.asarray(proposal.current, dtype=np.uint64)
        data = proposal.table["kind"] <= Kind.TOMBSTONE
        touched = np.flatnonzero((current != 0) & data)
        return [
            Deny(
                int(i), f"this chain is write-once: {proposal.row_id(int(i)).hex()} stays as it is"
            )
            for i in touched
        ] or ABSTAIN
