"""Future quantum computer: recordings of today, Ed25519 and X25519 broken, ML-DSA and ML-KEM not.

A broken Ed25519 is played by handing over the Ed25519 half of a key. Downgrades belong here as
well: an attacker who breaks the weaker scheme first tries to be judged by it.
"""

from __future__ import annotations

import pytest

from ate.crypto.kem import SealingKey
from ate.crypto.sign import FastKey, SigningKey
from ate.errors import BadSignature, CannotOpen, CorruptLog
from ate.event.access import Access, Everyone
from ate.event.commit import SIGN_CONTEXT
from ate.ids import ObjectId
from ate.session import Session
from ate.testing.forger import Line, certificate_lines
from ate.testing.stage import Stage, member


def half_broken(alice: Session) -> SigningKey:
    """Return a key with alice's Ed25519 half, recovered, and a lattice half that is not hers."""
    return SigningKey.from_seed(member("mallory").own.sign.seed[:32] + alice.own.sign.seed[32:])


async def test_one_half_of_a_composite_signature_is_not_enough() -> None:
    stage = Stage(suite=1)
    (alice,) = await stage.cast("alice")
    for key in (
        half_broken(alice),
        SigningKey.from_seed(alice.own.sign.seed[:32] + member("mallory").own.sign.seed[32:]),
    ):
        forger = await stage.forger(None, key=key)
        commit = forger.commit(Line(ObjectId.random()), key_id=alice.public.key_id)
        with pytest.raises(BadSignature, match="verify"):
            await stage.judge(commit)


async def test_a_broken_half_makes_no_certificate() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store("x")
    chain_id = (await stage.ledger()).view.trust.chain_id
    forged = Session("alice", alice.own)
    lines = certificate_lines(forged, chain_id, stage.clock.now_us())
    certificate = forged.fast(chain_id, stage.clock.now_us()).certificates[0]
    bad = half_broken(alice).sign(certificate.message(), b"ate/certificate/1")
    body = lines[-1].body.replace(certificate.signature, bad)
    line = Line(lines[-1].id, kind=lines[-1].kind, body=body)
    forger = await stage.forger(forged)
    with pytest.raises(BadSignature):
        await stage.judge(forger.commit(*lines[:-1], line, Line(ObjectId.random())))


@pytest.mark.parametrize("suite", [0, 2, 3, 255])
async def test_a_chain_of_suite_1_takes_nothing_weaker(suite: int) -> None:
    """Even where everybody may write, and with a certificate that is in order."""
    stage = Stage(suite=1, access=Access(read=Everyone, write=Everyone))
    (alice,) = await stage.cast("alice")
    forger = await stage.forger(alice, suite=suite)
    lines = certificate_lines(alice, forger.chain_id, stage.clock.now_us())
    if suite == 0:
        forger.key = None
    with pytest.raises(BadSignature, match="suite"):
        await stage.judge(forger.commit(*lines, Line(ObjectId.random())))


@pytest.mark.parametrize("suite", [0, 3, 255])
async def test_a_chain_of_suite_2_takes_nothing_unsigned(suite: int) -> None:
    stage = Stage(access=Access(read=Everyone, write=Everyone))
    (alice,) = await stage.cast("alice")
    forger = await stage.forger(None, suite=suite)
    for key_id in (None, alice.public.key_id):
        commit = forger.commit(Line(ObjectId.random()), key_id=key_id)
        with pytest.raises(BadSignature):
            await stage.judge(commit)


async def test_a_fast_key_cannot_pose_as_a_composite_one_nor_the_other_way() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store("publish the certificate")
    fast = await stage.forger(alice, suite=1)
    with pytest.raises(BadSignature, match="suite"):
        await stage.judge(fast.commit(Line(ObjectId.random())))
    slow = await stage.forger(alice.own, suite=2)
    lines = certificate_lines(alice, slow.chain_id, stage.clock.now_us())
    with pytest.raises(BadSignature):
        await stage.judge(slow.commit(*lines, Line(ObjectId.random())))


async def test_the_stronger_suite_is_welcome() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    forger = await stage.forger(alice.own)
    await stage.judge(
        forger.commit(*certificate_lines(alice, forger.chain_id, 0)[:1], Line(ObjectId.random()))
    )


async def test_the_suite_is_part_of_what_is_signed_first() -> None:
    """It stands in the genesis row, whose hash is the chain's id; and a suite byte is signed."""
    stage = Stage(suite=1)
    (alice,) = await stage.cast("alice")
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    assert b"\xa5suite\x01" in payloads[0]
    tamperer.write([payloads[0].replace(b"\xa5suite\x01", b"\xa5suite\x02"), *payloads[1:]])
    tamperer.remove("index")
    with pytest.raises(CorruptLog):
        await stage.as_(alice).open()


async def test_signatures_of_one_purpose_serve_no_other() -> None:
    key, fast = member("alice").own.sign, FastKey.from_seed(bytes(32))
    message = b"m" * 32
    for one in (key, fast):
        signature = one.sign(message, SIGN_CONTEXT)
        one.public.verify(signature, message, SIGN_CONTEXT)
        for context in (b"", b"ate/certificate/1", b"ate/checkpoint/1", SIGN_CONTEXT + b"\0"):
            with pytest.raises(BadSignature):
                one.public.verify(signature, message, context)


async def test_recorded_wraps_need_both_halves() -> None:
    """A wrapped key opens with the X-Wing seed alone; no half of it is a key by itself."""
    alice, other = SealingKey.from_seed(bytes(32)), SealingKey.from_seed(bytes([1]) * 32)
    wrapped = alice.public.wrap(b"K" * 32, b"info")
    assert alice.unwrap(wrapped, b"info") == b"K" * 32
    lattice, curve = wrapped[:1088], wrapped[1088:1120]
    theirs = other.public.wrap(b"K" * 32, b"info")
    for mixed in (
        lattice + theirs[1088:1120] + wrapped[1120:],
        theirs[:1088] + curve + wrapped[1120:],
    ):
        with pytest.raises(CannotOpen):
            alice.unwrap(mixed, b"info")
