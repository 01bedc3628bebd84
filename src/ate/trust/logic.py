"""Structured logic: application callbacks that judge changes of one type; it sees plain drafts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ate.event.row import CODEC_FORMAT, Kind
from ate.trust.plugin import ABSTAIN, Deny, Proposal, Verdict


class StructuredLogic:
    """Denies a change when `rule(old, new)` returns a reason.

    Args:
        schema_id: which type it judges.
        decode: plaintext body and format code → value.
        rule: gets the stored value (None if new) and the new one (None if deleted, or of another
            type from now on); returns a reason to refuse, or None.
        load: reads an object's current value by id; used for `old`.

    It runs where the author is: the judge sees plaintext only in processes that hold the keys.
    """

    #: A server, which holds no key, does not take it as a rule of its own.
    reads_values = True

    def __init__(
        self,
        schema_id: int,
        decode: Callable[[bytes, int], Any],
        rule: Callable[[Any, Any], str | None],
        *,
        name: str = "logic",
    ) -> None:
        self.schema_id, self.decode, self.rule, self.name = schema_id, decode, rule, name
        self.load: Callable[[bytes], Any] | None = None

    async def validate(self, proposal: Proposal) -> Verdict:
        if proposal.drafts is None:
            return ABSTAIN
        denied: list[Deny] = []
        for index, draft in enumerate(proposal.drafts):
            stored = proposal.stored(draft.id) if proposal.current[index] else None
            was = stored is not None and not stored.dead and stored.row.schema == self.schema_id
            stays = draft.kind == Kind.DATA and draft.schema == self.schema_id
            if not (was or stays):
                continue
            old = await self.load(draft.id) if self.load and was else None
            new = self.decode(draft.body, draft.codec & CODEC_FORMAT) if stays else None
            reason = self.rule(old, new)
            if reason:
                denied.append(Deny(index, reason))
        return denied or ABSTAIN
