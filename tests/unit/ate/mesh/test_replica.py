"""A replica with a server in virtual time; more in `tests/simulation`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.shared import NAME, Note, World, play, put, texts, until

import ate
from ate.errors import (
    Disconnected,
    Forked,
    OutOfSpace,
    RemoteProtocolError,
    UsageError,
    WriteDenied,
)  # fmt: skip
from ate.mesh.hall import Hall
from ate.mesh.replica import Replica
from ate.testing.stage import member
from ate.wire.message import Failed, Lagged, Moved, Records, Refused, Stated


def replica_of(chain: ate.Chain) -> Replica:
    assert chain._remote is not None
    found: Any = chain._remote.link
    return found  # type: ignore[no-any-return]


def test_two_copies_become_one_chain() -> None:
    async def main(world: World) -> None:
        a, b = await world.device("one").open(), await world.device("two").open()
        for n in range(5):
            await put(a if n % 2 else b, f"{n}")
        await a.sync()
        await b.sync()
        assert a.root == b.root
        replica = replica_of(a)
        assert replica.address == "ws://server:5000/"
        assert replica.is_online
        assert replica.refusal is None
        assert await replica.newest() == a.commits
        assert await replica.requests.lookup(0, 0) == 0
        assert len(await replica.requests.consistency(2, a.commits)) > 0
        await a.close()
        await b.close()
        replica.received(Lagged(1, 1))  # nobody listens any more

    play(main)


def test_a_long_stream_is_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ate.mesh.replica.CREDIT_BYTES", 20_000)

    async def main(world: World) -> None:
        a = await world.device("one").open()
        for n in range(20):
            await put(a, f"{n}" * 3000)
        b = await world.device("two").open(memory=True)
        await b.sync()
        assert b.root == a.root
        await a.close()
        await b.close()

    play(main)


def test_a_copy_that_lacks_what_was_compacted_begins_anew() -> None:
    async def main(world: World) -> None:
        device = world.device("one")
        a = await device.open()
        dao = await put(a, "0")
        await a.sync()
        b = await world.device("two").open()
        await b.sync()
        world.net.cut("two", "server")
        world.net.reset("two", "server")
        waiting = asyncio.ensure_future(put(b, "waits"))
        for n in range(9):
            dio = a.dio()
            loaded = await dio.load(Note, dao.id)
            loaded.value = Note("0", n)
            await dio.commit()
        await world.stop()
        server = await ate.open(
            NAME, path="/s", disk=world.disk, session=member("alice"), clock=world.clock
        )
        await server.compact()
        await server.close()
        world.start()
        world.net.heal()
        made = await waiting
        await b.sync()
        await a.sync()
        assert (await b.dio().load(Note, dao.id)).value.n == 8
        assert await texts(b) == await texts(a) == ["0", "waits"]
        assert made.id
        await a.close()
        await b.close()

    play(main)


@pytest.mark.parametrize("code", ["write_denied", "not_found", "storage", "forked", "restart"])
def test_what_the_server_says_of_the_chain(code: str) -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        await put(chain, "x")
        replica = replica_of(chain)
        replica.received(Failed(replica.channel, 0, code, "so it is", "", 0))
        if code == "forked":
            with pytest.raises(Forked):
                await until(chain, lambda: False)
            replica.received(Stated(replica.channel, b"unheard"))
            await world.loop.pause(1)
            with pytest.raises(Forked):
                await put(chain, "y")
        else:
            await until(chain, lambda: not chain.status.online)
            assert chain.status.trouble == "so it is"
            await chain.sync()
            await put(chain, "y")
        await chain.close()

    play(main)


def test_a_retry_is_as_late_as_the_server_wants_it() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        replica = replica_of(chain)
        replica.received(Failed(replica.channel, 0, "forked", "later", "", 5000))
        await until(chain, lambda: not chain.status.online)
        began = world.loop.time()
        replica._come_again(Disconnected("again"), 0)  # it is under way already
        await chain.sync()
        assert world.loop.time() - began > 4.9
        replica.received(Failed(replica.channel, 77, "forked", "nobody asked"))
        await put(chain, "x")
        await chain.close()

    play(main)


def test_a_chain_that_moves_is_followed() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        await put(chain, "x")
        replica = replica_of(chain)
        before = replica.channel
        replica.received(Moved(before, "ws://server:5000/elsewhere", 1))
        await until(chain, lambda: not chain.status.online)
        await chain.sync()
        assert replica.address == "ws://server:5000/elsewhere"
        await put(chain, "y")
        for _ in range(20):  # two servers that send one to each other
            replica.received(Moved(replica.channel, "ws://server:5000/", 1))
            await world.loop.pause(0)
        await chain.sync()
        replica._reline = None
        replica.received(Moved(replica.channel, "ws://server:5000/", 1))
        await until(chain, lambda: not chain.status.online)
        assert "has moved" in chain.status.trouble
        await chain.sync()
        await chain.close()

    play(main)


def test_a_full_disk_is_tried_again() -> None:
    async def main(world: World) -> None:
        one, two = world.device("one"), world.device("two")
        a, b = await one.open(), await two.open()
        await put(a, "x")
        await b.sync()
        two.disk.fail("write", OutOfSpace("full"), name="head", times=3)
        await put(a, "y" * 3000)
        await until(b, lambda: not b.status.online)
        assert b.status.trouble == "full"
        two.disk.heal()
        await b.sync()
        assert b.root == a.root
        await a.close()
        await b.close()

    play(main)


def test_a_mistake_of_ours_is_reported_and_tried_again() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        replica = replica_of(chain)
        refuse = replica.flights.refuse

        def stumble(message: Any) -> None:
            raise ZeroDivisionError("a slip")

        replica.flights.refuse = stumble  # type: ignore[method-assign]
        replica.received(Refused(replica.channel, 1, 1, 1, 0, "conflict", "no"))
        await until(chain, lambda: not chain.status.online)
        replica.flights.refuse = refuse  # type: ignore[method-assign]
        assert "a slip" in chain.status.trouble
        assert [str(one["exception"]) for one in world.loop.errors] == ["a slip"]
        world.loop.errors.clear()
        await chain.sync()
        await put(chain, "y")
        await chain.close()

    play(main)


def test_records_that_are_no_continuation_end_it() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        await put(chain, "x")
        replica = replica_of(chain)
        frames = [bytes(p) for _, p in chain._ledger.store.scan()]
        head = chain.head
        replica.received(Records(replica.channel, frames[-1:]))
        with pytest.raises(Forked, match="no continuation"):
            await until(chain, lambda: False)
        assert isinstance(replica.refusal, Forked)
        assert chain.head == head
        replica._reattach()
        await chain.close()

    play(main)


class Silent(Hall):
    """Lets nobody write."""

    def _enter(self, visitor: Any, message: Any, root: Any, rights: Any, place: Any) -> None:
        chain_exists = root.ledger.view.trust.genesis is not None
        super()._enter(visitor, message, root, rights._replace(write=not chain_exists), place)


def test_who_may_not_write_is_told_before_anything_is_sent() -> None:
    async def main(world: World) -> None:
        device = world.device()
        chain = await device.open()
        await chain.close()
        chain = await device.open(recovery="readonly-async")
        assert isinstance(replica_of(chain).refusal, WriteDenied)
        with pytest.raises(WriteDenied, match="takes no commits"):
            await put(chain, "x")
        await chain.close()

    play(main, hall=Silent)


def test_closing_while_it_is_away() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        replica = replica_of(chain)
        replica._come_again(RemoteProtocolError("x"), 60)
        await chain.close()
        assert replica.trouble is not None
        with pytest.raises(Disconnected):
            await replica.newest()
        with pytest.raises(UsageError):
            chain.dio()
        line: Any = replica.line
        assert line._ports == {}

    play(main)
