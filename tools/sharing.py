"""The shared part of the demonstration: a server process, two clients, a killed server and worker.

It draws no table: the steps are the demonstration's.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import ate
from ate.mesh.registry import Registry

ROOT: Final = Path(__file__).resolve().parent.parent
_COMMITS: Final = 100
_OFFLINE: Final = 20
_JOBS: Final = 120
_LEASE_S: Final = 1.0
_LIMIT_S: Final = 60.0
StepMaker = Callable[[str], AbstractContextManager[Any]]
Claim = Callable[[bool, str], None]


@dataclass(frozen=True)
class Note:
    """What the clients tell each other."""

    number: int


@dataclass(frozen=True)
class Job:
    """What is to be done once."""

    number: int


@dataclass(frozen=True)
class Done:
    """What a job leaves behind."""

    number: int
    tries: int


@contextmanager
def server(folder: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """Run `atedb solo`; yield the process and what it says when it is ready."""
    words = ["solo", str(folder), "--no-auth", "--json", "--port", str(port)]
    command = [sys.executable, "-m", "atedb", *words]
    pipe, silent = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdout=pipe, stderr=silent) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


class Sharing:
    """Three steps on one shared chain.

    Args:
        folder: an empty folder.
        keys: the file with the session, which a worker process opens as well.
        session: the same, opened.
        step, claim: of the demonstration.
    """

    def __init__(
        self, folder: Path, keys: Path, session: ate.Session, *, step: StepMaker, claim: Claim
    ) -> None:
        self.folder, self.keys, self.session = folder, keys, session
        self.step, self.claim = step, claim

    async def run(self) -> None:
        """Run them."""
        home, lines = self.folder / "server", Registry()
        with server(home) as (process, ready):
            self.url, port = ready["url"], ready["port"]
            phone = await self.opened(path=self.folder / "phone", recovery="async")
            desk = await self.opened(connection={"lines": lines})
            await self.watch(phone, desk)
            process.kill()
            process.wait()
            ids = await self.write(phone)
        with server(home, port):
            await self.come_back(phone, desk, ids)
            await self.work(desk)
            await phone.close()
            await desk.close()
            await lines.close()

    def opened(self, **more: Any) -> Any:
        """Return the opening of the shared chain."""
        return ate.open("shared", url=self.url, session=self.session, **more)

    async def watch(self, phone: ate.Chain, desk: ate.Chain) -> None:
        """Write at one client, look on at the other."""
        sent: list[float] = []
        took: list[float] = []

        async def look_on() -> None:
            async for change in desk.watch(type=Note, since=0):
                took.append(time.perf_counter() - sent[change.value.number])
                if len(took) == _COMMITS:
                    return

        with self.step("share a chain: server, two clients") as step:
            looking = asyncio.create_task(look_on())
            for number in range(_COMMITS):
                sent.append(time.perf_counter())
                dio = phone.dio()
                dio.store(Note(number))
                await dio.commit()
            await looking
            p50 = sorted(took)[len(took) // 2] * 1000
            step.what = f"{_COMMITS} commits, each seen by the other client, p50 {p50:.1f} ms"

    async def come_back(self, phone: ate.Chain, desk: ate.Chain, ids: list[ate.ObjectId]) -> None:
        """Find what was committed offline at the other client."""
        with self.step("a server is back, offline work lands") as step:
            await phone.sync()
            await desk.sync()
            for one in ids:
                await desk.dio().load(Note, one)
            numbers = [note.value.number async for note in desk.dio().all(Note)]
            self.claim(len(numbers) == len(set(numbers)) == _COMMITS + _OFFLINE, "one came twice")
            step.what = f"{_OFFLINE} commits waited on this disk, each landed once"

    async def write(self, phone: ate.Chain) -> list[ate.ObjectId]:
        """Commit without a server."""
        ids = []
        for number in range(_COMMITS, _COMMITS + _OFFLINE):
            dio = phone.dio()
            ids.append(dio.store(Note(number)).id)
            await dio.commit()
        self.claim(phone.status.pending > 0, "nothing waits though there is no server")
        return ids

    async def work(self, chain: ate.Chain) -> None:
        """Let two processes do jobs, and kill one of them."""
        with self.step("jobs for two processes, one is killed") as step:
            dio = chain.dio()
            for number in range(_JOBS):
                dio.store(Job(number))
            await dio.commit()
            words = [sys.executable, str(ROOT / "tools/sharing.py"), self.url, str(self.keys)]
            out, crew = asyncio.subprocess.PIPE, []
            try:
                crew.append(await asyncio.create_subprocess_exec(*words, "hangs", stdout=out))
                ear = crew[0].stdout
                assert ear is not None
                await ear.readline()  # it holds a job
                crew.append(await asyncio.create_subprocess_exec(*words, "works", stdout=out))
                crew[0].kill()
                async with asyncio.timeout(_LIMIT_S):
                    await ate.Queue(chain, Job).join()
            finally:
                for one in crew[1:]:
                    one.kill()
                await asyncio.gather(*(one.wait() for one in crew))
            found = [one.value async for one in chain.dio().all(Done)]
            self.claim(sorted(one.number for one in found) == list(range(_JOBS)), "not each once")
            again = sum(one.tries > 1 for one in found)
            self.claim(again > 0, "nothing was taken over")
            step.what = f"{_JOBS} jobs, each done once; {again} taken over from the dead one"


async def labour(url: str, keys: str, how: str) -> None:
    """Do jobs until the end, or hang with the first one: one worker process."""
    from tools.demo import PASSPHRASE

    async with ate.open("shared", url=url, session=ate.Session.load(keys, PASSPHRASE)) as chain:
        async for job in ate.Queue(chain, Job, lease_s=_LEASE_S):
            async with job:
                if how == "hangs":
                    print("held", flush=True)
                    await asyncio.Event().wait()
                job.dio.store(Done(job.value.number, job.fence))


if __name__ == "__main__":
    asyncio.run(labour(*sys.argv[1:]))
