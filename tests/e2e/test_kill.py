"""A real process that writes is killed at random moments: what it said is durable must be there."""

from __future__ import annotations

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

#: Forks a writer for each line it is told, so that Python starts once. A writer writes for ever:
#: single rows, groups and bodies of the body file; it says each seq when it is durable.
WRITERS = """
import asyncio, os, sys
import ate
from ate.testing.stage import member

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

async def write(path, name):
    session = member("alice") if name == "signed" else None
    async with ate.open(name, path=path, session=session) as chain:
        number = len(chain)
        while True:
            dio = chain.dio()
            for _ in range(1 + number % 5):
                number += 1
                dio.store({"n": number, "body": bytes(70_000 if number % 40 == 0 else 100)})
            receipt = await dio.commit()
            say("at", receipt.seq, number)

for line in sys.stdin:
    child = os.fork()
    if not child:
        say("pid", os.getpid())
        asyncio.run(write(sys.argv[1], line.strip()))
    say("end", os.waitpid(child, 0)[1])
"""

KILLS = 24


class Writers:
    """The process that forks writers."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITERS, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def words(self) -> list[str]:
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()

    def run_and_kill(self, name: str, seconds: float) -> list[tuple[int, int]]:
        """Let one write for some time after its first commit; return (seq, number) as it said."""
        assert self.process.stdin is not None
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        pid = int(self.words()[1])
        said = [self.words()]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            said.append(self.words())
        os.kill(pid, signal.SIGKILL)
        while (last := self.words())[0] == "at":
            said.append(last)
        assert last == ["end", str(int(signal.SIGKILL))]
        return [(int(seq), int(number)) for _, seq, number in said]

    def close(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


async def test_what_was_acknowledged_survives_every_kill(tmp_path: Path) -> None:
    chance = random.Random(7)
    acknowledged: dict[str, list[tuple[int, int]]] = {"plain": [], "signed": []}
    writers = Writers(tmp_path)
    try:
        for turn in range(KILLS):
            name = "signed" if turn % 2 else "plain"
            acknowledged[name] += writers.run_and_kill(name, chance.uniform(0, 0.1))
    finally:
        writers.close()
    for name, pairs in acknowledged.items():
        assert len(pairs) > KILLS
        session = member("alice") if name == "signed" else None
        async with ate.open(name, path=tmp_path, session=session) as chain:
            values = {dao.value["n"]: dao.value async for dao in chain.dio().all(dict)}
            assert len(values) == len(chain), "each number once"
            assert sorted(values) == list(range(1, len(values) + 1)), "and none missing"
            for seq, number in pairs:
                assert seq <= chain.head
                assert number in values
            assert values[40]["body"] == bytes(70_000)
        store = LocalLog.open(tmp_path / name, readonly=True)
        found = await verify(store)
        store.close()
        assert found.ok, found.problems
