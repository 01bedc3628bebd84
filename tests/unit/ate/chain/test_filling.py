"""`fill`: the next generation of a log, whoever takes its steps."""

from __future__ import annotations

import pytest

import ate
from ate.chain.compact import Compaction, finish
from ate.chain.filling import fill
from ate.chain.retention import Retention
from ate.chain.thinning import Cut


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
