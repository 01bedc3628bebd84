"""What can be proved, of whom, with whose keys, and what can not."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

import ate
from ate import Access, Any, Everyone, Only
from ate.chain.checker import Checked, check_proof
from ate.chain.checkpoint import checkpoint_row
from ate.chain.prover import is_covered, opened, prove, version
from ate.errors import Compacted, CorruptLog, NoReadKey, NotFound, TrustError, UsageError
from ate.event.row import Kind
from ate.event.system import Role, encode, system_id
from ate.testing.office import Office, draft, sequencer
from ate.testing.stage import Note, Stage, member


async def proof_of(
    chain: ate.Chain, object_id: bytes, *, value: bool = False, at_seq: int | None = None
) -> Checked:
    ledger = chain._ledger
    seq = version(ledger.view, object_id, at_seq)
    shown = opened(ledger, chain.session, seq) if value else None
    return check_proof(prove(ledger, seq, shown=shown).encode())


@pytest.mark.parametrize("suite", [1, 2])
async def test_an_object_of_its_founder(suite: int) -> None:
    stage = Stage(suite=suite)
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("one")
    await stage.as_(alice).store_many(["more"] * 20)
    async with stage.open(alice) as chain:
        await chain.checkpoint()
        found = await proof_of(chain, note)
        assert (found.chain_id, found.name) == (chain.id, "play")
        assert found.proven is not None
        assert found.proven.row.id == note
        assert found.proven.authors == (alice.public,)
        assert found.proven.body is None
        assert found.signer == found.founder == alice.public
        assert (found.size, found.is_pinned) == (3, False)


@pytest.mark.parametrize("suite", [1, 2])
async def test_a_member_and_a_role(suite: int) -> None:
    """Their keys came with rules and roles, in commits of others."""
    stage = Stage(suite=suite, access=Access(read=Everyone, write=Any("team", "root")))
    alice, bob, carol = await stage.cast("alice", "bob", "carol")
    async with stage.open(alice) as chain:
        await chain.set_role("team", [bob.public])
        await chain.set_role("team", [bob.public, carol.public])
    theirs = await stage.as_(carol).store("of the team")
    async with stage.open(alice) as chain, chain.dio() as dio:
        access = Access(read=Everyone, write=Any(bob.public))
        dio.store(Note("desk"), access=access, id=(desk := ate.ObjectId.random()))
    await stage.as_(bob).change(desk, "bob's")
    async with stage.open(alice) as chain:
        await chain.set_role("team", [carol.public])
        await chain.checkpoint()
        found = (await proof_of(chain, desk, value=True)).proven
        assert found is not None
        assert bob.public in found.authors
        assert b"bob's" in found.plain()[1]
        found = (await proof_of(chain, theirs)).proven
        assert found is not None
        names = {one.identity for one in found.authors}
        assert names <= {"carol", "team"}
        assert names
        old = (
            await proof_of(chain, desk, at_seq=chain._ledger.view.seq_at(desk, 10**6) - 1)
        ).proven
        assert old is not None
        assert old.authors == (alice.public,)


@pytest.mark.parametrize("suite", [1, 2])
async def test_roots_that_changed(suite: int) -> None:
    stage = Stage(suite=suite)
    alice, bob, carol = await stage.cast("alice", "bob", "carol")
    first = await stage.as_(alice).store("first")
    async with stage.open(alice) as chain:
        await chain.checkpoint()
        await chain.set_role("root", [alice.public, bob.public])
    async with stage.open(bob) as chain:
        await chain.set_role("root", [carol.public])
    later = await stage.as_(carol).store("later")
    async with stage.open(carol) as chain:
        await chain.checkpoint()
        for note, author in ((first, alice), (later, carol)):
            found = await proof_of(chain, note)
            assert found.founder == alice.public
            assert found.signer == carol.public
            assert found.roots == (carol.public,)
            assert found.proven is not None
            assert found.proven.authors == (author.public,)
        ledger = chain._ledger
        raw = prove(ledger, version(ledger.view, first))
        assert check_proof(raw, roots=[carol.public]).is_pinned
        with pytest.raises(ate.TrustError, match="none of the root keys"):
            check_proof(raw, roots=[alice.public, bob.public])
        old = prove(ledger, version(ledger.view, first), to=2)
        found = check_proof(old, roots=[alice.public])
        assert found.roots == (alice.public,)
        with pytest.raises(UsageError, match="over 3"):
            prove(ledger, 0, to=3)
        with pytest.raises(UsageError, match="came later"):
            prove(ledger, version(ledger.view, later), to=2)


async def test_versions_and_deletions() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("one")
    await stage.as_(alice).change(note, "two")
    await stage.as_(alice).delete(note)
    async with stage.open(alice) as chain:
        await chain.checkpoint()
        view = chain._ledger.view
        newest = (await proof_of(chain, note)).proven
        assert newest is not None
        assert newest.is_deletion
        with pytest.raises(UsageError, match="no value"):
            await proof_of(chain, note, value=True)
        found = (await proof_of(chain, note, at_seq=newest.seq - 1, value=True)).proven
        assert found is not None
        assert found.row.kind == Kind.DATA
        assert b"two" in found.plain()[1]
        with pytest.raises(NotFound):
            version(view, note, 1)
        with pytest.raises(NotFound):
            version(view, bytes(range(16)))
        with pytest.raises(UsageError, match="keys and rules"):
            version(view, system_id("checkpoint", b""))


async def test_a_value_comes_with_the_one_key_that_opens_it() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    many = await stage.as_(alice).store_many(["x", "y", "z"])
    note = await stage.as_(alice).store("alone")
    access = Access(read=Only(bob.public), write=Any(alice.public))
    async with stage.open(alice) as chain, chain.dio() as dio:
        locked = dio.store(Note("for bob"), access=access).id
    async with stage.open(alice) as chain:
        await chain.checkpoint()
        ledger = chain._ledger
        found = (await proof_of(chain, note, value=True)).proven
        assert found is not None
        assert b"alone" in found.plain()[1]
        assert opened(ledger, alice, version(ledger.view, note)).others == 0
        assert opened(ledger, alice, version(ledger.view, many[0])).others == 2
        with pytest.raises(NoReadKey):
            opened(ledger, alice, version(ledger.view, locked))
        with pytest.raises(NoReadKey):
            opened(ledger, None, version(ledger.view, note))
        hashed = (await proof_of(chain, locked)).proven
        assert hashed is not None
        with pytest.raises(ate.AteError, match="hash of the value only"):
            hashed.plain()


async def test_what_a_checkpoint_covers() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        view = chain._ledger.view
        with pytest.raises(UsageError, match="no checkpoint yet"):
            prove(chain._ledger)
        assert not is_covered(view, 0)
        await chain.checkpoint()
        assert is_covered(view, 1)
        assert is_covered(view, 0, [(1, None)])
        async with chain.dio() as dio:
            dio.store(Note("late"))
        assert not is_covered(view, chain.head)
        assert not is_covered(view, 0, [(2, None)])
        assert not is_covered(view, 0, [(1, None)])
        assert is_covered(view, 1)
        assert not is_covered(view, 1, [(1, None)])
        with pytest.raises(UsageError, match="came later"):
            prove(chain._ledger, chain.head)


async def test_a_chain_without_keys_proves_nothing() -> None:
    async with await ate.open("p", memory=True) as chain:
        with pytest.raises(UsageError, match="no keys"):
            prove(chain._ledger)


async def test_what_a_chain_was() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        states = []
        for number in range(9):
            states.append((chain.commits, chain.root))
            async with chain.dio() as dio:
                dio.store(number)
        await chain.checkpoint()
        proof = prove(chain._ledger, 0, earlier=[*states, (3, None)])
        assert check_proof(proof).continued == tuple(states)
        with pytest.raises(TrustError, match="does not continue"):
            prove(chain._ledger, 0, earlier=[(4, bytes(32))])
        with pytest.raises(UsageError):
            prove(chain._ledger, 0, earlier=[(99, None)])


async def test_a_value_that_was_altered_on_the_disk_is_not_proved() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("one")
    async with stage.open(alice) as chain:
        await chain.checkpoint()
        view = chain._ledger.view
        record, at = view.find(1)
        body = bytearray(record.payload)
        body[record.row(at).place + 5] ^= 1
        record.payload = memoryview(bytes(body))
        with pytest.raises(CorruptLog):
            await proof_of(chain, note)


async def test_a_key_that_is_not_kept_any_more() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain, chain.dio() as dio:
        desk = dio.store(Note("d"), access=Access(read=Everyone, write=Any(bob.public))).id
    await stage.as_(bob).change(desk, "b")
    async with stage.open(alice) as chain:
        await chain.checkpoint()
        ledger = chain._ledger
        seq = version(ledger.view, desk)
        record, _ = ledger.view.find(seq)
        certified = ledger.view.trust.certified
        issuers = certified[record.author.key_id].issuers
        certified[record.author.key_id] = certified[record.author.key_id]._replace(
            issuers={bytes(16): 1 << 60}
        )
        with pytest.raises(Compacted):
            prove(ledger, seq)
        certified[record.author.key_id] = certified[record.author.key_id]._replace(
            issuers={**issuers, bytes(16): 1 << 60}
        )
        assert check_proof(prove(ledger, seq)).proven is not None, "another issuer will do"


async def test_roots_that_changed_before_a_compaction(tmp_path: Path) -> None:
    alice, bob = member("alice"), member("bob")
    async with ate.open("c", path=tmp_path, session=alice) as chain:
        dio = chain.dio()
        note = dio.store({"n": 0})
        await dio.commit()
        await chain.set_role("root", [alice.public, bob.public])
        await chain.set_role("root", [bob.public, alice.public])
        for number in range(5):
            note.value = {"n": number + 1}
            await dio.commit()
        old = await chain.prove(note.id, at_seq=note.seq - 1)
        new = await chain.prove(note.id)
        await chain.compact()
        assert (await chain.prove(note.id, to=new.checkpoint.size)).encode() == new.encode()
        with pytest.raises(Compacted):
            await chain.prove(note.id, at_seq=old.seq)
    assert check_proof(old, roots=[alice.public]).proven is not None


async def test_what_a_server_has_signed_in_its_authors_place() -> None:
    """Also after the chain has moved to another server, and each only under its own time."""
    alice, bob = member("alice"), member("bob")
    made, second = await Office.of(alice, bob), sequencer(b"second")
    first, last = draft(b"one"), draft(b"two")
    await made.take(await made.made(bob, first), over=bob)
    role = Role("sequencer", 1, (), sequencers=(second.public.raw,))
    renamed = draft(encode(role), kind=int(Kind.ROLE), id=system_id("role", b"sequencer"))
    await made.take(await made.made(alice, renamed))
    made.key = second
    await made.take(await made.made(bob, last, session=10), over=bob)
    sealing = checkpoint_row(await made.copy(alice), alice)
    await made.take(await made.made(alice, sealing, session=11), over=alice)
    ledger = await made.copy(bob)
    for one, count in ((first, 2), (last, 3)):
        seq = version(ledger.view, one.id)
        evidence = prove(ledger, seq)
        found = check_proof(evidence.encode(), roots=[alice.public])
        assert found.proven is not None
        assert found.proven.authors == (bob.public,)
        assert len(evidence.commits) == count
        *before, shown = evidence.commits
        for signature in (bytes(80), b"", shown.signature[:16] + bytes(64)):
            broken = replace(evidence, commits=(*before, replace(shown, signature=signature)))
            with pytest.raises(TrustError):
                check_proof(broken)
    without = tuple(
        commit for commit in evidence.commits
        if all(row.signed[0] != Kind.ROLE for row in commit.rows)
    )  # fmt: skip
    assert len(without) == 2
    with pytest.raises(TrustError):
        check_proof(replace(evidence, commits=without))
