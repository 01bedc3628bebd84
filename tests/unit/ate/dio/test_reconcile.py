from __future__ import annotations

from dataclasses import dataclass

import pytest

import ate
from ate.client import Chain
from ate.dio.opening import Opening
from ate.errors import Conflict
from ate.event.access import Access, Any, Everyone
from ate.testing.stage import member

ALICE, BOB = member("alice"), member("bob")
BOTH, MINE = Access(write=Any(ALICE.public, BOB.public)), Access(write=Any(ALICE.public))


@dataclass
class Box:
    a: int = 0
    b: int = 0


async def pair(chain: Chain) -> tuple[ate.Dao[Box], ate.Dao[Box], ate.Dao[str]]:
    """Return two handles on one object, and another object to move it to."""
    dio = chain.dio()
    dao, other = dio.store(Box(), access=BOTH), dio.store("other")
    await dio.commit()
    ours = await chain.dio().load(Box, dao.id)
    theirs = await chain.dio().load(Box, dao.id)
    assert ours.parent == theirs.parent
    assert ours.access == BOTH
    return ours, theirs, other


def opened() -> Opening:
    return ate.open("r", memory=True, session=ALICE, access=Access(read=Everyone))


async def test_a_merged_field_undoes_neither_their_move_nor_their_rule() -> None:
    async with opened() as chain:
        ours, theirs, other = await pair(chain)
        theirs.access = MINE
        theirs.move(other)
        await theirs._dio.commit()
        ours.update(a=1)
        with pytest.raises(Conflict):
            await ours._dio.commit()
        await ours._dio.commit(on_conflict="merge")
        found = await chain.dio().load(Box, ours.id)
        assert (found.value, found.parent, found.access) == (Box(1, 0), other.id, MINE)
        assert (ours.parent, ours.access, ours.seq) == (other.id, MINE, found.seq)


async def test_our_move_and_our_rule_join_their_field() -> None:
    async with opened() as chain:
        ours, theirs, other = await pair(chain)
        theirs.update(b=2)
        await theirs._dio.commit()
        ours.move(other)
        ours.access = MINE
        ours.update(a=1)
        await ours._dio.commit(on_conflict="merge")
        found = await chain.dio().load(Box, ours.id)
        assert (found.value, found.parent, found.access) == (Box(1, 2), other.id, MINE)


async def test_two_moves_or_two_rules_conflict_unless_they_agree() -> None:
    async with opened() as chain:
        ours, theirs, other = await pair(chain)
        theirs.move(other)
        await theirs._dio.commit()
        ours.move(chain.dio().store("third"))
        with pytest.raises(Conflict, match="both sides moved it") as caught:
            await ours._dio.commit(on_conflict="merge")
        assert (caught.value.object, caught.value.theirs) == (ours.id, theirs.seq)
        ours.move(other)
        await ours._dio.commit(on_conflict="merge")
        theirs = await chain.dio().load(Box, ours.id)
        theirs.access = MINE
        await theirs._dio.commit()
        ours.access = Access(write=Any(BOB.public))
        with pytest.raises(Conflict, match="changed its rule"):
            await ours._dio.commit(on_conflict="merge")
        assert ours._dio.has_changes


async def test_a_new_id_that_is_taken_is_no_change_of_it() -> None:
    async with opened() as chain:
        ours, _, _ = await pair(chain)
        dio = chain.dio()
        dio.store(Box(5), id=ours.id)
        with pytest.raises(Conflict, match="exists already"):
            await dio.commit(on_conflict="merge")


async def test_deleted_by_either_side_is_a_conflict() -> None:
    async with opened() as chain:
        ours, theirs, _ = await pair(chain)
        theirs.update(a=1)
        await theirs._dio.commit()
        ours.delete()
        with pytest.raises(Conflict, match="was changed"):
            await ours._dio.commit(on_conflict="merge")
        ours, theirs, _ = await pair(chain)
        theirs.delete()
        await theirs._dio.commit()
        ours.update(a=1)
        with pytest.raises(Conflict, match="was deleted"):
            await ours._dio.commit(on_conflict="merge")


async def test_a_merge_in_another_format() -> None:
    """The base is read as it was written, not as MessagePack."""
    async with ate.open("r", memory=True) as chain:
        async with chain.dio(codec=2) as dio:
            key = dio.store(Box()).id
        ours, theirs = [await chain.dio().load(Box, key) for _ in range(2)]
        for dao, change in ((theirs, {"b": 2}), (ours, {"a": 1})):
            dao.update(**change)
            await dao._dio.commit(on_conflict="merge")
        assert (await chain.dio().load(Box, key)).value == Box(1, 2)


async def test_a_head_that_has_moved_is_not_merged() -> None:
    async with opened() as chain:
        ours, theirs, _ = await pair(chain)
        head = chain.head
        theirs.update(b=2)
        await theirs._dio.commit()
        ours.update(a=1)
        with pytest.raises(Conflict, match=f"the head is {chain.head}, not {head}"):
            await ours._dio.commit(at=head, on_conflict="merge")
        assert ours._dio.has_changes
        await ours._dio.commit(at=chain.head, on_conflict="merge")
        assert (await chain.dio().load(Box, ours.id)).value == Box(1, 2)


@dataclass
class Page:
    body: ate.Text
    title: str = ""


async def test_text_that_clashes_stays_with_its_author() -> None:
    async with ate.open("r", memory=True) as chain:
        async with chain.dio() as dio:
            key = dio.store(Page("one\ntwo\nthree\n")).id
        ours, theirs = [await chain.dio().load(Page, key) for _ in range(2)]
        theirs.update(body="one\nII\nthree\n", title="roman")
        await theirs._dio.commit()
        ours.update(body="one\n2\nthree\n")
        with pytest.raises(Conflict, match=r"line 2, each differently, in Page\.body") as caught:
            await ours._dio.commit(on_conflict="merge")
        assert (caught.value.object, caught.value.theirs) == (key, theirs.seq)
        assert ours.value.body == "one\n2\nthree\n"
        merged = ate.merge_text(
            "one\ntwo\nthree\n", ours.value.body, theirs.value.body, conflicts="mark"
        )
        ours.update(body=merged)
        await ours._dio.commit(on_conflict="last")
        assert (await chain.dio().load(Page, key)).value.body == (
            "one\n<<<<<<< ours\n2\n=======\nII\n>>>>>>> theirs\nthree\n"
        )
