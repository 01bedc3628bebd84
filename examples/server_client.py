"""Two programs share a chain: a server process, and clients that each hold a live copy of it."""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ate


@dataclass(frozen=True)
class Note:
    text: str
    by: str


@contextmanager
def server(folder: str) -> Iterator[str]:
    """Start `atedb solo FOLDER` as one does in a shell; yield its address."""
    words = ["solo", folder, "--port", "0", "--no-auth", "--json"]
    command = [sys.executable, "-m", "atedb", *words]
    pipe, silent = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdout=pipe, stderr=silent) as process:  # noqa: S603
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.terminate()


async def write(url: str, name: str) -> None:
    """One client: open the chain by its address; the rest is as on one machine."""
    async with ate.open("notes", url=url) as chain:
        dio = chain.dio()
        dio.store(Note("hello", name))
        await dio.commit()  # the server has it on its disk now


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder, server(folder) as url:
        async with ate.open("notes", url=url) as chain:
            changes = chain.watch(type=Note)
            others = [
                await asyncio.create_subprocess_exec(sys.executable, __file__, url, name)
                for name in ("alice", "bob")
            ]
            for _ in others:
                note = (await anext(changes)).value
                print(f"{note.by} wrote {note.text!r}")
            assert sorted([dao.value.by async for dao in chain.dio().all(Note)]) == ["alice", "bob"]
            for other in others:
                assert await other.wait() == 0
        print(f"the server has {chain.commits} commits and can open none that are sealed")


asyncio.run(write(*sys.argv[1:]) if sys.argv[1:] else main())
