"""Redis Streams with an append-only file that is flushed before every answer.

The product's promise, so nothing is asked of Redis that it does not give: `appendfsync always`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tools.race.servers.contract import Begin, Deliver, Report
from tools.race.servers.process import Process, answers, find, free_port

_PAGE: Final = 5_000
_PIPELINE_MAX: Final = 1_000
_CONNECTIONS_MAX: Final = 1_024
_BLOCK_MS: Final = 10_000
_GROUP: Final = "workers"


class Redis:
    """A redis-server; its client sends what waits together in one pipeline."""

    pooled = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self) -> None:
        self._port = free_port()
        options = {
            "bind": "127.0.0.1", "port": self._port, "dir": self._folder, "save": "",
            "appendonly": "yes", "appendfsync": "always",
        }  # fmt: skip
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = Process([find("redis-server") or "", *words], self._folder / "redis.log")
        self._process.wait_until(lambda: answers(self._port, b"PING\r\n", b"+PONG"))

    def stop(self) -> None:
        self._process.stop()

    async def client(self, stream: str = "bench") -> RedisStream:
        return RedisStream(self._connect(), stream, pooled=self.pooled)

    def _connect(self) -> Any:
        redis: Any = import_module("redis.asyncio")
        return redis.Redis(port=self._port, max_connections=_CONNECTIONS_MAX)

    # --- jobs: a consumer group, as its documentation shows it ---------------------------------

    async def push(self, bodies: Sequence[bytes]) -> None:
        redis = self._connect()
        await redis.xgroup_create("jobs", _GROUP, id="0", mkstream=True)
        await RedisStream(redis, "jobs").append_batch(bodies)
        await redis.aclose()

    async def work(self, begin: Begin, report: Report, *, effects: bool, lease_s: float) -> None:
        redis, me, lease_ms = self._connect(), str(os.getpid()), int(lease_s * 1000)
        await redis.ping()
        begin()
        looked = time.monotonic()
        while True:
            found = await redis.xreadgroup(_GROUP, me, {"jobs": ">"}, count=1, block=100)
            entries = found[0][1] if found else []
            if effects and (not entries or time.monotonic() - looked > lease_s):
                looked = time.monotonic()
                claimed = await redis.xautoclaim("jobs", _GROUP, me, lease_ms, count=10)
                entries = [*entries, *claimed[1]]
            for entry, fields in entries:
                number = int.from_bytes(fields[b"d"][:4], "little")
                if effects:
                    async with redis.pipeline(transaction=True) as both:
                        both.xadd("done", {"n": number})
                        both.xack("jobs", _GROUP, entry)
                        await both.execute()
                else:
                    await redis.xack("jobs", _GROUP, entry)
                report(number)

    async def left(self) -> int:
        redis = self._connect()
        group = (await redis.xinfo_groups("jobs"))[0]
        await redis.aclose()
        return int(group["pending"]) + int(group["lag"] or 0)

    async def effects(self) -> list[int]:
        redis = self._connect()
        found = [int(fields[b"n"]) for _, fields in await redis.xrange("done")]
        await redis.aclose()
        return found


class RedisPool(Redis):
    """The same; every waiting task takes a connection of its own, as the client does by itself."""

    pooled = True


class RedisStream:
    """A client of one stream."""

    def __init__(self, redis: Any, stream: str, *, pooled: bool = False) -> None:
        self._redis, self._stream, self._pooled = redis, stream, pooled
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._sending = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def append(self, body: bytes) -> None:
        if self._pooled:
            await self._redis.xadd(self._stream, {"d": body})
            return
        if self._sending:
            mine = asyncio.get_running_loop().create_future()
            self._waiting.append((body, mine))
            await mine
            return
        self._sending = True
        await self._redis.xadd(self._stream, {"d": body})
        if self._waiting:
            task = asyncio.create_task(self._send())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._sending = False

    async def _send(self) -> None:
        """Send what waits, together, until nothing does."""
        while self._waiting:
            some, self._waiting = self._waiting[:_PIPELINE_MAX], self._waiting[_PIPELINE_MAX:]
            try:
                await self.append_batch([body for body, _ in some])
            except Exception as error:
                for _, mine in some:
                    mine.set_exception(error)
            else:
                for _, mine in some:
                    mine.set_result(None)
        self._sending = False

    async def append_batch(self, bodies: Sequence[bytes]) -> None:
        for at in range(0, len(bodies), _PIPELINE_MAX):
            async with self._redis.pipeline(transaction=False) as together:
                for body in bodies[at : at + _PIPELINE_MAX]:
                    together.xadd(self._stream, {"d": body})
                await together.execute()

    async def subscribe(self, deliver: Deliver) -> None:
        newest = await self._redis.xrevrange(self._stream, count=1)
        at = newest[0][0] if newest else b"0-0"

        async def listen(last: bytes) -> None:
            while True:
                wanted = {self._stream: last}
                for _, entries in await self._redis.xread(wanted, block=_BLOCK_MS, count=100):
                    for entry, fields in entries:
                        last = entry
                        deliver(fields[b"d"])

        self._tasks.add(asyncio.create_task(listen(at)))

    async def catch_up(self, count: int) -> None:
        got, last = 0, b"-"
        while got < count:
            entries = await self._redis.xrange(self._stream, min=last, count=_PAGE)
            if not entries:
                raise LookupError(f"{got} records of {count}")
            got += len(entries)
            last = b"(" + entries[-1][0]

    async def records(self, count: int) -> AsyncIterator[bytes]:
        got, last = 0, b"-"
        while got < count:
            entries = await self._redis.xrange(self._stream, min=last, count=_PAGE)
            if not entries:
                return
            for _, fields in entries:
                yield fields[b"d"]
            got += len(entries)
            last = b"(" + entries[-1][0]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(BaseException):
                await task
        await self._redis.aclose()
