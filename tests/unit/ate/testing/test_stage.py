from __future__ import annotations

import pytest

from ate.errors import Deleted, NoReadKey, NotFound, WriteDenied
from ate.event.access import Access, Everyone
from ate.ids import ObjectId
from ate.testing.forger import Line, certificate_lines
from ate.testing.stage import Stage, member, role_draft, submit


async def test_each_word_does_one_thing_and_lasts() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    folder = await stage.as_(alice).store("folder", access=Access(read=Everyone))
    note = await stage.as_(alice).store("note", parent=folder, id=ObjectId(b"n" * 16))
    assert note == ObjectId(b"n" * 16)
    assert await stage.as_(bob).load(note) == "note"
    await stage.as_(alice).change(note, "changed")
    await stage.as_(alice).move(note, None)
    assert await stage.as_(alice).load(note) == "changed"
    with pytest.raises(NoReadKey):
        await stage.as_(bob).load(note)
    await stage.as_(alice).rule(note, Access(read=Everyone))
    assert sorted(await stage.as_(bob).texts()) == ["changed", "folder"]
    many = await stage.as_(alice).store_many(["a", "b"], parent=folder)
    assert [await stage.as_(bob).load(one) for one in many] == ["a", "b"]
    await stage.as_(alice).delete(note)
    with pytest.raises(Deleted):
        await stage.as_(alice).load(note)
    assert await stage.as_(alice).open() == (await stage.ledger()).view.head


async def test_actors_repeat_and_chains_need_none() -> None:
    assert member("alice").public == member("alice").public
    stage = Stage("scratch")
    note = await stage.as_(None).store("free for all")
    assert await stage.as_(None).load(note, at_seq=2) == "free for all"
    with pytest.raises(NotFound):
        await stage.as_(None).load(ObjectId(b"x" * 16))
    assert stage.directory == "/chains/scratch"


async def test_it_judges_what_comes_from_elsewhere() -> None:
    stage = Stage(suite=1)
    alice, mallory = await stage.cast("alice", "mallory")
    before = stage.backup().snapshot()
    for who, is_welcome in ((alice.own, True), (mallory.own, False)):
        forger = await stage.forger(who)
        session = alice if is_welcome else mallory
        keys = certificate_lines(session, forger.chain_id, 0)[:1]
        commit = forger.commit(*keys, Line(ObjectId.random()))
        if is_welcome:
            await stage.judge(commit, time_us=5)
        else:
            with pytest.raises(WriteDenied):
                await stage.judge(commit)
    assert stage.backup().snapshot() == before
    assert (await stage.verify()).ok


async def test_roles_and_other_rows_below_the_objects() -> None:
    stage = Stage(access=Access(read=Everyone))
    alice, bob = await stage.cast("alice", "bob")
    await stage.as_(alice).set_role("root", 2, alice.public, bob.public)
    async with stage.open(bob) as chain:
        await submit(chain, bob, role_draft("root", 3, (bob.public,)))
    assert (await stage.ledger()).view.trust.root_keys() == {bob.public.key_id}
    forger = await stage.forger(bob, seen_seq=1)
    assert forger.seen_seq == 1
