from __future__ import annotations

import pytest

from ate.errors import Refused
from ate.event.access import Access, Everyone
from ate.testing.forger import Line
from ate.testing.stage import Stage


async def test_what_is_written_stays_as_it_is_for_roots_too() -> None:
    stage = Stage(policy={"worm": True})
    (alice,) = await stage.cast("alice")
    note, other = await stage.as_(alice).store_many(["note", "other"])
    for attempt in (
        stage.as_(alice).change(note, "changed"),
        stage.as_(alice).move(note, other),
        stage.as_(alice).delete(note),
    ):
        with pytest.raises(Refused, match=f"write-once: {note.hex()} stays as it is"):
            await attempt
    assert await stage.as_(alice).load(note) == "note"
    await stage.as_(alice).store("more", parent=note)


async def test_others_judge_it_the_same_way() -> None:
    stage = Stage(policy={"worm": True})
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("note")
    stored = (await stage.ledger()).view.stored(note)
    assert stored is not None
    forger = await stage.forger(alice.own)
    with pytest.raises(Refused, match="write-once"):
        await stage.judge(forger.commit(Line(note, base=stored.seq, created=stored.seq)))


async def test_roles_can_still_change() -> None:
    stage = Stage(policy={"worm": True}, access=Access(Everyone))
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        await chain.set_role("root", [bob.public])
    await stage.as_(bob).store("bob's")


@pytest.mark.parametrize("policy", [None, {"worm": False}])
async def test_without_the_policy_everything_can_change(policy: dict[str, object] | None) -> None:
    stage = Stage(policy=policy)
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("note")
    await stage.as_(alice).change(note, "changed")
    assert await stage.as_(alice).load(note) == "changed"
