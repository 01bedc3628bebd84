"""`fill`: the next generation of a log, whoever takes its steps."""

from __future__ import annotations

from datetime import timedelta

import pytest

import ate
from ate.chain.compact import Compaction, finish
from ate.chain.filling import fill
from ate.chain.retention import Retention
from ate.chain.thinning import Cut
from ate.testing.simclock import SimClock


@pytest.mark.parametrize("retention,kept", [(Retention(), 2), (Retention(versions=3), 4)])
async def test_what_is_kept_is_what_was_asked_for(retention: Retention, kept: int) -> None:
    async with ate.open("filling", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store({"n": 0})
        await dio.commit()
        for number in range(1, 6):
            dao.value = {"n": number}
            await dio.commit()
        ledger = chain._ledger
        compaction = Compaction(ledger, Cut(ledger.view, set()))
        finish(fill(compaction, ledger.view, retention, set(), ledger.now_us()))
        compaction.switch()
        done = compaction.adopt()
        compaction.tidy_up()
        assert (done.rows_before, done.rows_after) == (7, kept)
        assert (await chain.dio().load(dict, dao.id)).value == {"n": 5}


@pytest.mark.parametrize("age_s, kept", [(30, 3), (90, 2)])
async def test_what_was_deleted_is_forgotten_when_it_is_old_enough(age_s: int, kept: int) -> None:
    clock = SimClock(tick_us=1)
    async with ate.open("filling", memory=True, clock=clock) as chain:
        dio = chain.dio()
        gone, stays = dio.store({"n": 0}), dio.store({"n": 1})
        await dio.commit()
        dio.delete(gone.id)
        await dio.commit()
        clock.advance(age_s)
        ledger = chain._ledger
        compaction = Compaction(ledger, Cut(ledger.view, set()))
        retention = Retention(tombstones=timedelta(seconds=60))
        finish(fill(compaction, ledger.view, retention, set(), ledger.now_us()))
        compaction.switch()
        done = compaction.adopt()
        compaction.tidy_up()
        assert (done.rows_before, done.rows_after) == (4, kept)
        assert not await chain.dio().exists(gone.id)
        assert (await chain.dio().load(dict, stays.id)).value == {"n": 1}
