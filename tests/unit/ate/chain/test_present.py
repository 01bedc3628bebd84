from __future__ import annotations

import numpy as np

import ate
from ate.chain.index import SEQ_MASK
from ate.chain.present import CHECKPOINT_ID, hash_of, state_of, vouched
from ate.testing.stage import Note, Stage


async def test_it_changes_with_what_lives_and_with_nothing_else() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    seen = []
    async with stage.open(alice) as chain:
        view = chain._ledger.view
        dio = chain.dio()
        one, two = dio.store(Note("one")), dio.store(Note("two"))
        await dio.commit()
        seen.append(state_of(view))
        assert state_of(view) == seen[0]
        await chain.checkpoint()
        run = view.index.run()
        covered = vouched(view, run.high, run.low, run.seq)
        # The chain, its grant, two notes; not the checkpoint and the certificate.
        assert covered.sum() == len(covered) - 2 == 4
        one.value = Note("changed")
        await dio.commit()
        seen.append(state_of(view))
        two.delete()
        await dio.commit()
        seen.append(state_of(view))
        gone = np.array([one.seq], np.uint64)
        seen.append(state_of(view, gone))
        origins = dict(view.origins.table)
        origins[1, 2] = (3, 4)
        entries = run.high[covered], run.low[covered], run.seq[covered]
        seen.append(hash_of(origins, *entries))
        seen.append(hash_of(view.origins.table, *entries))
        assert len(set(seen)) == len(seen)
        assert {len(one) for one in seen} == {32}
        assert view.index.locate(CHECKPOINT_ID) & SEQ_MASK


async def test_a_chain_without_system_rows_below_its_newest() -> None:
    async with ate.open("m", memory=True) as chain:
        run = chain._ledger.view.index.run()
        none = run.seq[:0]
        assert vouched(chain._ledger.view, none, none, none).tolist() == []
        assert len(state_of(chain._ledger.view)) == 32
