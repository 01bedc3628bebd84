"""Removed member: was named by a rule or held a key that counted, and is not any more."""

from __future__ import annotations

import pytest

from ate.errors import CannotOpen, NoReadKey, ProtocolError, WriteDenied
from ate.event.access import Access, Any, Everyone, Only
from ate.event.row import Kind
from ate.event.system import PublicKeys, Role, encode, system_id
from ate.ids import ObjectId
from ate.session import Session
from ate.testing.forger import Line, certificate_lines
from ate.testing.stage import Stage
from ate.trust.domains import Domains
from ate.trust.master_key import MasterKey


async def shared_folder() -> tuple[Stage, Session, Session, ObjectId, ObjectId]:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    rule = Access(read=Only(alice.public, bob.public), write=Any(alice.public, bob.public))
    folder = await stage.as_(alice).store("folder", access=rule)
    old = await stage.as_(bob).store("before", parent=folder)
    return stage, alice, bob, folder, old


async def remove_bob(stage: Stage, alice: Session, folder: ObjectId) -> None:
    rule = Access(read=Only(alice.public), write=Any(alice.public))
    await stage.as_(alice).rule(folder, rule)


async def test_no_future() -> None:
    stage, alice, bob, folder, old = await shared_folder()
    await remove_bob(stage, alice, folder)
    new = await stage.as_(alice).store("after", parent=folder)
    await stage.as_(alice).change(old, "before, changed after")
    for note in (new, old, folder):
        with pytest.raises(NoReadKey):
            await stage.as_(bob).load(note)
    assert await stage.as_(bob).texts() == []
    assert sorted(await stage.as_(alice).texts()) == ["after", "before, changed after", "folder"]


async def test_those_who_stay_keep_the_past() -> None:
    stage, alice, _, folder, old = await shared_folder()
    await remove_bob(stage, alice, folder)
    assert await stage.as_(alice).load(old) == "before"


async def test_the_removed_keeps_the_past_and_nothing_else() -> None:
    """Bob's own program asks the newest grant; bob takes the old one from the log."""
    stage, alice, bob, folder, old = await shared_folder()
    await remove_bob(stage, alice, folder)
    new = await stage.as_(alice).store("after", parent=folder)
    view = (await stage.ledger()).view
    grants = []
    for seq in range(1, view.head + 1):
        record, at = view.find(seq)
        row = record.row(at)
        if row.kind == Kind.GRANT and row.parent == folder:
            grants.append(bytes(view.body(record, row)))
    assert len(grants) == 2
    keys = [Domains(lambda _, raw=raw: raw, view.trust, bob) for raw in grants]  # type: ignore[misc]
    epoch_key = keys[0].key(bytes(folder), 1)
    with pytest.raises(NoReadKey):
        keys[1].key(bytes(folder), 2)
    ledger = await stage.ledger()
    how = ledger.pipeline.confidentiality
    for note, opens in ((old, True), (new, False)):
        record, at = view.find(view.index.locate(note))
        row = record.row(at)
        sealer = how.sealer(
            view.trust.chain_id, record.author.salt, row.domain, row.epoch, epoch_key
        )
        sealed, nonce = bytes(record.inline(row)), at.to_bytes(12, "little")
        if opens:
            assert b"before" in sealer.open(nonce, sealed, record.head(at))
        else:
            with pytest.raises(CannotOpen):
                sealer.open(nonce, sealed, record.head(at))


async def test_a_new_reader_gets_the_past_only_if_somebody_adds_them() -> None:
    stage, alice, _, folder, old = await shared_folder()
    carol = Session.new("carol")
    with pytest.raises(NoReadKey):
        await stage.as_(carol).load(old)
    readers = Only(alice.public, carol.public)
    await stage.as_(alice).rule(folder, Access(read=readers, write=Any(alice.public)))
    assert await stage.as_(carol).load(old) == "before"


async def test_no_more_writing_with_the_program_or_by_hand() -> None:
    stage, alice, bob, folder, old = await shared_folder()
    await stage.as_(alice).rule(folder, Access(read=Everyone, write=Any(alice.public)))
    public = await stage.as_(alice).store("public", parent=folder)
    for act in (
        stage.as_(bob).store("still here", parent=folder),
        stage.as_(bob).change(public, "still here"),
        stage.as_(bob).delete(public),
        stage.as_(bob).rule(public, Access(write=Everyone)),
    ):
        with pytest.raises(WriteDenied):
            await act
    for line in (Line(ObjectId.random(), folder), Line(old, folder), Line(folder)):
        forger = await stage.forger(bob)
        lines = certificate_lines(bob, forger.chain_id, stage.clock.now_us())
        with pytest.raises(WriteDenied):
            await stage.judge(forger.commit(*lines, line))


async def test_an_unpublished_commit_from_before_comes_too_late() -> None:
    """Bob prepared it while he might; it is judged when it arrives."""
    stage, alice, bob, folder, _ = await shared_folder()
    forger = await stage.forger(bob)
    lines = certificate_lines(bob, forger.chain_id, stage.clock.now_us())
    kept = forger.commit(*lines, Line(ObjectId.random(), folder, body=b"x"))
    await stage.judge(kept)
    await remove_bob(stage, alice, folder)
    with pytest.raises(WriteDenied):
        await stage.judge(kept)


@pytest.mark.parametrize("suite", [1, 2])
async def test_an_old_master_key_is_refused(suite: int) -> None:
    stage = Stage(suite=suite, access=Access(read=Everyone))
    old, new = await stage.cast("old", "new")
    await stage.as_(old).store("while I am root")
    await stage.as_(old).set_role("root", 2, new.public)
    with pytest.raises(WriteDenied):
        await stage.as_(old).store("I was root")
    with pytest.raises(WriteDenied):
        await stage.as_(old).set_role("root", 3, old.public)
    await stage.as_(new).store("I am root")
    assert (await stage.verify()).ok


async def test_an_old_master_key_is_refused_by_the_master_key_plugin() -> None:
    stage = Stage(access=Access(read=Everyone), plugins=[MasterKey()])
    old, new = await stage.cast("old", "new")
    await stage.as_(old).set_role("root", 2, new.public)
    with pytest.raises(WriteDenied, match="master key"):
        await stage.as_(old).store("I was root")
    await stage.as_(new).store("I am root")


async def test_a_role_goes_forward_only() -> None:
    stage = Stage(access=Access(read=Everyone))
    alice, bob = await stage.cast("alice", "bob")
    await stage.as_(alice).set_role("root", 5, alice.public, bob.public)
    forger = await stage.forger(bob)
    lines = certificate_lines(bob, forger.chain_id, stage.clock.now_us())
    role_id = system_id("role", b"root")
    body = encode(Role("root", 4, (PublicKeys.of(bob.public),)))
    with pytest.raises(ProtocolError, match="generation"):
        await stage.judge(forger.commit(*lines, Line(role_id, kind=Kind.ROLE, body=body)))
