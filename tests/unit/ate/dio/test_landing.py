"""Whoever is cancelled while a commit is under way knows afterwards what became of it."""

from __future__ import annotations

import asyncio

import pytest

import ate
from ate.dio.landing import land


async def test_it_commits() -> None:
    async with ate.open("land", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store("here")
        assert (await land(dio)).seq == dao.seq


async def test_errors_pass_through() -> None:
    async with ate.open("land", memory=True) as chain:
        with pytest.raises(ate.UsageError):
            await land(chain.dio())


async def test_a_cancelled_caller_waits_until_it_has_landed() -> None:
    async with ate.open("land", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store("here")
        landing = asyncio.create_task(land(dio))
        await asyncio.sleep(0)
        landing.cancel()
        await asyncio.wait([landing])
        assert landing.cancelled()
        assert dao.seq
        assert await chain.dio().exists(dao.id)


async def test_a_cancelled_caller_waits_until_it_has_failed() -> None:
    async with ate.open("land", memory=True) as chain:
        one, two = chain.dio(), chain.dio()
        dao = one.store("first")
        late = two.store("second", id=dao.id)
        await one.commit()
        landing = asyncio.create_task(land(two))
        await asyncio.sleep(0)
        landing.cancel()
        await asyncio.wait([landing])
        assert landing.cancelled()
        assert not late.seq
