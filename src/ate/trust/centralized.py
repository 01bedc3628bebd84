"""What a commit must not do that its author has not signed: decide who may read and write.

In a centralized chain the server's word stands for the author's about values. It must never stand
for it about rights, or the server could make itself a reader. It grants nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ate.event.access import Everyone
from ate.event.row import EPOCH_SHIFT, Kind
from ate.trust.plugin import ABSTAIN, Deny, Proposal, Verdict
from ate.trust.rules import Rules

#: Rows that need no signature of the commit's author: values, and what proves itself.
UNSIGNED: Final = frozenset({Kind.DATA, Kind.TOMBSTONE, Kind.KEY, Kind.CHECKPOINT})


class Centralized:
    """Denies unsigned commits that change rules, roles, grants or parents, or seal for others.

    What such a commit brings must be sealed for the readers that the stored rules name: a server
    that has no key can put nothing there that opens.
    """

    name = "centralized"

    async def validate(self, proposal: Proposal) -> Verdict:
        if proposal.author.suite or not proposal.trust.sequencers:
            return ABSTAIN
        denied = _uniform(proposal) if not proposal.rules else _ruled(proposal)
        return denied or ABSTAIN


def _uniform(proposal: Proposal) -> list[Deny]:
    """No object has a rule of its own: all rows are of one read domain."""
    if proposal.root_access.read is Everyone:
        return []
    table = proposal.table
    others = (table["domain_hi"] != 0) | (table["domain_lo"] != 0)
    unsealed = (table["stamp"] >> EPOCH_SHIFT == 0) | others
    found = np.flatnonzero((table["kind"] == Kind.DATA) & unsealed)
    return [_unsealed(int(at)) for at in found[:1]]


def _ruled(proposal: Proposal) -> list[Deny]:
    headers, denied = proposal.headers, list[Deny]()
    rows = [proposal.record.row(at) for at in range(proposal.record.row_count)]
    access = {at: header.access for at, header in headers.items()}
    rules = Rules(
        proposal.stored, {row.id: (row.parent, access.get(at)) for at, row in enumerate(rows)}
    )
    for at, row in enumerate(rows):
        if row.kind not in (Kind.DATA, Kind.TOMBSTONE):
            continue
        stored = proposal.stored(row.id) if proposal.current[at] else None
        known = stored.access if stored is not None else None
        if access.get(at) is not None and access[at] != known:
            denied.append(Deny(at, "its author has not signed the rule that it brings"))
        elif stored is not None and stored.row.parent != row.parent:
            denied.append(Deny(at, "its author has not signed that it moves"))
        elif row.kind == Kind.DATA:
            domain, rule = rules.read_domain(row.id)
            if rule is not Everyone and (not row.epoch or row.domain != domain):
                denied.append(_unsealed(at))
    return denied


def _unsealed(at: int) -> Deny:
    return Deny(at, "its author has not signed it, and it is not sealed for its readers")
