"""What a relay or an archive hands on is what the master ordered, and it says when that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.effort import effort
from tests.unit.ate.mesh.served import Scribe, settled, visitor

import ate
from ate.clock import SystemClock
from ate.crypto.entropy import system_entropy
from ate.crypto.sign import SigningKey
from ate.dio.chain import Chain
from ate.errors import (
    AteError,
    BadToken,
    CorruptLog,
    Disconnected,
    NotFound,
    ReadOnly,
    StorageError,
)
from ate.log.memory import MemoryLog
from ate.mesh.gate import Gate, OpenGate, Rights
from ate.mesh.hall import Hall
from ate.mesh.meter import SilentMeter
from ate.mesh.mirror import Following, Mirror
from ate.mesh.registry import Registry
from ate.mesh.roster import Shelf
from ate.mesh.shelf import DiskShelf, MemoryShelf
from ate.mesh.stating import stating
from ate.mesh.topology import Place
from ate.server import Server, serve
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member
from ate.trust.attest import HeadStatement
from ate.wire.message import Accepted, Failed, Refused, Stated, Submit

TOLD_S = 2.0


@dataclass
class Cluster:
    """A master and servers that follow it, in this process."""

    stack: AsyncExitStack
    key: SigningKey = field(default_factory=SigningKey.generate)
    alice: ate.Session = field(default_factory=lambda: member("alice"))

    async def master(self, gate: Gate | None = None) -> tuple[Hall, Server]:
        hall = Hall(MemoryShelf(), state=stating(self.key), gate=gate)
        server = await self.stack.enter_async_context(
            serve(hall, websocket=False, tcp=True, identity=self.key)
        )
        self.stack.push_async_callback(hall.close)
        return hall, server

    async def follower(
        self, url: str, role: str = "relay", path: Path | None = None, *,
        disk: SimDisk | None = None, gate: Gate | None = None,
    ) -> tuple[Hall, Server]:  # fmt: skip
        shelf: Shelf = DiskShelf(path) if path is not None else MemoryShelf()
        if disk is not None:
            shelf = DiskShelf("/archive", disk)
        gate, meter, lines = gate or OpenGate(), SilentMeter(), Registry(agent="test")
        own = SigningKey.generate()
        following = Following(
            shelf, identity=own, trust=lambda _: None, gate=gate, meter=meter, lines=lines,
            clock=SystemClock(), entropy=system_entropy,
        )  # fmt: skip
        hall = Hall(
            shelf, gate=gate, meter=meter, follow=following, where=lambda _: Place("", 0, role, url)
        )
        following.serve(hall)
        server = await self.stack.enter_async_context(
            serve(hall, websocket=False, tcp=True, identity=own)
        )
        self.stack.push_async_callback(lines.close)
        self.stack.push_async_callback(hall.close)
        return hall, server

    async def client(self, url: str, **options: Any) -> Chain:
        lines = Registry(agent="test")
        self.stack.push_async_callback(lines.close)
        session = options.pop("session", self.alice)
        return await self.stack.enter_async_context(
            ate.open("notes", url=url, session=session, connection={"lines": lines}, **options)
        )


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    async with asyncio.timeout(60), AsyncExitStack() as stack:
        yield Cluster(stack)


async def write(chain: Chain, *values: Any) -> None:
    dio = chain.dio()
    for value in values:
        dio.store({"n": value})
    await dio.commit()


async def read(chain: Chain) -> list[Any]:
    return sorted([one.value["n"] async for one in chain.dio().all(dict)])


async def until(chain: Chain, happened: Callable[[], bool]) -> None:
    assert chain._remote is not None
    await chain._remote.wait(happened, 20)


async def reach(chain: Chain, other: Chain) -> None:
    """Wait until a chain has what the other one has."""
    await until(chain, lambda: chain.head >= other.head)
    async for _ in chain.watch(since=0):
        if chain.head >= other.head:
            break


async def test_what_is_written_below_is_ordered_above_and_comes_back() -> None:
    async with cluster() as play:
        above, master = await play.master()
        below, relay = await play.follower(master.url)
        first = await play.client(relay.url)  # makes the chain, through the relay
        second = await play.client(relay.url)
        direct = await play.client(master.url)
        await asyncio.gather(*(write(first, n) for n in range(20)))
        await write(second, 100)
        await write(direct, 200)
        for chain in (first, second, direct):
            async with asyncio.timeout(30):
                async for _ in chain.watch(since=0):
                    if chain.root == direct.root:
                        break
        assert await read(first) == await read(direct) == [*range(20), 100, 200]
        assert first.root == direct.root == above.roots["notes"].ledger.view.frontier.root()
        mirror = below.roots["notes"]
        assert (mirror.role, mirror.durable) == ("relay", direct.commits)
        assert isinstance(mirror.ledger.store, MemoryLog), "a relay keeps nothing"
        assert above.roots["notes"].channels == 2, "two clients and the relay are two channels"


async def test_the_masters_statements_pass_unchanged(tmp_path: Path) -> None:
    async with cluster() as play:
        _, master = await play.master()
        _, relay = await play.follower(master.url)
        chain = await play.client(master.url, path=tmp_path)
        await write(chain, 1)
        await chain.close()
        chain = await play.client(relay.url, path=tmp_path)  # it remembers what the master said
        await write(chain, 2)
        files = {one.name for one in (tmp_path / "notes").iterdir() if "witness" in one.name}
        assert files == {f"witness.{play.key.public.key_id.hex()[:16]}"}
        assert await read(chain) == [1, 2]


async def test_the_loss_of_the_master_is_told_and_mended() -> None:
    async with cluster() as play:
        shelf = MemoryShelf()
        hall = Hall(shelf)
        server = serve(hall, websocket=False, tcp=True)
        await server.__aenter__()
        port, url = int(server.url.rsplit(":", 1)[1].strip("/")), server.url
        _, relay = await play.follower(url)
        chain = await play.client(relay.url)
        await write(chain, 1)
        remote = chain._remote
        assert remote is not None
        loop = asyncio.get_running_loop()
        began = loop.time()
        await server.__aexit__(None, None, None)
        await hall.close()
        await until(chain, lambda: not remote.link.is_online)
        assert loop.time() - began < effort(5 * TOLD_S, TOLD_S)
        again = Hall(shelf)
        async with serve(again, websocket=False, tcp=True, port=port):
            await until(chain, lambda: remote.link.is_online)
            await write(chain, 2)
            assert await read(chain) == [1, 2]
            await again.close()


async def test_a_master_that_is_not_there() -> None:
    async with cluster() as play:
        _, relay = await play.follower("tcp://127.0.0.1:9")
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(ate.errors.Offline):
            lines = Registry(agent="test")
            play.stack.push_async_callback(lines.close)
            await ate.open(
                "notes", url=relay.url, session=play.alice,
                connection={"lines": lines, "timeout_s": TOLD_S},
            )  # fmt: skip
        assert loop.time() - began < effort(5 * TOLD_S, 2 * TOLD_S)


async def test_an_archive_serves_what_it_has(tmp_path: Path) -> None:
    async with cluster() as play:
        stack = AsyncExitStack()
        hall = Hall(MemoryShelf())
        server = await stack.enter_async_context(serve(hall, websocket=False, tcp=True))
        _, archive = await play.follower(server.url, "archive", tmp_path)
        writer = await play.client(server.url)
        reader = await play.client(archive.url)
        await write(writer, 1, 2)
        async with asyncio.timeout(30):
            async for _ in reader.watch(since=0):
                if reader.root == writer.root:
                    break
        with pytest.raises(ReadOnly, match="only read") as caught:
            await write(reader, 3)
        assert server.url in caught.value.hint
        assert await read(reader) == [1, 2]
        await stack.aclose()
        await hall.close()
        late = await play.client(archive.url)
        assert await read(late) == [1, 2], "the master is gone, and its chain can be read"
        assert (tmp_path / "notes" / "CURRENT").exists()


@pytest.mark.parametrize("subscribers", [effort(300, 10_000)])
async def test_many_follow_through_relays(subscribers: int) -> None:
    """Channels of raw lines, as a client opens them: the master sees two."""
    from ate.wire.message import Open, Opened, Records
    from ate.wire.terms import PeerSession

    class Follower:
        def __init__(self) -> None:
            self.frames = 0
            self.changed = asyncio.Event()

        def connected(self, peer: PeerSession) -> None:
            self.line.send(Open(self.ch, "notes", credit=1 << 20))

        def received(self, message: Any) -> None:
            if isinstance(message, Records):
                self.frames += len(message.frames)
            elif not isinstance(message, Opened):
                return
            self.changed.set()

        def disconnected(self, error: ate.AteError) -> None:
            raise AssertionError(error)

        async def until(self, frames: int) -> None:
            while self.frames < frames:
                self.changed.clear()
                await self.changed.wait()

    async with cluster() as play:
        above, master = await play.master()
        relays = [await play.follower(master.url) for _ in range(2)]
        writer = await play.client(master.url)
        await write(writer, 0)
        lines = Registry(agent="many")
        play.stack.push_async_callback(lines.close)
        followers = []
        for number in range(subscribers):
            one = Follower()
            one.line = lines.line(relays[number % 2][1].url)  # type: ignore[attr-defined]
            one.ch = one.line.attach(one)  # type: ignore[attr-defined]
            followers.append(one)
        await asyncio.gather(*(one.until(2) for one in followers))
        for n in range(1, 4):
            await write(writer, n)
        await asyncio.gather(*(one.until(5) for one in followers))
        assert above.roots["notes"].channels == 3, "the writer and two relays"
        assert sum(hall.roots["notes"].channels for hall, _ in relays) == subscribers


async def test_a_lookup_is_answered_by_the_master() -> None:
    from ate.wire.message import Lookup

    async with cluster() as play:
        _, master = await play.master()
        below, relay = await play.follower(master.url)
        chain = await play.client(relay.url)
        await write(chain, 1)
        mirror = below.roots["notes"]
        device = play.alice.device
        (session,) = {s for d, s in mirror.ledger.view.origins.table if d == device}
        found = await mirror.look_up(Lookup(7, 8, device, session, 2))
        assert (found.ch, found.ref, found.last, found.commits) == (7, 8, 2, 2)
        assert found.first_seq
        await mirror.close()
        with pytest.raises(Disconnected):
            await mirror.look_up(Lookup(7, 8, device, session, 2))


def mirror_of(hall: Hall, name: str = "notes") -> Mirror:
    mirror = hall.roots[name]
    assert isinstance(mirror, Mirror)
    return mirror


async def test_who_has_more_than_the_mirror_waits_until_it_has_caught_up() -> None:
    async with cluster() as play:
        _, master = await play.master()
        below, _ = await play.follower(master.url)
        writer = await play.client(master.url)
        await write(writer, 1)
        envoy = await visitor(below)
        assert (await envoy.open("notes")).commits == 2
        for number in range(5):
            await write(writer, number)
            late = await visitor(below)
            opened = await late.open("notes", commits=writer.commits, chain_id=writer.id)
            assert opened.commits == opened.start == writer.commits
            assert opened.root == writer.root
            await late.leave()


class Counting(OpenGate):
    """Lets a commit pass at the third attempt, and counts what was stored."""

    def __init__(self) -> None:
        self.tries, self.bytes = 0, 0

    def may_submit(self, visitor: object, name: str, nbytes: int) -> float:
        self.tries += 1
        return 0.01 if self.tries % 3 else 0.0

    def stored(self, visitor: object, name: str, nbytes: int) -> None:
        self.bytes += nbytes


async def test_the_gate_of_a_relay_slows_down_and_counts() -> None:
    async with cluster() as play:
        above, master = await play.master()
        gate = Counting()
        below, _ = await play.follower(master.url, gate=gate)
        envoy, scribe = await visitor(below), Scribe()
        await envoy.open("notes")
        first = await scribe.founding("notes")
        for tries in (1, 2):
            await envoy.say(Submit(1, first))
            answer = (await envoy.until(Refused, tries))[-1]
            assert (answer.code, answer.again, answer.lsn) == ("throttled", True, 1)
            assert answer.retry_ms >= 10
        assert gate.bytes == 0
        await envoy.say(Submit(1, first))
        (accepted,) = await envoy.until(Accepted)
        assert (accepted.ch, accepted.first_seq, accepted.again) == (1, 1, False)
        assert gate.bytes == len(first)
        assert above.roots["notes"].durable == 1
        await envoy.say(Submit(1, b"short"))
        answer = (await envoy.until(Refused, 3))[-1]
        assert (answer.code, answer.again) == ("usage", False)
        gate.tries = 2
        await envoy.say(Submit(1, first))
        assert (await envoy.until(Accepted, 2))[-1].again
        assert gate.bytes == len(first), "what is there already is not counted twice"


class Doorman(OpenGate):
    """Opens nothing, for one reason."""

    def __init__(self, error: AteError) -> None:
        self.error = error

    def may_open(self, visitor: object, name: str, token: bytes, *, exists: bool) -> Rights:
        raise self.error


@pytest.mark.parametrize(
    "told, hears",
    [
        (NotFound("there is no such chain"), NotFound("there is no such chain")),
        (BadToken("show a token"), Disconnected("the master serves no copy: show a token")),
    ],
)
async def test_what_the_master_has_against_it_is_told(told: AteError, hears: AteError) -> None:
    async with cluster() as play:
        _, master = await play.master(Doorman(told))
        below, _ = await play.follower(master.url)
        envoy = await visitor(below)
        with pytest.raises(type(hears), match=hears.message):
            await envoy.open("notes")


async def test_an_older_statement_does_not_take_the_place_of_a_newer_one() -> None:
    async with cluster() as play:
        _, master = await play.master()
        below, _ = await play.follower(master.url)
        writer = await play.client(master.url)
        envoy = await visitor(below)
        await envoy.open("notes")
        mirror = mirror_of(below)
        old = mirror.statement()
        assert HeadStatement.decode(old).size == 1
        await write(writer, 1)
        await settled(lambda: HeadStatement.decode(mirror.statement()).size == 2)
        newest, told = mirror.statement(), len(envoy.of(Stated))
        mirror.hear(old)
        mirror.hear(b"")
        assert mirror.statement() == newest
        assert len(envoy.of(Stated)) == told
        assert envoy.of(Stated)[-1].statement == newest


async def test_without_a_master_no_commit_is_taken() -> None:
    async with cluster() as play:
        _, master = await play.master()
        below, _ = await play.follower(master.url)
        envoy, scribe = await visitor(below), Scribe()
        await envoy.open("notes")
        mirror = mirror_of(below)
        await mirror.uplink.close()
        first = await scribe.founding("notes")
        with pytest.raises(Disconnected, match="master is lost"):
            await mirror.submit(envoy, Submit(1, first))  # type: ignore[arg-type]
        assert not envoy.of(Accepted)


async def test_an_archive_whose_disk_fails_tells_it_and_goes_on_later() -> None:
    async with cluster() as play:
        _, master = await play.master()
        disk = SimDisk()
        below, _ = await play.follower(master.url, "archive", disk=disk)
        writer = await play.client(master.url)
        await write(writer, 1)
        envoy = await visitor(below)
        assert (await envoy.open("notes")).commits == 2
        await envoy.until_frames(2)
        disk.fail("sync", StorageError("input/output error"))
        await write(writer, 2)
        (failed,) = await envoy.until(Failed)
        assert failed.code == "storage"
        assert len(envoy.frames) == 2, "what is not durable is not handed on"
        await settled(lambda: not below.roster._leaving)
        assert (await envoy.open("notes", commits=2)).commits == 3
        assert [one.name for one in below.roster.roots.values()] == ["notes"]


async def test_a_damaged_archive_is_not_opened() -> None:
    async with cluster() as play:
        _, master = await play.master()
        disk = SimDisk()
        below, _ = await play.follower(master.url, "archive", disk=disk)
        writer = await play.client(master.url)
        await write(writer, 1, 2, 3)
        envoy = await visitor(below)
        await envoy.open("notes")
        await envoy.until_frames(writer.commits)
        await below.close()
        (path,) = (one for one in disk.snapshot() if "/head." in one)
        raw = bytearray(disk.snapshot()[path])
        raw[300] ^= 1
        whole = disk.snapshot()[path]
        disk.put(path, bytes(raw))
        again, _ = await play.follower(master.url, "archive", disk=disk)
        late = await visitor(again)
        with pytest.raises(CorruptLog):
            await late.open("notes")
        disk.put(path, whole)  # nobody holds it: it can be mended, and opened
        assert (await late.open("notes")).commits == writer.commits
