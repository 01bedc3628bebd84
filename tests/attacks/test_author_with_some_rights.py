"""Author who may write something: valid keys, a place of their own, and the wish for more.

Mallory may write below `board`, as everybody may. Each test hands an honest judge one commit that
mallory's own program would refuse to make.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ate.crypto.kem import PublicSealingKey
from ate.crypto.sign import FastKey
from ate.errors import (
    BadSignature,
    CannotOpen,
    Conflict,
    CorruptLog,
    Deleted,
    NoReadKey,
    ProtocolError,
    Refused,
    Replayed,
    TrustError,
    UsageError,
    WriteDenied,
)
from ate.event.access import Access, Any, Everyone, Inherit, Nobody, Only
from ate.event.commit import Commit, Origin
from ate.event.header import Header
from ate.event.row import FLAG_ACCESS, FLAG_HEADER, Kind
from ate.event.system import Genesis, Grant, PublicKeys, Role, decode, encode, system_id
from ate.ids import ROOT, ObjectId
from ate.session import Session
from ate.testing.forger import Forger, Line, certificate_lines, key_line, ruled
from ate.testing.stage import Stage, member

MINE = Access(read=Everyone, write=Everyone)


@dataclass
class Scene:
    """Alice's chain with a board for all, a note of hers, and a folder of bob's."""

    stage: Stage
    alice: Session
    bob: Session
    mallory: Session
    board: ObjectId
    note: ObjectId
    folder: ObjectId

    async def forger(self, **fields: object) -> Forger:
        return await self.stage.forger(self.mallory, **fields)

    def introduction(self, forger: Forger) -> list[Line]:
        return certificate_lines(self.mallory, forger.chain_id, self.stage.clock.now_us())

    async def forged(self, *lines: Line) -> Commit:
        """Return a commit of mallory's: an innocent row on the board, and these."""
        forger = await self.forger()
        innocent = Line(ObjectId.random(), self.board, body=b"\xa4Note\x80")
        return forger.commit(*self.introduction(forger), innocent, *lines)


@pytest.fixture
async def scene() -> Scene:
    stage = Stage()
    alice, bob, mallory = await stage.cast("alice", "bob", "mallory")
    board = await stage.as_(alice).store("board", access=MINE)
    note = await stage.as_(alice).store("alice's note")
    rule = Access(read=Only(alice.public, bob.public), write=Any(alice.public, bob.public))
    folder = await stage.as_(alice).store("bob's folder", access=rule)
    return Scene(stage, alice, bob, mallory, board, note, folder)


async def test_the_innocent_row_alone_is_welcome(scene: Scene) -> None:
    """Else all the refusals below would prove nothing."""
    commit = await scene.forged()
    assert any(bytes(scene.board) in bytes(head) for head in commit.heads)
    await scene.stage.judge(commit)  # it raises nothing


# --- stolen parents ------------------------------------------------------------------------------


async def test_a_new_version_that_names_a_friendlier_parent(scene: Scene) -> None:
    for base in (0, 1):
        line = Line(scene.note, scene.board, body=b"mine", base=base)
        with pytest.raises(WriteDenied, match=scene.note.hex()):
            await scene.stage.judge(await scene.forged(line))


async def test_a_new_version_in_place(scene: Scene) -> None:
    for victim in (scene.note, scene.folder):
        with pytest.raises(WriteDenied):
            await scene.stage.judge(await scene.forged(Line(victim, body=b"mine")))


async def test_a_tombstone_of_a_victim_beside_an_own_row(scene: Scene) -> None:
    for parent in (ROOT, scene.board):
        line = Line(scene.note, parent, kind=Kind.TOMBSTONE)
        with pytest.raises(WriteDenied):
            await scene.stage.judge(await scene.forged(line))


async def test_a_rule_brought_along(scene: Scene) -> None:
    """A rule holds from the next commit on; nobody is judged by what they bring."""
    line = Line(scene.note, scene.board, body=b"mine")
    with pytest.raises(WriteDenied):
        await scene.stage.judge(await scene.forged(ruled(line, MINE)))


async def test_an_own_parent_brought_along(scene: Scene) -> None:
    """A chain of new objects is judged by the first stored one above them."""
    own, below = ObjectId.random(), ObjectId.random()
    lines = [ruled(Line(own, ROOT, body=b"x"), MINE), Line(below, own, body=b"y")]
    with pytest.raises(WriteDenied):
        await scene.stage.judge(await scene.forged(*lines))
    fine = [ruled(Line(own, scene.board, body=b"x"), MINE), Line(below, own, body=b"y")]
    await scene.stage.judge(await scene.forged(*fine))


async def test_a_parent_that_is_not_there(scene: Scene) -> None:
    line = Line(ObjectId.random(), ObjectId.random(), body=b"x")
    with pytest.raises(WriteDenied):
        await scene.stage.judge(await scene.forged(line))


async def test_parents_in_a_circle(scene: Scene) -> None:
    one, two = ObjectId.random(), ObjectId.random()
    with pytest.raises(ProtocolError, match="cycle"):
        await scene.stage.judge(await scene.forged(Line(one, two), Line(two, one)))
    with pytest.raises(ProtocolError, match="cycle"):
        await scene.stage.judge(await scene.forged(Line(one, one)))


async def test_a_move_wants_both_rules(scene: Scene) -> None:
    stage = scene.stage
    mine = await stage.as_(scene.mallory).store("mine", parent=scene.board)
    for target in (ROOT, scene.folder):
        with pytest.raises((WriteDenied, NoReadKey)):
            await stage.as_(scene.mallory).move(mine, ObjectId(target))
        with pytest.raises(WriteDenied):
            await stage.judge(await scene.forged(Line(mine, target, body=b"x", base=1)))


# --- ids that were used --------------------------------------------------------------------------


async def test_a_deleted_id_cannot_be_taken_over(scene: Scene) -> None:
    stage = scene.stage
    own = await stage.as_(scene.alice).store(
        "x", access=Access(read=Everyone, write=Any(scene.alice.public))
    )
    for victim in (own, scene.note):
        await stage.as_(scene.alice).delete(victim)
        with pytest.raises((WriteDenied, Conflict)):
            await stage.as_(scene.mallory).store("mine now", parent=scene.board, id=victim)
        for line in (
            Line(victim, scene.board, body=b"mine"),
            ruled(Line(victim, scene.board, body=b"mine"), MINE),
            Line(victim, scene.board, kind=Kind.TOMBSTONE),
        ):
            with pytest.raises(WriteDenied):
                await stage.judge(await scene.forged(line))
        with pytest.raises(Deleted):
            await stage.as_(scene.alice).load(victim)


async def test_children_of_what_was_deleted_keep_their_rule(scene: Scene) -> None:
    stage = scene.stage
    child = await stage.as_(scene.alice).store("child", parent=scene.folder)
    await stage.as_(scene.alice).delete(scene.folder)
    for line in (Line(child, scene.board), Line(ObjectId.random(), scene.folder)):
        with pytest.raises(WriteDenied):
            await stage.judge(await scene.forged(line))


async def test_a_tombstone_keeps_its_rule_even_if_its_writer_leaves_it_out(scene: Scene) -> None:
    forger = await scene.stage.forger(scene.bob)
    lines = certificate_lines(scene.bob, forger.chain_id, scene.stage.clock.now_us())
    bare = Line(scene.folder, kind=Kind.TOMBSTONE)
    with pytest.raises(WriteDenied, match="lose its access rule"):
        await scene.stage.judge(forger.commit(*lines, bare))


@pytest.mark.parametrize("kind", [Kind.DATA, Kind.TOMBSTONE])
async def test_a_version_that_only_says_it_has_a_rule(scene: Scene, kind: Kind) -> None:
    forger = await scene.stage.forger(scene.bob)
    lines = certificate_lines(scene.bob, forger.chain_id, scene.stage.clock.now_us())
    for flags, header in (
        (FLAG_ACCESS, None),
        (FLAG_ACCESS | FLAG_HEADER, None),
        (FLAG_ACCESS | FLAG_HEADER, Header(author="bob")),
        (FLAG_HEADER, Header(MINE)),
        (0, Header(MINE)),
        (64, None),
    ):
        line = Line(scene.folder, kind=kind, flags=flags, header=header)
        with pytest.raises(ProtocolError, match="flags"):
            await scene.stage.judge(forger.commit(*lines, line))


# --- system rows ---------------------------------------------------------------------------------


async def test_a_published_key_cannot_take_the_place_of_an_object(scene: Scene) -> None:
    """Key rows are judged by nobody, since they prove themselves: so they have one id each."""
    key = key_line(member("eve").own)
    await scene.stage.judge(await scene.forged(key))
    forger = await scene.forger()
    certificate = certificate_lines(scene.mallory, forger.chain_id, scene.stage.clock.now_us())[-1]
    targets = (scene.note, scene.folder, system_id("grant", bytes(ROOT)), system_id("key", b"x"))
    for victim in targets:
        for line in (key, certificate):
            bad = Line(victim, kind=line.kind, body=line.body)
            with pytest.raises(ProtocolError, match="own id"):
                await scene.stage.judge(await scene.forged(bad))


async def test_an_object_cannot_take_the_place_of_a_system_row() -> None:
    """Whoever may write everything may still not replace the keys of a domain by a note."""
    stage = Stage(access=Access(read=Inherit, write=Everyone))
    alice, mallory = await stage.cast("alice", "mallory")
    await stage.as_(alice).store("secret")
    forger = await stage.forger(mallory)
    lines = certificate_lines(mallory, forger.chain_id, stage.clock.now_us())
    for kind in (Kind.DATA, Kind.TOMBSTONE):
        line = Line(system_id("grant", bytes(ROOT)), kind=kind, base=2)
        with pytest.raises(ProtocolError, match="system row"):
            await stage.judge(forger.commit(*lines, line))
    with pytest.raises(ProtocolError, match="reserved"):
        await stage.judge(forger.commit(*lines, Line(ROOT, body=b"x")))


async def test_squatting_on_the_id_of_a_future_grant_is_in_vain(scene: Scene) -> None:
    stage = scene.stage
    squatted = ObjectId(system_id("grant", scene.note))
    await stage.as_(scene.mallory).store("squatter", parent=scene.board, id=squatted)
    await stage.as_(scene.alice).rule(
        scene.note, Access(read=Only(scene.alice.public, scene.bob.public))
    )
    assert await stage.as_(scene.bob).load(scene.note) == "alice's note"
    assert (await stage.verify()).ok


async def test_roles_policies_and_checkpoints_are_the_roots_affair(scene: Scene) -> None:
    mallory = PublicKeys.of(scene.mallory.public)
    role = Line(
        system_id("role", b"root"), kind=Kind.ROLE, body=encode(Role("root", 2, (mallory,)))
    )
    new_role = Line(
        system_id("role", b"Owner"), kind=Kind.ROLE, body=encode(Role("Owner", 1, (mallory,)))
    )
    told = (await scene.stage.ledger()).view.trust.genesis
    assert told is not None
    again = ruled(Line(ROOT, kind=Kind.GENESIS, body=encode(told)), MINE)
    for line in (role, new_role, again):
        with pytest.raises(WriteDenied, match="root key"):
            await scene.stage.judge(await scene.forged(line))
    other = Genesis(told.name, told.suite, told.mode, told.salt, (mallory,), told.policy)
    second = ruled(Line(ROOT, kind=Kind.GENESIS, body=encode(other)), MINE)
    with pytest.raises(ProtocolError, match="once"):
        await scene.stage.judge(await scene.forged(second))


def grant_line(owner: bytes, *readers: Session, epoch: int = 1) -> Line:
    info = b"ate/grant/1" + owner + epoch.to_bytes(4, "little")
    wraps = {
        one.public.key_id: PublicSealingKey(one.public.seal).wrap(b"K" * 32, info)
        for one in readers
    }
    past = bytes(16 + 32 * (epoch - 1)) if epoch > 1 else b""
    body = encode(Grant(owner, epoch, wraps, past))
    return Line(system_id("grant", owner), owner, kind=Kind.GRANT, body=body)


async def test_a_grant_for_a_domain_of_somebody_else(scene: Scene) -> None:
    for owner in (bytes(ROOT), bytes(scene.folder), bytes(scene.note)):
        with pytest.raises(WriteDenied):
            await scene.stage.judge(
                await scene.forged(grant_line(owner, scene.mallory, scene.alice))
            )
    elsewhere = grant_line(bytes(scene.folder), scene.alice, scene.bob)
    moved = Line(elsewhere.id, scene.board, kind=Kind.GRANT, body=elsewhere.body)
    with pytest.raises(ProtocolError):
        await scene.stage.judge(await scene.forged(moved))


async def test_a_writer_cannot_grant_more_than_the_rule_says(scene: Scene) -> None:
    """Bob may write the folder. The rule names its readers; a key for somebody else is refused."""
    forger = await scene.stage.forger(scene.bob)
    lines = certificate_lines(scene.bob, forger.chain_id, scene.stage.clock.now_us())
    owner = bytes(scene.folder)
    await scene.stage.judge(
        forger.commit(*lines, grant_line(owner, scene.alice, scene.bob, epoch=2))
    )
    for readers in ((scene.bob,), (scene.alice, scene.bob, scene.mallory), (scene.mallory,)):
        forger.origin = Origin(scene.bob.device, 9, 1, 0)
        with pytest.raises(WriteDenied, match="read rule"):
            await scene.stage.judge(forger.commit(*lines, grant_line(owner, *readers, epoch=2)))


async def test_grants_that_would_lock_everybody_out(scene: Scene) -> None:
    forger = await scene.stage.forger(scene.bob)
    lines = certificate_lines(scene.bob, forger.chain_id, scene.stage.clock.now_us())
    owner = bytes(scene.folder)
    wraps = {scene.bob.public.key_id: bytes(1168)}
    for body in (
        b"",
        b"\xc0",
        encode(Grant(owner, 1, {})),
        encode(Grant(bytes(16), 1, wraps)),
        encode(Grant(owner, 1, wraps, b"past")),
        encode(Grant(owner, 2, wraps)),
        encode(Grant(owner, 70_000, wraps)),
        encode(Grant(owner, 1, {scene.bob.public.key_id: b"short"})),
        encode(Grant(owner, 1, {b"id": bytes(1168)})),
    ):
        line = Line(system_id("grant", owner), owner, kind=Kind.GRANT, body=body)
        with pytest.raises(ProtocolError):
            await scene.stage.judge(forger.commit(*lines, line))


# --- replays and claims --------------------------------------------------------------------------


async def test_an_own_commit_is_taken_once(scene: Scene) -> None:
    forger = await scene.forger()
    commit = forger.commit(*scene.introduction(forger), Line(ObjectId.random(), scene.board))
    scene.stage.tamperer().append(commit)
    with pytest.raises(Replayed):
        await scene.stage.judge(commit)
    late = forger.commit(Line(ObjectId.random(), scene.board))
    later = forger.commit(Line(ObjectId.random(), scene.board))
    with pytest.raises(Replayed, match="order"):
        await scene.stage.judge(later)
    await scene.stage.judge(late)


async def test_to_have_seen_the_future(scene: Scene) -> None:
    forger = await scene.forger(seen_seq=1 << 40)
    commit = forger.commit(*scene.introduction(forger), Line(ObjectId.random(), scene.board))
    with pytest.raises(CorruptLog, match="seen"):
        await scene.stage.judge(commit)


async def test_another_chain(scene: Scene) -> None:
    other = Stage("other")
    await other.cast("alice")
    chain_id = (await other.ledger()).view.trust.chain_id
    forger = await scene.forger(chain_id=chain_id)
    with pytest.raises(CorruptLog, match="another chain"):
        await scene.stage.judge(forger.commit(Line(ObjectId.random(), scene.board)))


async def test_to_sign_for_somebody_else(scene: Scene) -> None:
    forger = await scene.forger()
    line = Line(scene.note, body=b"x")
    introduction = scene.introduction(forger)
    with pytest.raises(BadSignature):
        await scene.stage.judge(forger.commit(line, key_id=scene.alice.public.key_id))
    fast = scene.alice.fast(forger.chain_id, scene.stage.clock.now_us())
    forger = await scene.forger()
    with pytest.raises(BadSignature):
        await scene.stage.judge(forger.commit(*introduction, line, key_id=fast.key_id))


async def test_a_certificate_that_nobody_issued(scene: Scene) -> None:
    """Mallory's fast key, and alice's name on a certificate that mallory signed."""
    forger = await scene.forger()
    introduction = scene.introduction(forger)
    raw = introduction[-1].body.replace(scene.mallory.public.key_id, scene.alice.public.key_id)
    assert isinstance(forger.key, FastKey)
    name = bytes(forger.key.public.raw) + scene.alice.public.key_id
    bad = Line(system_id("certificate", name), kind=Kind.CERTIFICATE, body=raw)
    with pytest.raises(BadSignature):
        await scene.stage.judge(forger.commit(*introduction, bad, Line(scene.note, body=b"x")))


async def test_keys_alone_are_no_reason_to_write(scene: Scene) -> None:
    forger = await scene.forger()
    with pytest.raises(Refused):
        await scene.stage.judge(forger.commit(*scene.introduction(forger)))


# --- what a refusal leaves behind ----------------------------------------------------------------


async def test_a_refused_commit_teaches_the_chain_nothing(scene: Scene) -> None:
    """Keys that came with a refused commit are not on the chain: the next one brings them again."""
    stage = scene.stage
    shown = await stage.as_(scene.alice).store("look", access=Access(read=Everyone))
    async with stage.open(scene.alice) as chain:
        dio = chain.dio(scene.mallory)
        dio.store({"a": 1}, parent=shown)
        with pytest.raises(WriteDenied):
            await dio.commit()
        dio = chain.dio(scene.mallory)
        dio.store({"a": 1}, parent=scene.board)
        await dio.commit()
    assert (await stage.verify()).ok
    stage.tamperer().remove("index")
    await stage.as_(None).open(readonly=True)


async def test_nobody_means_nobody() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    frozen = await stage.as_(alice).store("as it is", access=Access(read=Everyone, write=Nobody))
    for act in (
        stage.as_(alice).change(frozen, "else"),
        stage.as_(alice).delete(frozen),
        stage.as_(alice).rule(frozen, MINE),
        stage.as_(alice).store("below", parent=frozen),
    ):
        with pytest.raises(WriteDenied):
            await act


async def test_a_write_once_chain_stays_as_it_is_for_its_root_too() -> None:
    stage = Stage(policy={"worm": True})
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("for ever")
    for act in (
        stage.as_(alice).change(note, "else"),
        stage.as_(alice).delete(note),
        stage.as_(alice).rule(note, MINE),
    ):
        with pytest.raises((Refused, TrustError)):
            await act
    assert await stage.as_(alice).load(note) == "for ever"


async def test_nobody_publishes_a_sealing_key_for_somebody_else(scene: Scene) -> None:
    """Carol is new here. Mallory is quicker: carol's signing key, with mallory's sealing key.

    If that were believed, the next key wrapped to carol by name would be wrapped to mallory.
    """
    stage, carol = scene.stage, member("carol")
    mixed = PublicKeys("carol", carol.public.sign, scene.mallory.public.seal)
    bad = Line(system_id("key", mixed.principal.key_id), kind=Kind.KEY, body=encode(mixed))
    stage.tamperer().append(await scene.forged(bad))
    await stage.as_(scene.alice).rule(
        scene.folder,
        Access(read=Only(scene.alice.public, carol.public), write=Any(scene.alice.public)),
    )
    named = Only(scene.alice.public.key_id, carol.public.key_id, scene.bob.public.key_id)
    await stage.as_(scene.alice).rule(
        scene.folder, Access(read=named, write=Any(scene.alice.public))
    )
    ledger = await stage.ledger()
    raw = ledger.view.grant(system_id("grant", scene.folder))
    assert raw is not None
    grant = decode(Grant, raw)
    info = b"ate/grant/1" + scene.folder + grant.epoch.to_bytes(4, "little")
    for wrapped in grant.wraps.values():
        with pytest.raises(CannotOpen):
            scene.mallory.own.seal.unwrap(wrapped, info)
    assert await stage.as_(carol).load(scene.folder) == "bob's folder"


async def test_a_circle_made_by_moving_hurts_its_maker_alone(scene: Scene) -> None:
    """Said in the threat model. It must end in an error for who writes there, and in no loop.

    Mallory's own program refuses the move; by hand it can be made.
    """
    stage, mallory = scene.stage, scene.mallory
    upper = await stage.as_(mallory).store("upper", parent=scene.board)
    lower = await stage.as_(mallory).store("lower", parent=upper)
    with pytest.raises(UsageError, match="below itself"):
        await stage.as_(mallory).move(upper, lower)
    stored = (await stage.ledger()).view.stored(upper)
    assert stored is not None
    move = Line(upper, lower, body=b"x", base=stored.seq)
    stage.tamperer().append(await scene.forged(move))
    for act in (
        stage.as_(mallory).change(lower, "changed"),
        stage.as_(mallory).store("below", parent=upper),
    ):
        with pytest.raises(ProtocolError, match="cycle"):
            await act
    assert await stage.as_(scene.alice).load(lower) == "lower"
    await stage.as_(mallory).store("the board goes on", parent=scene.board)
    assert (await stage.verify()).ok


async def test_a_version_that_replaces_what_is_not_there(scene: Scene) -> None:
    """`base` leads to the version before: neither to itself, nor ahead, nor to another object."""
    stage, mallory = scene.stage, scene.mallory
    mine = await stage.as_(mallory).store("mine", parent=scene.board)
    stored = (await stage.ledger()).view.stored(mine)
    assert stored is not None
    head = (await stage.ledger()).view.head
    good = await scene.forged(Line(mine, scene.board, body=b"x", base=stored.seq))
    await stage.judge(good)
    for base in (0, stored.seq - 1, head + len(good.heads), head + 4, (1 << 48) - 1, (1 << 64) - 1):
        bad = await scene.forged(Line(mine, scene.board, body=b"x", base=base))
        with pytest.raises(Conflict):
            await stage.judge(bad)
    new = await scene.forged(Line(ObjectId.random(), scene.board, body=b"x", base=stored.seq))
    with pytest.raises(Conflict):
        await stage.judge(new)
    stage.tamperer().append(new)
    with pytest.raises(CorruptLog):
        await stage.as_(mallory).load(mine, at_seq=1)


async def test_the_numbers_of_somebody_else_cannot_be_used_up(scene: Scene) -> None:
    """A commit under alice's origin with the highest number would refuse all that she sends."""
    ledger = await scene.stage.ledger()
    forger = await scene.forger()
    lines = scene.introduction(forger)
    for (device, session), (last, _) in list(ledger.view.origins.table.items()):
        if device == scene.mallory.device:
            continue
        forger.origin = Origin(device, session, (1 << 64) - 1, last)
        with pytest.raises(Replayed, match="is not that of the author's key"):
            await scene.stage.judge(forger.commit(*lines, Line(ObjectId.random(), scene.board)))
    await scene.stage.as_(scene.alice).change(scene.note, "still mine")
