"""`ate.chain.succession`: one at a time makes the next generation."""

from __future__ import annotations

import pytest

import ate
from ate.chain.compact import Compaction
from ate.chain.succession import COMPACTION, RENEWAL, Succession
from ate.chain.thinning import Cut
from ate.errors import Conflict


def test_one_at_a_time() -> None:
    one = Succession()
    one.begin(COMPACTION)
    with pytest.raises(Conflict, match="in the middle of a compaction"):
        one.begin(RENEWAL)
    one.end(RENEWAL)
    with pytest.raises(Conflict):
        one.begin(COMPACTION)
    one.end(COMPACTION)
    one.begin(RENEWAL)


async def test_a_copy_is_not_made_anew_during_a_compaction_nor_the_other_way_round() -> None:
    async with ate.open("c", memory=True) as chain:
        async with chain.dio() as dio:
            dio.store(1)
        ledger = chain._ledger
        compaction = Compaction(ledger, Cut(ledger.view, set()))
        with pytest.raises(Conflict):
            ledger.renewal()
        compaction.tidy_up()
        ledger.renewal()
        with pytest.raises(Conflict):
            Compaction(ledger, Cut(ledger.view, set()))
