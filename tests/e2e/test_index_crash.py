"""A process that keeps a secondary index is killed while it writes; the index equals a rebuild."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import ate

WRITER = """
import asyncio, sys
from dataclasses import dataclass
import ate

@dataclass(frozen=True)
class Person:
    name: str
    city: str

async def main():
    index = ate.SecondaryIndex(Person, key=lambda person: person.city)
    async with ate.open("people", path=sys.argv[1], plugins=[index]) as chain:
        for number in range(100_000):
            dio = chain.dio()
            for one in index.find("Delft")[:1]:
                (await dio.load(Person, one)).update(city="Bern")
            dio.store(Person(str(number), "Delft"))
            await dio.commit()
            await chain.seen(index)
            print(len(index), flush=True)

asyncio.run(main())
"""


@dataclass(frozen=True)
class Person:
    name: str
    city: str


async def check(place: Path) -> int:
    """Compare the index with the objects; return how many it holds."""
    index = ate.SecondaryIndex(Person, key=lambda person: person.city)
    async with ate.open("people", path=place, plugins=[index]) as chain:
        truth: dict[str, list[bytes]] = {}
        async for dao in chain.dio().all(Person):
            truth.setdefault(dao.value.city, []).append(dao.id)
        assert index.keys() == sorted(truth)
        assert {key: sorted(index.find(key)) for key in truth} == {
            key: sorted(ids) for key, ids in truth.items()
        }
        return len(index)


def test_the_index_equals_a_rebuild_after_each_kill(tmp_path: Path) -> None:
    for lines in (1, 7, 30):
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        last = 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for count, line in enumerate(child.stdout, 1):
                last = int(line)
                if count == lines:
                    child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
        assert asyncio.run(check(tmp_path)) >= last > 0
