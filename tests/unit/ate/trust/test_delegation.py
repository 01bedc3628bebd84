from __future__ import annotations

from collections.abc import Sequence

import pytest

from ate.chain.admit import admit
from ate.chain.view import View
from ate.errors import ProtocolError, Refused, WriteDenied
from ate.event.access import Access, Any, Everyone, Nobody, Only
from ate.event.commit import Commit, Record, SequencerPart
from ate.event.header import Header
from ate.event.row import FLAG_HEADER, Kind
from ate.event.system import Genesis, Grant, PublicKeys, Role, encode, system_id
from ate.ids import ROOT, ObjectId
from ate.log.memory import MemoryLog
from ate.session import Session
from ate.testing.forger import Forger, Line, certificate_lines, key_line, ruled
from ate.testing.stage import Stage, member
from ate.testing.tamper import ordered
from ate.trust.pipeline import Pipeline
from ate.trust.roles import next_generation

PUBLIC = Access(read=Everyone)


async def forged(stage: Stage, who: Session, lines: Sequence[Line]) -> Commit:
    """Return a commit of somebody whose own program checks nothing."""
    if stage.suite == 1:
        return (await stage.forger(who.own)).commit(key_line(who.own), *lines)
    forger = await stage.forger(who)
    now = stage.clock.now_us()
    introduced = (
        who.fast(forger.chain_id, now).key_id in (await stage.ledger()).view.trust.certified
    )
    introduction = [] if introduced else certificate_lines(who, forger.chain_id, now)
    return forger.commit(*introduction, *lines)


async def judged(stage: Stage, who: Session, *lines: Line) -> None:
    await stage.judge(await forged(stage, who, lines))


@pytest.fixture(params=[1, 2])
async def scene(request: pytest.FixtureRequest) -> tuple[Stage, list[Session]]:
    stage = Stage(suite=request.param, access=PUBLIC)
    return stage, await stage.cast("alice", "bob", "carol")


Scene = tuple[Stage, list[Session]]


async def test_only_a_root_writes_where_no_rule_is(scene: Scene) -> None:
    stage, (alice, bob, _) = scene
    note = await stage.as_(alice).store("note")
    with pytest.raises(WriteDenied, match=f"speaks for {bob.public.key_id.hex()[:8]}"):
        await stage.as_(bob).store("note")
    with pytest.raises(WriteDenied):
        await stage.as_(bob).change(note, "mine")
    with pytest.raises(WriteDenied):
        await stage.as_(bob).delete(note)


async def test_a_delegate_writes_its_subtree_only(scene: Scene) -> None:
    stage, (alice, bob, _) = scene
    mine = await stage.as_(alice).store("bob's", access=Access(write=Any(bob.public)))
    other = await stage.as_(alice).store("other")
    child = await stage.as_(bob).store("child", parent=mine)
    grandchild = await stage.as_(bob).store("grandchild", parent=child)
    await stage.as_(bob).change(grandchild, "changed")
    await stage.as_(bob).change(mine, "changed")
    with pytest.raises(WriteDenied, match=f"the rule of {other.hex()}"):
        await stage.as_(bob).change(other, "mine")
    with pytest.raises(WriteDenied, match=f"the rule of parent {other.hex()}"):
        await stage.as_(bob).store("below other", parent=other)
    with pytest.raises(WriteDenied, match=f"the rule of parent {ROOT.hex()}"):
        await stage.as_(bob).store("at the top")


async def test_a_rule_shuts_even_its_maker_out(scene: Scene) -> None:
    stage, (alice, bob, _) = scene
    shut = await stage.as_(alice).store("shut", access=Access(write=Nobody))
    bobs = await stage.as_(alice).store("bob's", access=Access(write=Any(bob.public)))
    for note in (shut, bobs):
        with pytest.raises(WriteDenied):
            await stage.as_(alice).change(note, "after all")


async def test_the_owner_may_edit_and_others_may_not(scene: Scene) -> None:
    """The rule that counts for an edit is the object's own stored one (row C3)."""
    stage, (alice, bob, carol) = scene
    note = await stage.as_(alice).store("bob's", access=Access(write=Any(bob.public)))
    with pytest.raises(WriteDenied):
        await stage.as_(carol).change(note, "carol's")
    await stage.as_(bob).change(note, "still bob's")
    assert await stage.as_(carol).load(note) == "still bob's"


async def test_everyone_means_everyone_with_a_key(scene: Scene) -> None:
    stage, (alice, bob, _) = scene
    board = await stage.as_(alice).store("board", access=Access(write=Everyone))
    note = await stage.as_(bob).store("note", parent=board)
    assert await stage.as_(alice).load(note) == "note"


async def test_a_move_is_judged_at_both_ends(scene: Scene) -> None:
    stage, (alice, bob, _) = scene
    mine = await stage.as_(alice).store("bob's", access=Access(write=Any(bob.public)))
    alices = await stage.as_(alice).store("alice's")
    child = await stage.as_(bob).store("child", parent=mine)
    with pytest.raises(WriteDenied, match="the rule of new parent"):
        await stage.as_(bob).move(child, alices)
    with pytest.raises(WriteDenied):
        await stage.as_(bob).move(alices, mine)
    other = await stage.as_(alice).store("bob's too", access=Access(write=Any(bob.public)))
    await stage.as_(bob).move(child, other)


async def test_an_object_of_another_cannot_be_claimed_by_naming_an_own_parent(scene: Scene) -> None:
    stage, (alice, bob, _) = scene
    mine = await stage.as_(alice).store("bob's", access=Access(write=Any(bob.public)))
    note = await stage.as_(alice).store("alice's")
    stored = (await stage.ledger()).view.stored(note)
    assert stored is not None
    for kind in (Kind.DATA, Kind.TOMBSTONE):
        with pytest.raises(WriteDenied):
            await judged(
                stage, bob, Line(note, mine, kind=kind, base=stored.seq, created=stored.seq)
            )


async def test_a_tombstone_keeps_its_rule(scene: Scene) -> None:
    """A deleted object's id cannot be taken over by somebody else."""
    stage, (alice, bob, carol) = scene
    board = await stage.as_(alice).store("board", access=Access(write=Everyone))
    note = await stage.as_(bob).store("bob's", parent=board, access=Access(write=Any(bob.public)))
    await stage.as_(bob).delete(note)
    with pytest.raises(WriteDenied):
        await stage.as_(carol).store("carol's", parent=board, id=note)
    await stage.as_(bob).store(
        "bob's again", parent=board, id=note, access=Access(write=Any(bob.public))
    )


async def test_one_forbidden_row_refuses_the_whole_commit(scene: Scene) -> None:
    stage, (alice, bob, _) = scene
    mine = await stage.as_(alice).store("bob's", access=Access(write=Any(bob.public)))
    async with stage.open(bob) as chain:
        dio = chain.dio()
        dio.store("fine", parent=mine)
        dio.store("not fine")
        dio.store("not fine either")
        with pytest.raises(WriteDenied, match=r"and 1 more rows|wants a root key"):
            await dio.commit()
        assert len(chain) == 1


async def test_a_new_version_may_not_drop_the_rule(scene: Scene) -> None:
    """Leaving the rule out would hand the object to whoever its parent's rule names."""
    stage, (alice, bob, _) = scene
    rule = Access(write=Any(bob.public))
    note = await stage.as_(alice).store("bob's", access=rule)
    stored = (await stage.ledger()).view.stored(note)
    assert stored is not None
    line = Line(note, base=stored.seq, created=stored.seq)
    with pytest.raises(WriteDenied, match="would lose its access rule"):
        await judged(stage, bob, line)
    with pytest.raises(ProtocolError):
        await judged(stage, bob, Line(note, base=stored.seq, flags=FLAG_HEADER))
    await judged(stage, bob, ruled(line, rule))


async def test_roles_and_policies_are_for_roots() -> None:
    stage = Stage(access=Access(Everyone, Everyone))
    alice, bob = await stage.cast("alice", "bob")
    genesis = (await stage.ledger()).view.trust.genesis
    assert genesis is not None
    mine = Role("root", 2, (PublicKeys.of(bob.public),))
    rule = Header(Access(Everyone, Any(bob.public)))
    stored = (await stage.ledger()).view.stored(ROOT)
    assert stored is not None
    for line in (
        Line(system_id("role", b"root"), kind=Kind.ROLE, body=encode(mine)),
        Line(ROOT, kind=Kind.GENESIS, body=encode(genesis), header=rule, base=stored.seq),
    ):
        with pytest.raises(WriteDenied, match="only a root key"):
            await judged(stage, bob, line)
        await judged(stage, alice, line)


async def test_a_commit_that_only_introduces_keys_changes_nothing_and_is_not_welcome() -> None:
    stage = Stage(access=PUBLIC)
    _, bob = await stage.cast("alice", "bob")
    with pytest.raises(Refused, match="no validator was in favour"):
        await judged(stage, bob)


async def test_a_grant_is_the_business_of_those_who_may_write_its_domain() -> None:
    stage = Stage(access=PUBLIC)
    alice, bob = await stage.cast("alice", "bob")
    note = await stage.as_(alice).store("secret", access=Access(read=Only(alice.public)))
    stored = (await stage.ledger()).view.stored(system_id("grant", note))
    assert stored is not None
    wraps = {alice.public.key_id: bytes(1168)}
    grant = Line(
        system_id("grant", note),
        note,
        kind=Kind.GRANT,
        body=encode(Grant(bytes(note), 1, wraps)),
        base=stored.seq,
    )
    with pytest.raises(WriteDenied, match="the rule of domain"):
        await judged(stage, bob, grant)
    await judged(stage, alice, grant)
    board = await stage.as_(alice).store("board", access=Access(write=Everyone))
    stranger = {bob.public.key_id: bytes(1168)}
    with pytest.raises(WriteDenied, match="to others than the read rule"):
        body = encode(Grant(bytes(board), 1, stranger))
        await judged(
            stage, alice, Line(system_id("grant", board), board, kind=Kind.GRANT, body=body)
        )


async def test_the_grants_of_a_role_s_new_generation_come_with_it() -> None:
    """They are judged by the roles as the commit leaves them, and by nobody's before."""
    stage = Stage(access=PUBLIC)
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        await chain.set_role("Staff", [bob.public])
    note = await stage.as_(alice).store("secret", access=Access(read=Only("Staff", alice.public)))
    trust = (await stage.ledger()).view.trust
    role = next_generation("Staff", [bob.public], trust.roles["Staff"], lambda n: b"e" * n)
    (new,) = role.keys
    renewal = Line(system_id("role", b"Staff"), kind=Kind.ROLE, body=encode(role))

    def grant_to(key_id: bytes) -> Line:
        wraps = {alice.public.key_id: bytes(1168), key_id: bytes(1168)}
        body = encode(Grant(bytes(note), 2, wraps, bytes(48)))
        return Line(system_id("grant", note), note, kind=Kind.GRANT, body=body)

    await judged(stage, alice, renewal, grant_to(new.principal.key_id))
    (old,) = trust.role_keys("Staff")
    with pytest.raises(WriteDenied, match="to others than the read rule"):
        await judged(stage, alice, renewal, grant_to(old))


async def test_a_root_hands_a_role_s_domains_on_that_it_may_not_write() -> None:
    """Only together with the role's new generation, and only where the read rule names the role."""
    stage = Stage(access=PUBLIC)
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        await chain.set_role("Staff", [bob.public])
        await chain.set_role("Crew", [bob.public])
    rule = Access(read=Only("Staff"), write=Any(bob.public))
    note = await stage.as_(alice).store("secret", access=rule)
    trust = (await stage.ledger()).view.trust

    def renewed(name: str) -> tuple[Line, bytes]:
        role = next_generation(name, [bob.public], trust.roles[name], lambda n: b"e" * n)
        row_id = system_id("role", name.encode())
        return Line(row_id, kind=Kind.ROLE, body=encode(role)), role.keys[0].principal.key_id

    def grant_to(key_id: bytes) -> Line:
        body = encode(Grant(bytes(note), 2, {key_id: bytes(1168)}, bytes(48)))
        return Line(system_id("grant", note), note, kind=Kind.GRANT, body=body)

    (old,) = trust.role_keys("Staff")
    staff, new = renewed("Staff")
    await judged(stage, alice, staff, grant_to(new))
    for lines in ((grant_to(old),), (renewed("Crew")[0], grant_to(old))):
        with pytest.raises(WriteDenied, match="the rule of domain"):
            await judged(stage, alice, *lines)
    with pytest.raises(WriteDenied, match="only a root key"):
        await judged(stage, bob, staff, grant_to(new))


async def test_the_chain_s_own_domain_is_granted_to_its_roots() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    stored = (await stage.ledger()).view.stored(system_id("grant", ROOT))
    assert stored is not None
    for who, error in ((alice, None), (bob, WriteDenied)):
        body = encode(Grant(bytes(ROOT), 1, {who.public.key_id: bytes(1168)}))
        line = Line(system_id("grant", ROOT), ROOT, kind=Kind.GRANT, body=body, base=stored.seq)
        if error is None:
            await judged(stage, alice, line)
        else:
            with pytest.raises(error):
                await judged(stage, alice, line)


async def test_a_chain_without_roots_lets_everybody_write() -> None:
    stage = Stage()
    async with stage.open(None) as chain, chain.dio() as dio:
        dio.store("note")
    role = Role("Staff", 1, (PublicKeys.of(member("bob").public),))
    line = Line(system_id("role", b"Staff"), kind=Kind.ROLE, body=encode(role))
    await stage.judge((await stage.forger(None)).commit(line, Line(ObjectId.random())))


async def test_a_chain_starts_with_its_genesis_and_has_one() -> None:
    view = View(MemoryLog())
    pipeline = Pipeline((), view.origins)
    part = SequencerPart(1, 0, 0, bytes(32))
    forger = Forger(bytes(32))
    genesis = Genesis("other", 0, "distributed", bytes(16))
    note = forger.commit(Line(ObjectId.random(), body=encode(genesis)))
    with pytest.raises(WriteDenied, match="starts with its genesis"):
        await admit(view, pipeline, Record(memoryview(ordered(note, part))), time_us=0)
    stage = Stage()
    async with stage.open(None):
        pass
    line = Line(ROOT, kind=Kind.GENESIS, body=encode(genesis))
    with pytest.raises(ProtocolError, match="founded once"):
        await stage.judge((await stage.forger(None)).commit(line))
