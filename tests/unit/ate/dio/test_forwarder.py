"""The forwarder with its replica and a server, in virtual time; more in `tests/simulation`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.shared import Device, Note, World, play, put, texts, until

import ate
from ate import Durability
from ate.dio.forwarder import Forwarder
from ate.errors import (
    BadSignature,
    Compacted,
    Conflict,
    Disconnected,
    Offline,
    OutOfSpace,
    ReadOnly,
    StorageError,
    UsageError,
)  # fmt: skip
from ate.log.outbox import Outbox


def forwarder_of(chain: ate.Chain) -> Forwarder:
    assert chain._remote is not None
    return chain._remote.forwarder


async def away(world: World, recovery: str = "async") -> tuple[Device, ate.Chain]:
    device = world.device()
    chain = await device.open(recovery=recovery)
    await put(chain, "first")
    await world.stop()
    return device, chain


def test_commits_of_many_tasks_share_commits_and_find_their_place() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        before = chain.commits
        dios = [chain.dio() for _ in range(60)]
        daos = [dio.store(Note(f"{n}")) for n, dio in enumerate(dios)]
        receipts = await asyncio.gather(*(dio.commit() for dio in dios))
        assert chain.commits - before < 20
        for dao, receipt in zip(daos, receipts, strict=True):
            assert dao.seq == receipt.seq
            receipt.proof().check(receipt.chain_root)
            assert (await chain.dio().load(Note, dao.id)).value == dao.value
        assert forwarder_of(chain).landed_count == chain.commits - before + 1
        await chain.close()

    play(main)


def test_a_group_of_which_one_is_refused_lands_without_it() -> None:
    async def main(world: World) -> None:
        a, b = await world.device("one").open(), await world.device("two").open()
        dao = await put(a, "x")
        await b.sync()
        world.net.stall("server", "two", 3.0, both=False)  # it does not hear of the next one
        dio = a.dio()
        (await dio.load(Note, dao.id)).value = Note("a")
        loaded = await dio.load(Note, dao.id)
        loaded.value = Note("a")
        await dio.commit()
        late = b.dio()
        stale = await late.load(Note, dao.id)
        stale.value = Note("b")
        await put(b, "ahead", Durability.NONE)
        answers = await asyncio.gather(
            put(b, "0"), late.commit(), put(b, "1"), put(b, "2"), return_exceptions=True
        )
        assert [type(one).__name__ for one in answers] == ["Dao", "Conflict", "Dao", "Dao"]
        await b.sync()
        assert await texts(b) == ["0", "1", "2", "a", "ahead"]
        await a.close()
        await b.close()

    play(main)


def test_what_must_go_alone_is_made_again_when_somebody_is_faster() -> None:
    async def main(world: World) -> None:
        a, b = await world.device("one").open(), await world.device("two").open()
        await b.sync()

        async def points(chain: ate.Chain) -> None:
            for n in range(4):
                await put(chain, f"{chain.commits} {n}")
                await chain.checkpoint()

        await asyncio.gather(points(a), points(b))
        await asyncio.gather(a.sync(), b.sync())
        assert a.root == b.root
        with pytest.raises(Conflict, match="head"):
            dio = a.dio()
            dio.store(Note("x"))
            await dio.commit(at=1)
        dio = a.dio()
        dio.store(Note("x"))
        assert (await dio.commit(at=a.head)).seq == a.head
        await a.close()
        await b.close()

    play(main)


def test_what_fails_before_it_is_sent_is_told_to_its_author_alone() -> None:
    async def main(world: World) -> None:
        device = world.device()
        chain = await device.open()
        forwarder = forwarder_of(chain)
        prepared = forwarder._pack
        calls: list[int] = []

        async def pack(ready: list[Any]) -> Any:
            calls.append(len(ready))
            if any(draft.body.find(b"bad") >= 0 for one in ready for draft in one.drafts):
                raise Conflict("bad")
            if any(draft.body.find(b"worse") >= 0 for one in ready for draft in one.drafts):
                raise ZeroDivisionError
            return await prepared(ready)

        forwarder._pack = pack  # type: ignore[method-assign]
        answers = await asyncio.gather(
            *(put(chain, text) for text in ("a", "bad", "b")), return_exceptions=True
        )
        assert [type(one).__name__ for one in answers] == ["Dao", "Conflict", "Dao"]
        assert 3 in calls
        with pytest.raises(ZeroDivisionError):
            await put(chain, "worse")
        device.disk.fail("write", OutOfSpace("full"), name="outbox")
        with pytest.raises(OutOfSpace):
            await put(chain, "c")
        await put(chain, "d")
        device.disk.fail("write", OutOfSpace("full"), name="outbox")
        dio = chain.dio()
        dio.store(Note("e"))
        with pytest.raises(OutOfSpace):
            await dio.commit(Durability.LOCAL)
        await dio.commit(Durability.LOCAL)
        await chain.sync()
        assert await texts(chain) == ["a", "b", "d", "e"]
        await chain.close()

    play(main)


@pytest.mark.parametrize("skip", range(8))
def test_a_disk_that_fails_while_commits_wait_doubles_none(skip: int) -> None:
    async def main(world: World) -> None:
        device, chain = await away(world)
        await world.loop.pause(2)
        for n in range(3):
            await put(chain, f"{n}", Durability.LOCAL)
        device.disk.fail("write", OutOfSpace("full"), name="outbox", skip=skip, times=2)
        world.start()
        await chain.sync()
        device.disk.heal()
        if chain.conflicts:
            for setback in chain.conflicts:
                assert isinstance(setback.error, OutOfSpace)
                await setback.overwrite(chain)
        assert await texts(chain) == ["0", "1", "2", "first"]
        await device.kill()
        chain = await device.open()
        await chain.sync()
        assert await texts(chain) == ["0", "1", "2", "first"]
        for setback in chain.conflicts:
            setback.drop()
        await chain.close()

    play(main)


def test_a_flush_that_fails_promises_nothing() -> None:
    async def main(world: World) -> None:
        device, chain = await away(world)
        waiting = asyncio.ensure_future(put(chain, "x"))
        await world.loop.pause(0.1)
        device.disk.fail("sync", StorageError("broken"), name="outbox")
        with pytest.raises(StorageError):
            await waiting
        with pytest.raises(StorageError, match="confirmed"):
            await put(chain, "y")
        device.disk.heal()
        await device.kill()
        world.start()
        chain = await device.open()
        await chain.sync()
        assert await texts(chain) in (["first"], ["first", "x"])
        await chain.close()

    play(main)


def test_what_may_be_kept_under_a_number_is_not_passed_by() -> None:
    """The disk fails when it is about to be sent; others go on, and a later process sends it."""

    async def main(world: World) -> None:
        device, chain = await away(world)
        await put(chain, "waits", Durability.LOCAL)
        device.disk.fail("sync", StorageError("broken"), name="outbox")
        world.start()
        await until(chain, lambda: chain.status.online and not chain.status.pending)
        assert len(chain.conflicts) == 1
        dio = chain.dio()
        dio.store(Note("at a head"))  # kept by no outbox
        await dio.commit(at=chain.head)
        newest = (await world.log())[-1].author
        assert newest.session != forwarder_of(chain)._session_number, "its numbers begin anew"
        device.disk.heal()
        await device.kill()
        chain = await device.open()
        await chain.sync()
        assert chain.conflicts == []
        assert await texts(chain) == ["at a head", "first", "waits"]
        await chain.close()

    play(main)


def test_what_a_full_server_did_not_take_is_sent_again_as_it_was() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        await chain.sync()
        dio = chain.dio()
        dao = dio.store(Note("x"))
        world.disk.fail("write", OutOfSpace("full"), times=1000)
        with pytest.raises(OutOfSpace, match="server"):
            await dio.commit()
        attempt = dio._doubtful
        assert attempt is not None
        assert attempt.is_in_doubt
        world.disk.heal()
        receipt = await dio.commit()
        assert dao.seq == receipt.seq > 0
        assert attempt._transaction is not None
        assert attempt._transaction.outcome is not None, "it landed under its first number"
        assert await texts(chain) == ["x"]
        await chain.close()

    play(main)


def test_what_was_signed_by_a_key_that_has_gone_is_signed_anew() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        forwarder = forwarder_of(chain)
        taken, sent = [], forwarder._send

        def refuse(parcel: Any) -> None:
            sent(parcel)
            if len(taken) < 2:
                taken.append(parcel)
                assert forwarder.carrier is not None
                forwarder.carrier.flights.remove(parcel)  # type: ignore[attr-defined]
                world.loop.call_soon(forwarder.refused, parcel, BadSignature("gone"))

        forwarder._send = refuse  # type: ignore[method-assign]
        with pytest.raises((BadSignature, Disconnected)):
            await put(chain, "x")
        assert len(taken) == 2
        await chain.close()

    play(main)


def test_what_has_landed_and_was_compacted_since_is_told() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        forwarder = forwarder_of(chain)
        sent = forwarder._send

        def passes(parcel: Any) -> None:
            sent(parcel)
            assert forwarder.carrier is not None
            forwarder.carrier.flights.remove(parcel)  # type: ignore[attr-defined]
            world.loop.call_soon(forwarder.passed, parcel)

        forwarder._send = passes  # type: ignore[method-assign]
        with pytest.raises(Compacted):
            await put(chain, "x")
        await put(chain, "y", Durability.LOCAL)
        while forwarder.pending:
            await world.loop.pause(0.01)
        await chain.sync()
        assert len(forwarder.parking.overlay) == 0
        assert len(forwarder.outbox) == 0
        await chain.close()

    play(main)


def test_work_that_must_be_alone_waits_its_turn_and_ends_with_the_chain() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        forwarder = forwarder_of(chain)

        async def work() -> int:
            assert len(forwarder.moving) == 0
            return 7

        answers = await asyncio.gather(put(chain, "a"), forwarder.run_alone(work), put(chain, "b"))
        assert answers[1] == 7
        world.net.cut("one", "server")
        waiting = asyncio.ensure_future(put(chain, "c"))
        await world.loop.pause(0.01)
        errand = asyncio.ensure_future(forwarder.run_alone(work))
        await world.loop.pause(0.01)
        await chain.close()
        with pytest.raises(UsageError, match="closed"):
            await errand
        with pytest.raises(Disconnected, match="may have landed"):
            await waiting
        with pytest.raises(UsageError, match="closed"):
            await forwarder.submit([], None, Durability.LOCAL, None)
        with pytest.raises(UsageError, match="closed"):
            await forwarder.run_alone(work)

    play(main)


def test_without_a_server_only_the_async_mode_goes_on() -> None:
    async def main(world: World) -> None:
        _, chain = await away(world, "readonly-async")
        waiting = asyncio.ensure_future(put(chain, "x"))
        with pytest.raises((Offline, Disconnected)):
            await waiting
        with pytest.raises(Offline):
            await forwarder_of(chain).submit_made(list, chain.session, Durability.FULL)
        await chain.close()

    play(main)


@pytest.mark.parametrize("durability", [Durability.FULL, Durability.LOCAL])
def test_of_what_is_on_its_way_a_refusal_hits_one(durability: Durability) -> None:
    async def main(world: World) -> None:
        a, b = await world.device("one").open(), await world.device("two").open()
        dao = await put(a, "base")
        await a.sync()
        await b.sync()
        world.net.stall("server", "two", 2.0, both=False)  # it does not hear of the next one
        dio = a.dio()
        loaded = await dio.load(Note, dao.id)
        loaded.value = Note("a")
        await dio.commit()
        tasks = []
        for n in range(12):
            dio = b.dio()
            if n == 3:
                loaded = await dio.load(Note, dao.id)
                loaded.value = Note("b")
            else:
                dio.store(Note(f"{n:02}"))
            tasks.append(asyncio.ensure_future(dio.commit(durability)))
            await world.loop.pause(0)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        await b.sync()
        lost = [n for n, one in enumerate(answers) if isinstance(one, Conflict)]
        assert lost == ([3] if durability == Durability.FULL else [])
        assert len(b.conflicts) == (durability == Durability.LOCAL)
        assert await texts(b) == [f"{n:02}" for n in range(12) if n != 3] + ["a"]
        await a.close()
        await b.close()

    play(main)


def test_a_group_that_was_adopted_goes_apart_when_it_is_refused() -> None:
    async def main(world: World) -> None:
        device = world.device()
        chain = await device.open()
        await chain.sync()
        forwarder = forwarder_of(chain)
        dios = [chain.dio() for _ in range(4)]
        for n, dio in enumerate(dios):
            dio.store(Note(f"{n}"))
        waiting = [asyncio.ensure_future(dio.commit()) for dio in dios]
        await world.loop.pause(0)
        await world.loop.pause(0)
        await world.stop()
        await asyncio.gather(*waiting)
        parcels = list(forwarder.moving)
        assert [len(one.group) for one in parcels if one.adopted] == [len(dios)] or len(parcels) > 1
        for how in ("refused", "skipped"):
            for parcel in list(forwarder.moving):
                assert forwarder.carrier is not None
                forwarder.carrier.flights.remove(parcel)  # type: ignore[attr-defined]
                if how == "refused":
                    forwarder.refused(parcel, Conflict("one of them"))
                else:
                    forwarder.skipped([parcel])
        assert [one.state for one in forwarder.outbox.entries] == ["waiting"] * 4
        world.start()
        await chain.sync()
        assert chain.conflicts == []
        assert await texts(chain) == ["0", "1", "2", "3"]
        assert len(forwarder.outbox) == 0
        await chain.close()

    play(main)


def test_what_cannot_wait_is_told_without_a_connection_and_lands_with_one() -> None:
    async def main(world: World) -> None:
        device, chain = await away(world)
        await world.loop.pause(2)
        for more in ({"at": 4}, {"lease": Guarded()}):
            dio = chain.dio()
            dio.store(Note("x"))
            with pytest.raises(Offline, match="cannot wait"):
                await dio.commit(**more)  # type: ignore[arg-type]
        with pytest.raises(Offline, match="cannot wait"):
            await chain.checkpoint()
        world.start()
        await chain.sync()
        await asyncio.gather(chain.checkpoint(), put(chain, "y"), chain.checkpoint())
        forwarder = forwarder_of(chain)
        for tries in (2, 99):  # somebody is faster, so often
            sent, count = forwarder._send, [0]

            def refuse(
                parcel: Any, tries: int = tries, count: Any = count, sent: Any = sent
            ) -> None:
                count[0] += 1
                if count[0] > tries:
                    sent(parcel)
                    return
                forwarder.moving.add(parcel)
                world.loop.call_soon(forwarder.refused, parcel, Conflict("head"))

            forwarder._send = refuse  # type: ignore[method-assign]
            if tries == 2:
                await chain.checkpoint()
            else:
                with pytest.raises(Conflict):
                    await chain.checkpoint()
            forwarder._send = sent  # type: ignore[method-assign]
        await chain.close()
        assert device

    play(main)


class Guarded:
    guards = ((bytes(16), 1),)


async def test_a_copy_that_is_only_read_takes_no_commits() -> None:
    async with ate.open("c", memory=True) as chain:
        forwarder = Forwarder(chain._ledger, 0, 1, Outbox.in_memory())
        chain._ledger.store.readonly = True
        with pytest.raises(ReadOnly):
            await forwarder.submit([], None, Durability.FULL, None)
        chain._ledger.store.readonly = False
