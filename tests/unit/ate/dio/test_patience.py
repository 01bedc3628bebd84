from __future__ import annotations

import asyncio

import pytest
from tests.shared import Note, World, play, put, texts
from tests.unit.ate.dio.test_forwarder import away, forwarder_of

from ate import Durability
from ate.errors import (
    BadToken,
    Disconnected,
    Forked,
    LimitExceeded,
    Offline,
    OutOfSpace,
    StorageError,
    UntrustedRoot,
)
from ate.log.outbox import Outbox
from ate.mesh.gate import OpenGate, Rights
from ate.testing.simdisk import SimDisk


def test_a_moment_without_a_connection_is_no_loss() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        waiting = asyncio.ensure_future(put(chain, "x"))
        world.net.reset("one", "server")
        await world.loop.pause(0.01)
        patience = forwarder_of(chain).patience
        assert patience.is_reachable
        await waiting
        await chain.sync()
        assert await texts(chain) == ["x"]
        assert (await chain.dio().load(Note, (await waiting).id)).seq > 0
        await chain.close()

    play(main)


@pytest.mark.parametrize("together", [False, True])
def test_what_was_sent_and_not_answered_goes_on_as_work_of_its_own(together: bool) -> None:
    async def main(world: World) -> None:
        device = world.device()
        chain = await device.open()
        await chain.sync()
        dios = [chain.dio() for _ in range(4 if together else 1)]
        for n, dio in enumerate(dios):
            dio.store(Note(f"{n}"))
        waiting = [asyncio.ensure_future(dio.commit()) for dio in dios]
        await world.loop.pause(0)
        await world.loop.pause(0)
        await world.stop()
        receipts = await asyncio.gather(*waiting)
        assert all(one.is_pending for one in receipts)
        forwarder = forwarder_of(chain)
        assert forwarder.outbox.entries[0].work
        assert len(await texts(chain)) == len(dios)
        await device.kill()
        chain = await device.open()
        assert len(await texts(chain)) == len(dios)
        world.start()
        await chain.sync()
        assert chain.conflicts == []
        assert len(await texts(chain)) == len(dios)
        assert len(forwarder_of(chain).outbox) == 0
        await chain.close()

    play(main)


def test_what_cannot_be_kept_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(world: World) -> None:
        device = world.device()
        chain = await device.open()
        await chain.sync()
        sent = asyncio.ensure_future(put(chain, "sent"))
        await world.loop.pause(0)
        await world.stop()
        await world.loop.pause(0.1)
        queued = asyncio.ensure_future(put(chain, "queued"))
        given_up = asyncio.ensure_future(put(chain, "given up"))
        await world.loop.pause(0.1)
        given_up.cancel()

        def full(*_: object) -> int:
            raise _full()

        monkeypatch.setattr(Outbox, "add", full)
        with pytest.raises(Disconnected, match="may have landed"):
            await sent
        with pytest.raises(LimitExceeded):
            await queued
        monkeypatch.undo()
        world.start()
        await chain.sync()
        assert await texts(chain) in ([], ["sent"])
        await chain.close()

    play(main)


def _full() -> Exception:
    try:
        from ate import limits

        limits.check("bytes in the outbox", 2, 1)
    except LimitExceeded as error:
        return error
    raise AssertionError


def test_a_commit_under_a_condition_is_in_doubt_and_the_others_go_on() -> None:
    async def main(world: World) -> None:
        _, chain = await away(world)
        dio = chain.dio()
        dio.store(Note("at"))
        at = asyncio.ensure_future(dio.commit(at=chain.head))
        plain = asyncio.ensure_future(put(chain, "plain"))
        local = asyncio.ensure_future(put(chain, "local", Durability.LOCAL))
        with pytest.raises((Offline, Disconnected)):
            await at
        await plain
        await local
        assert chain.status.pending in (2, 3), "the one in doubt may count"
        world.start()
        await chain.sync()
        assert await texts(chain) == ["at", "first", "local", "plain"], "nothing came before it"
        await chain.close()

    play(main)


@pytest.mark.parametrize("reached", [False, True])
def test_who_was_told_that_nobody_knows_may_ask_again(reached: bool) -> None:
    async def main(world: World) -> None:
        chain = await world.device().open(recovery="readonly-async")
        await put(chain, "first")
        world.net.cut("server" if reached else "one", "one" if reached else "server", both=False)
        dio = chain.dio()
        dao = dio.store(Note("x"))
        trying = asyncio.ensure_future(dio.commit())
        await world.loop.pause(0.05)
        await world.stop()
        with pytest.raises(Disconnected, match="may have landed"):
            await trying
        forwarder = forwarder_of(chain)
        (lost,) = forwarder.under_way()
        assert lost.parcel is not None
        with pytest.raises(Disconnected):  # nor is it known now
            forwarder.patience.ask_again(lost)
        assert lost.parcel.abandoned
        world.net.heal()
        world.start()
        await chain.sync()
        head = chain.head
        receipt = await dio.commit()
        assert receipt.seq == dao.seq
        assert receipt.seq <= head, "it was sent again with the connection"
        await chain.sync()
        forwarder.patience.ask_again(lost)  # what has landed needs no asking
        assert await texts(chain) == ["first", "x"]
        await chain.close()

    play(main)


class ShutGate(OpenGate):
    """Lets nobody open anything."""

    def may_open(self, visitor: object, name: str, token: bytes, *, exists: bool) -> Rights:
        raise BadToken("this token was withdrawn")


def test_who_may_not_come_in_is_told_so_and_not_that_the_server_is_away() -> None:
    async def main(world: World) -> None:
        _, chain = await away(world, recovery="readonly-async")
        world.start().gate = ShutGate()
        await world.loop.pause(5)
        with pytest.raises(BadToken, match="withdrawn"):
            await put(chain, "x")
        await world.stop()
        world.start()
        await world.loop.pause(120)  # it asks again by itself
        await put(chain, "y")
        assert await texts(chain) == ["first", "y"]
        await chain.close()

    play(main)


def test_when_the_server_has_another_chain_those_who_wait_are_told_at_once() -> None:
    async def main(world: World) -> None:
        device = world.device()
        chain = await device.open()
        await put(chain, "first")
        forwarder = forwarder_of(chain)
        forwarder.patience.wait_s = 3000.0
        await world.stop()
        await world.loop.pause(0.1)
        world.net.cut("one", "server")  # so that the other one comes first
        await put(chain, "kept", Durability.LOCAL)
        waiting = asyncio.ensure_future(put(chain, "waits"))
        world.disk = SimDisk(2)
        world.start()
        other = await world.device("two").open()
        await put(other, "not this one")
        world.net.heal()
        with pytest.raises((UntrustedRoot, Forked)):
            await waiting
        assert chain.status.pending == 1, "what is kept here stays"
        with pytest.raises((UntrustedRoot, Forked)):
            await put(chain, "later")
        assert await texts(other) == ["not this one"]
        await chain.close()
        await other.close()

    play(main)


def test_behind_kept_commits_that_a_full_server_puts_off_nobody_waits_without_word() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        await put(chain, "first")
        world.disk.fail("write", OutOfSpace("full"), times=-1)
        for n in range(3):
            await put(chain, f"kept {n}", Durability.LOCAL)
            await world.loop.pause(0.001)
        dio = chain.dio()
        dio.store(Note("at"))
        with pytest.raises(OutOfSpace, match="server"):
            await dio.commit(at=chain.head)
        assert chain.status.pending >= 3
        world.disk.heal()
        await chain.sync()
        found = await texts(chain)
        assert [one for one in found if one != "at"] == ["first", "kept 0", "kept 1", "kept 2"]
        assert chain.conflicts == []
        await chain.close()

    play(main)


def test_what_a_full_server_did_not_take_is_sent_again_when_its_author_asks() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        await put(chain, "first")
        world.disk.fail("write", OutOfSpace("full"), times=1000)
        dio = chain.dio()
        dao = dio.store(Note("x"))
        with pytest.raises(OutOfSpace, match="server"):
            await dio.commit()
        world.disk.heal()
        await world.loop.pause(60)
        assert await texts(chain) == ["first"], "it is on its way no more"
        receipt = await dio.commit()
        assert dao.seq == receipt.seq > 0
        assert await texts(chain) == ["first", "x"]
        await chain.close()

    play(main)


def test_what_waits_is_promised_when_it_is_kept_and_only_then() -> None:
    async def main(world: World) -> None:
        device, chain = await away(world)
        patience = forwarder_of(chain).patience
        assert patience.is_reachable, "it was so a moment ago"
        local = asyncio.ensure_future(put(chain, "local", Durability.LOCAL))
        waiting = asyncio.ensure_future(put(chain, "waits"))
        await local
        assert not waiting.done()
        await waiting
        assert not patience.is_reachable
        assert await texts(chain) == ["first", "local", "waits"]
        await device.kill()
        chain = await device.open()
        world.start()
        await chain.sync()
        world.net.reset("one", "server")
        await world.stop()
        lost = asyncio.ensure_future(put(chain, "lost"))
        await world.loop.pause(0.1)
        device.disk.fail("sync", StorageError("broken"), name="outbox")
        with pytest.raises(StorageError):
            await lost
        device.disk.heal()
        await device.kill()
        chain = await device.open()
        assert (await texts(chain))[:3] == ["first", "local", "waits"]
        await chain.close()

    play(main)
