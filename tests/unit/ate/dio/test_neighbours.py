"""Links that are followed without a chain at hand: found where the first chain is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.shared import World, play

import ate
from ate import limits
from ate.errors import LimitExceeded, NotFound, Offline, UsageError
from ate.ids import ChainName


@dataclass(frozen=True)
class Page:
    text: str
    next: ate.Link[Page] | None = None


async def write(chain: ate.Chain, page: Page) -> ate.Dao[Page]:
    async with chain.dio() as dio:
        return dio.store(page)


async def follow(chain: ate.Chain, dao: ate.Dao[Page]) -> ate.Dao[Page]:
    value = (await chain.dio().load(Page, dao.id)).value
    assert value.next is not None
    return await value.next.load()


async def test_below_the_same_directory(tmp_path: Path) -> None:
    session = ate.Session.new("alice")
    async with ate.open("far", path=tmp_path, session=session) as far:
        there = await write(far, Page("there"))
        near = await ate.open("near", path=tmp_path, session=session)
        here = await write(near, Page("here", ate.Link("far", there)))
        assert (await follow(near, here)).value.text == "there"
        async with far.dio() as dio:  # a writer beside: what is newer is seen
            (await dio.load(Page, there.id)).update(text="there, too")
        assert (await follow(near, here)).value.text == "there, too"
        found = await near._neighbours._known[ChainName("far")]
        assert found.readonly
        await near.close()
        with pytest.raises(UsageError, match="closed"):
            found.dio()
        far.dio()
    with pytest.raises(UsageError, match="not open here"):
        await near._neighbours.resolve(ChainName("far"))


async def test_a_chain_of_memory_has_no_neighbours() -> None:
    async with ate.open("near", memory=True) as near:
        own = await write(near, Page("own"))
        itself = await write(near, Page("a", ate.Link("near", own)))
        other = await write(near, Page("b", ate.Link("far", own)))
        assert (await follow(near, itself)).value.text == "own"
        with pytest.raises(UsageError, match="far is not open here") as caught:
            await follow(near, other)
        assert "link.load(chain)" in caught.value.hint


async def test_what_is_not_there_is_not_made_and_is_looked_for_again(tmp_path: Path) -> None:
    async with ate.open("near", path=tmp_path) as near:
        dao = await write(near, Page("a", ate.Link("far", bytes(15) + b"\1")))
        for _ in range(2):
            with pytest.raises(NotFound):
                await follow(near, dao)
        assert not (tmp_path / "far").exists()
        async with ate.open("far", path=tmp_path) as far:
            there = await write(far, Page("there"))
        again = await write(near, Page("b", ate.Link("far", there)))
        assert (await follow(near, again)).value.text == "there"


async def test_links_lead_to_so_many_chains_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "NEIGHBOURS_MAX", 2)
    for name in ("a", "b", "c"):
        async with ate.open(name, path=tmp_path) as chain:
            dao = await write(chain, Page(name))
    async with ate.open("near", path=tmp_path) as near:
        await near._neighbours.resolve(ChainName("a"))
        await near._neighbours.resolve(ChainName("b"))
        await near._neighbours.resolve(ChainName("a"))
        with pytest.raises(LimitExceeded, match="links lead to"):
            await follow(near, await write(near, Page("x", ate.Link("c", dao))))


def shared(main: Callable[[World, ate.Chain, ate.Chain], object]) -> None:
    async def inside(world: World) -> None:
        device = world.device()
        near = await device.open(name="near", recovery="readonly-async")
        far = await device.open(name="far", recovery="readonly-async")
        await main(world, near, far)  # type: ignore[misc]
        await far.close()
        await near.close()

    play(inside)


def test_on_the_same_server_over_the_same_connection() -> None:
    async def main(world: World, near: ate.Chain, far: ate.Chain) -> None:
        there = await write(far, Page("there"))
        here = await write(near, Page("here", ate.Link("far", there)))
        back = await write(far, Page("back", ate.Link("near", here)))
        seen = await asyncio.gather(*(follow(near, here) for _ in range(5)))
        assert {one.value.text for one in seen} == {"there"}
        found = await near._neighbours._known[ChainName("far")]
        assert found is not far
        lines = {chain._remote.link.line for chain in (near, far, found)}  # type: ignore[union-attr]
        assert len(lines) == 1
        # It follows what is new, and from there the way back leads to the chain that was first.
        await found.sync()
        home = await follow(found, back)
        assert home._dio.chain is near
        assert len(near._neighbours._known) == 1

    shared(main)


def test_closing_while_one_is_being_opened() -> None:
    async def main(world: World, near: ate.Chain, far: ate.Chain) -> None:
        here = await write(near, Page("here", ate.Link("far", await write(far, Page("there")))))
        world.net.cut("one", "server")
        following = asyncio.ensure_future(follow(near, here))
        await world.loop.pause(1)
        await near.close()
        with pytest.raises(UsageError, match="closed"):
            await following

    shared(main)


def test_who_gives_up_does_not_keep_others_from_it() -> None:
    async def main(world: World, near: ate.Chain, far: ate.Chain) -> None:
        here = await write(near, Page("here", ate.Link("far", await write(far, Page("there")))))
        world.net.cut("one", "server")
        one, other = (asyncio.ensure_future(follow(near, here)) for _ in range(2))
        await world.loop.pause(0.1)
        one.cancel()
        await world.loop.pause(0.1)
        world.net.heal()
        assert (await other).value.text == "there"
        assert one.cancelled()

    shared(main)


def test_without_a_connection_it_says_so() -> None:
    async def main(world: World, near: ate.Chain, far: ate.Chain) -> None:
        here = await write(near, Page("here", ate.Link("far", await write(far, Page("there")))))
        await world.stop()
        with pytest.raises(Offline):
            await follow(near, here)
        world.start()
        await near.sync()
        assert (await follow(near, here)).value.text == "there"

    shared(main)
