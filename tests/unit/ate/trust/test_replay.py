from __future__ import annotations

import pytest

from ate.errors import Replayed
from ate.event.commit import Origin
from ate.ids import ObjectId
from ate.testing.forger import Line, key_line
from ate.testing.stage import Stage
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
    ledger.view.origins.apply(7, 7, 1, 3)
    from ate.chain.admit import admit
    from ate.event.commit import Record, SequencerPart
    from ate.testing.tamper import ordered

    view = ledger.view
    part = SequencerPart(view.head + 1, view.time_us, view.frontier.size, view.link)
    record = Record(memoryview(ordered(commit, part)))
    with pytest.raises(Replayed, match="commit 1 of this session is here already"):
        await admit(view, ledger.pipeline, record, time_us=view.time_us)


@pytest.mark.parametrize("origin", [Origin(7, 7, 2, 1), Origin(7, 7, 5, 4)])
async def test_a_commit_whose_predecessor_is_missing_is_refused(origin: Origin) -> None:
    stage = Stage(suite=1)
    (alice,) = await stage.cast("alice")
    forger = await stage.forger(alice.own, origin=origin)
    with pytest.raises(Replayed, match=f"follows commit {origin.prev}, the chain holds 0"):
        await stage.judge(forger.commit(Line(ObjectId.random())))


async def test_number_zero_was_never_sent() -> None:
    stage = Stage(suite=1)
    (alice,) = await stage.cast("alice")
    forger = await stage.forger(alice.own, origin=Origin(7, 7, 0, 0))
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
