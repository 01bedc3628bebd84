from __future__ import annotations

from pathlib import Path

import pytest

import ate
from ate import merkle
from ate.chain.paths import Paths, row_path
from ate.chain.prover import prove, version
from ate.chain.view import View
from ate.crypto.hash import digest, digest_many
from ate.errors import Compacted, UsageError
from ate.log.memory import MemoryLog
from ate.testing.stage import member

SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33]


def view_of(count: int) -> tuple[View, list[bytes]]:
    view = View(MemoryLog())
    leaves = [digest(bytes([number])) for number in range(count)]
    for number, leaf in enumerate(leaves, 1):
        view.commits.append(number, number, leaf)
    view.frontier = merkle.Frontier.of(leaves)
    return view, leaves


@pytest.mark.parametrize("size", SIZES)
def test_paths_are_those_of_the_tree(size: int) -> None:
    view, leaves = view_of(33)
    leaves = leaves[:size]
    paths = Paths(view, size)
    assert paths.root_at(size) == merkle.root(leaves)
    for index in range(size):
        assert paths.inclusion(index) == merkle.inclusion_proof(leaves, index)
    for old in range(1, size + 1):
        assert paths.root_at(old) == merkle.root(leaves[:old])
        assert paths.consistency(old) == merkle.consistency_proof(leaves, old)


def test_what_was_never_there() -> None:
    view, _ = view_of(5)
    for size in (0, 6, -1):
        with pytest.raises(UsageError):
            Paths(view, size)
    for size in (0, 5):
        with pytest.raises(UsageError, match="covers 4"):
            Paths(view, 4).root_at(size)


async def test_the_path_of_a_row() -> None:
    async with ate.open("rows", memory=True) as chain:
        async with chain.dio() as dio:
            for number in range(40):
                dio.store(number)
        record, _ = chain._ledger.view.find(2)
        hashes = digest_many(record.signed_rows())
        for at in (0, 15, 16, 39):
            path = row_path(record, at)
            merkle.verify_rows(hashes[at], at, 40, path, record.author.rows_root)


async def test_a_compacted_chain_proves_what_it_kept(tmp_path: Path) -> None:
    """The same paths as before, over commits that are gone and beside rows that are gone."""
    alice = member("alice")
    async with ate.open("c", path=tmp_path, session=alice) as chain:
        dio = chain.dio()
        notes = [dio.store({"n": number}) for number in range(40)]
        await dio.commit()
        for number in range(12):
            notes[0].value = {"again": number}
            await dio.commit()
        for note in notes[1:30]:
            note.value = {"late": 1}
        await dio.commit()
        await chain.checkpoint()
        before = await chain.prove(notes[35].id)
        last = await chain.prove(notes[0].id, continues=15)
        await chain.compact()
        view = chain._ledger.view
        assert len(view.commits) < view.frontier.size
        size = before.checkpoint.size
        for note, proof in ((notes[35], before), (notes[0], last)):
            found = prove(chain._ledger, version(view, note.id), to=size)
            assert found.commits == proof.commits
        paths = Paths(view, view.frontier.size)
        assert paths.root_at(view.frontier.size) == view.frontier.root()
        with pytest.raises(Compacted):
            paths.inclusion(4)
        with pytest.raises(Compacted):
            for old in range(2, 13):
                paths.consistency(old)
        newest = await chain.prove(notes[35].id, value=True, reveal=True)
        proven = ate.check_proof(newest, roots=[alice.public]).proven
        assert proven is not None
        assert proven.row.id == notes[35].id
