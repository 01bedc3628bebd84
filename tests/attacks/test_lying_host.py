"""Lying host: keeps or orders the chain for others and does not follow the rules."""

from __future__ import annotations

import pytest

from ate import merkle
from ate.chain.ledger import Ledger
from ate.crypto.entropy import system_entropy
from ate.errors import BadSignature, CorruptLog, TrustError, UntrustedRoot, WriteDenied
from ate.event.access import Access, Everyone
from ate.event.commit import Record
from ate.event.row import Kind
from ate.event.system import Genesis, PublicKeys, encode
from ate.ids import ROOT, ObjectId
from ate.testing.forger import Forger, Line, ruled
from ate.testing.stage import Stage, member
from ate.testing.tamper import copy_of, ordered, relinked


async def test_it_cannot_write_in_an_authors_name() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store("x")
    host = member("host")
    fast = alice.fast((await stage.ledger()).view.trust.chain_id, stage.clock.now_us())
    for key_id in (alice.public.key_id, fast.key_id):
        forger = await stage.forger(host)
        stage_before = stage.backup()
        stage.tamperer().append(forger.commit(Line(ObjectId.random()), key_id=key_id))
        with pytest.raises(CorruptLog):
            await stage.as_(alice).open()
        stage.disk = stage_before


async def test_it_cannot_use_a_commit_on_another_chain() -> None:
    """The same people, the same rules, another chain."""
    one, other = Stage(), Stage()
    (alice,) = await one.cast("alice")
    await other.cast("alice")
    await one.as_(alice).store("meant for one")
    carried = one.tamperer().payloads()[-1]
    tamperer = other.tamperer()
    tamperer.write(relinked([*tamperer.payloads(), carried]))
    with pytest.raises(CorruptLog, match="another chain"):
        await other.as_(alice).open()


async def test_two_continuations_are_told_apart_by_their_first_comparison() -> None:
    """A host can show two readers two stories; their roots differ from the first lie on."""
    stage = Stage()
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store("common")
    fork = Stage()
    fork.disk = copy_of(stage.disk)
    await stage.as_(alice).store("for bob")
    await fork.as_(alice).store("for carol")
    async with stage.open(alice) as left, fork.open(alice) as right:
        assert left.commits == right.commits
        assert left.root != right.root
        assert left.id == right.id


async def test_a_receipt_proves_what_was_accepted() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        receipts = []
        for number in range(5):
            dio = chain.dio()
            dio.store({"n": number})
            receipts.append(await dio.commit())
    leaves = [Record(memoryview(one)).leaf for one in stage.tamperer().payloads()]
    for receipt in receipts:
        proof = receipt.proof()
        proof.check(receipt.chain_root)
        assert merkle.root(leaves[: proof.size]) == receipt.chain_root
        with pytest.raises(TrustError):
            proof.check(receipts[receipts.index(receipt) - 1].chain_root)
        other = receipts[receipts.index(receipt) - 1].proof()
        with pytest.raises(TrustError):
            other.check(receipt.chain_root)
    last = receipts[-1].proof()
    consistency = merkle.consistency_proof(leaves, 3)
    merkle.verify_consistency(
        3, merkle.root(leaves[:3]), last.size, consistency, receipts[-1].chain_root
    )
    rewritten = [leaves[0], leaves[2], leaves[1], *leaves[3:]]
    with pytest.raises(TrustError):
        merkle.verify_consistency(
            3, merkle.root(rewritten[:3]), last.size, consistency, receipts[-1].chain_root
        )


# --- roots ---------------------------------------------------------------------------------------


async def test_a_chain_of_somebody_else_under_the_pinned_name() -> None:
    stage = Stage()
    (host,) = await stage.cast("host")
    await stage.as_(host).store("looks right", access=Access(read=Everyone))
    alice = member("alice")
    for who in (alice, None):
        with pytest.raises(UntrustedRoot):
            await stage.as_(who).open(roots=[alice.public], readonly=True)


async def test_to_be_named_as_a_root_proves_nothing() -> None:
    """The host founds the chain, and names alice beside itself so that her pin would fit."""
    stage = Stage()
    host, alice = member("host"), member("alice")
    async with stage.open(host, roots=[host.public, alice.public]):
        pass
    with pytest.raises(UntrustedRoot, match="founded"):
        await stage.as_(alice).open(roots=[alice.public])
    await stage.as_(host).open(roots=[host.public])


async def test_another_name() -> None:
    stage = Stage("bank")
    (alice,) = await stage.cast("alice")
    other = Stage("market")
    await other.cast("alice")
    other.disk.put(
        other.tamperer().path("head.000001"),
        stage.disk.snapshot()[stage.tamperer().path("head.000001")],
    )
    other.tamperer().remove("index")
    with pytest.raises(UntrustedRoot, match="bank"):
        await other.as_(alice).open()


def genesis(*roots: PublicKeys, suite: int = 2, mode: str = "distributed") -> Line:
    told = Genesis("play", suite, mode, bytes(16), roots)
    line = Line(ROOT, kind=Kind.GENESIS, body=encode(told))
    return ruled(line, Access())


async def planted(stage: Stage, forger: Forger, line: Line) -> None:
    """Put a forged first commit on an empty disk and open it."""
    from ate.event.commit import SequencerPart

    tamperer = stage.tamperer()
    tamperer.write([ordered(forger.commit(line), SequencerPart(1, 1, 0, bytes(32)))])
    tamperer.remove("index")
    ledger = Ledger(stage.log(), session=None, clock=stage.clock, entropy=system_entropy)
    await ledger.replay()


async def test_a_genesis_that_its_root_never_signed() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    mallory, hers = member("mallory"), PublicKeys.of(alice.public)
    chain_id = bytes(32)
    await planted(stage, Forger(chain_id, alice.own), genesis(hers))
    stage = Stage()
    await stage.cast("alice")
    for forger in (
        Forger(chain_id, mallory.own),
        Forger(chain_id, mallory.own, suite=0),
        Forger(chain_id, None),
        Forger(chain_id, alice.fast(chain_id, 0).key),
    ):
        with pytest.raises(CorruptLog, match="genesis"):
            await planted(stage, forger, genesis(hers))
    bad = Forger(chain_id, mallory.own)
    bad_key = alice.public.key_id
    tamperer = stage.tamperer()
    from ate.event.commit import SequencerPart

    commit = bad.commit(genesis(hers), key_id=bad_key)
    tamperer.write([ordered(commit, SequencerPart(1, 1, 0, bytes(32)))])
    with pytest.raises(CorruptLog, match="verify"):
        await stage.ledger()


async def test_a_genesis_of_a_weaker_or_unknown_kind() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    hers = PublicKeys.of(alice.public)
    for line in (
        genesis(hers, suite=0),
        genesis(hers, suite=3),
        genesis(hers, mode="believe me"),
        Line(
            ObjectId.random(),
            kind=Kind.GENESIS,
            body=encode(Genesis("play", 2, "distributed", b"", (hers,))),
        ),
        Line(ROOT, kind=Kind.GENESIS, body=b"\x80"),
        Line(ObjectId.random(), body=b"no genesis at all"),
    ):
        from ate.errors import StorageError

        with pytest.raises(StorageError):
            await planted(stage, Forger(bytes(32), alice.own), line)


async def test_centralized_is_no_leave_to_forge_here() -> None:
    """In this version every program judges for itself in both modes."""
    stage = Stage()
    alice = member("alice")
    async with stage.open(alice, mode="centralized"):
        pass
    forger = await stage.forger(member("host"))
    with pytest.raises((BadSignature, WriteDenied)):
        await stage.judge(forger.commit(Line(ObjectId.random())))
