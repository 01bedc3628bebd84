"""One queue for processes that share nothing but a server: each job's effect is there once.

Consumers, the server, or both are killed with jobs held and commits under way.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import ate
from ate.dio.job import Job as Held
from ate.errors import Fenced
from ate.mesh.hall import Hall
from ate.mesh.registry import Registry
from ate.mesh.shelf import MemoryShelf
from ate.server import serve
from ate.testing.simclock import SimClock

LIMIT_S = 100
JOBS = 160
WORKERS = 4
KILLS = 10


@dataclass(frozen=True)
class Job:
    number: int


@dataclass(frozen=True)
class Effect:
    number: int
    fence: int


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

async def main():
    async with ate.open("jobs", url=sys.argv[1]) as chain:
        async for job in ate.Queue(chain, Job, lease_s=float(sys.argv[2])):
            try:
                async with job:
                    print("held", job.value.number, flush=True)
                    job.dio.store(Effect(job.value.number, job.fence))
            except ate.AteError as error:
                print("lost", job.value.number, error.code, flush=True)
            else:
                print("done", job.value.number, flush=True)

asyncio.run(main())
"""


@contextmanager
def atedb(folder: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a server process; yield it and its address."""
    words = ["solo", str(folder), "--no-auth", "--json", "--port", str(port)]
    with (folder.parent / "journal").open("ab") as err:
        command = [sys.executable, "-m", "atedb", *words]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err)
    try:
        assert child.stdout is not None
        yield child, json.loads(child.stdout.readline())["url"]
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


class Worker:
    """A consumer process; what it said is in `said`."""

    def __init__(self, url: str, said: list[str], lease_s: float) -> None:
        self._words, self._said = (sys.executable, "-c", WORKER, url, str(lease_s)), said

    async def start(self) -> Worker:
        out = asyncio.subprocess.PIPE
        self.child = await asyncio.create_subprocess_exec(*self._words, stdout=out, env=os.environ)
        self.task = asyncio.create_task(self._listen())
        return self

    async def _listen(self) -> None:
        assert self.child.stdout is not None
        async for line in self.child.stdout:
            self._said.append(line.decode().strip())

    async def kill(self) -> None:
        if self.child.returncode is None:
            self.child.send_signal(signal.SIGKILL)
        await self.child.wait()
        await self.task


async def fill(chain: ate.Chain, count: int = JOBS) -> None:
    dio = chain.dio()
    for number in range(count):
        dio.store(Job(number))
    await dio.commit()


async def effects(chain: ate.Chain) -> list[Effect]:
    return [dao.value async for dao in chain.dio().all(Effect)]


async def test_four_killed_consumers_do_each_job_once(tmp_path: Path) -> None:
    chance, said = random.Random(7), list[str]()
    with atedb(tmp_path / "server") as (_, url):
        async with asyncio.timeout(LIMIT_S), ate.open("jobs", url=url) as chain:
            await fill(chain)
            queue = ate.Queue(chain, Job)
            crew = [await Worker(url, said, lease_s=0.5).start() for _ in range(WORKERS)]
            try:
                for kill in range(1, KILLS + 1):
                    async for _ in chain.watch(type=Effect, since=0):
                        if len(await effects(chain)) >= JOBS * kill // (2 * KILLS):
                            break
                    at = chance.randrange(WORKERS)
                    await crew[at].kill()
                    crew[at] = await Worker(url, said, lease_s=0.5).start()
                await queue.join()
            finally:
                await asyncio.gather(*(one.kill() for one in crew))
            found = await effects(chain)
            assert sorted(one.number for one in found) == list(range(JOBS))
            assert len(chain) == JOBS, "neither jobs nor leases stay behind"
            told = Counter(line for line in said if line.startswith("done"))
            assert max(told.values()) == 1, "no job was acknowledged twice"
            held = Counter(line for line in said if line.startswith("held"))
            assert len(held) == JOBS


async def test_consumers_go_on_when_the_server_was_killed(tmp_path: Path) -> None:
    said: list[str] = []
    async with asyncio.timeout(LIMIT_S):
        with atedb(tmp_path / "server") as (server, url):
            chain = await ate.open("jobs", url=url)
            await fill(chain)
            crew = [await Worker(url, said, lease_s=1).start() for _ in range(2)]
            async for _ in chain.watch(type=Effect, since=0):
                if len(await effects(chain)) >= JOBS // 4:
                    break
            server.kill()
            server.wait()
        try:
            port = int(url.rstrip("/").rpartition(":")[2])
            with atedb(tmp_path / "server", port):
                await ate.Queue(chain, Job).join()
                found = await effects(chain)
                assert sorted(one.number for one in found) == list(range(JOBS))
                await chain.close()
        finally:
            await asyncio.gather(*(one.kill() for one in crew))


# --- without processes: clients of one server, each with a line and a clock of its own ---


@asynccontextmanager
async def clients(count: int) -> AsyncIterator[list[tuple[ate.Chain, SimClock]]]:
    hall = Hall(MemoryShelf(), clock=SimClock())
    async with asyncio.timeout(LIMIT_S), serve(hall, websocket=False, tcp=True) as server:
        found = []
        for _ in range(count):
            lines, clock = Registry(agent="test"), SimClock()
            chain = await ate.open("jobs", url=server.url, clock=clock, connection={"lines": lines})
            found.append((chain, clock, lines))
        yield [(chain, clock) for chain, clock, _ in found]
        for chain, _, lines in found:
            await chain.close()
            await lines.close()
        await hall.close()


async def test_two_clients_never_hold_one_job() -> None:
    async with clients(2) as [(here, _), (there, _)]:
        await fill(here, 100)
        inside: set[int] = set()

        async def consume(chain: ate.Chain) -> None:
            async for job in ate.Queue(chain, Job):
                async with job:
                    assert job.value.number not in inside
                    inside.add(job.value.number)
                    await asyncio.sleep(0)
                    job.dio.store(Effect(job.value.number, job.fence))

        tasks = [asyncio.create_task(consume(one)) for one in (here, there) for _ in range(2)]
        await ate.Queue(here, Job).join()
        await here.sync()
        assert Counter((one.number, one.fence) for one in await effects(here)) == Counter(
            (number, 1) for number in range(100)
        )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_late_holder_is_fenced_and_the_job_is_done_by_the_other() -> None:
    async with clients(2) as [(here, _), (there, clock)]:
        await fill(here, 1)
        await there.sync()
        late = await ate.Queue(here, Job, lease_s=10)._claim()
        queue = ate.Queue(there, Job, lease_s=10)
        jobs, wait_s = await queue._look_for()
        assert not jobs
        assert wait_s == pytest.approx(10, abs=1)
        clock.jump(11)
        job = await queue._claim()
        assert job.fence == late.fence + 1
        async with job:
            job.dio.store(Effect(0, job.fence))
        await here.sync()
        with pytest.raises(Fenced):
            async with late:
                late.dio.store(Effect(0, late.fence))
        assert [one.fence for one in await effects(here)] == [2]


async def test_a_clock_that_is_behind_does_not_keep_a_job_for_ever() -> None:
    async with clients(2) as [(here, ahead), (there, _)]:
        await fill(here, 1)
        ahead.jump(300)
        await ate.Queue(here, Job, lease_s=0.05)._claim()
        await there.sync()
        job = await ate.Queue(there, Job, lease_s=30)._claim()
        assert job.fence == 2


async def test_idle_consumers_send_nothing() -> None:
    async with clients(2) as [(here, _), (there, _)]:
        queue = ate.Queue(there, Job)
        waiting = asyncio.create_task(queue._claim())
        await fill(here, 1)
        job = await waiting
        async with job:
            pass
        idle = [asyncio.create_task(queue._claim()) for _ in range(3)]
        before = here.commits
        await asyncio.gather(here.sync(), there.sync())
        assert here.commits == before
        timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        rings = [one for one in timers if not one.cancelled() and "wake" in repr(one)]
        assert not rings, "nobody looks again and again"
        for task in idle:
            task.cancel()
        await asyncio.gather(*idle, return_exceptions=True)


async def test_a_loop_takes_several_quick_jobs_at_once_and_gives_back_what_it_leaves() -> None:
    async with clients(2) as [(here, _), (there, _)]:
        await fill(here, 200)
        done = 0
        before = here.commits
        async for job in (jobs := ate.Queue(here, Job)):
            async with job:
                done += 1
            if done == 100:
                break
        assert jobs._stock._most > 1
        assert here.commits - before < 150, "a lease commit for several jobs"
        await there.sync()
        others = await ate.Queue(there, Job)._claim_some(100)
        assert len(others) >= 36


async def test_several_at_once_end_in_few_commits() -> None:
    async with clients(1) as [(here, _)]:
        await fill(here, 100)
        queue = ate.Queue(here, Job)
        before = here.commits

        async def handle(job: Held[Job]) -> None:
            job.dio.store(Effect(job.value.number, job.fence))

        working = asyncio.create_task(queue.work(handle, at_once=20))
        await queue.join()
        assert here.commits - before < 100
        assert len(await effects(here)) == 100
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
