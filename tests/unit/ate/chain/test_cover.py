from __future__ import annotations

import numpy as np
import pytest

import ate
from ate import merkle
from ate.chain.cover import Cover
from ate.errors import Compacted, CorruptLog
from ate.event.commit import Record
from ate.log.memory import MemoryLog


async def filled(chain: ate.Chain, *, turns: int = 30) -> None:
    dio = chain.dio()
    notes = [dio.store({"n": n}) for n in range(3)]
    await dio.commit()
    for turn in range(turns):
        notes[turn % 2].value = {"n": turn}
        await dio.commit()


def leaves_of(chain: ate.Chain) -> list[bytes]:
    return [Record(payload).leaf for _, payload in chain._ledger.store.scan()]


async def test_a_whole_tree() -> None:
    async with ate.open("m", memory=True) as chain:
        await filled(chain, turns=300)
        leaves, cover = leaves_of(chain), Cover.of(chain._ledger.view)
        assert (cover.size, cover.cut, cover.places) == (len(leaves), 0, [])
        for size in (0, 1, 2, 255, 256, 257, len(leaves)):
            assert cover.root(size) == merkle.root(leaves[:size])
        for index in (0, 1, 200, 255, 256, len(leaves) - 1):
            proof = cover.inclusion(index, len(leaves))
            assert proof == merkle.inclusion_proof(leaves, index)
            merkle.verify_inclusion(leaves[index], index, len(leaves), proof, chain.root)


async def test_a_tree_with_gaps() -> None:
    async with ate.open("m", memory=True) as chain:
        await filled(chain)
        leaves = leaves_of(chain)
        await chain.compact()
        dio = chain.dio()
        dio.store({"n": "behind"})
        await dio.commit()
        view = chain._ledger.view
        leaves.append(view.frontier.last)
        cover = Cover.of(view)
        assert cover.size == len(leaves)
        assert cover.root(cover.size) == chain.root == merkle.root(leaves)
        held = [index for index, _ in cover.places]
        assert 0 in held
        assert len(held) < len(leaves) - 5
        for index in [*held, len(leaves) - 1]:
            assert cover.inclusion(index, len(leaves)) == merkle.inclusion_proof(leaves, index)
        gone = next(index for index in range(len(leaves)) if index not in held)
        with pytest.raises(Compacted):
            cover.inclusion(gone, len(leaves))
        with pytest.raises(Compacted):
            cover.root(gone + 1)
        await chain.compact()
        assert Cover.of(view).root(len(leaves)) == chain.root


async def test_nodes_that_are_missing() -> None:
    async with ate.open("m", memory=True) as chain:
        await filled(chain)
        await chain.compact()
        view, old = chain._ledger.view, chain._ledger.store
        log, places = MemoryLog(), []
        for _, payload in old.scan():
            if payload[0] != 0x83:
                places.append(log.append([payload]))
        first, _, leaf = view.commits.columns()
        view.commits.adopt(first, np.array(places[1:], np.uint64), leaf)
        view.store = log
        with pytest.raises(CorruptLog, match="nothing stands for"):
            Cover.of(view)
        view.store = old
