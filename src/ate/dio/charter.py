"""`Charter`: which rules and roles a fork begins with; it copies names and hands out no new right.

A rule keeps its words and its principals. A role that a rule names is made anew, with the members
that it has in the source today: whoever left it since does not come back. `root` and what inherits
from the chain itself mean the roots of the fork.
"""

from __future__ import annotations

from collections.abc import Container

from ate.crypto.entropy import Entropy
from ate.errors import UsageError
from ate.event.access import Access, Any, Everyone, Inherit, Only, Principal, ReadRule, WriteRule
from ate.event.draft import Draft
from ate.event.row import Kind
from ate.event.system import PublicKeys, Role, encode, system_id
from ate.ids import ROOT
from ate.session import Session
from ate.trust.roles import next_generation
from ate.trust.state import ROOT_ROLE, Trust


class Charter:
    """Rules of one chain on their way to another.

    Args:
        source: the keys and roles of the chain that is forked.
        session: the root of the fork, None when it has no keys.
    """

    def __init__(self, source: Trust, session: Session | None) -> None:
        self._source, self._session = source, session
        #: Roles that rules named so far.
        self.roles: dict[str, Role] = {}

    def adopt(self, access: Access) -> Access:
        """Return a rule as the fork has it: keys as principals, so that they are published there.

        Raises:
            UsageError: it names a role, and the fork has nobody to give roles.
        """
        read: ReadRule = access.read
        write: WriteRule = access.write
        if isinstance(read, Only):
            read = Only(*self._who(read.names))
        if isinstance(write, Any):
            write = Any(*self._who(write.names))
        return Access(read, write)

    def _who(self, names: tuple[bytes | str, ...]) -> list[Principal | bytes | str]:
        found: list[Principal | bytes | str] = []
        for name in names:
            if isinstance(name, bytes):
                found.append(self._source.keys.get(name, name))
                continue
            role = self._source.roles.get(name)
            if role is not None and name != ROOT_ROLE:
                if self._session is None:
                    raise UsageError(
                        f"a rule names the role {name!r}, and a chain without keys has no roles",
                        hint="fork with a session",
                    )
                self.roles[name] = role
            found.append(name)
        return found

    def holds(self, rule: WriteRule) -> bool:
        """Tell whether the root of the fork can add objects below one with this write rule."""
        if isinstance(rule, Any):
            return self._session is not None and self._session.public.key_id in rule.names
        return rule is Everyone or rule is Inherit

    def drafts(self, entropy: Entropy, known: Container[bytes]) -> list[Draft]:
        """Return the rows that give the fork its roles, with the keys of their members.

        Args:
            known: ids of the keys that the fork has already.

        Raises:
            UsageError: the key of a member is not published in the source.
        """
        keys: dict[bytes, Draft] = {}
        rows: list[Draft] = []
        for name, role in self.roles.items():
            # Without wraps its holders have the key from elsewhere: it stays the same key.
            made = Role(name, 1, role.keys)
            if role.wraps:
                members = [self._member(name, key_id) for key_id in role.wraps]
                made = next_generation(name, members, None, entropy)
                for one in members:
                    if one.key_id not in known:
                        row = _row(Kind.KEY, "key", one.key_id, PublicKeys.of(one))
                        keys[one.key_id] = row
            rows.append(_row(Kind.ROLE, "role", name.encode(), made))
        return [*keys.values(), *rows]

    def _member(self, name: str, key_id: bytes) -> Principal:
        principal = self._source.keys.get(key_id)
        if principal is None:
            raise UsageError(
                f"the role {name!r} has a member whose key {key_id.hex()[:8]} is not published",
                hint="let the member commit something, or give the role anew with set_role()",
            )
        return principal


def names_role(access: Access) -> bool:
    """Tell whether a read rule can only be granted once roles are there."""
    return isinstance(access.read, Only) and any(isinstance(one, str) for one in access.read.names)


def _row(kind: Kind, what: str, name: bytes, body: PublicKeys | Role) -> Draft:
    row_id = system_id(what, name)
    return Draft(int(kind), row_id, bytes(ROOT), 0, 0, 0, 0, 0, encode(body))
