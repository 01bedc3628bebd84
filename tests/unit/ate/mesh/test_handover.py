"""A chain moves while it is written to; whatever crashes when, two servers never order it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.ports import free_port

import ate
from ate.clock import SystemClock
from ate.crypto.entropy import system_entropy
from ate.dio.chain import Chain
from ate.errors import AteError, NotFound, Redirected, UsageError, WriteDenied
from ate.ids import ChainName
from ate.mesh.directory import Directory
from ate.mesh.hall import Hall
from ate.mesh.handover import Handover
from ate.mesh.line import Line
from ate.mesh.registry import Registry
from ate.mesh.shelf import DiskShelf
from ate.mesh.topology import Topology
from ate.server import serve
from ate.testing.nemesis import RealPace
from ate.testing.stage import member
from ate.wire.message import Failed, Moved, Open
from ate.wire.terms import PeerSession

NOTES = ChainName("notes")


class Crash(Exception):
    """The process is gone here."""


class Ledge(Directory):
    """A directory that crashes its server at one of its writes."""

    crash_at = ""

    def expect(self, name: str, source: str, epoch: int) -> None:
        self._step("expect", lambda: super(Ledge, self).expect(name, source, epoch))

    def settle(self, name: str, url: str, epoch: int) -> None:
        self._step("settle", lambda: super(Ledge, self).settle(name, url, epoch))

    def _step(self, word: str, write: Any) -> None:
        if self.crash_at == f"before {word}":
            raise Crash
        write()
        if self.crash_at == f"after {word}":
            raise Crash


class Node:
    """One server, which can die and come back."""

    def __init__(self, path: Path, port: int, topology: Topology) -> None:
        self.path, self.port, self.topology = path, port, topology
        self.url = f"tcp://127.0.0.1:{port}/"
        self.may = True
        path.mkdir(parents=True)

    async def start(self, crash_at: str = "") -> None:
        shelf = DiskShelf(self.path / "chains")
        self.directory = Ledge(self.topology, self.path / "directory")
        self.directory.crash_at = crash_at
        self.hall = Hall(shelf, where=self.directory.seen_from(self.url))
        lines = self.lines = Registry(agent="test")

        def line(url: str) -> Line:
            return lines.line(url)

        self.handover = self.hall.office = Handover(
            self.hall, shelf, self.directory, here=self.url, may=lambda _: self.may, line=line,
            release=lines.release, clock=SystemClock(), entropy=system_entropy,
        )  # fmt: skip
        self.server = serve(self.hall, websocket=False, tcp=True, port=self.port)
        await self.server.__aenter__()
        self.handover.resume()

    async def stop(self) -> None:
        await self.handover.close()
        await self.server.__aexit__(None, None, None)
        await self.hall.close()
        await self.lines.close()

    async def again(self, crash_at: str = "") -> None:
        await self.stop()
        await self.start(crash_at)

    def owns(self) -> bool:
        with suppress(AteError):
            place = self.directory.seen_from(self.url)(NOTES)
            return not place.url and place.role == "master"
        return False


@asynccontextmanager
async def nodes(tmp_path: Path) -> AsyncIterator[tuple[Node, Node]]:
    """Yield the master of the chain by the draw, and another server."""
    ports = free_port(), free_port()
    topology = Topology.of_urls(f"tcp://127.0.0.1:{port}" for port in ports)
    both = [Node(tmp_path / str(port), port, topology) for port in ports]
    both.sort(key=lambda one: one.url != topology.master_of(NOTES).url)
    for one in both:
        await one.start()
    try:
        async with asyncio.timeout(60):
            yield both[0], both[1]
    finally:
        for one in both:
            await one.stop()


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[Chain]:
    async with AsyncExitStack() as stack:
        lines = Registry(agent="test")
        stack.push_async_callback(lines.close)
        yield await stack.enter_async_context(
            ate.open("notes", url=url, connection={"lines": lines}, **options)
        )


async def until(happened: Callable[[], bool]) -> None:
    while not happened():
        await RealPace(0).pause(0.001)


def is_dead(node: Node) -> bool:
    """Whether a source has come to where it crashes."""
    root = node.hall.roots.get(NOTES)
    return root is not None and root.failure is not None


async def write(chain: Chain, value: Any) -> None:
    """Commit until it is in: a server that is gone is waited for."""
    dio = chain.dio()
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


async def test_a_chain_moves_under_load(tmp_path: Path) -> None:
    async with nodes(tmp_path) as (source, target):
        alice = member("alice")
        moves: list[str] = []
        async with (
            client(source.url, session=alice) as one,
            client(target.url, session=alice) as two,
        ):
            told: dict[str, list[int]] = {"one": [], "two": []}
            stop = asyncio.Event()

            async def load(chain: Chain, name: str) -> None:
                while not stop.is_set():
                    count = len(told[name])
                    await write(chain, f"{name} {count:05}")
                    told[name].append(count)

            remote = one._remote
            assert remote is not None
            before: Any = remote.link._move
            remote.link._move = lambda moved: (moves.append(moved.url), before(moved))
            async with asyncio.TaskGroup() as group:
                group.create_task(load(one, "one"))
                group.create_task(load(two, "two"))
                await until(lambda: len(told["one"]) >= 20)
                assert await target.handover.bring(NOTES, source.url) == 1
                reached = len(told["one"])
                await until(lambda: len(told["one"]) >= reached + 20)
                stop.set()
            assert moves == [target.url], "one hop, once"
            expected = sorted(f"{name} {n:05}" for name, done in told.items() for n in done)
            async with client(target.url, session=alice) as fresh:
                found = await read(fresh)
                assert sorted(found) == expected, "nothing lost, nothing twice"
                for name in told:
                    mine = [value for value in found if value.startswith(name)]
                    assert mine == sorted(mine), "order kept"
        assert (source.owns(), target.owns()) == (False, True)
        assert await target.handover.bring(NOTES, source.url) == 1, "asked again, it says so again"
        # And back: what the source has kept is gone on from.
        async with client(target.url, session=alice) as chain:
            assert await source.handover.bring(NOTES, target.url) == 2
            await write(chain, "last")
            assert (await read(chain))[-1] == "last"
        assert (source.owns(), target.owns()) == (True, False)


CRASHES = [
    ("target", "before expect"), ("target", "after expect"), ("source", "before settle"),
    ("source", "after settle"), ("target", "before settle"), ("target", "after settle"),
]  # fmt: skip


@pytest.mark.parametrize("who,when", CRASHES)
async def test_a_crash_leaves_one_owner_or_none(tmp_path: Path, who: str, when: str) -> None:
    async with nodes(tmp_path) as (source, target):
        alice = member("alice")
        async with client(source.url, session=alice) as chain:
            for n in range(5):
                await write(chain, n)
        dying = target if who == "target" else source
        await dying.again(when)
        task = asyncio.ensure_future(target.handover.bring(NOTES, source.url))
        if who == "target":
            with pytest.raises(Crash):
                await task
        else:
            await until(lambda: is_dead(source))
        assert not (source.owns() and target.owns())
        await dying.again()
        assert not (source.owns() and target.owns())
        if who == "source":
            await task
        else:
            await until(lambda: not target.directory.coming)
        assert source.owns() != target.owns()
        is_moved = (who, when) != ("target", "before expect")
        assert target.owns() == is_moved
        async with client(source.url, session=alice) as chain:
            await write(chain, 5)
            assert await read(chain) == list(range(6))


async def ask(node: Node, **more: Any) -> Any:
    """Return what a node answers to what one server asks another."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    class Asker:
        def connected(self, peer: PeerSession) -> None:
            line.send(Open(ch, "notes", more=more))

        def received(self, message: Any) -> None:
            if not answer.done():
                answer.set_result(message)

        def disconnected(self, error: AteError) -> None:
            raise AssertionError(error)

    line = node.lines.line(node.url)
    ch = line.attach(Asker())
    try:
        return await answer
    finally:
        line.detach(ch)
        node.lines.release(line)


async def test_what_is_refused(tmp_path: Path) -> None:
    async with nodes(tmp_path) as (source, target):
        with pytest.raises(NotFound):
            await target.handover.bring(NOTES, source.url)
        assert not target.directory.coming
        assert not (target.path / "chains" / "notes").exists()
        with pytest.raises(UsageError):
            await target.handover.bring(NOTES, target.url)
        async with client(source.url, session=member("alice")) as chain:
            await write(chain, 1)
        source.may = False
        with pytest.raises(WriteDenied):
            await target.handover.bring(NOTES, source.url)
        assert source.owns()
        denied = await ask(source, ask="yield", url=target.url, epoch=7)
        assert (type(denied), denied.code) == (Failed, "write_denied")
        source.may = True
        assert (await ask(source, ask="dance")).code == "usage"
        moved = await ask(target, ask="yield", url="tcp://c", epoch=1)
        assert moved == Moved(moved.ch, source.url, 0), "it is not its own to give"
        assert (await ask(source, ask="yield", url="tcp://127.0.0.1:9/", epoch=3)).more == {
            "yielded": 3
        }
        with pytest.raises(Redirected):
            await target.handover.bring(NOTES, source.url)
        assert target.directory.where(NOTES)[:2] == ("tcp://127.0.0.1:9/", 3)
        assert not target.directory.coming


async def test_a_chain_that_never_was_is_given_away_too(tmp_path: Path) -> None:
    """A list that is read again may name a new owner for a chain that nobody has made yet."""
    async with nodes(tmp_path) as (source, target):
        target.directory.expect(NOTES, source.url, 1)
        target.handover.resume()
        await until(lambda: not target.directory.coming)
        assert (source.owns(), target.owns()) == (False, True)
        assert not (target.path / "chains" / "notes").exists()
        async with client(source.url, session=member("alice")) as chain:
            await write(chain, 1)
            assert await read(chain) == [1]


async def test_an_operator_asks(tmp_path: Path) -> None:
    async with nodes(tmp_path) as (source, target):
        async with client(source.url, session=member("alice")) as chain:
            await write(chain, 1)
        failed = await ask(target, ask="bring", url=target.url)
        assert failed.code == "usage"
        moved = await ask(target, ask="bring", url=source.url)
        assert moved == Moved(moved.ch, target.url, 1)
        assert target.owns()
