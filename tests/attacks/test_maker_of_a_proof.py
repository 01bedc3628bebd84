"""Maker of a proof: hands somebody a file, and the chain is not there to look it up."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

import ate
from ate.chain.evidence import Evidence, ShownRow
from ate.crypto.aead import Sealer
from ate.errors import AteError, BadSignature, CannotOpen, TrustError, UntrustedRoot
from ate.event.system import CHECKPOINT_CONTEXT, Checkpoint
from ate.session import Session
from ate.testing.stage import Stage, member
from ate.testing.tamper import copy_of


async def proof(stage: Stage, who: Session, note: ate.ObjectId, **options: Any) -> Evidence:
    async with stage.open(who) as chain:
        return await chain.prove(note, **options)


def sealed_by(evidence: Evidence, who: Session, **changes: Any) -> Evidence:
    """Return a proof with another checkpoint, truly signed by somebody for its chain."""
    chain_id = ate.check_proof(evidence).chain_id
    unsigned = replace(evidence.checkpoint, key_id=who.public.key_id, **changes)
    signature = who.own.sign.sign(unsigned.message(chain_id), CHECKPOINT_CONTEXT)
    return replace(evidence, checkpoint=replace(unsigned, signature=signature))


def with_last_row(evidence: Evidence, row: ShownRow, **changes: Any) -> Evidence:
    *before, last = evidence.commits
    rows = (*last.rows[:-1], row)
    return replace(evidence, commits=(*before, replace(last, rows=rows)), **changes)


# --- the chain and its roots ---


async def test_a_chain_of_its_own() -> None:
    """Without a key to compare it with, any proof is only about some chain of that name."""
    true, forged = Stage("deeds"), Stage("deeds")
    (alice,) = await true.cast("alice")
    (host,) = await forged.cast("host")
    note = await forged.as_(host).store("it is all mine")
    made = await proof(forged, host, note)
    found = ate.check_proof(made)
    assert (found.name, found.is_pinned) == ("deeds", False)
    with pytest.raises(UntrustedRoot):
        ate.check_proof(made, roots=[alice.public])


async def test_to_be_named_as_a_root_proves_nothing() -> None:
    stage = Stage()
    host, alice = member("host"), member("alice")
    async with stage.open(host, roots=[host.public, alice.public]):
        pass
    note = await stage.as_(host).store("alice agrees")
    made = await proof(stage, host, note)
    with pytest.raises(UntrustedRoot, match="host"):
        ate.check_proof(made, roots=[alice.public])
    stolen = replace(made.checkpoint, key_id=alice.public.key_id)
    with pytest.raises(BadSignature):
        ate.check_proof(replace(made, checkpoint=stolen), roots=[alice.public])


async def test_the_checkpoint_of_another_chain() -> None:
    """The same root, the same people, another chain: the signature names the chain."""
    one, other = Stage(), Stage()
    (alice,) = await one.cast("alice")
    await other.cast("alice")
    notes = [await stage.as_(alice).store("x") for stage in (one, other)]
    mine = await proof(one, alice, notes[0])
    theirs = await proof(other, alice, notes[1])
    assert mine.checkpoint.size == theirs.checkpoint.size
    assert theirs.checkpoint.root != mine.checkpoint.root
    swaps = [
        replace(mine, checkpoint=theirs.checkpoint),
        replace(theirs, checkpoint=replace(theirs.checkpoint, signature=mine.checkpoint.signature)),
        replace(mine, commits=(mine.commits[0], *theirs.commits[1:])),
        replace(theirs, commits=(mine.commits[0], *theirs.commits[1:])),
        replace(theirs, commits=mine.commits),
    ]
    for forged in swaps:
        with pytest.raises(TrustError):
            ate.check_proof(forged)


async def test_a_root_that_was_dropped() -> None:
    stage = Stage()
    alice, mallory = member("alice"), member("mallory")
    async with stage.open(mallory, roots=[alice.public, mallory.public]):
        pass
    note = await stage.as_(alice).store("before")
    fork = Stage()
    fork.disk = copy_of(stage.disk)
    async with stage.open(alice) as chain:
        await chain.set_role("root", [alice.public])
    made = await proof(stage, alice, note)
    assert ate.check_proof(made).roots == (alice.public,)
    # Over the true history, which tells that mallory is no root any more.
    with pytest.raises(BadSignature, match="not signed by a root key"):
        ate.check_proof(sealed_by(made, mallory))
    for size in (made.checkpoint.size, made.checkpoint.size - 1, 1 << 40):
        with pytest.raises(TrustError):
            ate.check_proof(sealed_by(made, mallory, size=size))
    # A history in which it never happened: who ever was a root can write one, for ever. What tells
    # is a root key that is known to be one today, or any proof of the other history.
    lie = await fork.as_(mallory).store("and it was never so")
    forged = await proof(fork, mallory, lie)
    assert not ate.check_proof(forged).is_pinned
    with pytest.raises(UntrustedRoot):
        ate.check_proof(forged, roots=[alice.public])
    with pytest.raises(TrustError, match=r"two histories|does not show"):
        ate.check_proof(forged, earlier=[made])
    with pytest.raises(TrustError, match=r"two histories|does not show"):
        ate.check_proof(made, earlier=[forged])


async def test_somebody_who_was_never_a_root() -> None:
    stage = Stage(access=ate.Access(read=ate.Everyone, write=ate.Everyone))
    alice, bob = await stage.cast("alice", "bob")
    note = await stage.as_(bob).store("x")
    made = await proof(stage, alice, note)
    with pytest.raises(BadSignature, match="not signed by a root key"):
        ate.check_proof(sealed_by(made, bob))
    fast = alice.fast(ate.check_proof(made).chain_id, stage.clock.now_us())
    sealed = made.checkpoint
    for signature in (b"", bytes(64), fast.key.sign(b"x"), sealed.signature[:-1]):
        with pytest.raises(BadSignature):
            ate.check_proof(replace(made, checkpoint=replace(sealed, signature=signature)))


# --- the row ---


async def test_a_row_in_place_of_another() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    first, second = await stage.as_(alice).store_many(["mine", "yours"])
    later = await stage.as_(alice).store("later")
    proofs = [await proof(stage, alice, one) for one in (first, second, later)]
    rows = [one.commits[-1].rows[-1] for one in proofs]
    for at, made in enumerate(proofs):
        for other in (row for row in rows if row is not rows[at]):
            for seq in {made.seq, *(one.seq for one in proofs)}:
                for forged in (
                    with_last_row(made, other, seq=seq),
                    with_last_row(made, replace(rows[at], signed=other.signed), seq=seq),
                    with_last_row(made, replace(other, at=rows[at].at), seq=seq),
                ):
                    if forged == made or forged in proofs:
                        continue
                    with pytest.raises(AteError):
                        ate.check_proof(forged)


async def test_another_time_author_or_place() -> None:
    stage = Stage(access=ate.Access(read=ate.Everyone, write=ate.Everyone))
    alice, bob = await stage.cast("alice", "bob")
    await stage.as_(alice).store("hers")
    note = await stage.as_(bob).store("his")
    made = await proof(stage, alice, note)
    *before, last = made.commits
    for change in (
        {"time_us": last.time_us + 1}, {"first_seq": last.first_seq + 1},
        {"index": last.index - 1}, {"index": made.checkpoint.size},
    ):  # fmt: skip
        with pytest.raises(AteError):
            ate.check_proof(replace(made, commits=(*before, replace(last, **change))))
    hers = alice.fast(ate.check_proof(made).chain_id, stage.clock.now_us()).key_id
    renamed = last.author[:72] + hers + last.author[88:]
    with pytest.raises(AteError):
        ate.check_proof(replace(made, commits=(*before, replace(last, author=renamed))))
    found = ate.check_proof(made).proven
    assert found is not None
    assert found.authors == (bob.public,)


# --- the value ---


async def test_another_value() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("10 euros")
    other = await stage.as_(alice).store("99 euros")
    made, swapped = [await proof(stage, alice, one, value=True) for one in (note, other)]
    row, wrong = made.commits[-1].rows[-1], swapped.commits[-1].rows[-1]
    with pytest.raises(TrustError, match="body"):
        ate.check_proof(with_last_row(made, replace(row, body=wrong.body)))
    with pytest.raises(CannotOpen):
        ate.check_proof(replace(made, key=swapped.key))
    assert row.body is not None
    forged = Sealer(made.key).seal(row.at.to_bytes(12, "little"), b"99 euros", row.signed[:80])
    with pytest.raises(TrustError, match="body"):
        ate.check_proof(with_last_row(made, replace(row, body=forged)))
    for part in ({"key": b""}, {"key": bytes(31)}):
        with pytest.raises(AteError):
            ate.check_proof(replace(made, **part))


async def test_the_key_of_a_value_opens_nothing_else() -> None:
    """Not the commit before, not the one behind, not another domain of the same commit."""
    stage = Stage()
    (alice,) = await stage.cast("alice")
    notes = [await stage.as_(alice).store(text) for text in ("one", "two", "three")]
    made = await proof(stage, alice, notes[1], value=True)
    async with stage.open(alice) as chain:
        view = chain._ledger.view
        for seq, record, at in view.rows(1, view.head):
            row = record.row(at)
            if not row.epoch or seq == made.seq:
                continue
            with pytest.raises(CannotOpen):
                body = view.body(record, row)
                Sealer(made.key).open(at.to_bytes(12, "little"), body, record.head(at))


# --- the history ---


async def test_a_history_that_was_written_anew() -> None:
    """A host with a root key shows two people two histories; their proofs tell."""
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("common")
    fork = Stage()
    fork.disk = copy_of(stage.disk)
    await stage.as_(alice).change(note, "for bob")
    await fork.as_(alice).change(note, "for carol")
    bobs = await proof(stage, alice, note)
    carols = await proof(fork, alice, note)
    assert bobs.checkpoint.size == carols.checkpoint.size
    with pytest.raises(TrustError, match="two histories"):
        ate.check_proof(bobs, earlier=[carols])
    await fork.as_(alice).change(note, "again")
    with pytest.raises(TrustError, match="does not continue"):
        await proof(fork, alice, note, continues=bobs)
    honest = await proof(fork, alice, note, continues=carols)
    ate.check_proof(honest, earlier=[carols])
    claimed = replace(honest.continued[0], root=bobs.checkpoint.root)
    with pytest.raises(TrustError):
        ate.check_proof(replace(honest, continued=(claimed,)), earlier=[bobs])


def test_a_checkpoint_is_no_commit_signature() -> None:
    """What a root signs as one thing is never good as another."""
    alice = member("alice")
    sealed = Checkpoint(1, bytes(32), 1, alice.public.key_id)
    message = sealed.message(bytes(32))
    signed = alice.own.sign.sign(message, b"ate/commit/1")
    with pytest.raises(BadSignature):
        alice.own.sign.public.verify(signed, message, CHECKPOINT_CONTEXT)
