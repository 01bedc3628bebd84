from __future__ import annotations

import pytest

from ate.errors import BadSignature, WriteDenied
from ate.event.access import Access, Everyone
from ate.ids import ObjectId
from ate.testing.forger import Line
from ate.testing.stage import Stage
from ate.trust.master_key import MasterKey

OPEN = Access(read=Everyone, write=Everyone)


async def test_only_the_master_writes() -> None:
    """The tree of rules lets everyone write here; the master key is all that counts."""
    stage = Stage(access=OPEN, plugins=[MasterKey()])
    alice, bob = await stage.cast("alice", "bob")
    note = await stage.as_(alice).store("note")
    with pytest.raises(WriteDenied, match=f"the master key is {alice.public.key_id.hex()[:8]}"):
        await stage.as_(bob).change(note, "mine")


async def test_after_rotation_the_old_key_is_refused() -> None:
    stage = Stage(access=OPEN, plugins=[MasterKey()])
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        await chain.set_role("root", [bob.public])
        dio = chain.dio()
        dio.store("too late")
        with pytest.raises(WriteDenied):
            await dio.commit()
    with pytest.raises(WriteDenied):
        await stage.as_(alice).store("too late")
    note = await stage.as_(bob).store("note")
    assert await stage.as_(alice).load(note) == "note"


async def test_an_old_key_is_refused_by_whoever_reads_the_log() -> None:
    stage = Stage(access=OPEN, plugins=[MasterKey()])
    alice, bob = await stage.cast("alice", "bob")
    await stage.as_(alice).store("note")
    async with stage.open(alice) as chain:
        await chain.set_role("root", [bob.public])
    forger = await stage.forger(alice.own)
    with pytest.raises(WriteDenied):
        await stage.judge(forger.commit(Line(ObjectId.random())))
    stranger = await stage.forger(bob)
    with pytest.raises(BadSignature):
        await stage.judge(stranger.commit(Line(ObjectId.random())))


async def test_any_role_can_be_the_master_once_it_has_a_key() -> None:
    """Until then the roots stand in: somebody has to name the first one."""
    stage = Stage(access=OPEN, plugins=[MasterKey("Captain")])
    alice, bob = await stage.cast("alice", "bob")
    with pytest.raises(WriteDenied):
        await stage.as_(bob).store("note")
    async with stage.open(alice) as chain:
        await chain.set_role("Captain", [bob.public])
    assert await stage.as_(bob).store("note")
    with pytest.raises(WriteDenied):
        await stage.as_(alice).store("note")
