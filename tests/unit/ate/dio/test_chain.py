from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.shared import World, play, put, texts

import ate
from ate.errors import Offline, UsageError
from ate.event.access import Access, Everyone
from ate.session import Session
from ate.testing.simclock import SimClock
from ate.testing.stage import member

ALICE = member("alice")


async def test_facts_about_a_chain_of_this_machine(tmp_path: Path) -> None:
    async with ate.open("c", path=tmp_path, session=ALICE, clock=SimClock()) as chain:
        assert len(chain) == 0
        async with chain.dio() as dio:
            dio.store("x")
        assert repr(chain) == f"Chain('c', 1 objects, head {chain.head})"
        assert (len(chain), chain.session, chain.readonly) == (1, ALICE, False)
        assert chain.is_sequencer
        assert chain.damage is None
        assert chain.clock_skew == 0
        assert len(chain.id) == len(chain.root) == 32
        assert chain.commits == 2
        assert chain.status.online
        assert chain.status.url == ""
        assert await chain.sync() == chain.status
        assert [status async for status in chain.statuses()] == [chain.status]
        assert chain.conflicts == []
        assert await chain.refresh() == chain.head
        assert chain.seq_at_time(datetime(2000, 1, 1, tzinfo=UTC)) == 0
        async with ate.open("c", path=tmp_path, readonly=True) as reader:
            assert reader.readonly
            assert not reader.is_sequencer


async def test_governing(tmp_path: Path) -> None:
    async with ate.open("c", path=tmp_path, session=ALICE) as chain:
        await chain.set_role("editors", [ALICE.public])
        await chain.set_access(Access(Everyone, Everyone))
        await chain.set_hold("trial")
        with pytest.raises(ate.AteError):
            await chain.compact()
        await chain.set_hold(None)
        await chain.compact()
        await chain.checkpoint()
        evidence = await chain.prove()
        assert evidence
        await chain.fork("other", path=tmp_path, at=chain.head)
        assert (tmp_path / "other").exists()
        async with chain.lease("pen") as lease:
            dio = chain.dio()
            dio.store("under it")
            await dio.commit(lease=lease)


async def test_a_closed_chain_is_closed(tmp_path: Path) -> None:
    chain = await ate.open("c", path=tmp_path, destroy_when_empty=True, checkpoint_every=None)
    await chain.close()
    await chain.close()
    assert not (tmp_path / "c").exists()
    for use in (chain.dio, chain.watch):
        with pytest.raises(UsageError, match="closed"):
            use()
    with pytest.raises(UsageError, match="closed"):
        await chain.sync()


async def test_sessions_have_readers_of_their_own() -> None:
    async with ate.open("c", memory=True, session=ALICE) as chain:
        bob = Session.new("bob")
        assert chain._reader(ALICE) is chain._reader(ALICE)
        assert chain._reader(bob) is not chain._reader(ALICE)
        assert chain.dio(bob).session is bob
        assert chain._overlay(ALICE) is None
        with pytest.raises(UsageError, match="no server"):
            dio = chain.dio()
            dio.store("x")
            await chain.acknowledged(await dio.commit())


async def test_watching_and_following(tmp_path: Path) -> None:
    class Plugin:
        name = "mine"

        def __init__(self) -> None:
            self.chain: Any = None

        def attach(self, chain: ate.Chain) -> None:
            self.chain = chain

    plugin = Plugin()
    async with ate.open(
        "c", path=tmp_path, session=ALICE, plugins=[plugin], checkpoint_every=3600
    ) as chain:
        assert plugin.chain is chain
        watching = chain.watch(since=0)
        async with chain.dio() as dio:
            dio.store("x")
        assert (await anext(watching)).value == "x"
        with pytest.raises(UsageError):
            await chain.seen(plugin)


def test_facts_about_a_shared_chain() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open(recovery="sync")
        await put(chain, "x")
        assert not chain.is_sequencer
        assert chain.status.url == "ws://server:5000/"
        dio = chain.dio()
        dio.store("y")
        assert await chain.acknowledged(await dio.commit())
        bob = Session.new("bob")
        assert len(chain._overlay(bob) or ()) == 0
        statuses = chain.statuses()
        assert (await anext(statuses)).online
        await world.stop()
        assert not (await anext(statuses)).online
        with pytest.raises(Offline):
            await texts(chain)
        await statuses.aclose()  # type: ignore[attr-defined]
        await chain.close()

    play(main, signs=True)
