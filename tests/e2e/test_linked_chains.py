"""Chains that link to each other in a circle, on one server or two: each step is one load."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.test_flip import served

import ate


@dataclass
class Place:
    name: str
    next: ate.Link[Place] | None = None


@pytest.mark.parametrize("servers", [1, 2])
async def test_a_circle_of_links_is_walked_and_never_hangs(tmp_path: Path, servers: int) -> None:
    async with (
        served(tmp_path / "s1") as (_, one),
        served(tmp_path / "s2") as (_, two),
        ate.open("towns/a", url=one.url) as a,
        ate.open("towns/b", url=(one, two)[servers - 1].url) as b,
    ):
        chains = {str(chain.name): chain for chain in (a, b)}
        near = a.dio()
        first = near.store(Place("A"))
        await near.commit()
        async with b.dio() as dio:
            second = dio.store(Place("B", ate.Link("towns/a", first.id)))
        first.update(next=ate.Link("towns/b", second.id))
        await near.commit()
        async with asyncio.timeout(20):
            here, seen = await a.dio().load(Place, first.id), []
            for _ in range(100):
                seen.append(here.value.name)
                link = here.value.next
                assert link is not None
                here = await link.load(chains[str(link.chain)])
        assert seen == ["A", "B"] * 50
        link = (await a.dio().load(Place, first.id)).value.next
        assert link is not None
        with pytest.raises(ate.UsageError, match="leads to"):
            await link.load(a)
