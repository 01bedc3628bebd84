"""Questions and answers between processes that share nothing but a server; what can go wrong."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import ate
from ate.errors import Disconnected, NotFound, Offline, RemoteError, TimedOut
from ate.mesh.hall import Hall
from ate.mesh.registry import Registry
from ate.mesh.shelf import MemoryShelf
from ate.server import Server, serve

LIMIT_S = 60
#: What is promised.
ERROR_S = 2.0


@dataclass(frozen=True)
class Add:
    a: int
    b: int


@dataclass(frozen=True)
class Sum:
    total: int


@dataclass
class TooLarge(Exception):
    largest: int


@ate.method(raises=(TooLarge,))
async def add(dio: ate.Dio, request: Add) -> Sum:
    if request.a > 1000:
        raise TooLarge(1000)
    if request.a < 0:
        raise NotFound("no such number")
    if request.b < 0:
        raise ValueError("a secret")
    dio.store(Sum(request.a + request.b))
    return Sum(request.a + request.b)


HANDLER = """
import asyncio, sys
from dataclasses import dataclass
import ate

@dataclass(frozen=True)
class Add:
    a: int
    b: int

async def main():
    async with ate.open("sums", url=sys.argv[1]) as chain:
        @ate.serve(chain, Add, lease_s=0.5)
        async def add(request: Add) -> int:
            print("asked", flush=True)
            if sys.argv[2] == "hang":
                await asyncio.Event().wait()
            return request.a + request.b
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def atedb(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    command = [sys.executable, "-m", "atedb", "solo", str(folder), "--no-auth", "--port", "0"]
    with (folder.parent / "journal").open("wb") as err:
        child = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=err)
    with child:
        assert child.stdout is not None
        yield child, json.loads(child.stdout.readline())["url"]
        child.kill()


@asynccontextmanager
async def handler(url: str, how: str) -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HANDLER, url, how, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert await child.stdout.readline() == b"ready\n"
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


@asynccontextmanager
async def clients(count: int) -> AsyncIterator[tuple[list[ate.Chain], Server]]:
    hall = Hall(MemoryShelf())
    async with asyncio.timeout(LIMIT_S), serve(hall, websocket=False, tcp=True) as server:
        found = []
        for _ in range(count):
            lines = Registry(agent="test")
            found.append(
                (await ate.open("sums", url=server.url, connection={"lines": lines}), lines)
            )
        yield [chain for chain, _ in found], server
        for chain, lines in found:
            await chain.close()
            await lines.close()
        await hall.close()


async def is_empty(chain: ate.Chain, *, besides: int = 0) -> None:
    """Wait until nothing but results is left: replies are forgotten behind the caller's back."""
    while len(chain) > besides:
        async for _ in chain.watch():
            break


async def test_a_hundred_calls_at_once_each_get_their_own_answer() -> None:
    async with clients(2) as ([here, there], _):
        add.serve(there)
        asked = [Add(n, n) for n in range(100)]
        found = await asyncio.gather(*(add.call(here, one) for one in asked))
        assert [one.total for one in found] == [2 * n for n in range(100)]
        await is_empty(here, besides=100)
        assert len([dao async for dao in here.dio().all(Sum)]) == 100, "each was run once"
        assert here.commits < 250, "calls that are made together travel together"


async def test_errors_arrive_as_what_they_are() -> None:
    async with clients(2) as ([here, there], _):
        add.serve(there)
        with pytest.raises(TooLarge) as caught:
            await add.call(here, Add(1001, 0))
        assert caught.value.largest == 1000
        with pytest.raises(NotFound, match="no such number"):
            await add.call(here, Add(-1, 0))
        with pytest.raises(RemoteError) as unknown:
            await add.call(here, Add(0, -1))
        assert "secret" not in str(unknown.value)


async def test_a_call_that_nobody_answers_is_withdrawn() -> None:
    async with clients(2) as ([here, there], _):
        with pytest.raises(TimedOut):
            await add.call(here, Add(1, 2), timeout=0.2)
        calling = asyncio.create_task(add.call(here, Add(3, 4)))
        async for _ in there.watch():
            break
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await there.sync()
        assert len(there) == 0


async def test_a_request_of_a_dead_handler_is_answered_by_another(tmp_path: Path) -> None:
    with atedb(tmp_path / "server") as (_, url):
        async with asyncio.timeout(LIMIT_S), ate.open("sums", url=url) as chain:
            async with handler(url, "hang") as first:
                calling = asyncio.create_task(ate.call(chain, Add(1, 2), timeout=LIMIT_S))
                assert first.stdout is not None
                assert await first.stdout.readline() == b"asked\n"
                first.send_signal(signal.SIGKILL)
                await first.wait()
                async with handler(url, "answer"):
                    assert await calling == 3
            async with handler(url, "hang") as first:
                calling = asyncio.create_task(ate.call(chain, Add(1, 2), timeout=2))
                assert first.stdout is not None
                assert await first.stdout.readline() == b"asked\n"
                with pytest.raises(TimedOut):
                    await calling


async def test_a_call_errs_soon_when_the_server_dies(tmp_path: Path) -> None:
    with atedb(tmp_path / "server") as (server, url):
        async with asyncio.timeout(LIMIT_S):
            chain = await ate.open("sums", url=url)
            calling = asyncio.create_task(ate.call(chain, Add(1, 2), timeout=LIMIT_S))
            async for _ in chain.watch(since=0):
                break
            server.kill()
            started = time.monotonic()
            with pytest.raises(Disconnected):
                await calling
            assert time.monotonic() - started < ERROR_S
            with pytest.raises(Offline):  # nothing was sent
                await ate.call(chain, Add(1, 2))
            await chain.close()
