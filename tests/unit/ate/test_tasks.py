"""`ate.tasks`: resting, and work that is waited for to its end."""

from __future__ import annotations

import asyncio

import pytest

from ate.errors import StorageError
from ate.tasks import rest, to_its_end
from ate.testing.simloop import run


async def test_what_runs_in_a_thread_is_waited_for() -> None:
    """Whoever is cancelled learns it when the work is over: it may just have taken over."""
    go, ended = asyncio.Event(), list[int]()

    async def work(error: Exception | None) -> None:
        await go.wait()
        ended.append(1)
        if error is not None:
            raise error

    for error in (None, StorageError("unseen")):
        go.clear()
        task = asyncio.ensure_future(to_its_end(work(error)))
        await asyncio.sleep(0)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(ended) == 2


async def test_its_result_and_its_error_are_handed_on() -> None:
    async def work(error: Exception | None) -> int:
        if error is not None:
            raise error
        return 7

    assert await to_its_end(work(None)) == 7
    with pytest.raises(StorageError):
        await to_its_end(work(StorageError("seen")))


def test_a_rest_lasts_as_long_as_it_should_and_can_be_broken_off() -> None:
    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await rest(0.25)
        rested = loop.time() - begun
        task = asyncio.ensure_future(rest(10))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return rested, loop.time() - begun

    assert run(main) == (0.25, 0.25)
