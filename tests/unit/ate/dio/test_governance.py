from __future__ import annotations

import asyncio

import pytest

import ate
from ate.errors import NoReadKey, Refused, UsageError, WriteDenied
from ate.event.access import Access, Any, Everyone, Nobody, Only
from ate.ids import ROOT
from ate.session import Session
from ate.testing.stage import Note, Stage, member
from ate.trust.plugin import ABSTAIN, Deny, Proposal, Verdict

STAFF = Access(Only("Staff"), Any("Staff"))


@pytest.fixture(params=[1, 2])
def stage(request: pytest.FixtureRequest) -> Stage:
    return Stage(suite=request.param)


def fresh(*sessions: Session) -> list[Session]:
    """Return the same people after a restart of their programs."""
    return [Session(one.identity, one.own) for one in sessions]


async def test_members_of_a_role_read_and_write_what_names_it(stage: Stage) -> None:
    alice, bob, carol = await stage.cast("alice", "bob", "carol")
    async with stage.open(alice) as chain:
        change = await chain.set_role("Staff", [alice.public, bob.public])
        assert (change.name, change.generation, change.rekeyed, change.left) == ("Staff", 1, (), ())
        assert change.receipt.seq <= chain.head
        change.receipt.proof().check(chain.root)
    board = await stage.as_(alice).store("board", access=STAFF)
    await stage.as_(bob).store("bob's", parent=board)
    assert sorted(await stage.as_(bob).texts()) == ["board", "bob's"]
    assert await stage.as_(carol).texts() == []
    with pytest.raises((WriteDenied, NoReadKey)):
        await stage.as_(carol).store("carol's", parent=board)


async def test_whoever_left_is_shut_out_and_whoever_came_sees_the_past(stage: Stage) -> None:
    """Removing a member starts new epochs in the same commit; those who stay keep the past."""
    alice, bob, carol = await stage.cast("alice", "bob", "carol")
    async with stage.open(alice) as chain:
        await chain.set_role("Staff", [alice.public, bob.public])
    board = await stage.as_(alice).store("board", access=STAFF)
    before = await stage.as_(bob).store("before", parent=board)
    async with stage.open(alice) as chain:
        change = await chain.set_role("Staff", [alice.public, carol.public])
        assert (change.generation, change.rekeyed, change.left) == (2, (board,), ())
    after = await stage.as_(alice).store("after", parent=board)
    for who in (bob, *fresh(bob)):
        with pytest.raises(NoReadKey):
            await stage.as_(who).load(after)
        with pytest.raises((WriteDenied, NoReadKey)):
            await stage.as_(who).store("bob's", parent=board)
    for who in (alice, carol, *fresh(alice, carol)):
        assert sorted(await stage.as_(who).texts()) == ["after", "before", "board"]
    await stage.as_(carol).change(before, "changed")
    assert (await stage.verify()).ok


async def test_a_member_picks_its_role_up_while_the_chain_is_open(stage: Stage) -> None:
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        theirs = chain.dio(bob)
        await chain.set_role("Staff", [alice.public, bob.public])
        dio = chain.dio()
        board = dio.store(Note("board"), access=STAFF).id
        await dio.commit()
        assert (await theirs.load(Note, board)).value.text == "board"
        theirs.store(Note("bob's"), parent=board)
        await theirs.commit()
        assert "Staff" in repr(bob)


async def test_a_reader_picks_its_role_up_when_it_follows(stage: Stage) -> None:
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(bob, readonly=True) as reader:
        dio = reader.dio()
        async with stage.open(alice) as chain:
            await chain.set_role("Staff", [alice.public, bob.public])
            writing = chain.dio()
            board = writing.store(Note("board"), access=STAFF).id
            await writing.commit()
        await reader.refresh()
        assert (await dio.load(Note, board)).value.text == "board"


async def test_root_keys_rotate_with_the_old_root_s_signature(stage: Stage) -> None:
    alice, bob, carol = await stage.cast("alice", "bob", "carol")
    note = await stage.as_(alice).store("note")
    async with stage.open(alice) as chain:
        change = await chain.set_role("root", [bob.public])
        assert (change.generation, change.rekeyed) == (2, (ROOT,))
    for attempt in ("alice", "again"):
        with pytest.raises((WriteDenied, NoReadKey)):
            await stage.as_(alice).store(attempt)
    async with stage.open(alice) as chain:
        with pytest.raises(WriteDenied, match="only a root key"):
            await chain.set_role("root", [alice.public])
    assert await stage.as_(bob).load(note) == "note"
    await stage.as_(bob).change(note, "bob's now")
    async with stage.open(carol) as chain:
        await chain.set_role("root", [carol.public, bob.public], session=bob)
    assert await stage.as_(carol).load(note) == "bob's now"
    assert (await stage.verify()).ok


async def test_only_roots_set_roles(stage: Stage) -> None:
    _, bob = await stage.cast("alice", "bob")
    async with stage.open(bob) as chain:
        with pytest.raises(WriteDenied):
            await chain.set_role("Staff", [bob.public])
        with pytest.raises((WriteDenied, NoReadKey)):
            await chain.set_access(Access(Everyone, Everyone))
        with pytest.raises((WriteDenied, NoReadKey)):
            await chain.set_access(Access(Only(bob.public)))
    async with stage.open(None) as chain:
        with pytest.raises(UsageError, match="only a root session"):
            await chain.set_role("Staff", [bob.public])


async def test_a_chain_keeps_a_root(stage: Stage) -> None:
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        with pytest.raises(UsageError, match="at least one root"):
            await chain.set_role("root", [])


async def test_a_role_may_be_emptied(stage: Stage) -> None:
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        await chain.set_role("Staff", [bob.public])
    board = await stage.as_(alice).store("board", access=Access(Only("Staff", alice.public)))
    async with stage.open(alice) as chain:
        change = await chain.set_role("Staff", [])
        assert change.rekeyed == (board,)
    after = await stage.as_(alice).store("after", parent=board)
    with pytest.raises(NoReadKey):
        await stage.as_(bob).load(after)


async def test_domains_the_root_cannot_open_are_named() -> None:
    """A root that is no reader cannot hand the key on; a reader does by writing it again."""
    stage = Stage(access=Access(Everyone))
    alice, bob, carol = await stage.cast("alice", "bob", "carol")
    async with stage.open(alice) as chain:
        await chain.set_role("Staff", [bob.public])
    rule = Access(Only("Staff", bob.public), Any("Staff", bob.public))
    area = await stage.as_(alice).store("area", access=Access(write=Any(bob.public)))
    board = await stage.as_(bob).store("board", parent=area, access=rule)
    gone = await stage.as_(bob).store("gone", parent=area, access=rule)
    await stage.as_(bob).delete(gone)
    async with stage.open(alice) as chain:
        change = await chain.set_role("Staff", [carol.public])
        assert (change.rekeyed, change.left) == ((), (board,))
    with pytest.raises(NoReadKey):
        await stage.as_(carol).load(board)
    await stage.as_(bob).change(board, "again")
    assert await stage.as_(carol).load(board) == "again"


async def test_objects_that_do_not_name_the_role_are_left_alone(stage: Stage) -> None:
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        await chain.set_role("Staff", [bob.public])
    await stage.as_(alice).store("public", access=Access(Everyone))
    await stage.as_(alice).store("alice's", access=Access(Only(alice.public)))
    board = await stage.as_(alice).store("board", access=Access(Only("Staff", alice.public)))
    await stage.as_(alice).rule(board, Access(Only(alice.public)))
    async with stage.open(alice) as chain:
        change = await chain.set_role("Staff", [alice.public])
        assert (change.rekeyed, change.left) == ((), ())


async def test_the_same_role_on_two_chains_is_two_roles() -> None:
    alice, bob = Session.new("alice"), Session.new("bob")
    async with (
        ate.open("one", memory=True, session=alice) as one,
        ate.open("two", memory=True, session=alice) as two,
    ):
        boards = []
        for chain in (one, two):
            await chain.set_role("Staff", [alice.public, bob.public])
            dio = chain.dio()
            boards.append(dio.store("board", access=STAFF))
            await dio.commit()
        for chain, board in zip((one, two), boards, strict=True):
            theirs = chain.dio(bob)
            theirs.store("bob's", parent=board.id)
            await theirs.commit()
            assert len(bob.authorities(chain.id)) == 2


# --- the chain's own rule ---------------------------------------------------------------------


async def test_the_chain_s_rule_can_be_opened_and_shut(stage: Stage) -> None:
    alice, bob = await stage.cast("alice", "bob")
    secret = await stage.as_(alice).store("secret")
    async with stage.open(alice) as chain:
        receipt = await chain.set_access(Access(Everyone, Everyone))
        assert receipt.seq == chain.head
    note = await stage.as_(bob).store("bob's")
    assert await stage.as_(None).load(note) == "bob's"
    with pytest.raises(NoReadKey):
        await stage.as_(bob).load(secret)
    async with stage.open(alice) as chain:
        await chain.set_access(Access(write=Nobody))
    for who in (alice, bob):
        with pytest.raises((WriteDenied, NoReadKey)):
            await stage.as_(who).store("too late")
    assert (await stage.verify()).ok


async def test_a_new_reader_of_the_chain_sees_the_past(stage: Stage) -> None:
    alice, bob = await stage.cast("alice", "bob")
    await stage.as_(alice).store("note")
    async with stage.open(alice) as chain:
        await chain.set_access(Access(Only(alice.public, bob.public)))
    assert await stage.as_(bob).texts() == ["note"]
    async with stage.open(alice) as chain:
        await chain.set_access(Access(Only(alice.public)))
    await stage.as_(alice).store("later")
    assert await stage.as_(bob).texts() == []
    assert await stage.as_(alice).texts() == ["note", "later"]


async def test_a_closed_chain_is_not_governed(stage: Stage) -> None:
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        pass
    with pytest.raises(UsageError, match="closed"):
        await chain.set_role("Staff", [alice.public])
    with pytest.raises(UsageError, match="closed"):
        await chain.set_access(Access())


async def test_a_plug_in_may_refuse_a_change_of_roles(stage: Stage) -> None:
    class Never:
        name = "never"

        async def validate(self, proposal: Proposal) -> Verdict:
            return [Deny(-1, "no roles here")] if 5 in proposal.record.kinds else ABSTAIN

    stage.plugins = (Never(),)
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        with pytest.raises(Refused, match="no roles here"):
            await chain.set_role("Staff", [alice.public])
        assert chain._ledger.view.trust.roles.keys() == {"root"}


async def test_a_change_of_roles_waits_for_what_came_first(stage: Stage) -> None:
    """A commit in between would leave the prepared epochs stale: it is prepared again."""
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        dio = chain.dio()
        dio.store(Note("first"))
        _, change = await asyncio.gather(dio.commit(), chain.set_role("Staff", [bob.public]))
        assert change.generation == 1
        assert len(chain) == 1


# --- a hold -----------------------------------------------------------------------------------


async def test_a_hold_stands_until_a_root_releases_it(stage: Stage) -> None:
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        await chain.set_access(Access(Everyone))
        with pytest.raises(UsageError, match="reason"):
            await chain.set_hold("  ")
        receipt = await chain.set_hold("case 17")
        assert receipt.seq == chain.head
    async with stage.open(alice) as chain:
        assert chain._ledger.view.hold == "case 17"
        with pytest.raises(Refused, match="case 17"):
            await chain.compact()
        await chain.set_access(Access(Everyone, Everyone))
        assert chain._ledger.view.hold == "case 17", "another rule does not lift it"
    async with stage.open(bob) as chain:
        for reason in (None, "another"):
            with pytest.raises(WriteDenied):
                await chain.set_hold(reason)
        with pytest.raises(WriteDenied):
            await chain.set_hold(None, session=bob)
        await chain.set_hold(None, session=alice)
        assert chain._ledger.view.hold is None
        assert chain._ledger.view.root_access() == Access(Everyone, Everyone)
    async with stage.open(alice) as chain:
        await chain.compact()
    assert (await stage.verify()).ok


async def test_a_hold_survives_what_was_compacted_before(stage: Stage) -> None:
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        await chain.set_hold("one")
        await chain.set_hold(None)
        await chain.compact()
        await chain.set_hold("two")
    async with stage.open(alice) as chain:
        with pytest.raises(Refused, match="two"):
            await chain.compact()


async def test_only_a_root_names_the_servers_that_sign() -> None:
    key, other = bytes([1]) * 32, bytes([2]) * 32
    alice, bob = member("alice"), member("bob")
    policy = {"sequencers": [key]}
    access = Access(write=Any(bob.public, "root"))
    stage = Stage(policy=policy, access=access)
    async with stage.open(alice, mode="centralized") as chain:
        receipt = await chain.set_sequencers([key, other])
        assert receipt.seq == chain.head
        await chain.set_sequencers([other])
        for wrong, said in (([], "at least one"), ([b"short"], "32 bytes")):
            with pytest.raises(UsageError, match=said):
                await chain.set_sequencers(wrong)
    async with stage.open(bob) as chain:
        assert [one.raw for one in chain._ledger.view.trust.sequencers.values()] == [other]
        with pytest.raises(WriteDenied):
            await chain.set_sequencers([key])
    assert (await stage.verify()).ok
    plain = Stage()
    async with plain.open(alice) as chain:
        with pytest.raises(UsageError, match="not centralized"):
            await chain.set_sequencers([key])
