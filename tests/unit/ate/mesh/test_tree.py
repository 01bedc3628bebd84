from __future__ import annotations

import pytest

import ate
from ate import merkle
from ate.chain.cover import Cover
from ate.errors import Compacted
from ate.mesh.evidence import roots_of
from ate.mesh.tree import ViewTree, continuation, frontier_at, root_between
from ate.multiproof import Part
from ate.testing.spokesman import Story


@pytest.mark.parametrize("size", range(1, 40))
def test_a_continuation_shows_both_roots(size: int) -> None:
    story = Story(("a", size))
    for old in range(1, size):
        path = continuation(story, old, size)
        assert roots_of(old, size, path) == (story.root(old), story.root(size))
        rfc = merkle.consistency_proof(story.leaves, old)
        assert path[-len(rfc) :] == rfc
        assert len(path) == len(rfc) + (old & (old - 1) == 0)


def test_what_is_not_known_any_more_is_told() -> None:
    class Holed(Story):
        def between(self, start: int, stop: int):  # type: ignore[no-untyped-def]
            return (part for part in super().between(start, stop) if part.start != 5)

    with pytest.raises(Compacted):
        continuation(Holed(("a", 9)), 3, 9)
    with pytest.raises(Compacted):
        root_between(Holed(("a", 9)), 5, 6)


async def test_the_tree_of_a_view_grows_with_it() -> None:
    async with ate.open("c", memory=True) as chain:
        view = chain._ledger.view
        tree = ViewTree(view)
        for _ in range(5):
            dio = chain.dio()
            dio.store({"n": 1})
            await dio.commit()
            assert tree.size == view.frontier.size
            assert tree.root(tree.size) == view.frontier.root() == Cover.of(view).root(tree.size)
        leaves = [part.hash for at in range(tree.size) for part in tree.between(at, at + 1)]
        assert merkle.root(leaves) == tree.root(tree.size)
        assert tree.root(3) == merkle.root(leaves[:3])
        merkle.verify_inclusion(leaves[1], 1, 4, tree.inclusion(1, 4), tree.root(4))
        assert list(tree.between(2, 3)) == [Part(2, 0, leaves[2])]


@pytest.mark.parametrize("size", range(1, 40))
def test_the_frontier_of_before_is_what_it_was(size: int) -> None:
    story = Story(("a", 40))
    assert frontier_at(story, size) == merkle.Frontier.of(story.leaves[:size])


def test_a_frontier_that_is_not_known_any_more() -> None:
    class Holed(Story):
        def between(self, start: int, stop: int):  # type: ignore[no-untyped-def]
            return (part for part in super().between(start, stop) if part.start != 4)

    with pytest.raises(Compacted):
        frontier_at(Holed(("a", 9)), 8)
