from __future__ import annotations

import pytest

from ate.crypto.sign import FastVerifyKey
from ate.errors import BadSignature, LimitExceeded, ProtocolError
from ate.event.commit import AuthorPart
from ate.event.row import Kind
from ate.event.system import (
    CertificateBody,
    Checkpoint,
    Genesis,
    PublicKeys,
    Role,
    encode,
    system_id,
)
from ate.session import CERTIFICATE_CONTEXT, Certificate, KeyPair
from ate.testing.stage import member
from ate.trust.state import Trust

CHAIN = b"c" * 32
ALICE, BOB = member("alice"), member("bob")
NOW = 1_000


def key_of(pair: KeyPair) -> bytes:
    return encode(PublicKeys.of(pair.principal))


def founded(*roots: KeyPair, suite: int = 2) -> Trust:
    trust = Trust()
    trust.chain_id = CHAIN
    keys = tuple(PublicKeys.of(one.principal) for one in roots)
    body = encode(Genesis("x", suite, "distributed", bytes(16), keys))
    trust.apply(Kind.GENESIS, bytes(16), body)
    return trust


def role(name: str, generation: int, *pairs: KeyPair) -> tuple[int, bytes, bytes]:
    keys = tuple(PublicKeys.of(one.principal) for one in pairs)
    return Kind.ROLE, system_id("role", name.encode()), encode(Role(name, generation, keys))


def certificate(
    *,
    subject: bytes = b"s" * 32,
    issuer: KeyPair = ALICE.own,
    chain_id: bytes = CHAIN,
    until_us: int = NOW,
) -> bytes:
    draft = Certificate(subject, issuer.key_id, chain_id, until_us)
    signature = issuer.sign.sign(draft.message(), CERTIFICATE_CONTEXT)
    return encode(CertificateBody(subject, issuer.key_id, chain_id, until_us, signature))


FAST = ALICE.fast(CHAIN, 0).key.public


def test_before_its_genesis_a_chain_has_no_keys() -> None:
    trust = Trust()
    assert (trust.suite, trust.has_roots, trust.root_keys()) == (0, False, frozenset())
    assert trust.verifier(ALICE.public.key_id) is None


def test_the_genesis_makes_the_roots_generation_1() -> None:
    trust = founded(ALICE.own, BOB.own)
    assert (trust.suite, trust.has_roots) == (2, True)
    assert trust.root_keys() == {ALICE.public.key_id, BOB.public.key_id}
    assert trust.roles["root"].generation == 1
    verifier = trust.verifier(BOB.public.key_id)
    assert verifier is not None
    assert verifier.raw == BOB.public.sign


def test_a_chain_is_founded_once() -> None:
    trust = founded(ALICE.own)
    other = encode(Genesis("y", 1, "distributed", b"", (PublicKeys.of(BOB.public),)))
    trust.apply(Kind.GENESIS, bytes(16), other)
    assert trust.root_keys() == {ALICE.public.key_id}


def test_a_chain_without_roots_has_no_root_role() -> None:
    trust = founded(suite=0)
    assert not trust.has_roots
    assert trust.roles == {}


def test_the_newest_generation_replaces_the_one_before() -> None:
    trust = founded(ALICE.own)
    trust.apply(*role("root", 2, BOB.own))
    assert trust.root_keys() == {BOB.public.key_id}
    with pytest.raises(ProtocolError, match="went back"):
        trust.apply(*role("root", 1, ALICE.own))
    assert trust.root_keys() == {BOB.public.key_id}


def test_a_role_stands_under_its_own_id() -> None:
    trust = founded(ALICE.own)
    _, _, body = role("Staff", 1, BOB.own)
    with pytest.raises(ProtocolError, match="its own id"):
        trust.apply(Kind.ROLE, system_id("role", b"Other"), body)


def test_rules_resolve_to_key_ids_and_the_keys_of_roles() -> None:
    trust = founded(ALICE.own)
    trust.apply(*role("Staff", 1, BOB.own))
    assert trust.resolve((b"k" * 16, "Staff", "Nowhere")) == {b"k" * 16, BOB.public.key_id}
    assert trust.role_keys("Nowhere") == frozenset()


@pytest.mark.parametrize("sign, seal", [(1983, 1216), (1984, 1215), (0, 0)])
def test_published_keys_have_their_length(sign: int, seal: int) -> None:
    with pytest.raises(ProtocolError, match="wrong length"):
        founded(ALICE.own).apply(Kind.KEY, b"", encode(PublicKeys("x", bytes(sign), bytes(seal))))


def test_a_role_has_a_bound() -> None:
    keys = (PublicKeys("x", b"", b""),) * 1025
    with pytest.raises(LimitExceeded):
        founded(ALICE.own).apply(
            Kind.ROLE, system_id("role", b"Staff"), encode(Role("Staff", 1, keys))
        )


def test_a_key_is_published_once() -> None:
    """A later row does not rename its owner, and cannot exchange one of the two keys."""
    trust = founded(ALICE.own)
    trust.apply(Kind.KEY, b"", encode(PublicKeys("mallory", ALICE.public.sign, ALICE.public.seal)))
    trust.apply(Kind.KEY, b"", encode(PublicKeys("mallory", ALICE.public.sign, BOB.public.seal)))
    assert trust.keys[ALICE.public.key_id] == ALICE.public
    assert len(trust.keys) == 2


def test_a_certified_session_key_speaks_for_its_issuers_until_they_say() -> None:
    trust = founded(ALICE.own)
    trust.apply(Kind.KEY, b"", key_of(BOB.own))
    trust.apply(Kind.CERTIFICATE, b"", certificate(subject=FAST.raw, until_us=NOW))
    trust.apply(
        Kind.CERTIFICATE, b"", certificate(subject=FAST.raw, issuer=BOB.own, until_us=NOW + 9)
    )
    assert trust.authorities(FAST.key_id, NOW) == {ALICE.public.key_id, BOB.public.key_id}
    assert trust.authorities(FAST.key_id, NOW + 1) == {BOB.public.key_id}
    assert trust.authorities(FAST.key_id, NOW + 10) == frozenset()
    assert trust.verifier(FAST.key_id) == FAST


def test_a_long_term_key_speaks_for_itself_and_no_key_for_nobody() -> None:
    trust = founded(ALICE.own)
    assert trust.authorities(ALICE.public.key_id, NOW) == {ALICE.public.key_id}
    assert trust.authorities(bytes(16), NOW) == frozenset()


def test_a_certificate_for_another_chain_is_refused() -> None:
    with pytest.raises(BadSignature, match="for another chain"):
        founded(ALICE.own).apply(Kind.CERTIFICATE, b"", certificate(chain_id=b"o" * 32))
    with pytest.raises(BadSignature, match="for another chain"):
        founded(ALICE.own).apply(Kind.CERTIFICATE, b"", certificate(subject=b"short"))


def test_a_certificate_of_an_unknown_issuer_is_refused() -> None:
    with pytest.raises(BadSignature, match="unknown key"):
        founded(ALICE.own).apply(Kind.CERTIFICATE, b"", certificate(issuer=BOB.own))


def test_a_certificate_by_somebody_else_is_refused() -> None:
    """Bob's signature under alice's name; and a good one that was prolonged."""
    forged = KeyPair(BOB.own.sign, ALICE.own.seal, ALICE.public)
    prolonged = certificate().replace(NOW.to_bytes(2, "big"), (NOW + 1).to_bytes(2, "big"))
    for body in (certificate(issuer=forged), prolonged):
        trust = founded(ALICE.own)
        with pytest.raises(BadSignature):
            trust.apply(Kind.CERTIFICATE, b"", body)
        assert trust.certified == {}


def test_a_copy_learns_alone() -> None:
    trust = founded(ALICE.own)
    twin = trust.copy()
    twin.apply(Kind.KEY, b"", key_of(BOB.own))
    twin.apply(*role("Staff", 1, BOB.own))
    twin.apply(Kind.CERTIFICATE, b"", certificate(subject=FAST.raw))
    assert BOB.public.key_id not in trust.keys
    assert "Staff" not in trust.roles
    assert trust.verifier(FAST.key_id) is None
    assert (twin.chain_id, twin.suite) == (trust.chain_id, 2)
    trust.apply(Kind.CERTIFICATE, b"", certificate(subject=FAST.raw))
    assert trust.verifier(FAST.key_id) == FAST


def test_the_newest_checkpoint_is_kept() -> None:
    trust = founded(ALICE.own)
    checkpoint = Checkpoint(3, b"r" * 32, NOW, ALICE.public.key_id, b"signature")
    trust.apply(Kind.CHECKPOINT, b"", encode(checkpoint))
    assert trust.copy().checkpoint == trust.checkpoint == checkpoint


def test_other_rows_are_none_of_its_business() -> None:
    trust = founded(ALICE.own)
    trust.apply(Kind.GRANT, b"", b"no grant")
    trust.apply(Kind.DATA, b"", b"no data")
    assert trust.keys.keys() == {ALICE.public.key_id}


@pytest.mark.parametrize("kind", [Kind.KEY, Kind.CERTIFICATE, Kind.ROLE, Kind.CHECKPOINT])
def test_garbage_is_a_protocol_error(kind: Kind) -> None:
    with pytest.raises(ProtocolError):
        founded(ALICE.own).apply(kind, b"", b"\xc1")


# --- sequencers -----------------------------------------------------------------------------------


def central(policy: dict[str, object], mode: str = "centralized") -> Trust:
    trust = Trust()
    trust.chain_id = CHAIN
    roots = (PublicKeys.of(ALICE.public),)
    body = encode(Genesis("x", 2, mode, bytes(16), roots, policy))
    trust.apply(Kind.GENESIS, bytes(16), body)
    return trust


def sequencer_role(*keys: bytes, generation: int = 1, name: str = "sequencer") -> Role:
    return Role(name, generation, (), sequencers=keys)


def learn(trust: Trust, role: Role) -> None:
    trust.apply(Kind.ROLE, system_id("role", role.name.encode()), encode(role))


ONE, TWO = FastVerifyKey(b"\x01" * 32), FastVerifyKey(b"\x02" * 32)


def test_the_genesis_names_sequencers_until_a_role_names_others() -> None:
    trust = central({"sequencers": [ONE.raw]})
    assert trust.sequencers == {ONE.key_id: ONE}
    assert trust.sequencers is trust.sequencers is trust.copy().sequencers
    before = trust.copy()
    learn(trust, sequencer_role(ONE.raw, TWO.raw))
    assert set(trust.sequencers) == {ONE.key_id, TWO.key_id}
    learn(trust, sequencer_role(TWO.raw, generation=2))
    assert trust.sequencers == {TWO.key_id: TWO}
    assert before.sequencers == {ONE.key_id: ONE}


@pytest.mark.parametrize("trust", [central({}), central({}, "distributed"), Trust()])
def test_most_chains_have_none(trust: Trust) -> None:
    assert trust.sequencers == {}
    author = AuthorPart(1, 0, 0, 1, CHAIN, 1, 1, 1, 0, b"k" * 16, 0, CHAIN, CHAIN, CHAIN)
    assert trust.spoken_for(author, NOW) == {b"k" * 16}


@pytest.mark.parametrize(
    "role",
    [
        sequencer_role(),
        sequencer_role(b"short"),
        sequencer_role(ONE.raw, name="others"),
        Role("sequencer", 1, (PublicKeys.of(BOB.public),), sequencers=(ONE.raw,)),
        Role("sequencer", 1, (), {b"m": b"w"}, (ONE.raw,)),
    ],
)
def test_what_names_no_sequencers(role: Role) -> None:
    trust = central({"sequencers": [ONE.raw]})
    with pytest.raises(ProtocolError):
        learn(trust, role)
    assert trust.sequencers == {ONE.key_id: ONE}


def test_sequencers_have_a_bound() -> None:
    with pytest.raises(LimitExceeded):
        learn(central({"sequencers": [ONE.raw]}), sequencer_role(*[ONE.raw] * 17))


def test_what_a_server_has_signed_speaks_for_the_roles_of_its_author() -> None:
    trust = central({"sequencers": [ONE.raw]})
    keys = (PublicKeys.of(member("team").public),)
    learn(trust, Role("team", 1, keys, {BOB.public.key_id: b"a wrap"}))
    unsigned = AuthorPart(1, 0, 0, 1, CHAIN, 1, 1, 1, 0, BOB.public.key_id, 0, CHAIN, CHAIN, CHAIN)
    both = {BOB.public.key_id, member("team").public.key_id}
    assert trust.spoken_for(unsigned, NOW) == both
    assert trust.spoken_for(unsigned._replace(suite=1), NOW) == {BOB.public.key_id}
    learn(trust, Role("team", 2, keys, {ALICE.public.key_id: b"a wrap"}))
    assert trust.spoken_for(unsigned, NOW) == {BOB.public.key_id}
