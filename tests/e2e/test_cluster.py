"""Several servers as people run them: chains spread, move, are relayed and archived."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.effort import effort
from tests.name_server import NameServer, Zone
from tests.nemesis.processes import ServerProcess
from tests.ports import free_port

import ate
from ate.dio.chain import Chain
from ate.errors import ReadOnly
from ate.mesh.registry import Registry
from ate.mesh.topology import Node, Place, Topology
from ate.session import Session
from ate.testing.nemesis import RealPace

SRC = Path(__file__).resolve().parent.parent.parent / "src"
TIMEOUT_S = 90
TOLD_S = 2.0


class Fleet:
    """Servers below one directory."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.ports = [free_port() for _ in range(count)]
        self.urls = [f"ws://127.0.0.1:{port}/" for port in self.ports]
        self.servers: list[ServerProcess] = []
        self.stack = AsyncExitStack()
        self.alice = Session.new("alice@example.org")

    def node(self, at: int, *words: str, host: str = "127.0.0.1") -> ServerProcess:
        url = f"ws://{host}:{self.ports[at]}/"
        data = self.folder / f"data{at}"
        argv = [
            sys.executable, "-m", "atedb", "solo", str(data), "--listen", host,
            "--port", str(self.ports[at]), "--url", url, *words,
        ]  # fmt: skip
        env = {"PYTHONPATH": str(SRC), "ATE_HOME": str(self.folder / "home")}
        one = ServerProcess(argv, self.ports[at], self.folder / f"log{at}", env=env)
        self.servers.append(one)
        return one

    def topology(self, text: str = "", roles: dict[int, str] | None = None) -> Path:
        """Write the list: all are masters but for `roles`."""
        lines = []
        for at, url in enumerate(self.urls):
            lines += ["[[node]]", f'url = "{url}"', f'role = "{(roles or {}).get(at, "master")}"']
        file = self.folder / "cluster.toml"
        file.write_text("\n".join(lines) + "\n" + text)
        return file

    async def start_all(self, *words: str) -> None:
        """Start all as peers of each other."""
        peers = self.folder / "peers"
        peers.write_text("")
        for at in range(len(self.urls)):
            self.node(at, "--peers", str(peers), *words)
        await asyncio.gather(*(one.start() for one in self.servers))
        keys = [self.key_id(at) for at in range(len(self.urls))]
        peers.write_text("\n".join(keys))
        for at, one in enumerate(self.servers):
            self.hang_up(at)
            assert one.is_running

    def key_id(self, at: int) -> str:
        from atedb.identity import load_or_new

        return load_or_new(self.identity(at))[0].public.key_id.hex()

    def identity(self, at: int) -> Path:
        return self.folder / f"data{at}" / ".atedb" / "identity"

    def hang_up(self, at: int) -> None:
        """Send SIGHUP: the lists are to be read again."""
        os.kill(self.servers[at].pid, signal.SIGHUP)

    def has(self, at: int, name: str) -> bool:
        return (self.folder / f"data{at}" / name / "CURRENT").exists()

    @asynccontextmanager
    async def client(self, url: str, name: str = "notes", **given: Any) -> AsyncIterator[Chain]:
        lines = Registry(agent="test")
        try:
            chain = await ate.open(
                name, url=url, session=self.alice,
                connection={"lines": lines, "timeout_s": 20, **given},
            )  # fmt: skip
            async with chain:
                yield chain
        finally:
            await lines.close()

    def end(self) -> None:
        for one in self.servers:
            one.kill()


@asynccontextmanager
async def fleet(folder: Path, count: int) -> AsyncIterator[Fleet]:
    one = Fleet(folder, count)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield one
    finally:
        one.end()


async def write(chain: Chain, *values: Any) -> None:
    """Commit until it is in."""
    dio = chain.dio()
    for value in values:
        dio.store({"n": value})
    remote = chain._remote
    assert remote is not None
    while True:
        await remote.wait(lambda: remote.link.is_online, 60)
        with suppress(ate.errors.NetworkError, ate.errors.Offline):
            await dio.commit()
            return


async def read(chain: Chain) -> list[Any]:
    return [one.value["n"] async for one in chain.dio().all(dict)]


async def until(happened: Callable[[], bool], chain: Chain) -> None:
    assert chain._remote is not None
    await chain._remote.wait(happened, 30)


async def move(one: Fleet, name: str, source: int, target: int) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [
            sys.executable, "-m", "atedb", "move", name, "--from", one.urls[source],
            "--to", one.urls[target], "--identity", str(one.identity(target)), "--timeout", "30",
        ],
        capture_output=True, text=True, check=False, timeout=TIMEOUT_S,
        env={**os.environ, "PYTHONPATH": str(SRC)},
    )  # fmt: skip


async def test_chains_spread_and_are_found_from_everywhere(tmp_path: Path) -> None:
    async with fleet(tmp_path, 3) as one:
        await one.start_all("--topology", str(one.topology()))
        places = Topology([Node(url) for url in one.urls])
        names: list[str] = []
        for name in (f"team{n}/plan" for n in range(1000)):  # three for each server
            if sum(places.where(other) == places.where(name) for other in names) < 3:
                names.append(name)
        assert len(names) == 9
        for n, name in enumerate(names):
            async with one.client(one.urls[n % 3], name) as chain:
                await write(chain, n)
        for n, name in enumerate(names):
            holders = [one.urls[at] for at in range(3) if one.has(at, name)]
            assert holders == [places.where(name).url]
            async with one.client(one.urls[(n + 1) % 3], name) as chain:
                assert await read(chain) == [n]
                assert chain._remote is not None
                assert chain._remote.link.address == holders[0]
        assert len({places.where(name).url for name in names}) == 3


async def test_a_name_with_several_addresses_is_a_cluster(tmp_path: Path) -> None:
    zone = Zone("test.")
    hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    zone.add("db.test.", "A", *hosts)
    async with fleet(tmp_path, 1) as one, NameServer(zone) as names:
        one.ports *= 3
        for at, host in enumerate(hosts):
            words = ["--cluster", f"ws://db.test:{one.ports[0]}/", "--name-server", names.address]
            # The servers are on loopback; other machines are not asked.
            one.node(at, *words, host=host)._launch()
        urls = [f"ws://{host}:{one.ports[0]}/" for host in hosts]
        found = set()
        for n in range(6):
            async with one.client(urls[n % 3], f"chain{n}") as chain:
                await write(chain, n)
            found |= {at for at in range(3) if one.has(at, f"chain{n}")}
            assert sum(one.has(at, f"chain{n}") for at in range(3)) == 1
        assert len(found) > 1


async def test_a_list_that_changes_takes_the_chain_along(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as one:
        await one.start_all("--topology", str(one.topology()))
        source = one.urls.index(Topology([Node(url) for url in one.urls]).where("notes").url)
        target = 1 - source
        async with one.client(one.urls[source]) as chain:
            remote = chain._remote
            assert remote is not None
            await write(chain, 1)
            one.topology(f'[chains]\nnotes = {{ url = "{one.urls[target]}", epoch = 1 }}\n')
            one.hang_up(target)
            one.hang_up(source)
            await until(lambda: remote.link.address == one.urls[target], chain)
            await write(chain, 2)
            assert await read(chain) == [1, 2]
        async with one.client(one.urls[source]) as chain:
            assert await read(chain) == [1, 2]
            assert chain._remote is not None
            assert chain._remote.link.address == one.urls[target]


@pytest.mark.parametrize("victim", [None, "source", "target"])
async def test_a_chain_moves_under_load(tmp_path: Path, victim: str | None) -> None:
    """Killed at some moment of the move, the servers come back, and the move is asked for again."""
    chance = random.Random(str(victim))
    async with fleet(tmp_path, 2) as one:
        await one.start_all("--topology", str(one.topology()))
        source = one.urls.index(Topology([Node(url) for url in one.urls]).where("notes").url)
        target = 1 - source
        told: list[int] = []
        stop = asyncio.Event()

        async def load(chain: Chain) -> None:
            while not stop.is_set():
                await write(chain, len(told))
                told.append(len(told))

        async def reach(count: int) -> None:
            while len(told) < count:
                await RealPace(0).pause(0.01)

        async with one.client(one.urls[source]) as chain:
            async with asyncio.TaskGroup() as group:
                group.create_task(load(chain))
                await reach(20)
                for _ in range(3 if victim else 0):
                    asked = asyncio.ensure_future(move(one, "notes", source, target))
                    dying = one.servers[source if victim == "source" else target]
                    await RealPace(0).pause(chance.uniform(0.2, 0.6))
                    dying.kill()
                    await dying.start()
                    await asked
                done = await move(one, "notes", source, target)
                assert done.returncode == 0, done.stderr + one.servers[target].said()
                await reach(len(told) + 20)
                stop.set()
            assert chain._remote is not None
            assert chain._remote.link.address == one.urls[target]
        async with one.client(one.urls[target]) as chain:
            assert await read(chain) == told, "nothing lost, nothing twice, in order"


async def test_who_is_no_peer_moves_nothing(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as one:
        file = one.topology()
        for at in range(2):
            await one.node(at, "--topology", str(file)).start()
        source = one.urls.index(Topology([Node(url) for url in one.urls]).where("notes").url)
        async with one.client(one.urls[source]) as chain:
            await write(chain, 1)
            done = await move(one, "notes", source, 1 - source)
            assert done.returncode == 4, done.stderr
            assert "--peers" in done.stderr
            await write(chain, 2)


async def test_relays_and_an_archive_serve_what_a_master_orders(tmp_path: Path) -> None:
    async with fleet(tmp_path, 3) as one:
        file = one.topology(roles={1: "relay", 2: "archive"})
        await one.start_all("--topology", str(file), "--max-subscriptions", "2")
        master, relay, archive = one.urls
        async with one.client(master) as first, one.client(relay) as second:
            await write(first, 1)
            await write(second, 2)
            assert second._remote is not None
            async with one.client(master) as third:  # there is no room: it is sent to the relay
                assert third._remote is not None
                assert third._remote.link.address == relay
                await write(third, 3)
                assert sorted(await read(third)) == [1, 2, 3]
            async with one.client(archive) as reader:
                assert sorted(await read(reader)) == [1, 2, 3]
                with pytest.raises(ReadOnly) as caught:
                    await write(reader, 4)
                assert master in caught.value.hint
            link, loop = second._remote.link, asyncio.get_running_loop()
            began = loop.time()
            one.servers[0].kill()
            await until(lambda: not link.is_online, second)
            assert loop.time() - began < effort(5 * TOLD_S, TOLD_S)
            async with one.client(archive) as reader:
                assert sorted(await read(reader)) == [1, 2, 3]
            await one.servers[0].start()
            await write(second, 5)
        assert one.has(2, "notes")
        assert not one.has(1, "notes"), "a relay stores nothing"


async def test_a_moved_chain_is_readable_at_its_old_node(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as one:
        await one.start_all("--topology", str(one.topology()))
        source = one.urls.index(Topology([Node(url) for url in one.urls]).where("notes").url)
        target = 1 - source
        async with one.client(one.urls[source]) as chain:
            await write(chain, 1)
            done = await move(one, "notes", source, target)
            assert done.stdout == f"moved notes to {one.urls[target]} (epoch 1)\n", done.stderr
            await write(chain, 2)
        one.topology(roles={source: "legacy"})
        one.hang_up(source)
        one.hang_up(target)
        async with one.client(one.urls[target]) as chain:
            assert await read(chain) == [1, 2]
        await one.servers[source].stop()
        await one.servers[source].start()
        async with one.client(one.urls[source]) as chain:
            assert await read(chain) == [1], "as it was when it left"
            with pytest.raises(ReadOnly, match="legacy"):
                await write(chain, 3)
        assert Topology.load(tmp_path / "cluster.toml").where("x") == Place(one.urls[target])
