"""Thief of a key: has one private key of alice's and nothing else."""

from __future__ import annotations

import pytest

from ate.crypto.sign import FastKey
from ate.errors import BadSignature, CorruptLog, NoReadKey, WriteDenied
from ate.event.access import Access, Any, Everyone
from ate.event.row import Kind
from ate.event.system import CertificateBody, encode, system_id
from ate.ids import ObjectId
from ate.session import CERTIFICATE_DAYS, Certificate, KeyPair, Session
from ate.testing.forger import Forger, Line, certificate_lines
from ate.testing.stage import Stage, member

DAY_S = 86_400


async def thief_of_a_session_key(stage: Stage, alice: Session) -> Forger:
    """Return a forger who holds the fast key that is certified on the chain."""
    return await stage.forger(alice)


async def test_a_session_key_signs_until_its_certificate_ends_and_not_after() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store("first")
    thief = await thief_of_a_session_key(stage, alice)
    stage.clock.advance(CERTIFICATE_DAYS * DAY_S - 60)
    await stage.judge(thief.commit(Line(ObjectId.random())))
    stage.clock.advance(120)
    thief = await stage.forger(alice, key=thief.key)
    late = thief.commit(Line(ObjectId.random()))
    with pytest.raises(BadSignature, match="certificate"):
        await stage.judge(late)


async def test_an_expired_key_is_refused_where_everybody_may_write() -> None:
    stage = Stage(access=Access(read=Everyone, write=Everyone))
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store("first")
    fast = alice.fast((await stage.ledger()).view.trust.chain_id, stage.clock.now_us())
    stage.clock.advance((CERTIFICATE_DAYS + 1) * DAY_S)
    thief = await stage.forger(alice, key=fast.key)
    with pytest.raises(BadSignature):
        await stage.judge(thief.commit(Line(ObjectId.random())))


async def test_a_late_commit_planted_on_the_disk_is_found() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store("first")
    thief = await thief_of_a_session_key(stage, alice)
    stage.clock.advance((CERTIFICATE_DAYS + 1) * DAY_S)
    stage.tamperer().append(thief.commit(Line(ObjectId.random())), time_us=stage.clock.now_us())
    with pytest.raises(CorruptLog):
        await stage.as_(alice).open()


async def test_a_session_key_cannot_lengthen_its_life() -> None:
    """Only the long-term key issues certificates; the session key signs one for itself in vain."""
    stage = Stage()
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store("first")
    thief = await thief_of_a_session_key(stage, alice)
    assert isinstance(thief.key, FastKey)
    subject, issuer = bytes(thief.key.public.raw), alice.public.key_id
    until = stage.clock.now_us() + 10**15
    claim = Certificate(subject, issuer, thief.chain_id, until)
    mallory = member("mallory").own
    signatures = (
        thief.key.sign(claim.message(), b"ate/certificate/1"),
        mallory.sign.sign(claim.message(), b"ate/certificate/1"),
        alice.own.sign.sign(claim.message(), b"ate/commit/1"),
    )
    for signature in signatures:
        body = encode(CertificateBody(subject, issuer, thief.chain_id, until, signature))
        line = Line(system_id("certificate", subject + issuer), kind=Kind.CERTIFICATE, body=body)
        with pytest.raises(BadSignature):
            await stage.judge(thief.commit(line, Line(ObjectId.random())))


async def test_a_session_key_is_for_one_chain() -> None:
    """Its certificate names the chain, so bringing it along to another one does not help."""
    stage, other = Stage("one"), Stage("other")
    (alice,) = await stage.cast("alice")
    await other.cast("alice")
    await stage.as_(alice).store("first")
    chain_id = (await stage.ledger()).view.trust.chain_id
    carried = certificate_lines(alice, chain_id, stage.clock.now_us())
    thief = await other.forger(alice, key=alice.fast(chain_id, stage.clock.now_us()).key)
    with pytest.raises(BadSignature, match="another chain"):
        await other.judge(thief.commit(*carried, Line(ObjectId.random())))
    with pytest.raises(BadSignature):
        await other.judge(thief.commit(Line(ObjectId.random())))


async def test_a_signing_key_opens_nothing() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("secret")
    seeds = alice.own.sign.seed, member("mallory").own.seal.seed
    thief = Session("thief", KeyPair.from_seeds("thief", *seeds))
    assert thief.public.sign == alice.public.sign
    with pytest.raises(NoReadKey):
        await stage.as_(thief).load(note)


async def test_a_sealing_key_signs_nothing_and_opens_its_domains() -> None:
    """It does open what was wrapped to it, as the threat model says; no test can forbid that."""
    stage = Stage()
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store("secret")
    mallory = member("mallory").own
    thief = Session("thief", KeyPair.from_seeds("thief", mallory.sign.seed, alice.own.seal.seed))
    forger = await stage.forger(thief)
    lines = certificate_lines(thief, forger.chain_id, stage.clock.now_us())
    with pytest.raises(WriteDenied, match="root key"):
        await stage.judge(forger.commit(*lines, Line(ObjectId.random())))


async def test_a_stolen_key_is_shut_out_by_changing_the_rule() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    rule = Access(read=Everyone, write=Any(bob.public))
    folder = await stage.as_(alice).store("folder", access=rule)
    await stage.as_(bob).store("by bob", parent=folder)
    thief = await stage.forger(bob)
    commit = thief.commit(Line(ObjectId.random(), folder))
    await stage.judge(commit)
    changed = Access(read=Everyone, write=Any(alice.public))
    await stage.as_(bob).rule(folder, changed)
    with pytest.raises(WriteDenied, match="rule of parent"):
        await stage.judge(commit)
