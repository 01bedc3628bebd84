"""The product in the race of servers: a real `atedb solo` and clients as programs open them.

Every client keeps its own copy, in memory, and checks every commit it is sent.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from tools.race.product import session_of
from tools.race.servers.contract import Begin, Deliver, Report
from tools.race.servers.process import Process

import ate
from ate.mesh.registry import Registry

_READY: Final = re.compile(r"atedb ready ((?:ws|tcp)://\S+)")
_LOOK_S: Final = 0.001
_CATCH_UP_S_MAX: Final = 600.0
_BATCH: Final = 1_000


@dataclass
class Record:
    """A record of the race."""

    body: bytes


@dataclass
class Job:
    """A job of the race."""

    body: bytes


@dataclass
class Done:
    """What a job leaves behind."""

    number: int


class Ate:
    """An `atedb solo` without authentication, on a free port.

    Args:
        options: more of its command line.
    """

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self._folder, self._options = folder, options
        self._session = session_of(folder)

    def start(self) -> None:
        log = self._folder / "atedb.log"
        log.unlink(missing_ok=True)
        command = [sys.executable, "-m", "atedb", "solo", str(self._folder / "server"),
                   "--port", "0", "--no-auth", *self._options]  # fmt: skip
        self._process = Process(command, log)
        self._process.wait_until(lambda: bool(self._ready()))
        self._url = self._ready()[0]

    def _ready(self) -> list[str]:
        return _READY.findall("\n".join(self._process.log_lines()))

    def stop(self) -> None:
        self._process.stop()

    @property
    def url(self) -> str:
        """The address, once it has started."""
        return self._url

    @property
    def process(self) -> Process:
        return self._process

    async def client(self, stream: str = "bench") -> AteClient:
        return AteClient(await self._open(stream))

    async def _open(self, name: str) -> Any:
        # Chains of one program share a connection; here every client is to have its own.
        return await ate.open(
            name, url=self._url, session=self._session, memory=True,
            connection={"lines": Registry(agent="race")},
        )  # fmt: skip

    # --- jobs ---------------------------------------------------------------------------------

    async def push(self, bodies: Sequence[bytes]) -> None:
        chain = await self._open("jobs")
        for at in range(0, len(bodies), _BATCH):
            dio = chain.dio()
            for body in bodies[at : at + _BATCH]:
                dio.store(Job(body))
            await dio.commit()
        await chain.close()

    async def work(self, begin: Begin, report: Report, *, effects: bool, lease_s: float) -> None:
        chain = await self._open("jobs")
        queue = ate.Queue(chain, Job, lease_s=lease_s)
        begin()
        async for job in queue:
            async with job:
                number = int.from_bytes(job.value.body[:4], "little")
                if effects:
                    job.dio.store(Done(number))
            # The block of a job whose work changes nothing still ends in a commit that deletes it.
            report(number)

    async def left(self) -> int:
        chain = await self._open("jobs")
        found = await ate.Queue(chain, Job).count()
        await chain.close()
        return found

    async def effects(self) -> list[int]:
        chain = await self._open("jobs")
        found = [dao.value.number async for dao in chain.dio().all(Done)]
        await chain.close()
        return found


class AteClient:
    """A client of one chain."""

    def __init__(self, chain: Any) -> None:
        self._chain = chain
        self._tasks: set[asyncio.Task[None]] = set()

    async def append(self, body: bytes) -> None:
        await self.append_batch([body])

    async def append_batch(self, bodies: Sequence[bytes]) -> None:
        dio = self._chain.dio()
        for body in bodies:
            dio.store(Record(body))
        await dio.commit()

    async def subscribe(self, deliver: Deliver) -> None:
        changes = self._chain.watch(type=Record, since=self._chain.head)

        async def listen() -> None:
            async for change in changes:
                deliver(change.value.body)

        self._tasks.add(asyncio.create_task(listen()))

    async def catch_up(self, count: int) -> None:
        async with asyncio.timeout(_CATCH_UP_S_MAX):
            while len(self._chain) < count:  # noqa: ASYNC110 — a chain tells of rows, not of counts
                await asyncio.sleep(_LOOK_S)

    async def records(self, count: int) -> AsyncIterator[bytes]:
        async for dao in self._chain.dio().all(Record):
            yield cast("Record", dao.value).body

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._chain.close()
