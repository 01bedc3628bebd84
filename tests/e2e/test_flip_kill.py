"""A server or a client that is killed, or cut off, while all compact: nobody mixes."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest
from tests.e2e.test_flip import Note, below, cuts, served
from tests.nemesis.processes import ServerProcess
from tests.ports import free_port
from tests.unit.ate.mesh.served import settled

import ate
from ate.chain.ledger import Ledger
from ate.chain.verify import verify
from ate.clock import SystemClock
from ate.crypto.entropy import system_entropy
from ate.log.local import LocalLog
from ate.mesh.url import Url
from ate.testing.nemesis import RealPace
from ate.testing.proxy import Proxy
from ate.testing.stage import member

ROUNDS = 4
OBJECTS = 200
#: A flip of these chains takes about so long; the blow falls somewhere in it.
FLIP_S = 0.15

#: Follows a chain until it is killed.
FOLLOWER = """
import asyncio, sys
import ate

async def main(path, url):
    async with ate.open("n", path=path, url=url, recovery="async") as chain:
        await chain.sync(30)
        print("here", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class Author:
    """Writes, and lets all compact.

    Args:
        chain: open as a root.
    """

    def __init__(self, chain: ate.Chain) -> None:
        self.chain, self.dio = chain, chain.dio()
        self.notes = [self.dio.store(Note(f"note {number}")) for number in range(OBJECTS)]
        self.number = 0

    async def write(self, rounds: int = 4) -> None:
        for _ in range(rounds):
            self.number += 1
            for note in self.notes:
                note.update(number=self.number)
            await self.dio.commit()

    async def flip(self) -> int:
        """Let all compact; returns where they cut."""
        await self.chain.checkpoint(compact=True)
        return self.chain._ledger.view.cut


async def store(chain: ate.Chain, number: int) -> ate.ObjectId:
    async with chain.dio() as dio:
        return dio.store(Note("away", number)).id


@asynccontextmanager
async def reread(path: Path) -> AsyncIterator[Ledger]:
    store = LocalLog.open(str(path), readonly=True)
    ledger = Ledger(store, clock=SystemClock(), entropy=system_entropy)
    try:
        await ledger.replay(use_snapshot=False)
        yield ledger
    finally:
        store.close()


async def test_nothing_is_lost_when_many_write_during_flips(tmp_path: Path) -> None:
    chance, pace, alice = random.Random(3), RealPace(3), member("alice")
    async with served(tmp_path / "s") as (hall, server):
        opening: dict[str, Any] = {"session": alice, "url": server.url}
        async with (
            ate.open("n", path=tmp_path / "a", **opening) as one,
            ate.open("n", path=tmp_path / "b", **opening) as two,
        ):
            author = Author(one)
            written = []

            async def write(chain: ate.Chain, who: str) -> None:
                for number in range(150):
                    async with chain.dio() as dio:
                        written.append(dio.store(Note(who, number)).id)
                    await pace.pause(chance.random() * 0.01)  # a checkpoint needs a gap

            async def flip() -> None:
                for _ in range(4):
                    await author.write(2)
                    await author.flip()

            await author.write()
            await asyncio.gather(write(one, "one"), write(two, "two"), flip())
            ledgers = [hall.roots["n"].ledger, one._ledger, two._ledger]
            await settled(lambda: len(cuts(*ledgers)) == 1)
            await settled(lambda: one.head == two.head)
            assert below(ledgers[0]) == below(ledgers[1]) == below(ledgers[2])
            for chain in (one, two):
                dio = chain.dio()
                for key in written:
                    assert (await dio.load(Note, key)).value.text in ("one", "two")
                assert len(chain) == OBJECTS + 300
    for name in ("a", "b", "s"):
        async with reread(tmp_path / name / "n") as ledger:
            assert (await verify(ledger.store)).ok


async def test_the_link_is_cut_in_the_middle(tmp_path: Path) -> None:
    chance, pace = random.Random(5), RealPace(5)
    alice = member("alice")
    async with (
        served(tmp_path / "s") as (hall, server),
        Proxy("127.0.0.1", Url.parse(server.url).port, pace=pace) as proxy,
    ):
        near: dict[str, Any] = {"session": alice, "url": server.url}
        far: dict[str, Any] = {**near, "url": f"ws://127.0.0.1:{proxy.port}/"}
        async with (
            ate.open("n", path=tmp_path / "a", **near) as one,
            ate.open("n", path=tmp_path / "b", recovery="async", **far) as two,
        ):
            author, kept = Author(one), []
            await author.write()
            for number in range(ROUNDS):
                work = asyncio.ensure_future(author.flip())
                await pace.pause(chance.random() * FLIP_S)
                proxy.cut()
                if number % 2:
                    proxy.reset()
                away = asyncio.ensure_future(store(two, number))  # it goes on without the server
                size = await work
                if number % 4 == 0:  # while it is away the others go two generations on
                    await author.write(1)
                    size = await author.flip()
                await author.write(1)
                proxy.heal()
                kept.append(await away)
                await two.sync(60)
                ledgers = [hall.roots["n"].ledger, one._ledger, two._ledger]
                await settled(lambda: cuts(*ledgers) == {size})  # noqa: B023
                assert below(ledgers[0]) == below(ledgers[1]) == below(ledgers[2])
            for key in kept:
                assert (await one.dio().load(Note, key)).value.text == "away"
            assert one.root == two.root


class Servers:
    """An `atedb` that is killed and comes back at the same address."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        words = [sys.executable, "-m", "atedb", "solo", str(folder / "s"), "--port", str(port)]
        env = {"ATE_HOME": str(folder / "home")}
        self.process = ServerProcess(words, port, folder / "journal", env=env)
        self.url = f"ws://127.0.0.1:{port}/"

    async def __aenter__(self) -> Self:
        await self.process.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.process.kill()


async def test_a_server_that_is_killed_in_the_middle_converges(tmp_path: Path) -> None:
    chance, pace = random.Random(7), RealPace(7)
    async with (
        Servers(tmp_path) as servers,
        ate.open("n", path=tmp_path / "a", session=member("alice"), url=servers.url) as one,
    ):
        author = Author(one)
        await author.write()
        for _ in range(ROUNDS):
            work = asyncio.ensure_future(author.flip())
            await pace.pause(chance.random() * FLIP_S)
            servers.process.kill()
            with suppress(ate.AteError):
                await work
            async with reread(tmp_path / "s" / "n") as ledger:  # the old one or the new one, whole
                assert ledger.view.frontier.size >= one.commits
            await servers.process.start()
            await one.sync(60)
            await author.write(1)
        size = await author.flip()
        head, root = one.head, one.root
        mine = below(one._ledger)
        async with ate.open("n", url=servers.url) as other:
            await settled(lambda: other.root == root)
            await settled(lambda: cuts(other._ledger) == {size})
            assert below(other._ledger) == mine
        await one.sync(60)
        assert await servers.process.stop() == 0
    async with reread(tmp_path / "s" / "n") as ledger:
        assert (ledger.view.head, ledger.view.frontier.root()) == (head, root)
        assert ledger.view.cut == size
        assert below(ledger) == mine


async def test_a_client_that_is_killed_in_the_middle_converges(tmp_path: Path) -> None:
    chance, pace = random.Random(9), RealPace(9)
    async with served(tmp_path / "s") as (hall, server):
        words = [sys.executable, "-c", FOLLOWER, str(tmp_path / "f"), server.url]
        async with ate.open(
            "n", path=tmp_path / "a", session=member("alice"), url=server.url
        ) as one:
            author, old_or_new = Author(one), set()
            await author.write()
            for _ in range(ROUNDS):
                follower = await asyncio.create_subprocess_exec(*words, stdout=PIPE)
                try:
                    assert follower.stdout is not None
                    assert await follower.stdout.readline() == b"here\n"
                    before = one._ledger.view.cut
                    work = asyncio.ensure_future(author.flip())
                    await pace.pause(chance.random() * 2 * FLIP_S)
                finally:
                    follower.kill()
                    await follower.communicate()
                size = await work
                async with reread(tmp_path / "f" / "n") as ledger:
                    assert ledger.view.cut in (before, size)
                    old_or_new.add(ledger.view.cut == size)
                    if ledger.view.cut == size:
                        assert below(ledger) == below(one._ledger)
                await author.write(1)
            async with ate.open("n", path=tmp_path / "f", url=server.url) as again:
                await again.sync(60)
                ledgers = [hall.roots["n"].ledger, one._ledger, again._ledger]
                await settled(lambda: cuts(*ledgers) == {size})
                assert below(ledgers[0]) == below(ledgers[1]) == below(ledgers[2])


@pytest.mark.parametrize("mode", ["factor", "size"])
async def test_a_heartbeat_becomes_a_flip_when_enough_was_superseded(
    tmp_path: Path, mode: str
) -> None:
    policy = ate.CompactPolicy(mode, factor=2.0, size_bytes=300_000)
    async with served(tmp_path / "s") as (hall, server):
        opening: dict[str, Any] = {"session": member("alice"), "url": server.url}
        async with (
            ate.open("n", compact=policy, checkpoint_every=1, **opening) as one,
            ate.open("n", path=tmp_path / "b", **opening) as two,
        ):
            author = Author(one)
            while not one._ledger.view.cut:
                await author.write(5)
            await one.close()
            ledgers = [hall.roots["n"].ledger, two._ledger]
            await settled(lambda: 0 not in cuts(*ledgers) and len(cuts(*ledgers)) == 1)
            assert below(ledgers[0]) == below(ledgers[1])
