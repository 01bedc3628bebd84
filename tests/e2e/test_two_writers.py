"""Two real processes on one chain: one writes, the other is refused or follows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ate
from ate.errors import LogLocked, ReadOnly

HOLDER = """
import asyncio, sys
import ate

async def main(path):
    async with ate.open("shared", path=path) as chain:
        for line in sys.stdin:
            async with chain.dio() as dio:
                dio.store(line.strip())
            sys.stdout.write(f"{chain.head}\\n")
            sys.stdout.flush()

asyncio.run(main(sys.argv[1]))
"""

TRIER = """
import asyncio, sys
import ate

async def main(path):
    try:
        await ate.open("shared", path=path)
    except ate.LogLocked as error:
        sys.stdout.write(f"{error.code}: {error.hint}")
        raise SystemExit(9)

asyncio.run(main(sys.argv[1]))
"""


def try_to_write(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", TRIER, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


class Holder:
    """A process that holds the chain and stores what it is told."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def tell(self, text: str) -> int:
        """Let it store a text; return the head."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


async def test_the_second_writer_is_refused_and_a_reader_follows(tmp_path: Path) -> None:
    holder = Holder(tmp_path)
    try:
        assert holder.tell("first") == 2
        with pytest.raises(LogLocked):
            await ate.open("shared", path=tmp_path)
        tried = try_to_write(tmp_path)
        assert tried.returncode == 9
        assert tried.stdout.startswith("log_locked: close the other program")
        async with ate.open("shared", path=tmp_path, readonly=True) as reader:
            events = reader.watch(since=0)
            assert (await anext(events)).value == "first"
            for number in range(20):
                head = holder.tell(f"line {number}")
                assert await reader.refresh() == head
                assert (await anext(events)).value == f"line {number}"
            dio = reader.dio()
            dio.store("mine")
            with pytest.raises(ReadOnly):
                await dio.commit()
    finally:
        holder.close()
    async with ate.open("shared", path=tmp_path) as chain, chain.dio() as dio:
        assert len(chain) == 21, "the lock was given back"
        dio.store("mine")


async def test_a_reader_crosses_the_end_of_the_writer(tmp_path: Path) -> None:
    """The writer trims, snapshots and goes; another one comes; the reader sees it all."""
    holder = Holder(tmp_path)
    holder.tell("one")
    async with ate.open("shared", path=tmp_path, readonly=True) as reader:
        holder.close()
        assert await reader.refresh() == 2
        second = Holder(tmp_path)
        assert second.tell("two") == 3
        assert await reader.refresh() == 3
        assert [dao.value async for dao in reader.dio().all(str)] == ["one", "two"]
        second.close()


async def test_a_killed_writer_holds_no_lock(tmp_path: Path) -> None:
    holder = Holder(tmp_path)
    holder.tell("one")
    holder.process.kill()
    holder.process.communicate()
    async with ate.open("shared", path=tmp_path) as chain:
        assert len(chain) == 1
