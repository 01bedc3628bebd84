from __future__ import annotations

import pytest

import ate
from ate import merkle
from ate.chain.paths import Paths, row_path
from ate.chain.view import View
from ate.crypto.hash import digest, digest_many
from ate.errors import Compacted, UsageError
from ate.log.memory import MemoryLog

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


def test_a_chain_that_lost_commits_says_so() -> None:
    view, leaves = view_of(5)
    view.frontier = view.frontier.append(leaves[0])
    with pytest.raises(Compacted):
        Paths(view, 5)


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
        record.row_count = 39
        with pytest.raises(Compacted):
            row_path(record, 0)
