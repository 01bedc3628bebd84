"""A lease between clients of one server: fenced where the chain is ordered, whatever clocks say."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

import ate
from ate.dio.chain import Chain
from ate.dio.leasing import NamedLease
from ate.errors import Fenced, TimedOut
from ate.mesh.hall import Hall
from ate.mesh.registry import Registry
from ate.mesh.shelf import MemoryShelf
from ate.server import serve
from ate.testing.simclock import SimClock
from ate.testing.stage import member

TTL_S = 30


@asynccontextmanager
async def clients(count: int) -> AsyncIterator[list[tuple[Chain, SimClock]]]:
    """Yield chains of clients that share nothing but the server, each with its own clock."""
    alice = member("alice")
    hall = Hall(MemoryShelf(), clock=SimClock())
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(hall, websocket=False, tcp=True))
        stack.push_async_callback(hall.close)
        found = []
        for _ in range(count):
            lines, clock = Registry(agent="test"), SimClock()
            stack.push_async_callback(lines.close)
            chain = await stack.enter_async_context(
                ate.open(
                    "shared",
                    url=server.url,
                    memory=True,
                    session=alice,
                    clock=clock,
                    connection={"lines": lines},
                )
            )
            found.append((chain, clock))
        yield found


async def work(chain: Chain, lease: NamedLease, n: int) -> None:
    dio = chain.dio()
    dio.store({"n": n})
    await dio.commit(lease=lease)


async def done(chain: Chain) -> list[int]:
    return [dao.value["n"] async for dao in chain.dio().roots(dict)]


async def test_clients_take_turns() -> None:
    async with asyncio.timeout(60), clients(3) as found:
        order: list[int] = []

        async def hold(chain: Chain, n: int) -> None:
            for _ in range(4):
                async with NamedLease(chain, "pen", ttl_s=TTL_S) as lease:
                    order.append(n)
                    await asyncio.gather(*(work(chain, lease, n) for _ in range(3)))
                    await lease.renew()
                    await work(chain, lease, n)
                    order.append(n)

        await asyncio.gather(*(hold(chain, n) for n, (chain, _) in enumerate(found)))
        assert order[::2] == order[1::2], "nobody came between a holder's two marks"
        assert sorted(await done(found[0][0])) == sorted([0, 1, 2] * 16)


async def test_a_paused_client_is_fenced_by_the_server() -> None:
    async with asyncio.timeout(60), clients(2) as ((here, _), (there, clock)):
        first = await NamedLease(here, "pen", ttl_s=TTL_S).__aenter__()
        await work(here, first, 1)
        with pytest.raises(TimedOut):
            await NamedLease(there, "pen", ttl_s=TTL_S, wait_s=0).__aenter__()
        clock.jump(TTL_S + 1)
        second = await NamedLease(there, "pen", ttl_s=TTL_S, wait_s=5).__aenter__()
        assert second.number > first.number
        late = here.dio()
        late.store({"n": 2})
        with pytest.raises(Fenced):
            await late.commit(lease=first)
        assert late.has_changes
        await work(there, second, 3)
        with pytest.raises(Fenced):
            await first.renew()
        assert first.lost.is_set()
        await first.release()
        await work(there, second, 4)
        await second.release()
        assert await done(there) == [1, 3, 4]


#: Holds the lease and writes under it until it is refused; says what happened, line by line.
PROGRAM = """
import asyncio, sys
import ate
from ate.dio.leasing import NamedLease
from ate.errors import Fenced
from ate.testing.stage import member

async def main():
    chain = ate.open("shared", url=sys.argv[1], memory=True, session=member("alice"))
    async with chain as chain, NamedLease(chain, "pen", ttl_s=0.5) as lease:
        print("held", lease.number, flush=True)
        while True:
            dio = chain.dio()
            dio.store({"by": "child"})
            try:
                await dio.commit(lease=lease)
            except Fenced:
                print("fenced", flush=True)
                return

asyncio.run(main())
"""


async def test_a_process_that_was_stopped_is_fenced_when_it_goes_on() -> None:
    alice, hall = member("alice"), Hall(MemoryShelf())
    async with asyncio.timeout(60), serve(hall, websocket=False, tcp=True) as server:
        chain = await ate.open("shared", url=server.url, memory=True, session=alice)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, server.url, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert child.stdout is not None
            word, number = (await child.stdout.readline()).split()
            assert word == b"held"
            async for _ in chain.watch(since=0, type=dict):
                break  # it is at work
            child.send_signal(signal.SIGSTOP)
            async with NamedLease(chain, "pen", ttl_s=30) as lease:
                assert lease.number > int(number)
                child.send_signal(signal.SIGCONT)
                assert await child.stdout.readline() == b"fenced\n"
                assert await child.wait() == 0
                dio = chain.dio()
                dio.store({"by": "parent"})
                await dio.commit(lease=lease)
            written = [dao async for dao in chain.dio().roots(dict)]
            late = [dao.value for dao in written if dao.seq > lease.number]
            assert late == [{"by": "parent"}]
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
            await chain.close()
        await hall.close()
