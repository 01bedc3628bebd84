from __future__ import annotations

import pytest

import ate
from ate.errors import NoReadKey, NotFound, TrustError, UsageError
from ate.testing.stage import Note, Stage, member


async def test_a_checkpoint_is_written_when_none_covers_it() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        async with chain.dio() as dio:
            note = dio.store(Note("one")).id
        before = chain.commits
        found = ate.check_proof(await chain.prove(note), roots=[alice.public])
        assert (found.size, chain.commits) == (before, before + 1)
        await chain.prove(note)
        assert chain.commits == before + 1, "the one that is there will do"
        with pytest.raises(UsageError, match="over 1 commits"):
            await chain.prove(note, to=1)


async def test_who_cannot_write_one_is_told_what_to_do() -> None:
    stage = Stage(access=ate.Access(read=ate.Everyone, write=ate.Everyone))
    alice, bob = await stage.cast("alice", "bob")
    note = await stage.as_(bob).store("one")
    for options in ({"who": bob}, {"who": alice, "readonly": True}, {"who": None}):
        async with stage.open(**options) as chain:  # type: ignore[arg-type]
            with pytest.raises(UsageError, match="no checkpoint yet") as found:
                await chain.prove(note)
            assert "checkpoint()" in found.value.hint
    async with stage.open(bob) as chain:
        proof = await chain.prove(note, session=alice)
        assert ate.check_proof(proof).signer == alice.public
    async with stage.open(None, readonly=True) as chain:
        assert (await chain.prove(note)).encode() == proof.encode()


async def test_a_value_is_shown_alone_or_on_purpose() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    one, _, _ = await stage.as_(alice).store_many(["x", "y", "z"])
    async with stage.open(alice) as chain:
        with pytest.raises(UsageError, match="opens 2 more"):
            await chain.prove(one, value=True)
        proof = await chain.prove(one, value=True, reveal=True)
        found = ate.check_proof(proof).proven
        assert found is not None
        assert b"x" in found.plain()[1]
        with pytest.raises(NoReadKey):
            await chain.prove(one, value=True, session=bob)
        for wrong in ({"value": True}, {"at_seq": 3}):
            with pytest.raises(UsageError, match="whose value"):
                await chain.prove(**wrong)  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            await chain.prove(ate.ObjectId.random())


async def test_what_a_chain_was_before() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        dio = chain.dio()
        note = dio.store(Note("one")).id
        receipt = await dio.commit()
        old = await chain.prove(note)
        for known in (receipt, old, 2):
            proof = await chain.prove(continues=known)
            state = ate.check_proof(proof).continued
            assert [size for size, _ in state] == [2]
        assert state == ((2, receipt.chain_root),)
        async with chain.dio() as other:
            other.store(Note("two"))
        new = await chain.prove(continues=chain.commits)
        assert new.checkpoint.size > old.checkpoint.size, "an older one would not cover that"
    other_stage = Stage()
    await other_stage.cast("alice")
    async with other_stage.open(alice) as chain, chain.dio() as dio:
        dio.store(Note("one"))
    async with other_stage.open(alice) as chain:
        with pytest.raises(TrustError, match="does not continue"):
            await chain.prove(continues=receipt)


async def test_a_closed_chain_proves_nothing() -> None:
    chain = await ate.open("p", memory=True, session=member("alice"))
    await chain.close()
    with pytest.raises(UsageError, match="closed"):
        await chain.prove()
    async with await ate.open("p", memory=True) as chain:
        with pytest.raises(UsageError, match="no keys"):
            await chain.prove()


def test_without_await() -> None:
    alice = member("alice")
    with ate.blocking.open("p", memory=True, session=alice) as chain:
        dio = chain.dio()
        note = dio.store(Note("one")).id
        dio.commit()
        proof = chain.prove(note, value=True)
    assert ate.check_proof(proof.encode(), roots=[alice.public]).proven is not None
