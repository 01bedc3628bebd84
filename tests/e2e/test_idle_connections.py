"""Connections that say nothing cost a server little: a process of its own is measured.

`make long` opens ten thousand of each kind instead of some hundreds.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

import pytest
from tests.effort import effort

from ate.mesh.dial import dialer
from ate.mesh.transport import Transport
from ate.mesh.url import Url
from ate.wire.connection import Connection

COUNT = effort(500, 10_000)
BYTES_MAX = 50 * 1024

SERVER = """
import asyncio, sys
from ate.server import serve
from ate.wire.terms import Terms

class Hall:
    async def arrived(self, visitor): pass
    async def handle(self, visitor, message): pass
    async def left(self, visitor): pass

async def main():
    kind = sys.argv[1]
    terms = Terms(keepalive_s=600.0)
    async with serve(Hall(), websocket=kind == "ws", tcp=kind == "tcp", terms=terms) as server:
        print(server.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await server.close(0.0)

asyncio.run(main())
"""


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.split("VmRSS:")[1].split()[0])


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


async def connect(url: Url) -> Transport:
    """Return a connection on which both sides know each other."""
    transport, connection = await dialer()(url), Connection("client")
    connection.start(0.0)
    transport.send(connection.outgoing())
    while not connection.is_ready:
        connection.receive(await transport.receive(), 0.0)
        transport.send(connection.outgoing())
    return transport


async def open_many(url: Url, count: int) -> list[Transport]:
    opened: list[Transport] = []
    while len(opened) < count:
        batch = min(50, count - len(opened))
        opened += await asyncio.gather(*(connect(url) for _ in range(batch)))
    return opened


async def close_all(transports: list[Transport]) -> None:
    for start in range(0, len(transports), 500):
        await asyncio.gather(*(one.close() for one in transports[start : start + 500]))


@pytest.mark.parametrize("kind", ["ws", "tcp"])
async def test_idle_connections_cost_little_and_leave_nothing(kind: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = COUNT + 200
    if soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            pytest.skip(f"this machine allows {hard} descriptors, {needed} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, kind,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await _measure(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _measure(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    url = Url.parse((await process.stdout.readline()).decode().strip())
    await close_all(await open_many(url, 20))  # what is loaded late is loaded
    before = resident(process.pid)
    opened = await open_many(url, COUNT)
    assert descriptors(process.pid) >= COUNT
    each = (resident(process.pid) - before) / COUNT
    assert each <= BYTES_MAX, f"an idle connection costs {each:.0f} bytes"
    await close_all(opened)
    async with asyncio.timeout(60):
        while descriptors(process.pid) > 50:
            await close_all(await open_many(url, 1))
    out, _ = await process.communicate(b"")
    assert (process.returncode, out) == (0, b"")
