from __future__ import annotations

import pytest

from ate.errors import Replayed
from ate.event.access import Access, Any, Everyone
from ate.event.commit import Origin
from ate.ids import ObjectId
from ate.testing.forger import Line, certificate_lines, key_line
from ate.testing.stage import Note, Stage, member
from ate.trust.replay import Origins


def test_an_origin_is_found_by_its_newest_number() -> None:
    origins = Origins()
    assert origins.last(1, 1) == origins.lookup(1, 1, 1) == 0
    origins.apply(1, 1, 1, 5)
    origins.apply(1, 1, 2, 9)
    assert origins.last(1, 1) == 2
    assert origins.lookup(1, 1, 2) == 9
    assert origins.lookup(1, 1, 1) == 0
    assert origins.last(1, 2) == origins.last(2, 1) == 0


async def test_a_commit_is_taken_once() -> None:
    """The very bytes that were accepted, signature and all, are refused the second time."""
    stage = Stage(suite=1)
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store("note")
    forger = await stage.forger(alice.own)
    commit = forger.commit(Line(ObjectId.random()))
    await stage.judge(commit)
    ledger = await stage.ledger()
    ledger.view.origins.apply(alice.device, 7, 1, 3)
    from ate.chain.admit import admit
    from ate.event.commit import Record, SequencerPart
    from ate.testing.tamper import ordered

    view = ledger.view
    part = SequencerPart(view.head + 1, view.time_us, view.frontier.size, view.link)
    record = Record(memoryview(ordered(commit, part)))
    with pytest.raises(Replayed, match="commit 1 of this session is here already"):
        await admit(view, ledger.pipeline, record, time_us=view.time_us)


@pytest.mark.parametrize("lsn, prev", [(2, 1), (5, 4)])
async def test_a_commit_whose_predecessor_is_missing_is_refused(lsn: int, prev: int) -> None:
    stage = Stage(suite=1)
    (alice,) = await stage.cast("alice")
    origin = Origin(alice.device, 7, lsn, prev)
    forger = await stage.forger(alice.own, origin=origin)
    with pytest.raises(Replayed, match=f"follows commit {prev}, the chain holds 0"):
        await stage.judge(forger.commit(Line(ObjectId.random())))


async def test_number_zero_was_never_sent() -> None:
    stage = Stage(suite=1)
    (alice,) = await stage.cast("alice")
    forger = await stage.forger(alice.own, origin=Origin(alice.device, 7, 0, 0))
    with pytest.raises(Replayed):
        await stage.judge(forger.commit(key_line(alice.own), Line(ObjectId.random())))


async def test_the_table_outlives_a_restart() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    for text in ("one", "two"):
        await stage.as_(alice).store(text)
    table = (await stage.ledger()).view.origins.table
    assert len(table) == 3
    async with stage.open(alice) as chain:
        assert chain._ledger.view.origins.table == table


@pytest.mark.parametrize("suite", [1, 2])
async def test_an_origin_is_that_of_the_authors_key(suite: int) -> None:
    """Nobody uses up the numbers of somebody else, nor numbers that are nobody's."""
    stage = Stage(suite=suite, access=Access(Everyone, Everyone))
    alice, mallory = await stage.cast("alice", "mallory")
    await stage.as_(mallory).store("known")
    ledger = await stage.ledger()
    session = next(one for of, one in ledger.view.origins.table if of == alice.device)
    last = ledger.view.origins.last(alice.device, session)
    who = mallory if suite == 2 else mallory.own
    lines = certificate_lines(mallory, ledger.view.trust.chain_id, stage.clock.now_us())
    rows = (*(lines if suite == 2 else ()), Line(ObjectId.random()))
    for device in (alice.device, 7):
        prev = last if device == alice.device else 0
        forger = await stage.forger(who, origin=Origin(device, session, 1 << 62, prev))
        with pytest.raises(Replayed, match="is not that of the author's key"):
            await stage.judge(forger.commit(*rows))
    await stage.judge((await stage.forger(who)).commit(*rows))


async def test_a_chain_without_signatures_takes_any_device() -> None:
    stage = Stage()
    async with stage.open(None):
        pass
    for device in (0, 7, (1 << 64) - 1):
        forger = await stage.forger(None, origin=Origin(device, 1, 1, 0))
        await stage.judge(forger.commit(Line(ObjectId.random())))


async def test_a_role_of_suite_1_has_many_devices() -> None:
    """Which member signed with the key of the role is not known."""
    stage = Stage(suite=1, access=Access(Everyone, Any("editors")))
    (alice,) = await stage.cast("alice")
    editors = member("the editors")
    await stage.as_(alice).set_role("editors", 1, editors.public)
    forger = await stage.forger(editors.own, origin=Origin(99, 7, 1, 0))
    await stage.judge(forger.commit(Line(ObjectId.random())))


async def test_one_chain_is_written_to_by_several_sessions_of_one_process() -> None:
    stage = Stage(access=Access(Everyone, Everyone))
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        for who in (alice, bob, alice, bob):
            async with chain.dio(who) as dio:
                dio.store(Note("mine"))
    origins = (await stage.ledger()).view.origins.table
    assert {device for device, _ in origins} == {alice.device, bob.device}
    assert sorted(lsn for lsn, _ in origins.values()) == [1, 3, 4]
