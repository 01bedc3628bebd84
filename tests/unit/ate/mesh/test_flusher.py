"""`ate.mesh.flusher`: on the loop while that is quick, else in threads; each hears of its own."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ate.chain.ledger import Ledger
from ate.clock import SystemClock
from ate.crypto.entropy import system_entropy
from ate.errors import StorageError
from ate.log.memory import MemoryLog
from ate.mesh.flusher import Flusher


class Medium(MemoryLog):
    """Keeps which threads flushed it; fails when told to."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.threads: list[int] = []
        self._fails = fails

    def flush(self) -> None:
        self.threads.append(threading.get_ident())
        if self._fails:
            raise StorageError("the disk is gone")


def ledger(medium: Medium) -> Ledger:
    return Ledger(medium, clock=SystemClock(), entropy=system_entropy)


async def test_a_quick_flush_stays_on_the_loop() -> None:
    flusher, medium = Flusher(), Medium()
    flusher.busy = 1
    assert await flusher.flush(ledger(medium)) >= 0
    assert medium.threads == [threading.get_ident()]


async def test_a_slow_flush_leaves_it_and_a_disk_that_became_quick_is_noticed() -> None:
    flusher, medium = Flusher(), Medium()
    flusher.busy, flusher._usual_s = 1, 0.01
    one = ledger(medium)
    await flusher.flush(one)
    assert medium.threads[0] != threading.get_ident()
    for _ in range(100):
        await flusher.flush(one)
    assert medium.threads[-1] == threading.get_ident()


async def test_flushes_that_would_add_up_go_to_threads() -> None:
    flusher = Flusher()
    flusher.busy, flusher._usual_s = 10, 0.0001
    media = [Medium() for _ in range(10)]
    took = await asyncio.gather(*(flusher.flush(ledger(one)) for one in media))
    assert len(took) == 10
    assert all(len(one.threads) == 1 for one in media)
    assert threading.get_ident() not in {one.threads[0] for one in media}


class Stuck(Medium):
    """Flushes only when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def flush(self) -> None:
        assert self.go.wait(20)


@pytest.mark.parametrize("usual_s, held", [(0.0004, {0, 4}), (0.1, {0})])
async def test_quick_ones_share_threads_and_slow_ones_do_not_wait_for_each_other(
    usual_s: float, held: set[int]
) -> None:
    flusher, stuck = Flusher(), Stuck()
    flusher.busy, flusher._usual_s = 5, usual_s
    media = [stuck, *(Medium() for _ in range(4))]
    work = [asyncio.ensure_future(flusher.flush(ledger(one))) for one in media]
    await asyncio.wait([one for at, one in enumerate(work) if at not in held])
    assert {at for at, one in enumerate(work) if not one.done()} == held
    stuck.go.set()
    await asyncio.gather(*work)


@pytest.mark.parametrize("usual_s", [0.0004, 1.0])
async def test_each_hears_of_its_own_medium(usual_s: float) -> None:
    flusher = Flusher()
    flusher.busy, flusher._usual_s = 6, usual_s
    media = [Medium(fails=at == 2) for at in range(6)]
    work = [asyncio.ensure_future(flusher.flush(ledger(one))) for one in media]
    await asyncio.sleep(0)
    work[4].cancel()
    found = await asyncio.gather(*work, return_exceptions=True)
    assert isinstance(found[2], StorageError)
    assert isinstance(found[4], asyncio.CancelledError)
    assert [at for at, one in enumerate(found) if isinstance(one, float)] == [0, 1, 3, 5]


async def test_a_failure_on_the_loop_is_raised() -> None:
    with pytest.raises(StorageError, match="gone"):
        await Flusher().flush(ledger(Medium(fails=True)))
