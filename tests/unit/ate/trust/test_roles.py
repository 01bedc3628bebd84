from __future__ import annotations

import pytest

from ate.crypto.entropy import SeededEntropy, system_entropy
from ate.errors import LimitExceeded, UsageError
from ate.event.system import PublicKeys, Role, decode, encode
from ate.session import Session
from ate.testing.stage import member
from ate.trust.roles import join_roles, next_generation, open_role
from ate.trust.state import Trust

ALICE, BOB, CAROL = member("alice"), member("bob"), member("carol")
CHAIN = b"c" * 32


def fresh(one: Session) -> Session:
    return Session(one.identity, one.own)


def role_of(*members: Session, known: Role | None = None) -> Role:
    return next_generation("Staff", [one.public for one in members], known, system_entropy)


def trust_with(*roles: Role) -> Trust:
    trust = Trust()
    trust.chain_id = CHAIN
    trust.roles = {role.name: role for role in roles}
    return trust


def test_members_open_the_role_s_key_pair_and_nobody_else() -> None:
    role = role_of(ALICE, BOB)
    pairs = [open_role(role, one) for one in (ALICE, BOB)]
    for pair in pairs:
        assert pair is not None
        assert PublicKeys.of(pair.principal) == role.keys[0]
        message = pair.sign.sign(b"message")
        pair.sign.public.verify(message, b"message")
    assert open_role(role, CAROL) is None
    assert decode(Role, encode(role)) == role


def test_each_generation_has_new_keys() -> None:
    first = role_of(ALICE, BOB)
    second = role_of(ALICE, known=first)
    assert (first.generation, second.generation) == (1, 2)
    assert first.keys != second.keys
    assert open_role(second, BOB) is None
    assert open_role(second, ALICE) is not None


def test_a_role_without_members_has_a_key_that_nobody_holds() -> None:
    role = role_of()
    assert role.wraps == {}
    assert open_role(role, ALICE) is None


def test_a_member_named_twice_is_one_member() -> None:
    assert len(role_of(ALICE, ALICE).wraps) == 1


def test_the_keys_of_root_are_the_members_own() -> None:
    role = next_generation("root", [ALICE.public, BOB.public], None, system_entropy)
    assert [keys.principal for keys in role.keys] == [ALICE.public, BOB.public]
    assert role.wraps == {}
    with pytest.raises(UsageError, match="at least one root"):
        next_generation("root", [], role, system_entropy)


@pytest.mark.parametrize("name", ["", "x" * 257, "\ud800"])
def test_a_role_has_a_name(name: str) -> None:
    with pytest.raises(UsageError):
        next_generation(name, [ALICE.public], None, system_entropy)


def test_a_role_has_a_bound() -> None:
    with pytest.raises(LimitExceeded):
        next_generation("Staff", [ALICE.public] * 1025, None, system_entropy)


def test_the_keys_come_from_the_entropy_that_is_handed_in() -> None:
    made = [next_generation("Staff", [], None, SeededEntropy(1)).keys for _ in range(2)]
    assert made[0] == made[1]


def test_a_session_takes_up_the_roles_it_is_a_member_of() -> None:
    bob = fresh(BOB)
    role, other = role_of(BOB), next_generation("Crew", [ALICE.public], None, system_entropy)
    join_roles(trust_with(role, other), bob)
    assert [one.principal.key_id for one in bob.authorities(CHAIN)[1:]] == [
        role.keys[0].principal.key_id
    ]
    assert bob.authorities() == (bob.own,)
    second = role_of(BOB, known=role)
    join_roles(trust_with(second), bob)
    join_roles(trust_with(second), bob)
    assert bob.authorities(CHAIN)[1].principal.key_id == second.keys[0].principal.key_id
    assert len(bob.opening_keys()) == 3


def test_a_member_of_a_member_role_opens_it_too() -> None:
    """A role can be a member: whoever holds its key pair holds what is wrapped to it."""
    inner = role_of(BOB)
    outer = next_generation("Outer", [inner.keys[0].principal], None, system_entropy)
    bob = fresh(BOB)
    join_roles(trust_with(inner, outer), bob)
    assert len(bob.authorities(CHAIN)) == 3


@pytest.mark.parametrize("wrapped", [b"", bytes(1168), bytes(1280), bytes(2000)])
def test_a_bad_wrap_is_no_membership(wrapped: bytes) -> None:
    """It must not keep its victim from opening the chain."""
    role = role_of(ALICE)
    bad = Role(role.name, role.generation, role.keys, {ALICE.public.key_id: wrapped})
    alice = fresh(ALICE)
    join_roles(trust_with(bad), alice)
    assert alice.authorities(CHAIN) == (alice.own,)


def test_wraps_of_another_role_generation_or_key_do_not_count() -> None:
    role = role_of(ALICE)
    for lie in (
        Role("Other", role.generation, role.keys, role.wraps),
        Role(role.name, 2, role.keys, role.wraps),
        Role(role.name, 1, role_of(ALICE).keys, role.wraps),
    ):
        assert open_role(lie, ALICE) is None


def test_a_wrap_of_something_else_does_not_count() -> None:
    from ate.crypto.aead import Sealer
    from ate.crypto.kem import PublicSealingKey

    role = role_of(ALICE)
    info = b"ate/role/1" + (1).to_bytes(4, "little") + b"Staff"
    wrapped = PublicSealingKey(ALICE.public.seal).wrap(b"k" * 32, info)
    for seeds in (b"", bytes(95), bytes(97)):
        sealed = wrapped + Sealer(b"k" * 32).seal(bytes(12), seeds, info)
        assert open_role(Role("Staff", 1, role.keys, {ALICE.public.key_id: sealed}), ALICE) is None
