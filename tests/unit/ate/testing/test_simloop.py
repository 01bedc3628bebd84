from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from ate.testing.simclock import START_US
from ate.testing.simloop import SimLoop, SimulationFailed, run, sim_loop

#: Tasks, sets of tasks, timers, queues and an executor; prints the digest of the run.
PLAY = """
import asyncio, sys
from ate.testing.simloop import SimLoop, sim_loop

async def worker(queue, name):
    chance = sim_loop().chance(name)
    for number in range(20):
        await sim_loop().pause(chance.below(1000) / 1000)
        await asyncio.to_thread(queue.put_nowait, (name, number))

async def play():
    queue = asyncio.Queue()
    tasks = {asyncio.create_task(worker(queue, str(n))) for n in range(8)}
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    try:
        async with asyncio.TaskGroup() as group:
            for n in range(8):
                group.create_task(worker(queue, "group %d" % n))
            await sim_loop().pause(0.5)
            raise LookupError
    except* LookupError:
        pass
    return queue.qsize()

loop = SimLoop(int(sys.argv[1]))
print(loop.run(play), loop.steps, loop.time(), loop.digest)
"""


def played(seed: int, hash_seed: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", PLAY, str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_equal_seeds_give_the_same_trace_in_any_process() -> None:
    first = played(7, "1")
    assert first == played(7, "4242")
    assert first != played(8, "1")


async def three_waits() -> str:
    loop = sim_loop()
    order: list[str] = []

    async def after(seconds: float, name: str) -> None:
        await loop.pause(seconds)
        order.append(f"{name}@{loop.time():g}")

    await asyncio.gather(after(3, "c"), after(1, "a"), after(2, "b"))
    return " ".join(order)


def test_time_jumps_to_the_next_timer() -> None:
    assert run(three_waits) == "a@1 b@2 c@3"


def test_equal_seeds_give_the_same_trace_in_one_process() -> None:
    digests = []
    for seed in (1, 1, 2):
        loop = SimLoop(seed)

        async def main() -> int:
            return await asyncio.to_thread(lambda: 5)

        assert loop.run(main) == 5
        digests.append(loop.digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_note_is_part_of_the_trace() -> None:
    digests = set()
    for word in ("one", "two"):
        loop = SimLoop()

        async def main(word: str = word, loop: SimLoop = loop) -> None:
            loop.note(word)

        loop.run(main)
        assert any(line.endswith(word) for line in loop.recent)
        digests.add(loop.digest)
    assert len(digests) == 2


def test_timeouts_end_in_no_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Queue[int]().get(), 3600)
        return sim_loop().time()

    assert run(main) == 7200


def test_a_deadlock_names_who_waits_and_where() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.create_task(stuck(), name="the stuck one")

    with pytest.raises(SimulationFailed) as caught:
        run(main, seed=77)
    text = str(caught.value)
    assert "seed 77" in text
    assert "the stuck one" in text
    assert "stuck:" in text
    assert "Event.wait" in text


def test_a_run_that_takes_too_long_ends() -> None:
    async def main() -> None:
        while True:
            await sim_loop().pause(1)

    with pytest.raises(SimulationFailed, match="not done after 60 s"):
        run(main, limit_s=60)


def test_a_run_of_too_many_steps_ends() -> None:
    async def main() -> None:
        for _ in range(5000):
            await asyncio.sleep(0)

    with pytest.raises(SimulationFailed, match="not done after 1000 steps"):
        run(main, steps_max=1000)


def test_a_task_that_does_not_end_when_cancelled_is_no_hang() -> None:
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    tasks = []

    async def main() -> None:
        tasks.append(asyncio.create_task(stubborn(), name="stubborn"))
        await asyncio.sleep(0)

    with pytest.raises(SimulationFailed, match="stubborn"):
        run(main)


def test_what_is_left_is_cancelled_and_cleans_up() -> None:
    ended: list[str] = []

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await sim_loop().pause(5)
            ended.append("task")

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            ended.append("generator")

    kept, unfinished = [], numbers()

    async def main() -> None:
        kept.append(asyncio.create_task(background()))
        await anext(unfinished)
        await asyncio.sleep(0)

    run(main)
    assert ended == ["task", "generator"]


def test_an_error_that_nobody_takes_fails_the_run() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon([].pop)
        await sim_loop().pause(1)

    with pytest.raises(SimulationFailed, match="no taker") as caught:
        run(main)
    assert isinstance(caught.value.__cause__, IndexError)


def test_an_error_of_main_comes_out_as_it_is() -> None:
    async def main() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(main)


def test_an_executor_runs_in_place_and_takes_a_moment() -> None:
    async def main() -> None:
        loop = sim_loop()
        seen: list[int] = []
        task = asyncio.create_task(asyncio.to_thread(seen.append, 1))
        await asyncio.sleep(0)
        assert not seen
        await task
        assert seen == [1]
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 // 0)
        given_up = loop.run_in_executor(None, seen.append, 2)
        given_up.cancel()
        await loop.pause(1)
        assert seen == [1]

    run(main)


def test_an_executor_may_be_slow() -> None:
    async def main() -> float:
        for _ in range(20):
            await asyncio.to_thread(str)
        return sim_loop().time()

    assert SimLoop(1).run(main) < 0.02
    assert 20 < SimLoop(1, executor_s=10).run(main) < 180


def test_clocks_follow_the_loop_and_may_be_wrong() -> None:
    async def main() -> None:
        loop = sim_loop()
        right, wrong, fast = loop.clock(), loop.clock(-60), loop.clock(drift_ppm=100)
        await loop.pause(1000)
        assert right.now_us() == START_US + 1_000_000_000
        assert right.monotonic_s() == 1000
        assert wrong.now_us() == right.now_us() - 60_000_000
        assert fast.now_us() == right.now_us() + 100_000
        right.jump(-3600)
        assert right.now_us() == START_US - 2_600_000_000
        assert right.monotonic_s() == 1000

    run(main)


def test_a_pause_that_is_cancelled_leaves_no_timer() -> None:
    async def main() -> float:
        task = asyncio.create_task(sim_loop().pause(1000))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await sim_loop().pause(1)
        return sim_loop().time()

    assert run(main) == 1


def test_nothing_real_can_be_reached() -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="resolves no names"):
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        with pytest.raises(OSError):
            await asyncio.open_connection("localhost", 80)

    run(main)


async def test_outside_a_simulation_there_is_no_simulated_loop() -> None:
    with pytest.raises(AssertionError, match="in a simulation only"):
        sim_loop()
