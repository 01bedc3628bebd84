"""A bell rings for a new head, for a time, and for the end; no ring is lost."""

from __future__ import annotations

import asyncio

import ate
from ate.dio.bell import Bell


async def test_it_rings_when_the_head_moves() -> None:
    async with ate.open("bell", memory=True) as chain:
        with Bell(chain) as bell:
            resting = asyncio.create_task(bell.rest())
            dio = chain.dio()
            dio.store("news")
            await dio.commit()
            await resting
        assert not len(chain._ledger.feed)


async def test_a_ring_before_the_rest_is_not_lost() -> None:
    async with ate.open("bell", memory=True) as chain:
        with Bell(chain) as bell:
            dio = chain.dio()
            dio.store("news")
            await dio.commit()
            await bell.rest()


async def test_it_rings_at_its_time() -> None:
    async with ate.open("bell", memory=True) as chain:
        with Bell(chain) as bell:
            await bell.rest(0)
            assert not bell.ended


async def test_the_timer_of_an_earlier_ring_is_put_away() -> None:
    async with ate.open("bell", memory=True) as chain:
        with Bell(chain) as bell:
            bell.wake()
            await bell.rest(3600)


async def test_it_ends_with_the_chain() -> None:
    chain = await ate.open("bell", memory=True)
    with Bell(chain) as bell:
        resting = asyncio.create_task(bell.rest())
        await chain.close()
        await resting
        assert bell.ended
    with Bell(chain) as late:
        await late.rest()
        assert late.ended
