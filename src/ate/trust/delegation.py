"""Trust delegation, the default authority: the tree of access rules decides who may write what.

Each object id that a commit touches is judged once, tombstones and moves included, always from
stored state. It never looks at bodies.
"""

from __future__ import annotations

from ate.event.access import Any, Everyone, Inherit, Nobody, Only, ReadRule, WriteRule
from ate.event.row import FLAG_ACCESS, Kind
from ate.event.system import Grant, decode
from ate.ids import ROOT
from ate.trust.plugin import ABSTAIN, ALLOW, Deny, Proposal, Verdict
from ate.trust.rules import Rules
from ate.trust.state import ROOT_ROLE, Trust

_SELF_CERTIFYING = (int(Kind.KEY), int(Kind.CERTIFICATE))


class TrustDelegation:
    """Allows a row when the author's authority satisfies the rule of the object it touches."""

    name = "authority"

    async def validate(self, proposal: Proposal) -> Verdict:
        if proposal.trust.genesis is None:
            return _judge_genesis(proposal)
        return _Judgement(proposal).verdict()


def _judge_genesis(proposal: Proposal) -> Verdict:
    """The first commit is its own authority: its hash is the chain's id."""
    if proposal.record.kinds[0] != Kind.GENESIS:
        return [Deny(0, "a chain starts with its genesis row")]
    return ALLOW


class _Judgement:
    """One commit under the tree's rules."""

    def __init__(self, proposal: Proposal) -> None:
        self.proposal = proposal
        self.denied: list[Deny] = []
        self.allowed = 0
        self._after: Trust | None = None

    def verdict(self) -> Verdict:
        proposal = self.proposal
        kinds = proposal.record.kinds
        if not proposal.rules and max(kinds) <= Kind.TOMBSTONE:
            return self._uniform()
        self.rules = Rules(proposal.stored, declared=lambda: _declared(proposal))
        allowed_parents: set[bytes] = set()
        for index, (kind, seq) in enumerate(zip(kinds, proposal.current, strict=True)):
            if kind in _SELF_CERTIFYING:
                continue
            if kind > Kind.TOMBSTONE:
                self._judge_system(index, kind)
            elif seq:
                self._judge_object(index)
            else:
                parent = proposal.record.parent(index)
                if parent in allowed_parents:
                    continue
                rule = self.rules.write_rule(parent)
                if self._require(index, rule, f"the rule of parent {parent.hex()}"):
                    allowed_parents.add(parent)
        if self.denied:
            return self.denied
        return ALLOW if self.allowed else ABSTAIN

    def _uniform(self) -> Verdict:
        """No object has a rule of its own: one judgement serves all rows."""
        reason = self._missing(self.proposal.root_access.write)
        return [Deny(0, f"the chain's rule {reason}")] if reason else ALLOW

    def _judge_object(self, index: int) -> None:
        """Judge a new version, a move or a deletion of an object that is there."""
        proposal, row = self.proposal, self.proposal.record.row(index)
        object_id, parent = row.id, row.parent
        stored = proposal.stored(object_id)
        assert stored is not None  # `current` says so
        self._require(index, self.rules.write_rule(object_id), f"the rule of {object_id.hex()}")
        if stored.row.parent != parent:
            self._require(
                index, self.rules.write_rule(parent), f"the rule of new parent {parent.hex()}"
            )
        if stored.access is not None and not row.flags & FLAG_ACCESS:
            self.denied.append(Deny(index, f"object {object_id.hex()} would lose its access rule"))

    def _judge_system(self, index: int, kind: int) -> None:
        trust = self.proposal.trust
        if kind == Kind.GRANT:
            self._judge_grant(index)
        elif not trust.has_roots or self._is_root():
            self.allowed += 1
        else:
            self.denied.append(Deny(index, "only a root key may change roles and policies"))

    def _judge_grant(self, index: int) -> None:
        """Judge new keys of a read domain: by its write rule, or for a root that renews a role."""
        owner = self.proposal.record.parent(index)
        rule = self._read_rule(owner)
        if self._renews_role(rule):
            self.allowed += 1
        else:
            write = self.rules.write_rule(owner)
            self._require(index, write, f"the rule of domain {owner.hex()}")
        if set(decode(Grant, self.proposal.body(index)).wraps) != self._readers(rule):
            self.denied.append(Deny(index, "a grant gives its key to others than the read rule"))

    def _is_root(self) -> bool:
        return not self.proposal.authorities.isdisjoint(self.proposal.trust.root_keys())

    def _read_rule(self, owner: bytes) -> ReadRule:
        """Return the read rule of a domain once this commit is in; Everyone where there is none."""
        proposal = self.proposal
        stored = proposal.stored(owner)
        access = stored.access if stored is not None else None
        for index, header in proposal.headers.items():
            if header.access is not None and proposal.row_id(index) == owner:
                access = header.access
        rule = access.read if access is not None else Inherit
        return Everyone if rule is Inherit and owner != ROOT else rule

    def _renews_role(self, rule: ReadRule) -> bool:
        """Tell whether a root gives a role that the rule names new keys, which readers must get."""
        names = rule.names if isinstance(rule, Only) else (ROOT_ROLE,) if rule is Inherit else ()
        before, after = self.proposal.trust.roles, self._roles_after().roles
        renewed = {name for name in after if after[name] is not before.get(name)}
        return not renewed.isdisjoint(names) and self._is_root()

    def _readers(self, rule: ReadRule) -> frozenset[bytes]:
        """Return the keys that a read rule names once this commit is in."""
        if isinstance(rule, Only):
            return self._roles_after().resolve(rule.names)
        return self._roles_after().root_keys() if rule is Inherit else frozenset()

    def _roles_after(self) -> Trust:
        """Return the roles as this commit leaves them: a new generation brings its grants along."""
        proposal = self.proposal
        kinds = proposal.record.kinds
        if Kind.ROLE not in kinds:
            return proposal.trust
        if self._after is None:
            self._after = proposal.trust.copy()
            for index, kind in enumerate(kinds):
                if kind == Kind.ROLE:
                    self._after.apply(kind, proposal.row_id(index), proposal.body(index))
        return self._after

    def _require(self, index: int, rule: WriteRule, what: str) -> bool:
        reason = self._missing(rule)
        if reason:
            self.denied.append(Deny(index, f"{what} {reason}"))
            return False
        self.allowed += 1
        return True

    def _missing(self, rule: WriteRule) -> str:
        """Return why the author does not satisfy `rule`, or ''."""
        if rule is Everyone:
            return ""
        trust = self.proposal.trust
        if rule is Inherit:
            if not trust.has_roots or self.proposal.authorities & trust.root_keys():
                return ""
            return f"wants a root key, the commit speaks for {self._speaks_for()}"
        if rule is Nobody:
            return "lets nobody write"
        assert isinstance(rule, Any)
        if self.proposal.authorities & trust.resolve(rule.names):
            return ""
        return f"wants {rule!r}, the commit speaks for {self._speaks_for()}"

    def _speaks_for(self) -> str:
        return ", ".join(sorted(key.hex()[:8] for key in self.proposal.authorities)) or "no key"


def _declared(proposal: Proposal) -> dict[bytes, tuple[bytes, None]]:
    """Return the parents of the objects this commit creates, so that new subtrees can be judged."""
    rows = (proposal.record.row(at) for at, seq in enumerate(proposal.current) if not seq)
    return {row.id: (row.parent, None) for row in rows}
