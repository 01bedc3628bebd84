"""Replay protection: an origin is taken once per session of a device, in order.

On signed chains the device follows from the author's long-term key, so that nobody can use up the
numbers of somebody else. It allows nothing.
"""

from __future__ import annotations

from ate.ids import device_of
from ate.trust.plugin import ABSTAIN, Deny, Proposal, Verdict


class Replay:
    """Denies a commit whose `lsn` is not new for its (device, session).

    `Origins` is a fold over admitted commits, kept beside the view and in its snapshot.
    """

    name = "replay"

    def __init__(self, origins: Origins) -> None:
        self.origins = origins

    async def validate(self, proposal: Proposal) -> Verdict:
        author = proposal.author
        is_bound = author.suite or proposal.trust.sequencers
        if is_bound and not _is_own(proposal):
            return [Deny(-1, f"the origin {author.device:016x} is not that of the author's key")]
        last = self.origins.last(author.device, author.session)
        if author.lsn <= last:
            return [Deny(-1, f"replayed: commit {author.lsn} of this session is here already")]
        if author.prev != last:
            return [Deny(-1, f"out of order: follows commit {author.prev}, the chain holds {last}")]
        return ABSTAIN


def _is_own(proposal: Proposal) -> bool:
    """Tell whether a signed commit is numbered as one of its author.

    Where commits are signed with a role's own key, in chains of suite 1, nobody knows which member
    it was: these may name any device.
    """
    author, trust = proposal.author, proposal.trust
    if not proposal.authorities or author.device in map(device_of, proposal.authorities):
        return True  # of nobody: the signature is judged elsewhere
    return trust.suite == 1 and any(author.key_id in trust.role_keys(one) for one in trust.roles)


class Origins:
    """Newest lsn applied per device and session, and the seq it got."""

    def __init__(self) -> None:
        self.table: dict[tuple[int, int], tuple[int, int]] = {}

    def last(self, device: int, session: int) -> int:
        """Return the newest lsn, 0 when there is none."""
        return self.table.get((device, session), (0, 0))[0]

    def lookup(self, device: int, session: int, lsn: int) -> int:
        """Return the first seq of the commit if it is the session's newest one, else 0."""
        known = self.table.get((device, session), (0, 0))
        return known[1] if known[0] == lsn else 0

    def apply(self, device: int, session: int, lsn: int, seq: int) -> None:
        self.table[device, session] = (lsn, seq)
