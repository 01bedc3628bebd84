"""A process that commits and compacts is killed at random moments; another follows it all along."""

from __future__ import annotations

import json
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

#: Forks a writer for each line it is told. A writer updates ten objects for ever, now and then with
#: a body of the body file, while it compacts without a pause; it says what is durable.
WRITERS = """
import asyncio, os, sys
import ate
from ate.testing.stage import member

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

async def compact(chain):
    while True:
        done = await chain.compact()
        say("generation", done.generation)

async def write(path, name):
    session = member("alice") if name == "signed" else None
    async with ate.open(name, path=path, session=session) as chain:
        task = asyncio.create_task(compact(chain))
        dio = chain.dio()
        known = {dao.value["key"]: dao async for dao in dio.all(dict)}
        number = max((dao.value["n"] for dao in known.values()), default=0)
        while not task.done():
            number += 1
            key, size = number % 10, 70_000 if number % 30 == 0 else 50
            value = {"key": key, "n": number, "body": "x" * size}
            if key in known:
                known[key].value = value
            else:
                known[key] = dio.store(value)
            await dio.commit()
            say("at", key, number)
            await asyncio.sleep(0)
        task.result()

for line in sys.stdin:
    child = os.fork()
    if not child:
        say("pid", os.getpid())
        asyncio.run(write(sys.argv[1], line.strip()))
        os._exit(1)
    say("end", os.waitpid(child, 0)[1])
"""

#: Follows a chain and says, for each line it is told, the generation it reads and what it sees.
READER = """
import asyncio, json, sys
import ate
from ate.testing.stage import member

async def main(path, name):
    session = member("alice") if name == "signed" else None
    async with ate.open(name, path=path, session=session, readonly=True) as chain:
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            await chain.refresh()
            found = {dao.value["key"]: dao.value["n"] async for dao in chain.dio().all(dict)}
            print(json.dumps([chain._ledger.store.generation, found]), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""

KILLS = 12


def started(program: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def told(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def run_and_kill(
    writers: subprocess.Popen[str], name: str, seconds: float
) -> tuple[dict[int, int], int]:
    """Let a writer run; return what it said is durable, and how often it compacted."""
    told(writers, name)
    pid = int(heard(writers).split()[1])
    durable: dict[int, int] = {}
    compacted = 0
    until = 0.0
    while True:
        word, *rest = heard(writers).split()
        if word == "end":
            assert rest == [str(int(signal.SIGKILL))]
            return durable, compacted
        if word == "at":
            durable[int(rest[0])] = int(rest[1])
        compacted += word == "generation"
        until = until or time.monotonic() + seconds
        if until and time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            until = float("inf")


async def test_nothing_acknowledged_is_lost_by_a_kill_while_it_compacts(tmp_path: Path) -> None:
    chance = random.Random(11)
    writers = started(WRITERS, str(tmp_path))
    compacted = 0
    try:
        for turn in range(KILLS):
            name = "signed" if turn % 2 else "plain"
            durable, times = run_and_kill(writers, name, chance.uniform(0, 0.2))
            compacted += times
            session = member("alice") if name == "signed" else None
            async with ate.open(name, path=tmp_path, session=session) as chain:
                found = {dao.value["key"]: dao.value async for dao in chain.dio().all(dict)}
                for key, number in durable.items():
                    assert found[key]["n"] in (number, number + 10), "that one, or the next"
                for value in found.values():
                    assert len(value["body"]) == (70_000 if value["n"] % 30 == 0 else 50)
                generation = chain._ledger.store.generation
            names = [one.name for one in (tmp_path / name).iterdir() if one.name.isdigit()]
            assert names == [f"{generation:06d}"]
            store = LocalLog.open(tmp_path / name, readonly=True)
            assert (await verify(store)).ok
            store.close()
    finally:
        writers.communicate()
    assert compacted > KILLS


async def test_another_process_follows_across_generations(tmp_path: Path) -> None:
    async with ate.open("plain", path=tmp_path) as chain:
        dio = chain.dio()
        known = [dio.store({"key": key, "n": 0}) for key in range(10)]
        await dio.commit()
        reader = started(READER, str(tmp_path), "plain")
        generations = set()
        try:
            for number in range(1, 41):
                dao = known[number % 10]
                dao.value = {"key": number % 10, "n": number}
                await dio.commit()
                if number % 4 == 0:
                    await chain.compact()
                told(reader, "look")
                generation, found = json.loads(heard(reader))
                generations.add(generation)
                assert found == {str(one.value["key"]): one.value["n"] for one in known}
        finally:
            reader.communicate()
        assert reader.returncode == 0
        assert len(generations) > 8
        await chain.compact()
        names = [one.name for one in (tmp_path / "plain").iterdir() if one.name.isdigit()]
        assert len(names) == 1, "nobody reads the others any more"
