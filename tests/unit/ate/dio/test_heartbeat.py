"""Checkpoints that write themselves: at the interval, at the end, only when there is a cause."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import ate
from ate.chain.checkpoint import is_sealed
from ate.chain.verify import verify
from ate.dio.bell import Bell
from ate.dio.heartbeat import Heartbeat, seconds_of
from ate.errors import StorageError
from ate.testing.stage import Stage, member

BEAT_S = 0.01


async def add(chain: ate.Chain, number: int = 1) -> None:
    async with chain.dio() as dio:
        dio.store({"number": number})


def covered(chain: ate.Chain) -> int:
    sealed = chain._ledger.view.trust.checkpoint
    return sealed.size if sealed else 0


async def until(chain: ate.Chain, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        with Bell(chain) as bell:
            while not condition():
                await bell.rest(BEAT_S)


async def beating(chain: ate.Chain, work: Callable[[Heartbeat], Awaitable[None]]) -> None:
    heartbeat = Heartbeat(chain, BEAT_S)
    heartbeat.start()
    try:
        await work(heartbeat)
    finally:
        await heartbeat.stop()


async def test_commits_are_sealed_at_the_interval() -> None:
    async with await ate.open("h", memory=True, session=member("alice")) as chain:

        async def work(_: Heartbeat) -> None:
            for number in range(3):
                await add(chain, number)
                size = chain.commits
                await until(chain, lambda: is_sealed(chain._ledger.view))
                assert (chain.commits, covered(chain)) == (size + 1, size)

        await beating(chain, work)
        assert (await verify(chain._ledger.store)).ok


async def test_nothing_is_written_when_nothing_happened(tmp_path: Path) -> None:
    alice = member("alice")
    options: dict[str, Any] = {"path": tmp_path, "session": alice, "checkpoint_every": 3600}
    async with ate.open("h", **options) as chain:
        assert chain.commits == 1
    async with ate.open("h", **options) as chain:
        assert chain.commits == 1, "a chain with nothing in it has nothing to seal"
        await add(chain)
    async with ate.open("h", **options) as chain:
        assert chain.commits == 3, "one commit, and its checkpoint at the close"
    async with ate.open("h", **options) as chain:
        assert chain.commits == 3


async def test_a_beat_with_nothing_to_seal_looks_and_goes_on() -> None:
    async with await ate.open("h", memory=True, session=member("alice")) as chain:
        await add(chain)
        await chain.checkpoint()
        heartbeat = Heartbeat(chain, BEAT_S)
        for _ in range(3):
            await heartbeat._beat()
        assert chain.commits == 3
        await heartbeat.stop()


async def test_writers_are_not_held_up_and_do_not_hold_it_up() -> None:
    """A checkpoint is made of what the chain is when it is its turn, so nobody can overtake it."""
    async with await ate.open("h", memory=True, session=member("alice")) as chain:

        async def work(_: Heartbeat) -> None:
            writers = [add(chain, number) for number in range(200)]
            seals = [chain.checkpoint() for _ in range(5)]
            await asyncio.gather(*writers[:100], *seals, *writers[100:])

        await beating(chain, work)
        assert len(chain) == 200
        assert (await verify(chain._ledger.store)).ok


async def test_an_error_is_told_and_the_next_beat_tries_again() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with await ate.open("h", memory=True, session=member("alice")) as chain:
        store = chain._ledger.store
        append = store.append

        def fail(_: Any) -> int:
            raise StorageError("no")

        await add(chain)

        async def work(_: Heartbeat) -> None:
            store.append = fail  # type: ignore[method-assign]
            await until(chain, lambda: len(told) > 1)
            store.append = append  # type: ignore[method-assign]
            await until(chain, lambda: covered(chain) > 0)

        await beating(chain, work)
    assert isinstance(told[0]["exception"], StorageError)
    assert "checkpoint" in told[0]["message"]


async def test_who_cannot_seal_is_told_at_once() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    every = timedelta(seconds=5)
    with pytest.raises(ate.UsageError, match="root key"):
        await stage.as_(bob).open(checkpoint_every=every)
    with pytest.raises(ate.UsageError, match="root key"):
        await stage.as_(None).open(checkpoint_every=every)
    with pytest.raises(ate.UsageError, match="leave to write"):
        await stage.as_(alice).open(checkpoint_every=every, readonly=True)
    async with stage.open(alice, readonly=True) as chain:
        with pytest.raises(ate.UsageError, match="reading"):
            Heartbeat(chain, 5)
    await stage.as_(alice).open(checkpoint_every=every)


def test_an_interval() -> None:
    assert seconds_of(5) == seconds_of(timedelta(seconds=5)) == 5.0
    for wrong in (0, 0.5, -1, float("nan"), timedelta(0)):
        with pytest.raises(ate.UsageError):
            seconds_of(wrong)


async def test_a_chain_that_is_closed_twice_or_never_started() -> None:
    async with await ate.open("h", memory=True, session=member("alice")) as chain:
        heartbeat = Heartbeat(chain, BEAT_S)
        await heartbeat.stop()
        heartbeat.start()
        await heartbeat.stop()
        assert chain.commits == 1
