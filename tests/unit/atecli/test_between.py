"""What became of objects between two rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import ate
from ate.chain.view import View
from ate.client import Chain
from ate.errors import Compacted, NotFound
from ate.event.commit import Record
from ate.ids import ObjectId
from ate.testing.stage import member
from atecli.between import Between, Pair

A, B, C, D = (ObjectId(bytes(15) + bytes([one])) for one in (1, 2, 3, 4))


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    async with ate.open("b", memory=True) as made:
        yield made


async def put(chain: Chain, one: ObjectId, value: Any, **options: Any) -> int:
    dio = chain.dio()
    if value is None:
        dio.delete(one)
    elif await dio.exists(one):
        (await dio.load(object, one)).value = value
    else:
        dio.store(value, id=one, **options)
    return (await dio.commit()).seq


async def all_of(chain: Chain, first: int, last: int) -> dict[bytes, Pair]:
    return {pair.id: pair async for pair in Between(chain).all(first, last)}


async def test_all_objects_between_two_rows(chain: Chain) -> None:
    await put(chain, A, {"n": 1})
    start = await put(chain, B, {"n": 1})
    await put(chain, A, {"n": 2})
    await put(chain, A, {"n": 3})
    await put(chain, C, "new")
    await put(chain, B, None)
    await put(chain, D, "short life")
    end = await put(chain, D, None)
    found = await all_of(chain, start, end)
    assert {one: pair.what for one, pair in found.items()} == {
        A: "changed", B: "deleted", C: "added",
    }  # fmt: skip
    assert [(step.old, step.new) for step in found[A].steps()] == [(1, 3)]
    assert found[C].after.value == "new"
    assert found[B].steps() == []
    assert await all_of(chain, end, end) == {}
    again = await put(chain, B, {"n": 5})
    assert (await all_of(chain, end, again))[B].what == "added"
    assert (await all_of(chain, start, again))[B].what == "changed"


async def test_one_object(chain: Chain) -> None:
    first = await put(chain, A, {"n": 1})
    second = await put(chain, A, {"n": 2})
    third = await put(chain, A, {"n": 3})
    between = Between(chain)
    for points, sides in {
        (None, None): (second, third), (first, None): (first, third),
        (first, second): (first, second), (first - 1, second): (0, second),
        (second, second): (second, second), (None, second): (first, second),
    }.items():  # fmt: skip
        pair = await between.one(A, *points)
        assert (pair.before.seq, pair.after.seq) == sides
    with pytest.raises(NotFound, match="as of row 1"):
        await between.one(A, None, 1)
    with pytest.raises(NotFound):
        await between.one(B, None, None)


async def test_moves_are_seen(chain: Chain) -> None:
    await put(chain, A, 1)
    start = await put(chain, B, 1)
    dio = chain.dio()
    (await dio.load(int, B)).move(A)
    await dio.commit()
    pair = (await all_of(chain, start, chain.head))[B]
    assert pair.is_moved
    assert pair.steps() == []


async def test_what_no_key_opens() -> None:
    alice, bob = member("alice"), member("bob")
    async with ate.open("b", memory=True, session=alice) as chain:
        start = await put(chain, A, 1, access=ate.Access(ate.Only(alice.public)))
        await put(chain, A, 2)
        chain._ledger.session = bob
        pair = (await all_of(chain, start, chain.head))[A]
        assert pair.is_sealed
        assert pair.steps() == []
        assert (pair.what, pair.after.author, pair.after.value) == ("changed", "alice", None)


async def test_what_is_not_held(chain: Chain) -> None:
    await put(chain, A, 1)
    start = await put(chain, B, 1)
    middle = await put(chain, A, 2)
    end = await put(chain, A, 3)

    class Holed(View):
        def find(self, seq: int) -> tuple[Record, int]:
            if seq in (middle - 2, middle):
                raise Compacted("dropped")
            return super().find(seq)

        def rows(self, first: int, last: int) -> Any:
            return (one for one in super().rows(first, last) if one[0] != middle)

    chain._ledger.view.__class__ = Holed
    between = Between(chain)
    (pair,) = [one async for one in between.all(start, end)]
    assert (pair.what, pair.is_known, pair.steps()) == ("changed", False, [])
    assert between.has_gaps
    (pair,) = [one async for one in between.all(middle, end)]
    assert not pair.is_known
