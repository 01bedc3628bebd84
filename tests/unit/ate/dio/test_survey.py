"""What a fork takes along, in which order, and what it has to leave."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import ate
from ate.client import Chain
from ate.dio.survey import Survey
from ate.errors import ProtocolError
from ate.event.draft import Draft
from ate.event.row import Kind
from ate.ids import ROOT, ObjectId
from ate.testing.stage import member


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    async with ate.open("s", memory=True) as made:
        yield made


def name(number: int) -> ObjectId:
    return ObjectId(bytes(14) + number.to_bytes(2, "big"))


async def plant(chain: Chain, *numbers: int, above: int | None = None) -> None:
    for number in numbers:
        dio = chain.dio()
        dio.store(number, id=name(number), parent=name(above) if above else None)
        await dio.commit()


async def move(chain: Chain, number: int, above: int) -> None:
    dio = chain.dio()
    (await dio.load(int, name(number))).move(name(above))
    await dio.commit()


def look(chain: Chain, who: ate.Session | None = None) -> Survey:
    return Survey(chain._ledger, who, chain.head)


def order(survey: Survey) -> list[int]:
    """Return the numbers of the objects in their order."""
    return [int.from_bytes(int(one).to_bytes(8, "little"), "big") for one in survey.heads["id_lo"]]


async def test_objects_come_in_order_of_creation(chain: Chain) -> None:
    await plant(chain, 3, 1, 2)
    dio = chain.dio()
    (await dio.load(int, name(3))).value = 33
    await dio.commit()
    survey = look(chain)
    assert order(survey) == [3, 1, 2]
    assert survey.seqs.tolist() == [5, 3, 4]
    assert survey.depths.tolist() == [0, 0, 0]
    assert not survey.is_parent.any()
    assert len(survey) == 3


async def test_parents_come_before_what_was_moved_below_them(chain: Chain) -> None:
    await plant(chain, 1, 2, 3, 4, 5)
    await move(chain, 2, 4)
    await move(chain, 1, 4)
    await move(chain, 4, 5)
    survey = look(chain)
    assert order(survey) == [3, 5, 4, 1, 2]
    assert survey.depths.tolist() == [0, 0, 1, 2, 2]
    assert survey.is_parent.tolist() == [False, True, True, False, False]


async def test_a_long_line_of_descent_backwards(chain: Chain) -> None:
    await plant(chain, *range(1, 61))
    for number in range(1, 60):
        await move(chain, number, number + 1)
    assert order(look(chain)) == list(range(60, 0, -1))


async def test_what_is_sealed_takes_along_what_hangs_below() -> None:
    alice, bob = member("alice"), member("bob")
    everyone, mine = ate.Access(ate.Everyone), ate.Access(ate.Only(alice.public))
    async with ate.open("s", memory=True, session=alice) as chain:
        dio = chain.dio()
        top = dio.store(1, id=name(1), access=mine)
        below = dio.store(2, id=name(2), parent=top, access=everyone)
        dio.store(3, id=name(3), parent=below)
        dio.store(4, id=name(4), access=everyone)
        await dio.commit()
        survey = look(chain, bob)
        assert (order(survey), survey.sealed, survey.stranded) == ([4], 1, 2)
        survey = look(chain, alice)
        assert (len(survey), survey.sealed, survey.stranded) == (4, 0, 0)
        assert len(look(chain)) == 1


async def test_an_empty_chain(chain: Chain) -> None:
    survey = look(chain)
    assert (len(survey), survey.sealed, survey.stranded) == (0, 0, 0)


async def hang(chain: Chain, number: int, above: int) -> None:
    """Hang an object where no unit of work would."""
    seq = chain._ledger.view.index.locate(name(number))
    row = Draft(
        int(Kind.DATA), bytes(name(number)), bytes(name(above)), 0, seq, seq, 0, 1, b"\xa3int\x01"
    )
    await chain._writer.submit([row], None, chain.durability, None)


async def test_circles_end(chain: Chain) -> None:
    await plant(chain, 1, 2, 3)
    await hang(chain, 1, 2)
    await hang(chain, 2, 1)
    with pytest.raises(ProtocolError, match="circle"):
        look(chain)


async def test_an_orphan_is_counted(chain: Chain) -> None:
    await plant(chain, 1)
    await plant(chain, 2, above=1)
    seq = chain._ledger.view.index.locate(name(1))
    row = Draft(int(Kind.TOMBSTONE), bytes(name(1)), bytes(ROOT), 0, seq, seq, 0, 0, b"")
    await chain._writer.submit([row], None, chain.durability, None)
    survey = look(chain)
    assert (len(survey), survey.sealed, survey.stranded) == (0, 0, 1)
