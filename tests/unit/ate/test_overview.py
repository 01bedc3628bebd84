"""`ate.overview`: one call says which of a thousand chains have news, over real sockets."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.ports import free_port
from tests.unit.ate.mesh.served import Envoy, Scribe, visitor

import ate
from ate.errors import LimitExceeded, Offline, Throttled, TrustError
from ate.mesh.gate import Caller, OpenGate, Rights
from ate.mesh.hall import Hall
from ate.mesh.shelf import MemoryShelf
from ate.overview import changes
from ate.server import serve
from ate.wire.message import Accepted, Close, Closed, Submit

CHAINS, ROUNDS = 1000, 60
HERE = {"timeout_s": 20.0}


class Counting(OpenGate):
    """Counts how often it is asked, and keeps some chains to itself."""

    def __init__(self) -> None:
        self.asked = 0
        self.token = b""
        self.error: Exception | None = None

    def may_open(self, visitor: Caller, name: str, token: bytes, *, exists: bool) -> Rights:
        self.asked += 1
        if self.error is not None:
            raise self.error
        if name.startswith("secret") and token != b"open sesame":
            raise TrustError("no token")
        return Rights()


class Town:
    """A server with many chains, written to from within and restarted now and then."""

    def __init__(self, port: int) -> None:
        self.shelf, self.gate, self.port = MemoryShelf(), Counting(), port
        self.scribes: dict[str, Scribe] = {}
        self.heads: dict[str, int] = {}
        self.url = f"ws://127.0.0.1:{port}/"

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Hall]:
        self.hall = Hall(self.shelf, gate=self.gate)
        async with serve(self.hall, host="127.0.0.1", port=self.port):
            self.envoy: Envoy = await visitor(self.hall)
            yield self.hall
        await self.hall.close()

    async def write(self, name: str) -> None:
        envoy, before = self.envoy, len(self.envoy.of(Accepted))
        await envoy.open(name, follow=False, token=b"open sesame")
        scribe = self.scribes.get(name)
        if scribe is None:
            scribe = self.scribes[name] = Scribe()
            await envoy.say(Submit(1, await scribe.founding(name)))
        else:
            await envoy.say(Submit(1, scribe.note()))
        accepted = await envoy.until(Accepted, before + 1)
        self.heads[name] = accepted[-1].first_seq
        await envoy.say(Close(1))
        await envoy.until(Closed)


async def test_each_change_is_told_at_least_once_at_the_cost_of_changes() -> None:
    chance, town = random.Random(11), Town(free_port())
    names = [f"c{number}" for number in range(CHAINS)]
    async with town.up():
        for name in names:
            await town.write(name)
        news = await ate.changes(town.url, names, connection=HERE)
        assert news.heads.keys() == set(names)
        assert all(news.heads.values())
        again = await ate.changes(town.url, names, news.cursor, connection=HERE)
        assert not again.heads
    cursor, missed = again.cursor, set[str]()
    for _ in range(ROUNDS // 10):
        has_restarted = True
        async with town.up():
            for _ in range(10):
                for name in chance.sample(names, chance.randrange(8)):
                    await town.write(name)
                    missed.add(name)
                if chance.random() < 0.4:
                    continue  # the client is asleep
                before = town.gate.asked
                news = await ate.changes(town.url, names, cursor, connection=HERE)
                assert news.heads.keys() >= missed
                for name in missed:  # 0: it was written to before the restart
                    told = news.heads[name]
                    assert told == town.heads[name] or (has_restarted and not told)
                if has_restarted:
                    assert news.heads.keys() == set(names)
                else:
                    assert news.heads.keys() == missed
                    assert town.gate.asked - before == len(missed)
                cursor, has_restarted = news.cursor, False
                missed.clear()
                assert len(cursor) < 200


async def test_only_what_may_be_read_is_told() -> None:
    town = Town(free_port())
    names = ["open", "secret/plan", "never was"[:5]]
    async with town.up():
        for name in names[:2]:
            await town.write(name)
        news = await changes(town.url, names, connection=HERE)
        assert news.heads.keys() == {"open"}
        key = {**HERE, "token": lambda: b"open sesame"}
        assert (await changes(town.url, names, connection=key)).heads.keys() == set(names[:2])
        town.gate.error = Throttled("too much")
        with pytest.raises(Throttled):  # nothing is passed over
            await changes(town.url, names, connection=HERE)


async def test_other_names_and_other_servers_begin_anew() -> None:
    one, two = Town(free_port()), Town(free_port())
    async with one.up(), two.up():
        await one.write("a")
        await two.write("b")
        both = [one.url, two.url]
        first = await changes(both, ["a", "b"], connection=HERE)
        assert first.heads == {"a": 1, "b": 1}
        assert not (await changes(both, ["b", "a"], first.cursor, connection=HERE)).heads
        await two.write("b")
        assert (await changes(both, ["a", "b"], first.cursor, connection=HERE)).heads == {"b": 2}
        await one.write("c")
        more = await changes(both, ["a", "b", "c"], first.cursor, connection=HERE)
        assert more.heads == {"a": 1, "b": 2, "c": 1}


async def test_what_is_no_question_is_refused() -> None:
    assert await changes("ws://127.0.0.1:1/", []) == ate.Changes(b"", {})
    with pytest.raises(ate.UsageError, match="cursor"):
        await changes("ws://127.0.0.1:1/", ["a"], b"no cursor")
    with pytest.raises(LimitExceeded):
        await changes("ws://127.0.0.1:1/", (f"n{number}" for number in range(65_537)))
    with pytest.raises(Offline, match="no answer from"):
        await changes("ws://127.0.0.1:1/", ["a"], connection={"timeout_s": 0.2})
