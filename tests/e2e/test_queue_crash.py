"""Four consumers in a process that is killed in the middle of its jobs, again and again.

Whatever moment the process dies, each job's effect is there exactly once in the end: the effect and
the end of the job are one commit. The parent reads what the child reports and kills it at once, so
that it dies with jobs held, commits under way and the log half flushed.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import ate

JOBS = 60
CONSUMERS = 4
KILLS = 12

#: The consumers: they say when they hold a job and when it is done.
WORKER = """
import asyncio, sys
from dataclasses import dataclass
import ate

@dataclass(frozen=True)
class Job:
    number: int

@dataclass(frozen=True)
class Effect:
    number: int
    fence: int

async def consume(queue):
    async for job in queue:
        async with job:
            print("held", job.value.number, flush=True)
            job.dio.store(Effect(job.value.number, job.fence))
            await asyncio.sleep(0)
        print("done", job.value.number, flush=True)

async def main():
    async with ate.open("jobs", path=sys.argv[1]) as chain:
        queue = ate.Queue(chain, Job, lease_s=3600)
        tasks = [asyncio.create_task(consume(queue)) for _ in range(int(sys.argv[2]))]
        await queue.join()
        print("empty", flush=True)
    await asyncio.gather(*tasks)

asyncio.run(main())
"""


@dataclass(frozen=True)
class Job:
    number: int


@dataclass(frozen=True)
class Effect:
    number: int
    fence: int


async def fill(place: Path) -> None:
    async with ate.open("jobs", path=place) as chain:
        dio = chain.dio()
        for number in range(JOBS):
            dio.store(Job(number))
        await dio.commit()


async def read(place: Path) -> tuple[list[Effect], list[int], int]:
    """Return the effects, the jobs that are left, and how many objects there are in all."""
    async with ate.open("jobs", path=place, readonly=True) as chain:
        dio = chain.dio()
        effects = [dao.value async for dao in dio.all(Effect)]
        return effects, [dao.value.number async for dao in dio.all(Job)], len(chain)


def run_until(place: Path, lines: int) -> list[str]:
    """Start the consumers, kill -9 them after so many lines; return what they had said."""
    command = [sys.executable, "-c", WORKER, str(place), str(CONSUMERS)]
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            said.append(line.strip())
            if len(said) == lines:
                child.send_signal(signal.SIGKILL)
        child.wait()
    assert child.returncode == (0 if "empty" in said else -signal.SIGKILL)
    return said


def test_each_effect_is_there_exactly_once_however_often_the_process_dies(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path))
    acknowledged: Counter[str] = Counter()
    tries: Counter[str] = Counter()
    killed_mid_job = 0
    for kill in range(KILLS):
        said = run_until(tmp_path, 1 + kill)
        acknowledged.update(line for line in said if line.startswith("done"))
        tries.update(line for line in said if line.startswith("held"))
        held = sum(1 if line.startswith("held") else -1 for line in said)
        killed_mid_job += held > 0
        effects, left, _ = asyncio.run(read(tmp_path))
        numbers = [effect.number for effect in effects]
        assert len(numbers) == len(set(numbers)), "an effect came twice"
        assert sorted(numbers + left) == list(range(JOBS)), "an effect and its job: both or neither"
        done = {int(line.split()[1]) for line in acknowledged}
        assert done <= set(numbers), "an acknowledged effect was lost"

    said = run_until(tmp_path, -1)
    assert "empty" in said
    effects, left, objects = asyncio.run(read(tmp_path))
    assert sorted(effect.number for effect in effects) == list(range(JOBS))
    assert not left
    assert objects == JOBS, "neither jobs nor leases stay behind"
    assert killed_mid_job >= KILLS // 2, "the kills came in the middle of jobs"
    assert max(effect.fence for effect in effects) > 1, "some job had to be taken over"
    acknowledged.update(line for line in said if line.startswith("done"))
    assert max(acknowledged.values()) == 1, "no job was reported done twice"
