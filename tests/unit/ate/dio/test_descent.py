from __future__ import annotations

import pytest

import ate
from ate import limits
from ate.chain.view import View
from ate.client import Chain
from ate.dio.descent import check_move, fell
from ate.errors import LimitExceeded, UsageError
from ate.ids import ObjectId


def view_of(chain: Chain) -> View:
    return chain._ledger.view


async def test_deleting_takes_all_that_hangs_below_in_every_collection() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        top = dio.store("top")
        middle = dio.store("middle", parent=top, collection=77)
        leaves = [dio.store(number, parent=middle) for number in range(3)]
        other = dio.store("other")
        await dio.commit()
        top.delete()
        drafts = fell(view_of(chain), dio._changed)
        assert {draft.id for draft in drafts} == {middle.id, *(leaf.id for leaf in leaves)}
        assert {draft.kind for draft in drafts} == {2}
        assert sorted(draft.base for draft in drafts) == [middle.seq, *(one.seq for one in leaves)]
        await dio.commit()
        assert len(chain) == 1
        assert await dio.exists(other.id)


async def test_what_is_changed_or_stored_below_goes_too_and_what_moves_away_stays() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        top, other = dio.store("top"), dio.store("other")
        changed, moved = dio.store(1, parent=top), dio.store(2, parent=top)
        below_moved = dio.store(3, parent=moved)
        await dio.commit()
        changed.value = 10
        moved.move(other)
        new = dio.store(4, parent=top)
        newer = dio.store(5, parent=new)
        top.delete()
        await dio.commit()
        alive = {top.id, other.id, changed.id, moved.id, below_moved.id, new.id, newer.id}
        alive = {one for one in alive if await dio.exists(one)}
        assert alive == {other.id, moved.id, below_moved.id}
        assert chain.head == 1 + 5 + 3, "what was never committed needs no tombstone"


async def test_nothing_deleted_is_nothing_to_fell() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        dio.store(1)
        assert fell(view_of(chain), dio._changed) == []


async def test_an_object_cannot_hang_below_itself() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        one = dio.store(1)
        two = dio.store(2, parent=one)
        await dio.commit()
        three = dio.store(3, parent=two)
        for target in (one, two, three):
            with pytest.raises(UsageError, match="below itself"):
                one.move(target)
        assert one.parent == ate.ObjectId(bytes(16))
        two.move(None)
        one.move(three)
        await dio.commit()
        assert [dao.id async for dao in dio.children(three, int)] == [one.id]


async def test_a_parent_that_is_not_there_ends_the_walk() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        one = dio.store(1)
        check_move(view_of(chain), dio._changed, one.id, ObjectId.random())


async def test_a_tree_deeper_than_rules_are_followed_is_refused() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        last = dio.store(0)
        for number in range(limits.TREE_DEPTH_MAX + 5):
            last = dio.store(number, parent=last)
        with pytest.raises(LimitExceeded, match="depth"):
            dio.store("x").move(last)
