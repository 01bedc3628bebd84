"""A client process is killed at any moment: what it was told is safe is in the chain, once."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

import ate
from ate.ids import ObjectId
from ate.joining import registry
from ate.mesh.hall import Hall
from ate.mesh.shelf import DiskShelf
from ate.server import serve
from ate.testing.stage import member

#: Commits one after the other and says which are safe here, which in the chain.
PROGRAM = """
import asyncio, sys
import ate
from ate.testing.stage import member

async def main():
    url, path, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
    opened = ate.open("shared", url=url, path=path, session=member("alice"), recovery="async")
    async with opened as chain:
        async def one(n):
            dio = chain.dio()
            dao = dio.store({"n": n})
            how = ate.FULL if n % 3 == 0 else ate.LOCAL
            receipt = await dio.commit(how)
            print("chain" if not receipt.is_pending else "here", dao.id.hex(), flush=True)
        n = first
        while True:
            await asyncio.gather(*(one(n + k) for k in range(5)))
            n += 5

asyncio.run(main())
"""


async def life(url: str, path: Path, first: int, seconds: float) -> dict[bytes, str]:
    """Let a client work and kill it; return what it was told."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, url, str(path), str(first), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    told: dict[bytes, str] = {}
    try:
        async with asyncio.timeout(30):
            told.update(_parsed(await child.stdout.readline()))
        try:
            async with asyncio.timeout(seconds):
                while line := await child.stdout.readline():
                    told.update(_parsed(line))
        except TimeoutError:
            pass
    finally:
        child.kill()
        rest = await child.stdout.read()
        await child.wait()
    for line in rest.splitlines(keepends=True):
        if line.endswith(b"\n"):
            told.update(_parsed(line))
    return told


def _parsed(line: bytes) -> dict[bytes, str]:
    where, raw = line.split()
    return {bytes.fromhex(raw.decode()): where.decode()}


@pytest.mark.parametrize("server_dies", [False, True])
async def test_what_a_killed_client_was_told_is_in_the_chain_once(
    tmp_path: Path, server_dies: bool
) -> None:
    told: dict[bytes, str] = {}
    port, hall = 0, Hall(DiskShelf(tmp_path / "server"))
    server = serve(hall, websocket=False, tcp=True)
    await server.start()
    port = int(server.url.rstrip("/").rsplit(":", 1)[1])
    async with asyncio.timeout(120):
        for n in range(6):
            working = asyncio.ensure_future(
                life(server.url, tmp_path / "client", 1000 * n, 0.05 * n)
            )
            if server_dies and n % 2:
                await server.close(0.0)
                await hall.close()
                told |= await working
                hall = Hall(DiskShelf(tmp_path / "server"))
                server = serve(hall, websocket=False, tcp=True, tcp_port=port)
                await server.start()
            else:
                told |= await working
        assert "chain" in told.values()
        assert "here" in told.values()
        opened = ate.open(
            "shared", url=server.url, path=tmp_path / "client", session=member("alice"),
            recovery="async",
        )  # fmt: skip
        async with opened as chain:
            await chain.sync(60)
            assert chain.conflicts == []
            dio = chain.dio()
            for raw in told:
                versions = [one async for one in dio.history(ObjectId(raw), dict)]
                assert len(versions) == 1
            assert chain._remote is not None
            assert len(chain._remote.forwarder.outbox) == 0
        await registry().close()
        await server.close()
        await hall.close()
