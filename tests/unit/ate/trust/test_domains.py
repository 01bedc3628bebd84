from __future__ import annotations

import pytest

from ate.crypto.entropy import SeededEntropy, system_entropy
from ate.errors import NoReadKey, Refused, UsageError
from ate.event.access import Access, Everyone, Inherit, Only, Principal
from ate.event.system import Genesis, Grant, PublicKeys, decode
from ate.ids import ROOT
from ate.session import KeyPair, Session
from ate.testing.stage import Note, Stage, member
from ate.trust.domains import PLAIN, Domains, encode_grant
from ate.trust.plugin import ABSTAIN, Deny, Proposal, Verdict
from ate.trust.roles import join_roles, next_generation
from ate.trust.state import Trust

DOMAIN = b"d" * 16
ALICE, BOB, CAROL = member("alice"), member("bob"), member("carol")


class Grants:
    """The newest grant of each domain, as a chain holds them."""

    def __init__(self) -> None:
        self.trust = Trust()
        self.trust.chain_id = b"c" * 32
        self.bodies: dict[bytes, bytes] = {}

    def of(self, session: Session | None) -> Domains:
        return Domains(self.bodies.get, self.trust, session)

    def give(self, giver: Session, *who: Principal | bytes | str) -> Grant | None:
        """Make the read rule `Only(*who)` true, as `giver`."""
        grant = self.of(giver).grant_for(DOMAIN, Only(*who), system_entropy)
        if grant is not None:
            self.bodies[DOMAIN] = encode_grant(grant)
        return grant


@pytest.fixture
def grants() -> Grants:
    return Grants()


def test_a_new_domain_has_one_epoch_that_its_readers_open(grants: Grants) -> None:
    grant = grants.give(ALICE, ALICE.public, BOB.public)
    assert grant is not None
    assert (grant.epoch, grant.past) == (1, b"")
    newest = grants.of(ALICE).newest(DOMAIN)
    assert newest is not None
    assert newest.epoch == 1
    assert len(newest.key) == 32
    assert grants.of(BOB).newest(DOMAIN) == newest
    assert grants.of(BOB).key(DOMAIN, 1) == newest.key


def test_others_get_no_key(grants: Grants) -> None:
    grants.give(ALICE, ALICE.public)
    for session in (CAROL, None):
        with pytest.raises(NoReadKey) as refused:
            grants.of(session).newest(DOMAIN)
        assert refused.value.domain == DOMAIN
    for epoch in (0, 2):
        with pytest.raises(NoReadKey):
            grants.of(ALICE).key(DOMAIN, epoch)
    with pytest.raises(NoReadKey):
        grants.of(ALICE).key(b"other domain 16 ", 1)
    assert grants.of(ALICE).newest(b"other domain 16 ") is None


def test_a_rule_that_is_true_already_needs_no_grant(grants: Grants) -> None:
    grants.give(ALICE, ALICE.public, BOB.public)
    assert grants.give(ALICE, BOB.public, ALICE.public) is None


def test_when_readers_join_the_same_key_is_wrapped_to_them(grants: Grants) -> None:
    grants.give(ALICE, ALICE.public)
    before = grants.of(ALICE).newest(DOMAIN)
    grants.give(ALICE, ALICE.public, BOB.public)
    assert grants.of(BOB).newest(DOMAIN) == before


def test_when_a_reader_leaves_a_new_epoch_starts_and_the_past_is_kept(grants: Grants) -> None:
    grants.give(ALICE, ALICE.public, BOB.public)
    first = grants.of(BOB).key(DOMAIN, 1)
    grants.give(ALICE, ALICE.public)
    newest = grants.of(ALICE).newest(DOMAIN)
    assert newest is not None
    assert newest.epoch == 2
    assert newest.key != first
    assert grants.of(ALICE).key(DOMAIN, 1) == first
    with pytest.raises(NoReadKey):
        grants.of(BOB).newest(DOMAIN)


def test_a_later_reader_opens_the_whole_past_from_one_grant(grants: Grants) -> None:
    keys: list[bytes] = []
    for readers in ((ALICE, BOB), (ALICE,), (ALICE, BOB), (ALICE,), (ALICE, CAROL)):
        grants.give(ALICE, *(one.public for one in readers))
        newest = grants.of(ALICE).newest(DOMAIN)
        assert newest is not None
        keys = [*keys[: newest.epoch - 1], newest.key]
    assert len(keys) == 3
    assert [grants.of(CAROL).key(DOMAIN, epoch) for epoch in (1, 2, 3)] == keys


def test_only_a_reader_can_give_the_key_on(grants: Grants) -> None:
    grants.give(ALICE, ALICE.public)
    with pytest.raises(NoReadKey):
        grants.give(BOB, ALICE.public, BOB.public)


def test_a_newer_grant_is_opened_anew(grants: Grants) -> None:
    grants.give(ALICE, ALICE.public, BOB.public)
    mine = grants.of(ALICE)
    before = mine.newest(DOMAIN)
    grants.give(ALICE, ALICE.public)
    assert mine.newest(DOMAIN) == before
    mine.forget(DOMAIN)
    after = mine.newest(DOMAIN)
    assert after is not None
    assert after.epoch == 2


def test_keys_made_for_a_commit_that_failed_seal_nothing(grants: Grants) -> None:
    """A grant that never landed would leave the sealed bodies without a key for everybody."""
    grants.give(ALICE, ALICE.public, BOB.public)
    mine = grants.of(ALICE)
    assert mine.grant_for(DOMAIN, Only(ALICE.public), system_entropy) is not None
    mine.begin()
    newest = mine.newest(DOMAIN)
    assert newest is not None
    assert newest.epoch == 1


def test_keys_are_drawn_from_the_entropy_that_is_handed_in(grants: Grants) -> None:
    keys = []
    for _ in range(2):
        mine = grants.of(ALICE)
        mine.grant_for(DOMAIN, Only(ALICE.public), SeededEntropy(4))
        keys.append(mine.key(DOMAIN, 1))
    assert keys[0] == keys[1]


# --- who a rule names -------------------------------------------------------------------------


def test_everyone_needs_no_key(grants: Grants) -> None:
    assert grants.of(ALICE).readers(Everyone) == []
    assert grants.of(ALICE).grant_for(DOMAIN, Everyone, system_entropy) is None
    assert PLAIN.epoch == 0


def test_inherited_by_nobody_a_rule_means_the_roots(grants: Grants) -> None:
    mine = grants.of(ALICE)
    assert mine.readers(Inherit) == []
    mine.roots = (ALICE.public,)
    assert mine.readers(Inherit) == [ALICE.public]
    grants.trust.genesis = Genesis("x", 2, "distributed", b"")
    grants.trust.roles["root"] = next_generation("root", [BOB.public], None, system_entropy)
    assert mine.readers(Inherit) == [BOB.public]


def test_a_key_id_is_enough_where_the_chain_knows_the_key(grants: Grants) -> None:
    mine = grants.of(ALICE)
    with pytest.raises(UsageError, match="not known on this chain"):
        mine.readers(Only(BOB.public.key_id))
    grants.trust.keys[BOB.public.key_id] = BOB.public
    assert mine.readers(Only(BOB.public.key_id)) == [BOB.public]


def test_a_rule_that_names_only_unknown_roles_names_nobody(grants: Grants) -> None:
    with pytest.raises(UsageError, match="does not have"):
        grants.of(ALICE).readers(Only("Staff"))


def test_members_of_a_role_read_with_the_role_s_key(grants: Grants) -> None:
    role = next_generation("Staff", [BOB.public], None, system_entropy)
    grants.trust.roles["Staff"] = role
    grants.trust.keys[role.keys[0].principal.key_id] = role.keys[0].principal
    grants.give(ALICE, ALICE.public, "Staff")
    bob = Session("bob", BOB.own)
    with pytest.raises(NoReadKey):
        grants.of(bob).newest(DOMAIN)
    join_roles(grants.trust, bob)
    assert grants.of(bob).newest(DOMAIN) == grants.of(ALICE).newest(DOMAIN)


def test_a_role_s_next_generation_can_be_granted_before_it_is_there(grants: Grants) -> None:
    first = next_generation("Staff", [BOB.public], None, system_entropy)
    grants.trust.apply(5, _role_id(), _body(first))
    grants.give(ALICE, ALICE.public, "Staff")
    after = grants.trust.copy()
    after.apply(
        5, _role_id(), _body(next_generation("Staff", [CAROL.public], first, system_entropy))
    )
    grant = (
        grants.of(ALICE).under(after).grant_for(DOMAIN, Only(ALICE.public, "Staff"), system_entropy)
    )
    assert grant is not None
    assert grant.epoch == 2
    assert set(grant.wraps) == {ALICE.public.key_id, *after.role_keys("Staff")}


def _role_id() -> bytes:
    from ate.event.system import system_id

    return system_id("role", b"Staff")


def _body(role: object) -> bytes:
    from ate.event.system import Role, encode

    assert isinstance(role, Role)
    return encode(role)


# --- grants by liars --------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", [b"", bytes(1168)])
def test_a_wrap_that_does_not_open_is_no_key(grants: Grants, wrapped: bytes) -> None:
    """Listings skip what a session may not read; a liar's grant must not break them off."""
    grants.bodies[DOMAIN] = encode_grant(Grant(DOMAIN, 1, {ALICE.public.key_id: wrapped}))
    with pytest.raises(NoReadKey):
        grants.of(ALICE).newest(DOMAIN)


def test_a_session_tries_its_other_keys(grants: Grants) -> None:
    grants.give(BOB, BOB.public)
    good = decode(Grant, grants.bodies[DOMAIN])
    wraps = {ALICE.public.key_id: bytes(1168), **good.wraps}
    grants.bodies[DOMAIN] = encode_grant(Grant(DOMAIN, 1, wraps))
    both = Session(
        "alice", ALICE.own, roles={"bob": (KeyPair(BOB.own.sign, BOB.own.seal, BOB.public),)}
    )
    assert grants.of(both).newest(DOMAIN) == grants.of(BOB).newest(DOMAIN)


def test_a_past_of_another_length_is_no_key(grants: Grants) -> None:
    grants.give(ALICE, ALICE.public, BOB.public)
    grants.give(ALICE, ALICE.public)
    good = decode(Grant, grants.bodies[DOMAIN])
    for past in (b"", good.past[:-1], bytes(48)):
        grants.bodies[DOMAIN] = encode_grant(Grant(DOMAIN, 2, good.wraps, past))
        with pytest.raises(NoReadKey):
            grants.of(ALICE).newest(DOMAIN)


def test_a_grant_of_another_domain_or_epoch_does_not_open(grants: Grants) -> None:
    grants.give(ALICE, ALICE.public)
    good = decode(Grant, grants.bodies[DOMAIN])
    for lie in (Grant(b"x" * 16, 1, good.wraps), Grant(DOMAIN, 2, good.wraps, bytes(48))):
        grants.bodies[DOMAIN] = encode_grant(lie)
        with pytest.raises(NoReadKey):
            grants.of(ALICE).newest(DOMAIN)


# --- on a chain -------------------------------------------------------------------------------


async def test_readers_come_and_go_on_a_chain() -> None:
    stage = Stage()
    alice, bob, carol = await stage.cast("alice", "bob", "carol")
    folder = await stage.as_(alice).store(
        "folder", access=Access(read=Only(alice.public, bob.public))
    )
    first = await stage.as_(alice).store("first", parent=folder)
    assert await stage.as_(bob).load(first) == "first"
    await stage.as_(alice).rule(folder, Access(read=Only(alice.public, carol.public)))
    second = await stage.as_(alice).store("second", parent=folder)
    with pytest.raises(NoReadKey):
        await stage.as_(bob).load(second)
    assert sorted(await stage.as_(carol).texts()) == ["first", "folder", "second"]
    await stage.as_(alice).rule(folder, Access(read=Everyone))
    third = await stage.as_(alice).store("third", parent=folder)
    assert await stage.as_(None).load(third) == "third"


class Moody:
    """Refuses commits while it is in a bad mood."""

    name = "moody"
    bad = False

    async def validate(self, proposal: Proposal) -> Verdict:
        return [Deny(-1, "not today")] if self.bad else ABSTAIN


async def test_a_refused_change_of_readers_leaves_the_domain_as_it_was() -> None:
    """What is written after the refusal opens after a restart, to the readers there were before."""
    moody = Moody()
    stage = Stage(plugins=[moody])
    alice, bob = await stage.cast("alice", "bob")
    folder = await stage.as_(alice).store(
        "folder", access=Access(read=Only(alice.public, bob.public))
    )
    async with stage.open(alice) as chain:
        dio = chain.dio()
        dao = await dio.load(Note, folder)
        dao.access = Access(read=Only(alice.public))
        moody.bad = True
        with pytest.raises(Refused):
            await dio.commit()
        moody.bad = False
        dio.cancel()
        after = dio.store(Note("after"), parent=folder).id
        await dio.commit()
    assert await stage.as_(alice).load(after) == "after"
    assert await stage.as_(bob).load(after) == "after"


async def test_the_chain_s_own_domain_is_sealed_to_its_roots() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    ledger = await stage.ledger(alice)
    newest = ledger.domains(alice).newest(ROOT)
    assert newest is not None
    assert newest.epoch == 1
    with pytest.raises(NoReadKey):
        ledger.domains(bob).newest(ROOT)
    assert PublicKeys.of(alice.public) in ledger.view.trust.roles["root"].keys
