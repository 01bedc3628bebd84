"""Changing who may act on a chain: new generations of roles, the chain's own rule.

It judges nothing.

Both are commits of system rows, signed by a root and admitted like any other. A role's new
generation and the new epochs of the read domains it opens are one commit: there is no moment in
between at which a member who left could still read what is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ate.chain.view import View
from ate.dio.receipt import Receipt
from ate.errors import CannotOpen, Conflict, NoReadKey, ProtocolError, UsageError
from ate.event.access import Access, Inherit, Only, Principal, ReadRule
from ate.event.commit import Record
from ate.event.draft import Draft
from ate.event.header import Header
from ate.event.row import Kind
from ate.event.system import PublicKeys, Role, encode, system_id
from ate.ids import ROOT, ObjectId
from ate.session import Session
from ate.trust.domains import Domains, encode_grant
from ate.trust.roles import next_generation
from ate.trust.state import ROOT_ROLE, SEQUENCER_ROLE, check_sequencers
from ate.trust.throttle import FIELD

if TYPE_CHECKING:
    from ate.dio.chain import Chain

#: Other commits that may land while a change of roles is being prepared.
_TRIES: Final = 16
_RATE_MAX: Final = 1 << 48


@dataclass(frozen=True, slots=True)
class RoleChange:
    """A role has a new generation.

    Args:
        name: of the role.
        generation: counts from 1.
        rekeyed: objects whose read domain started a new epoch.
        left: objects whose read domain names the role, but does not open to the session that made
        the
            change; who may write one of them gives it a new epoch by committing it again.
        receipt: of the commit.
    """

    name: str
    generation: int
    rekeyed: tuple[ObjectId, ...]
    left: tuple[ObjectId, ...]
    receipt: Receipt


async def set_role(
    chain: Chain, name: str, members: Sequence[Principal], *, session: Session | None = None
) -> RoleChange:
    """Give a role a new generation with exactly these members.

    Args:
        name: e.g. "Contributor"; "root" replaces the chain's root keys.
        members: who holds the role from now on; nobody else learns its new keys. Everybody who left
            loses write access at once, and read access to everything new.
        session: acts instead of the chain's own; it must be a root.

    Raises:
        UsageError: the chain has no roots, or would be left without one.
        WriteDenied: the session is no root.
        Conflict: other writers kept getting in between.
    """
    acting = session or chain.session
    ledger = chain._ledger
    trust = ledger.view.trust
    if not trust.has_roots or acting is None:
        raise UsageError(
            "only a root session can set a role",
            hint="open the chain with session= one of its roots",
        )
    for attempt in range(_TRIES):
        role = next_generation(name, members, trust.roles.get(name), ledger.entropy)
        head = ledger.view.head
        grants, left = _new_epochs(chain, acting, role)
        drafts = [*_new_keys(ledger.view, acting, members), _role_row(ledger.view, role), *grants]
        try:
            landed = await chain._writer.submit(drafts, acting, chain.durability, head)
        except Conflict:
            if attempt == _TRIES - 1:
                raise
            continue
        rekeyed = tuple(ObjectId(draft.parent) for draft in grants)
        return RoleChange(name, role.generation, rekeyed, left, landed.receipt())
    raise AssertionError("unreachable")


async def set_access(chain: Chain, access: Access, *, session: Session | None = None) -> Receipt:
    """Replace the chain's own rule, which all objects without a rule above them inherit.

    A new reader is given the key there is, and with it the past; when a reader is dropped, a new
    epoch starts.

    Raises:
        WriteDenied: the session is no root.
        NoReadKey: the session cannot open the chain's read domain.
    """
    view = chain._ledger.view
    stored = view.stored(ROOT)
    assert stored is not None  # every chain begins with it
    record, at = view.find(stored.seq)
    body = bytes(view.body(record, record.row(at)))
    draft = _system(view, Kind.GENESIS, ROOT, body)
    known = record.header(at) or Header()
    draft.header = replace(known, access=access)
    landed = await chain._writer.submit([draft], session or chain.session, chain.durability, None)
    return landed.receipt()


async def set_hold(chain: Chain, reason: str | None, *, session: Session | None = None) -> Receipt:
    """Put the whole chain under a legal hold, or release it.

    Under a hold nothing is dropped by anybody: compaction is refused, and so every version stays.

    Args:
        reason: why, for people; None releases the hold.
        session: acts instead of the chain's own; it must be a root.

    Raises:
        WriteDenied: the session is no root.
        UsageError: the reason is empty.
    """
    if reason is not None and not reason.strip():
        raise UsageError("a legal hold has a reason")
    return await _set_field(chain, "hold", reason, session)


async def set_throttle(
    chain: Chain, *, rows_s: int = 0, bytes_s: int = 0, session: Session | None = None
) -> Receipt:
    """Say how fast commits may come, wherever the chain is judged; root keys are not bound by it.

    Args:
        rows_s, bytes_s: in a second, as stored; 0 = any number.
        session: acts instead of the chain's own; it must be a root.

    Raises:
        WriteDenied: the session is no root.
        UsageError: one of the numbers is no rate.
    """
    if not all(0 <= one < _RATE_MAX for one in (rows_s, bytes_s)):
        raise UsageError("a rate is a whole number of rows or bytes a second, 0 for no limit")
    rule = [rows_s, bytes_s] if rows_s or bytes_s else None
    return await _set_field(chain, FIELD, rule, session)


async def _set_field(chain: Chain, name: str, value: Any, session: Session | None) -> Receipt:
    """Give the chain's own row a rare field, or take it away with None."""
    view = chain._ledger.view
    stored = view.stored(ROOT)
    assert stored is not None  # every chain begins with it
    record, at = view.find(stored.seq)
    draft = _system(view, Kind.GENESIS, ROOT, bytes(view.body(record, record.row(at))))
    known = record.header(at) or Header(Access())
    others = {one: held for one, held in known.unknown.items() if one != name}
    draft.header = replace(known, unknown={**others, **({name: value} if value else {})})
    landed = await chain._writer.submit([draft], session or chain.session, chain.durability, None)
    return landed.receipt()


async def set_sequencers(
    chain: Chain, keys: Sequence[bytes], *, session: Session | None = None
) -> Receipt:
    """Name the servers that may sign for the authors of a centralized chain, instead of those now.

    What the others have signed stays. A chain that is moved to a server which is not named goes on
    there: its authors sign, until a root names the server.

    Args:
        keys: their sequencer keys, 32 bytes each, as `atedb` prints them.
        session: acts instead of the chain's own; it must be a root.

    Raises:
        UsageError: the chain has no sequencers, or none would be left, or these are no keys.
        WriteDenied: the session is no root.
    """
    trust = chain._ledger.view.trust
    if not trust.sequencers:
        raise UsageError("this chain is not centralized: its authors sign for themselves")
    try:
        check_sequencers(keys)
    except ProtocolError as error:
        raise UsageError(error.message, hint="the ready line of atedb has it") from None
    if not keys:
        raise UsageError("a centralized chain keeps at least one sequencer")
    known = trust.roles.get(SEQUENCER_ROLE)
    role = Role(
        SEQUENCER_ROLE, known.generation + 1 if known else 1, (), sequencers=tuple(keys)
    )
    draft = _role_row(chain._ledger.view, role)
    landed = await chain._writer.submit([draft], session or chain.session, chain.durability, None)
    return landed.receipt()


def _new_epochs(
    chain: Chain, session: Session, role: Role
) -> tuple[list[Draft], tuple[ObjectId, ...]]:
    """Return the grants that give the role's new keys to its read domains.

    And what stays as it is.
    """
    ledger = chain._ledger
    after = ledger.view.trust.copy()
    after.apply(Kind.ROLE, system_id("role", role.name.encode()), encode(role))
    domains: Domains = ledger.domains(session).under(after)
    drafts: list[Draft] = []
    left: list[ObjectId] = []
    for domain, rule in _read_rules(ledger.view, role.name):
        try:
            grant = domains.grant_for(domain, rule, ledger.entropy)
        except (NoReadKey, CannotOpen):
            left.append(ObjectId(domain))
            continue
        if grant is not None:
            row_id = system_id("grant", domain)
            drafts.append(_system(ledger.view, Kind.GRANT, row_id, encode_grant(grant), domain))
    return drafts, tuple(left)


def _read_rules(view: View, role: str) -> Iterator[tuple[bytes, ReadRule]]:
    """Yield the objects that are alive and whose read rule names a role, with the rule."""
    seen: set[bytes] = set()
    for _, record, at in _with_headers(view):
        header, object_id = record.header(at), record.row(at).id
        if header is None or header.access is None or object_id in seen:
            continue
        seen.add(object_id)
        stored = view.stored(object_id)
        if stored is None or stored.dead or stored.access is None:
            continue
        rule = stored.access.read
        is_chain = object_id == ROOT and role == ROOT_ROLE and rule is Inherit
        if is_chain or (isinstance(rule, Only) and role in rule.names):
            yield object_id, rule


def _with_headers(view: View) -> Iterator[tuple[int, Record, int]]:
    """Yield the rows of the commits that have rare fields at all."""
    for place in view.commits.between(1, view.head):
        record = view.record(place)
        if len(record.rare):
            yield from view.rows(record.first_seq, record.last_seq)


def _new_keys(view: View, session: Session, members: Sequence[Principal]) -> list[Draft]:
    """Return rows that publish members whom the chain does not know, so that they can be named."""
    known = {*view.trust.keys, *(pair.key_id for pair in session.authorities(view.trust.chain_id))}
    fresh = {member.key_id: member for member in members if member.key_id not in known}
    return [
        _system(view, Kind.KEY, system_id("key", key_id), encode(PublicKeys.of(member)))
        for key_id, member in fresh.items()
    ]


def _role_row(view: View, role: Role) -> Draft:
    return _system(view, Kind.ROLE, system_id("role", role.name.encode()), encode(role))


def _system(view: View, kind: Kind, row_id: bytes, body: bytes, parent: bytes = ROOT) -> Draft:
    """Return the next version of a system row."""
    stored = view.stored(row_id)
    base = stored.seq if stored else 0
    created = (stored.row.created or stored.seq) if stored else 0
    return Draft(int(kind), bytes(row_id), bytes(parent), 0, base, created, 0, 0, body)
