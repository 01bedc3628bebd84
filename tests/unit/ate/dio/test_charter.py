"""Rules and roles on their way into a fork."""

from __future__ import annotations

import pytest

import ate
from ate.crypto.entropy import SeededEntropy
from ate.dio.charter import Charter, names_role
from ate.errors import UsageError
from ate.event.row import Kind
from ate.event.system import PublicKeys, Role, decode, encode, system_id
from ate.testing.stage import member
from ate.trust.roles import next_generation, open_role
from ate.trust.state import Trust

ALICE, BOB = member("alice"), member("bob")
ENTROPY = SeededEntropy(b"charter")


def trust(*known: ate.Session, roles: tuple[Role, ...] = ()) -> Trust:
    made = Trust()
    for one in known:
        key = one.public
        made.apply(Kind.KEY, system_id("key", key.key_id), encode(PublicKeys.of(key)))
    for role in roles:
        made.apply(Kind.ROLE, system_id("role", role.name.encode()), encode(role))
    return made


def test_words_and_unknown_keys_stay() -> None:
    charter = Charter(trust(), ALICE)
    for access in (
        ate.Access(), ate.Access(ate.Everyone, ate.Nobody),
        ate.Access(write=ate.Any(BOB.public.key_id)), ate.Access(ate.Only("nobody", "root")),
    ):  # fmt: skip
        assert charter.adopt(access) == access
    assert not charter.roles
    assert charter.drafts(ENTROPY, ()) == []


def test_published_keys_become_principals() -> None:
    access = ate.Access(ate.Only(BOB.public.key_id), ate.Any(BOB.public.key_id))
    adopted = Charter(trust(BOB), ALICE).adopt(access)
    assert adopted == access
    assert adopted.principals() == (BOB.public,)


def test_a_role_is_made_anew_with_its_members() -> None:
    old = next_generation("Staff", [ALICE.public, BOB.public], None, ENTROPY)
    newer = next_generation("Staff", [ALICE.public, BOB.public], old, ENTROPY)
    charter = Charter(trust(ALICE, BOB, roles=(newer,)), ALICE)
    access = ate.Access(ate.Only("Staff"), ate.Any("Staff"))
    assert charter.adopt(access) == access
    key, row = charter.drafts(ENTROPY, {ALICE.public.key_id})
    assert decode(PublicKeys, key.body).principal == BOB.public
    role = decode(Role, row.body)
    assert (role.name, role.generation) == ("Staff", 1)
    assert set(role.wraps) == {ALICE.public.key_id, BOB.public.key_id}
    assert open_role(role, BOB) is not None
    assert role.keys != newer.keys


def test_a_role_whose_key_is_held_elsewhere_keeps_it() -> None:
    role = Role("Staff", 4, (PublicKeys.of(BOB.public),))
    charter = Charter(trust(roles=(role,)), ALICE)
    charter.adopt(ate.Access(write=ate.Any("Staff")))
    (row,) = charter.drafts(ENTROPY, ())
    assert decode(Role, row.body) == Role("Staff", 1, role.keys)


def test_what_cannot_be_made_anew_is_told() -> None:
    role = next_generation("Staff", [BOB.public], None, ENTROPY)
    rule = ate.Access(write=ate.Any("Staff"))
    with pytest.raises(UsageError, match="without keys"):
        Charter(trust(roles=(role,)), None).adopt(rule)
    charter = Charter(trust(roles=(role,)), ALICE)
    charter.adopt(rule)
    with pytest.raises(UsageError, match="not published"):
        charter.drafts(ENTROPY, ())


def test_below_what_the_founder_can_write() -> None:
    charter = Charter(trust(), ALICE)
    assert all(map(charter.holds, (ate.Inherit, ate.Everyone, ate.Any(BOB.public, ALICE.public))))
    assert not any(map(charter.holds, (ate.Nobody, ate.Any(BOB.public), ate.Any("Staff"))))
    assert not Charter(trust(), None).holds(ate.Any(ALICE.public))


def test_rules_that_wait_for_roles() -> None:
    assert names_role(ate.Access(ate.Only("Staff", ALICE.public)))
    assert not names_role(ate.Access(ate.Only(ALICE.public), ate.Any("Staff")))
    assert not names_role(ate.Access(ate.Everyone))
