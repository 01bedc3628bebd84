"""Master key.

An authority under which the keys of one role write everything, and nobody else anything.
"""

from __future__ import annotations

from ate.trust.plugin import ALLOW, Deny, Proposal, Verdict
from ate.trust.state import ROOT_ROLE


class MasterKey:
    """Allows a commit when its author speaks for the current generation of `role`.

    Rotating the role (`chain.set_role`) shuts the old key out from the next commit on. As long as
    nobody holds the role, the roots stand in: somebody has to name its first holder.
    """

    name = "authority"

    def __init__(self, role: str = ROOT_ROLE) -> None:
        self.role = role

    async def validate(self, proposal: Proposal) -> Verdict:
        if proposal.trust.genesis is None:
            return ALLOW
        trust = proposal.trust
        masters = trust.role_keys(self.role) or trust.root_keys()
        if proposal.authorities & masters:
            return ALLOW
        wanted = ", ".join(sorted(key.hex()[:8] for key in masters)) or "no key at all"
        return [Deny(-1, f"the master key is {wanted}")]
