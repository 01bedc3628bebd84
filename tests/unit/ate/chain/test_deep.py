"""What is inside the bodies and between the objects is looked at, and what is not is said."""

from __future__ import annotations

from typing import Any

import pytest

from ate.chain import snapshot
from ate.chain.deep import Deep, Depth
from ate.chain.ledger import Ledger
from ate.chain.verify import Verification, verify
from ate.crypto.entropy import system_entropy
from ate.dio.schema import decode_any
from ate.event.access import Access, Only
from ate.event.access import Any as AnyOf
from ate.event.commit import Record
from ate.event.row import Kind
from ate.event.system import Grant, encode, system_id
from ate.session import Session
from ate.testing.forger import Line, certificate_lines
from ate.testing.stage import Note, Stage
from ate.testing.tamper import following, ordered
from ate.trust.compression import Zstd

LARGE = "large " * 12_000


async def play() -> tuple[Stage, Session, Session]:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    actor = stage.as_(alice)
    top = await actor.store("top")
    child = await actor.store("child", parent=top)
    rule = Access(Only(alice.public, bob.public), AnyOf(alice.public, bob.public))
    shared = await actor.store("shared", access=rule)
    await stage.as_(bob).change(shared, "by bob")
    await actor.change(top, "top again")
    await actor.delete(child)
    async with stage.open(alice) as chain:
        dio = chain.dio()
        dio.store(Note("child again"), id=child, parent=top)
        await dio.commit()
        await chain.checkpoint()
    await actor.store(LARGE)
    return stage, alice, bob


def ledger_of(stage: Stage, who: Session | None, *plugins: Any) -> Ledger:
    return Ledger(
        stage.log(), plugins=plugins, session=who, clock=stage.clock, entropy=system_entropy
    )


async def look(
    stage: Stage, who: Session | None, *plugins: Any, judge: Any = None
) -> tuple[Verification, Depth]:
    witness = ledger_of(stage, who)
    ledger = ledger_of(stage, who, *plugins)
    deep = Deep(
        ledger,
        judge or (lambda plain, codec, _: decode_any(plain, codec)),
        witness if snapshot.read_snapshot(witness) else None,
    )
    found = await verify(ledger.store, view=ledger.view, visit=deep.visit)
    return found, deep.finish(found)


async def test_everything_is_opened_by_who_may() -> None:
    stage, alice, _ = await play()
    found, depth = await look(stage, alice)
    assert found.ok, found.problems
    assert (depth.opened, depth.plain, depth.values, depth.grants) == (7, 0, 7, 2)
    assert (depth.checkpoints, depth.orphan_bytes, depth.strays) == (1, 0, [])
    assert depth.unchecked == []
    assert "snapshot against the fold of the log" in found.checks


async def test_what_is_sealed_to_others_is_counted() -> None:
    stage, _, bob = await play()
    found, depth = await look(stage, bob)
    assert found.ok
    assert (depth.opened, sum(depth.closed.values())) == (2, 5)
    assert depth.unchecked[0] == "5 bodies in 1 read domain are sealed to others"
    assert depth.unchecked[1] == "the snapshot belongs to another session"
    found, depth = await look(stage, None)
    assert found.ok
    assert depth.unchecked[0] == "7 bodies in 2 read domains are sealed to others"


async def test_roles_give_their_members_keys_along_the_way() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        await chain.set_role("Readers", [bob.public])
        dio = chain.dio()
        dio.store(Note("for readers"), access=Access(Only("Readers", alice.public)))
        await dio.commit()
    fresh = Session("bob", bob.own)
    found, depth = await look(stage, fresh)
    assert found.ok
    assert depth.opened == 1


async def sealed_commit(stage: Stage, who: Session, *lines: Line) -> None:
    """Append rows as a member with bad intentions can."""
    forger = await stage.forger(who)
    chain_id = forger.chain_id
    intro = certificate_lines(who, chain_id, stage.clock.now_us())
    stage.tamperer().append(forger.commit(*intro, *lines))


async def applied(stage: Stage, ledger: Ledger, *lines: Line) -> Record:
    """Fold a commit in that no rule was asked about."""
    forger = await stage.forger(None)
    payload = ordered(forger.commit(*lines), following(stage.tamperer().payloads(), 1 << 60))
    record = Record(memoryview(payload))
    ledger.view.recent[1 << 50] = record
    ledger.view.apply(record, 1 << 50)
    return record


async def test_a_body_that_does_not_open_is_told_by_its_row() -> None:
    stage, alice, _ = await play()
    sealed = Line(b"\7" * 16, body=b"x" * 40, epoch=1, codec=1)
    other = Line(b"\x08" * 16, body=b"y" * 40, epoch=9, codec=1)
    await sealed_commit(stage, alice, sealed, other)
    found, depth = await look(stage, alice)
    assert any("the sealed body does not open" in one for one in found.problems)
    assert depth.closed == {bytes(16): 1}, "there is no epoch 9"


async def test_a_body_that_is_no_value_is_told() -> None:
    stage = Stage()
    await stage.as_(None).store("fine")
    forger = await stage.forger(None)
    lines = [Line(bytes([at]) * 16, body=b"no value", codec=1) for at in range(1, 120)]
    stage.tamperer().append(forger.commit(*lines))
    found, depth = await look(stage, None)
    assert depth.values == 1
    assert found.problems[0] == "row 3: the bytes are no stored value"
    assert found.problems[-1] == "and 19 more"
    assert len(found.problems) == 101


async def test_filters_are_undone_or_missed() -> None:
    stage = Stage(plugins=(Zstd(least_bytes=16),))
    await stage.as_(None).store("word " * 200)
    found, depth = await look(stage, None, *stage.plugins)
    assert (found.ok, depth.values, depth.filtered) == (True, 1, 0)
    found, depth = await look(stage, None)
    assert (found.ok, depth.values, depth.filtered) == (True, 0, 1)
    assert depth.unchecked == ["1 bodies were encoded by a filter that is not loaded"]


async def test_a_grant_that_cheats_its_reader_is_told() -> None:
    stage, alice, bob = await play()
    ledger = await stage.ledger(bob)
    top = b"\x44" * 16
    wraps = {alice.public.key_id: bytes(1168), bob.public.key_id: bytes(1168)}
    body = encode(Grant(top, 1, wraps))
    line = Line(system_id("grant", top), parent=top, kind=Kind.GRANT, body=body)
    record = await applied(stage, ledger, line)
    deep, found = Deep(ledger, lambda *_: None), Verification()
    await deep.visit(found, record, 1)
    assert found.problems == [
        f"row {record.first_seq}: the grant names this session, and does not open"
    ]


async def test_parents_that_are_gone_are_noted_and_circles_are_wrong() -> None:
    stage = Stage()
    actor = stage.as_(None)
    first = await actor.store("first")
    second = await actor.store("second", parent=first)
    await actor.store("third", parent=second)
    found, _ = await look(stage, None)
    assert found.ok
    assert found.notes == []
    lost = Line(b"\x50" * 16, parent=b"\x09" * 16)
    dead = Line(second, parent=first, kind=Kind.TOMBSTONE, base=3, created=3)
    ring = [bytes([at]) * 16 for at in (0x51, 0x52, 0x53)]
    lines = [Line(one, parent=ring[at - 1]) for at, one in enumerate(ring)]
    inside = Line(b"\x54" * 16, parent=ring[0])
    ledger = await stage.ledger()
    await applied(stage, ledger, lost, dead, *lines, inside)
    told = Verification()
    Deep(ledger, lambda *_: None).finish(told)
    assert told.problems == ["the parents of 4 objects lead in a circle"]
    assert "1 parents are named that were never stored" in told.notes
    assert "1 deleted objects still have living children" in told.notes


@pytest.mark.parametrize(
    "wrong", ["head", "seq", "live", "child", "order", "commits", "keys", "origins"]
)
async def test_a_snapshot_that_is_not_the_fold_is_told(wrong: str) -> None:
    stage, alice, _ = await play()
    ledger, witness = ledger_of(stage, alice), ledger_of(stage, alice)
    assert snapshot.read_snapshot(witness)
    known = witness.view
    columns = known.index.columns()
    changed = [column.copy() for column in columns]
    if wrong == "seq":
        changed[2][0] += 1
    elif wrong == "child":
        changed[4][0] += 1
    elif wrong == "order":
        changed[5][:] = changed[5][::-1].copy()
    known.index.adopt(changed[:5], changed[5], known.index.live + (wrong == "live"))  # type: ignore[arg-type]
    if wrong == "head":
        known.time_us += 1
    elif wrong == "commits":
        first, place, leaf = known.commits.columns()
        leaf = leaf.copy()
        leaf[5] ^= 1
        known.commits.adopt(first, place, leaf)
    elif wrong == "keys":
        known.trust.keys.popitem()
    elif wrong == "origins":
        known.origins.table.popitem()
    deep = Deep(ledger, lambda *_: None, witness)
    found = await verify(ledger.store, view=ledger.view, visit=deep.visit)
    deep.finish(found)
    (only,) = found.problems
    assert only.startswith("the snapshot is not the fold of the log: ")


async def test_versions_that_lead_elsewhere_are_told() -> None:
    """Admission refuses such rows; the deep look does not rely on it."""
    stage = Stage()
    actor = stage.as_(None)
    one, other = await actor.store("one"), await actor.store("other")
    ledger = await stage.ledger()
    forger = await stage.forger(None)
    lines = [
        Line(one, base=3, created=2, body=b"\xa3int\x05", codec=1),
        Line(other, base=3, created=2, body=b"\xa3int\x05", codec=1),
        Line(system_id("checkpoint", b""), base=2, kind=Kind.CHECKPOINT),
    ]
    payloads = stage.tamperer().payloads()
    record = Record(memoryview(ordered(forger.commit(*lines), following(payloads, 1 << 60))))
    deep, found = Deep(ledger, lambda *_: None), Verification()
    deep._visit_bases(found, record)
    assert found.problems == [
        "row 4: the version before it is of another object",
        "row 5: the two versions name different first ones",
    ]


async def test_orphans_and_strays_are_told() -> None:
    stage, alice, _ = await play()
    tamperer = stage.tamperer()
    tamperer.edit("body.000001", lambda content: content.extend(b"o" * 83))
    stage.disk.put(tamperer.path("note.txt"), b"mine")
    found, depth = await look(stage, alice)
    assert found.ok
    assert 80 <= depth.orphan_bytes <= 96
    assert depth.strays == ["000001/note.txt"]
    assert any("that no row names" in one for one in found.notes)
    assert "000001/note.txt: not a file of the log" in found.notes


async def test_an_empty_log_has_no_inside() -> None:
    stage = Stage()
    await stage.as_(None).open()
    found, depth = await look(stage, None)
    assert found.ok
    assert (depth.values, depth.opened) == (0, 0)
