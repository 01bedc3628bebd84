"""A process that forks a chain is killed at random moments: there is no fork, or a whole one."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import ate
from ate.chain.verify import verify
from ate.log.local import LocalLog
from ate.testing.stage import member

#: Forks a process for each line it is told, so that Python starts once. Each makes the chain's fork
#: and then waits for its end, so that its number is nobody else's when it is killed.
FORKERS = """
import asyncio, os, signal, sys
import ate
from ate.testing.stage import member

async def fork(path):
    async with ate.open("s", path=path, session=member("alice"), readonly=True) as chain:
        os.write(1, b"begun\\n")
        await chain.fork("f", path=path)

for line in sys.stdin:
    child = os.fork()
    if not child:
        os.write(1, b"%d\\n" % os.getpid())
        asyncio.run(fork(sys.argv[1]))
        os.write(1, b"done\\n")
        while True:
            signal.pause()
    os.write(1, b"end %d\\n" % os.waitpid(child, 0)[1])
"""

OBJECTS = 6_000
KILLS = 10


class Forkers:
    """The process that makes the processes."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKERS, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def run(self, kill_after: float | None) -> tuple[float, bool]:
        """Let one fork and kill it, then or when done; return the time, and whether it was done."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        pid = int(self.line())
        assert self.line() == "begun\n"
        start = time.monotonic()
        said = [] if kill_after is not None else [self.line()]
        while time.monotonic() < start + (kill_after or 0):
            os.sched_yield()
        took = time.monotonic() - start
        os.kill(pid, signal.SIGKILL)
        while not (said and said[-1].startswith("end")):
            said.append(self.line())
        assert said[-1] == f"end {int(signal.SIGKILL)}\n"
        return took, "done\n" in said

    def close(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


async def make(path: Path) -> None:
    async with ate.open("s", path=path, session=member("alice")) as chain:
        dio = chain.dio()
        for number in range(OBJECTS):
            dio.store({"n": number, "body": bytes(70_000 if number % 2000 == 0 else 30)})
        await dio.commit()


async def check(path: Path) -> None:
    """Open what must be a whole fork."""
    async with ate.open("f", path=path, session=member("alice"), create=False) as made:
        assert len(made) == OBJECTS
        assert len([dao async for dao in made.dio().all(dict)]) == OBJECTS
    store = LocalLog.open(path / "f", readonly=True)
    found = await verify(store)
    store.close()
    assert found.ok, found.problems


def shown(path: Path) -> list[str]:
    return sorted(one.name for one in path.iterdir() if not one.name.startswith("."))


def test_a_killed_fork_leaves_no_chain_or_a_whole_one(tmp_path: Path) -> None:
    asyncio.run(make(tmp_path))
    chance, killed = random.Random(3), 0
    forkers = Forkers(tmp_path)
    try:
        longest, is_done = forkers.run(None)
        assert is_done
        for turn in range(KILLS):
            if shown(tmp_path) == ["f", "s"]:
                asyncio.run(check(tmp_path))
                (tmp_path / "f").rename(tmp_path / f".gone-{turn}")
            assert shown(tmp_path) == ["s"]
            killed += not forkers.run(chance.uniform(0, longest))[1]
        if "f" in shown(tmp_path):
            (tmp_path / "f").rename(tmp_path / ".gone")
        assert forkers.run(None)[1]
    finally:
        forkers.close()
    asyncio.run(check(tmp_path))
    assert killed > KILLS // 4
    assert not list(tmp_path.glob(".building*")), "what was left is gone"
