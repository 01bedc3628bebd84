"""Two real servers on one directory: one is stopped, the other serves, and nothing is lost.

`ATE_STAND_BY_S` lets the owner be stopped for longer, with the limits a server has by default.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import ate
from ate.errors import Disconnected, Offline
from ate.session import Session
from ate.tasks import rest
from ate.wire.terms import Terms

SRC = Path(__file__).resolve().parent.parent.parent / "src"
TIMEOUT_S = 60
#: What is asked for: a stand-by serves after at most so long.
SERVES_S = 10.0
#: How long the owner is stopped at least, and when it counts as one that hangs.
STOPPED_S = float(os.environ.get("ATE_STAND_BY_S", "0"))
AFTER_S = 5.0 if STOPPED_S else 1.0
DEPOSED = 10


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATE_")}
    return {**kept, "ATE_HOME": str(folder / "home"), "PYTHONPATH": str(SRC)}


class Server:
    """An `atedb solo` that stands by, or serves."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._folder, self._words = folder, words
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/"
        self.journal = folder / f"journal-{self.port}"
        self.start()

    def start(self) -> None:
        with self.journal.open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "atedb", "solo", "data", "--port", str(self.port), "--json",
                 "--stand-by-after", str(AFTER_S), *self._words],
                stdout=subprocess.DEVNULL, stderr=err, cwd=self._folder,
                env=environment(self._folder),
            )  # fmt: skip

    def signal(self, number: int) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, number)

    def status(self, within_s: float = TIMEOUT_S) -> str:
        """Return what it says of itself; "" when it does not answer."""
        try:
            url = f"http://127.0.0.1:{self.port}/healthz"
            with urllib.request.urlopen(url, timeout=within_s) as found:
                return str(json.load(found)["status"])
        except urllib.error.HTTPError as error:
            with error:
                return str(json.load(error)["status"])
        except OSError:
            return ""

    async def until(self, status: str, within_s: float = TIMEOUT_S) -> None:
        deadline = time.monotonic() + within_s
        while await asyncio.to_thread(self.status) != status:
            assert time.monotonic() < deadline, self.journal.read_text()
            assert self.process.poll() is None, self.journal.read_text()

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, TIMEOUT_S)

    def events(self) -> list[str]:
        lines = [one for one in self.journal.read_text().splitlines() if one.startswith("{")]
        return [found["event"] for found in map(json.loads, lines) if "event" in found]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Server, Server]]:
    first = Server(tmp_path, "--stand-by")
    try:
        await first.until("ok")
        second = Server(tmp_path, "--stand-by")
        try:
            await second.until("stand-by")
            yield first, second
        finally:
            second.process.kill()
            second.process.wait()
    finally:
        first.process.kill()
        first.process.wait()


class Author:
    """Commits numbers, one after the other, and remembers what was acknowledged."""

    def __init__(self, chain: ate.Chain, name: str) -> None:
        self.chain, self.name = chain, name
        self.acked: list[int] = []
        self._more = asyncio.Event()

    async def write(self) -> None:
        dio = self.chain.dio()
        for number in range(100_000):
            dio.store({"by": self.name, "n": number})
            while True:
                try:
                    await dio.commit()
                    break
                except (Disconnected, Offline):  # sent again, it lands once
                    await rest(0.05)
            self.acked.append(number)
            self._more.set()

    async def has_written(self, count: int) -> None:
        goal = len(self.acked) + count
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.acked) < goal:
                self._more.clear()
                await self._more.wait()


async def contents(path: Path, alice: Session) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    async with ate.open("team/plan", path=path, session=alice, readonly=True) as kept:
        async for one in kept.dio().all(dict):
            found.setdefault(one.value["by"], []).append(one.value["n"])
    return {name: sorted(numbers) for name, numbers in found.items()}


async def test_a_stopped_owner_is_replaced_and_cannot_write(
    pair: tuple[Server, Server], tmp_path: Path
) -> None:
    first, second = pair
    alice = Session.new("alice")
    both = f"{first.url},{second.url}"
    async with ate.open(
        "team/plan", url=both, session=alice, path=tmp_path / "a",
        connection={"terms": Terms(keepalive_s=0.5)},
    ) as chain:  # fmt: skip
        early = Author(chain, "early")
        writing = asyncio.create_task(early.write())
        await early.has_written(40)
        os.kill(first.process.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        await second.until("ok", SERVES_S)
        async with ate.open(
            "team/plan", url=second.url, session=alice, path=tmp_path / "b"
        ) as other:
            late = Author(other, "late")
            also = asyncio.create_task(late.write())
            await late.has_written(20)
            assert time.monotonic() - stopped < SERVES_S
            await early.has_written(5)  # it has left the server that hangs
            while time.monotonic() - stopped < STOPPED_S:
                await late.has_written(1)
            os.kill(first.process.pid, signal.SIGCONT)
            assert await first.ended() == DEPOSED
            await early.has_written(20)
            await late.has_written(5)
            also.cancel()
        writing.cancel()
    assert first.events()[-3:] == ["deposed", "draining", "stopped"]
    assert "the owner hangs: taking over" in second.events()
    second.process.terminate()
    assert await second.ended() == 0
    found = await contents(tmp_path / "data", alice)
    for author in (early, late):
        numbers = found[author.name]
        assert len(set(numbers)) == len(numbers)
        assert numbers[: len(author.acked)] == author.acked
        assert len(numbers) <= len(author.acked) + 1  # the one that nobody waited for any more
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "atecli", "verify", "team/plan", "--path", "data", "--deep"],
        capture_output=True, text=True, cwd=tmp_path, env=environment(tmp_path), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


async def test_of_those_who_stand_by_one_follows_a_killed_owner(
    pair: tuple[Server, Server], tmp_path: Path
) -> None:
    first, second = pair
    alice = Session.new("alice")
    third = Server(tmp_path, "--stand-by")
    try:
        await third.until("stand-by")
        every = ",".join(one.url for one in (first, second, third))
        async with ate.open("team/plan", url=every, session=alice, path=tmp_path / "a") as chain:
            author = Author(chain, "author")
            writing = asyncio.create_task(author.write())
            await author.has_written(20)
            first.process.kill()
            await author.has_written(20)
            states = [await asyncio.to_thread(one.status) for one in (second, third)]
            assert sorted(states) == ["ok", "stand-by"]
            owner = second if states[0] == "ok" else third
            assert "the owner hangs: taking over" not in owner.events()
            plain = Server(tmp_path)
            assert await plain.ended() == 6
            assert "another server uses" in plain.journal.read_text()
            owner.process.terminate()
            assert await owner.ended() == 0
            await author.has_written(20)
            writing.cancel()
        assert (await contents(tmp_path / "data", alice))["author"][: len(author.acked)] == (
            author.acked
        )
    finally:
        third.process.kill()
        third.process.wait()


async def owner_of(servers: list[Server]) -> Server:
    """Return the server that answers that it serves."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        for one in servers:
            if one.process.poll() is None and await asyncio.to_thread(one.status, 1.0) == "ok":
                return one
        assert time.monotonic() < deadline, [one.journal.read_text() for one in servers]


async def test_owners_that_hang_one_after_the_other_and_go_on_in_any_order(tmp_path: Path) -> None:
    """A supervisor starts again what has ended; several that hang are there at once."""
    servers = [Server(tmp_path, "--stand-by") for _ in range(3)]
    alice = Session.new("alice")
    chance = random.Random(7)
    hanging: list[Server] = []
    try:
        every = ",".join(one.url for one in servers)
        async with ate.open(
            "team/plan", url=every, session=alice, path=tmp_path / "a",
            connection={"terms": Terms(keepalive_s=0.5), "timeout_s": TIMEOUT_S},
        ) as chain:  # fmt: skip
            author = Author(chain, "author")
            writing = asyncio.create_task(author.write())
            for turn in range(12 if STOPPED_S else 2):
                owner = await owner_of([one for one in servers if one not in hanging])
                await author.has_written(10)
                owner.signal(signal.SIGKILL if turn % 3 == 2 else signal.SIGSTOP)
                if turn % 3 == 2:
                    await owner.ended()
                else:
                    hanging.append(owner)
                if len(hanging) == 2:
                    await author.has_written(5)
                    one = hanging.pop(chance.randrange(2))
                    one.signal(signal.SIGCONT)
                    assert await one.ended() == DEPOSED
                for one in servers:
                    if one.process.poll() is not None:
                        one.start()
            for one in hanging:
                one.signal(signal.SIGCONT)
            await author.has_written(10)
            writing.cancel()
        numbers = (await contents(tmp_path / "data", alice))["author"]
        assert len(set(numbers)) == len(numbers)
        assert numbers[: len(author.acked)] == author.acked
    finally:
        for one in servers:
            one.process.kill()
            one.process.wait()
