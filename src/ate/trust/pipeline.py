"""The plug-ins of one chain in their order, and the judgement of a commit by all validators.

It holds no rule of its own: any deny refuses the whole commit, and so does the silence of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ate.errors import AteError, BadSignature, Refused, Replayed, Throttled, WriteDenied
from ate.trust.centralized import Centralized
from ate.trust.confidentiality import Confidentiality
from ate.trust.delegation import TrustDelegation
from ate.trust.delta import Deltas
from ate.trust.plugin import (
    ABSTAIN,
    Allow,
    Deny,
    Enricher,
    Filter,
    Projection,
    Proposal,
    Validator,
    Worker,
)
from ate.trust.plugin import names as by_name
from ate.trust.replay import Origins, Replay
from ate.trust.signature import Signature
from ate.trust.throttle import Pace, Throttle
from ate.trust.worm import Worm

#: Which error a refusal by a built-in becomes; everything else is `Refused`.
_ERRORS: Final[dict[str, type[AteError]]] = {
    "signature": BadSignature, "authority": WriteDenied, "replay": Replayed, "throttle": Throttled,
    "centralized": BadSignature,
}  # fmt: skip


class Pipeline:
    """What `ate.open(plugins=…)` and the built-ins make together.

    Args:
        plugins: joined to the built-ins; one with a built-in's name replaces it.
        origins: the replay table of the chain.
        pace: how fast its commits came.
    """

    def __init__(
        self, plugins: Sequence[Any], origins: Origins, pace: Pace | None = None
    ) -> None:
        built_in = [
            Signature(), Replay(origins), Throttle(pace or Pace()), Worm(), Centralized(),
            TrustDelegation(), Confidentiality(), Deltas(),
        ]  # fmt: skip
        everyone = by_name([*built_in, *plugins])
        self.plugins = tuple(everyone.values())
        #: Nothing here ever waits for anything; a plug-in of the user's might.
        self.never_waits = all(isinstance(one, Deltas) for one in plugins)
        self.confidentiality: Confidentiality = everyone["confidentiality"]
        self.enrichers = [one for one in self.plugins if isinstance(one, Enricher)]
        self.deltas: Deltas = everyone["deltas"]
        self.filters = [one for one in self.plugins if isinstance(one, Filter)]
        self.validators = [one for one in self.plugins if isinstance(one, Validator)]
        names = set(by_name(built_in))
        #: Those that only the program knows of: the server and other programs do not ask them.
        self.own = [one for one in self.validators if getattr(one, "name", "") not in names]
        #: The chain is ordered elsewhere: `own` are asked before a commit is sent, no more then.
        self.is_copy = False
        self.projections = [one for one in self.plugins if isinstance(one, Projection)]
        self.workers = [one for one in self.plugins if isinstance(one, Worker)]

    async def judge(self, proposal: Proposal) -> None:
        """Return when the commit is admitted.

        Raises:
            BadSignature, WriteDenied, Replayed, Throttled: a built-in refused it.
            Refused: another plug-in refused it, or no validator was in favour.
        """
        allowed = False
        for validator in self.validators:
            if self.is_copy and validator in self.own:
                continue
            verdict = await validator.validate(proposal)
            if verdict is ABSTAIN:
                continue
            if isinstance(verdict, Allow):
                allowed = True
            elif isinstance(verdict, Sequence) and verdict:
                _refuse(getattr(validator, "name", "validator"), verdict)
        if not allowed:
            raise Refused("no validator was in favour of the commit")

    async def judge_own(self, proposal: Proposal) -> None:
        """Ask the program's own validators about a commit that is about to be sent.

        Raises:
            Refused: one of them is against it.
        """
        for validator in self.own:
            verdict = await validator.validate(proposal)
            if isinstance(verdict, Sequence) and verdict:
                _refuse(getattr(validator, "name", "validator"), verdict)

    async def judge_signature(self, proposal: Proposal) -> None:
        """Return when the commit is signed as its chain demands; raises BadSignature otherwise.

        For commits of which only the signature can still be judged.
        """
        for validator in self.validators:
            if getattr(validator, "name", "") == "signature":
                verdict = await validator.validate(proposal)
                if isinstance(verdict, Sequence) and verdict:
                    _refuse("signature", verdict)

    def decode(self, codec: int, body: bytes) -> tuple[int, bytes]:
        """Undo the filters in reverse order."""
        for one in reversed(self.filters):
            codec, body = one.decode(codec, body)
        return codec, body


def _refuse(name: str, denied: Sequence[Deny]) -> None:
    verdicts = tuple(
        f"row {one.row}: {one.reason}" if one.row >= 0 else one.reason for one in denied
    )
    error = _ERRORS.get(name)
    if error is None:
        raise Refused(f"refused by {name}", verdicts=verdicts)
    more = f" (and {len(verdicts) - 1} more rows)" if len(verdicts) > 1 else ""
    raise error(verdicts[0] + more)
