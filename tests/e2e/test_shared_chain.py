"""One chain, a server, clients: all of it over real sockets and real files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from tests.unit.ate.mesh.served import Scribe, settled

import ate
from ate import limits
from ate.errors import AteError, LogLocked
from ate.mesh.dial import dialer
from ate.mesh.hall import Hall
from ate.mesh.line import Line
from ate.mesh.shelf import DiskShelf
from ate.mesh.url import Url
from ate.server import Server, serve
from ate.session import Session
from ate.wire.message import Accepted, AnyMessage, Message, Open, Opened, Records, Refused, Submit
from ate.wire.terms import PeerSession

_M = TypeVar("_M", bound=Message)


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Server]:
    hall = Hall(DiskShelf(folder))
    try:
        async with serve(hall, host="127.0.0.1", port=0) as server:
            yield server
    finally:
        await hall.close()


class Tongue:
    """A connection of its own that says what a test wants said."""

    def __init__(self, url: str) -> None:
        self.line = Line(Url.parse(url), dialer())
        self.heard: list[AnyMessage] = []
        self.changed, self.up = asyncio.Event(), asyncio.Event()
        self.ch = self.line.attach(self)

    def connected(self, peer: PeerSession) -> None:
        self.up.set()

    def disconnected(self, error: AteError) -> None:
        self.up.clear()

    def received(self, message: AnyMessage) -> None:
        self.heard.append(message)
        self.changed.set()

    async def until(self, kind: type[_M], count: int = 1) -> list[_M]:
        async with asyncio.timeout(30):
            while len(found := [one for one in self.heard if isinstance(one, kind)]) < count:
                self.changed.clear()
                await self.changed.wait()
        return found

    async def open(self, name: str, **fields: object) -> Opened:
        async with asyncio.timeout(30):
            await self.up.wait()
        self.line.send(Open(self.ch, name, **{"credit": 1 << 25, **fields}))  # type: ignore[arg-type]
        return (await self.until(Opened))[0]

    def submit(self, commit: bytes, **fields: object) -> None:
        self.line.send(Submit(self.ch, commit, **fields))  # type: ignore[arg-type]

    @property
    def frames(self) -> list[bytes]:
        return [one for said in self.heard if isinstance(said, Records) for one in said.frames]


@asynccontextmanager
async def tongues(url: str, count: int) -> AsyncIterator[list[Tongue]]:
    made = [Tongue(url) for _ in range(count)]
    try:
        yield made
    finally:
        for one in made:
            await one.line.close()


async def founded(tongue: Tongue, name: str = "raw") -> Scribe:
    scribe = Scribe()
    await tongue.open(name)
    tongue.submit(await scribe.founding(name))
    await tongue.until(Accepted)
    return scribe


async def test_two_clients_see_one_order(tmp_path: Path) -> None:
    alice = Session.new("alice")
    async with served(tmp_path) as server:
        opening = {"url": server.url, "session": alice}
        async with (
            ate.open("notes", path=tmp_path / "a", **opening) as one,  # type: ignore[arg-type]
            ate.open("notes", path=tmp_path / "b", **opening) as other,  # type: ignore[arg-type]
        ):

            async def write(chain: ate.Chain, who: str) -> None:
                for number in range(20):
                    async with chain.dio() as dio:
                        dio.store({"who": who, "number": number})

            await asyncio.gather(write(one, "one"), write(other, "other"))
            await settled(lambda: one.head == other.head >= 40)
            orders = []
            for chain in (one, other):
                view = chain._ledger.view
                orders.append((view.head, view.frontier.root()))
            assert orders[0] == orders[1]


async def test_one_of_ten_at_the_same_head_wins(tmp_path: Path) -> None:
    async with served(tmp_path) as server, tongues(server.url, 10) as ten:
        founder = await founded(ten[0])
        for tongue in ten[1:]:
            await tongue.open("raw")
        for device, tongue in enumerate(ten, 100):
            scribe = Scribe(device)
            scribe.join(founder.forger.chain_id)
            tongue.submit(scribe.note(), at=1)
        lost = 0
        for tongue in ten:
            async with asyncio.timeout(30):
                while not any(
                    isinstance(one, Refused) or (isinstance(one, Accepted) and one.lsn == 1
                                                 and one.device >= 100)
                    for one in tongue.heard
                ):  # fmt: skip
                    tongue.changed.clear()
                    await tongue.changed.wait()
            refused = [one for one in tongue.heard if isinstance(one, Refused)]
            lost += len(refused)
            assert all((one.code, one.theirs) == ("conflict", 2) for one in refused)
        assert lost == 9
        async with asyncio.timeout(30):
            for tongue in ten:
                while len(tongue.frames) < 2:
                    tongue.changed.clear()
                    await tongue.changed.wait()
        assert len({tuple(tongue.frames) for tongue in ten}) == 1


async def test_a_commit_sent_three_times_is_there_once(tmp_path: Path) -> None:
    async with served(tmp_path) as server, tongues(server.url, 3) as three:
        scribe = await founded(three[0])
        for tongue in three[1:]:
            await tongue.open("raw")
        notes = scribe.notes(30)
        for number, note in enumerate(notes):
            for tongue in three:
                tongue.submit(note)
            for tongue, more in zip(three, (1, 0, 0), strict=True):
                await tongue.until(Accepted, number + 1 + more)
        answers = [
            [(one.lsn, one.first_seq, one.index) for one in await tongue.until(Accepted)]
            for tongue in three
        ]
        assert answers[0][1:] == answers[1] == answers[2]
        fresh = [one for tongue in three for one in await tongue.until(Accepted) if not one.again]
        assert sorted(one.lsn for one in fresh) == list(range(1, 32))
    async with served(tmp_path) as server, tongues(server.url, 1) as (tongue,):
        opened = await tongue.open("raw", sources=[(1, 1)])
        assert (opened.commits, opened.last[0][0]) == (31, 31)
        for note in notes:  # and after a restart of the server
            tongue.submit(note)
        assert all(one.again for one in await tongue.until(Accepted, 30))


async def test_large_bodies_are_in_body_files_on_both_sides(tmp_path: Path) -> None:
    alice = Session.new("alice")
    sizes = (limits.BODY_INLINE_BYTES_MAX - 1, limits.BODY_INLINE_BYTES_MAX, 10 * limits.MIB)
    texts = [bytes([65 + at]) * size for at, size in enumerate(sizes)]
    ids = []
    async with served(tmp_path / "s") as server:
        async with ate.open(
            "notes", url=server.url, session=alice, path=tmp_path / "c", suite=2
        ) as chain:
            for text in texts:
                async with chain.dio() as dio:
                    ids.append(dio.store(text).id)
        async with ate.open("notes", url=server.url, session=alice, path=tmp_path / "d") as chain:
            for id, text in zip(ids, texts, strict=True):
                assert (await chain.dio().load(bytes, id)).value == text
    for side in ("s", "c", "d"):
        kept = sum(path.stat().st_size for path in (tmp_path / side).rglob("body.*"))
        assert kept >= 10 * limits.MIB


async def test_two_servers_on_one_directory(tmp_path: Path) -> None:
    async with (
        served(tmp_path) as one,
        served(tmp_path) as other,
        ate.open("notes", url=one.url, session=Session.new("alice")),
    ):
        with pytest.raises(LogLocked):
            await ate.open("notes", url=other.url, session=Session.new("bob"))


async def test_more_than_a_commit_may_be_is_not_taken(tmp_path: Path) -> None:
    """Who sends more than any commit may be is let go before it is held in memory."""
    async with served(tmp_path) as server, tongues(server.url, 2) as (loud, calm):
        scribe = await founded(calm)
        await loud.open("raw")
        with pytest.raises(AteError):
            loud.submit(bytes(limits.MESSAGE_BYTES_MAX + 1))
        calm.submit(scribe.note())
        assert len(await calm.until(Accepted, 2)) == 2


async def test_one_program_commits_for_several_sessions(tmp_path: Path) -> None:
    hall, (alice, bob) = Hall(DiskShelf(tmp_path)), (Session.new("alice"), Session.new("bob"))
    rule = ate.Access(ate.Everyone, ate.Everyone)
    async with (
        serve(hall, host="127.0.0.1", port=0) as server,
        ate.open("n", url=server.url, session=alice, access=rule) as chain,
    ):
        names = []
        for who in (bob, alice, bob, bob, alice):
            dio = chain.dio(who)
            dao = dio.store({"by": who.public.identity})
            await dio.commit()
            names.append(dao.author)
        assert names == ["bob", "alice", "bob", "bob", "alice"]
    await hall.close()
