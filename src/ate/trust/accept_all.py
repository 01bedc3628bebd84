"""Accept-all: an authority that lets every commit pass; for scratch chains and tests."""

from __future__ import annotations

from ate.trust.plugin import ALLOW, Proposal, Verdict


class AcceptAll:
    """Replaces the tree of rules; signatures and integrity are still checked."""

    name = "authority"

    async def validate(self, proposal: Proposal) -> Verdict:
        return ALLOW
