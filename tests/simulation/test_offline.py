"""Chains without a server: what each recovery mode allows, and that nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.shared import NAME, Device, Note, World, play, put, texts, until

import ate
from ate import Durability
from ate.dio.remote import RECOVERY
from ate.errors import (
    AteError,
    CannotOpen,
    Conflict,
    Deleted,
    Disconnected,
    NotFound,
    Offline,
    OutOfSpace,
    TimedOut,
    UsageError,
)  # fmt: skip
from ate.session import Session
from ate.testing.platter import STYLES


async def offline(world: World, *options: Any, **more: Any) -> tuple[Device, ate.Chain]:
    """Return a chain that has just lost its server."""
    device = world.device()
    chain = await device.open(**more)
    await world.stop()
    await world.loop.pause(2)
    assert not chain.status.online
    return device, chain


@pytest.mark.parametrize("recovery", RECOVERY)
def test_each_mode_does_without_a_server_what_it_says(recovery: str) -> None:
    async def main(world: World) -> None:
        device = world.device()
        with pytest.raises(Offline, match="cannot reach"):  # there is nothing here to go on with
            await device.open(recovery=recovery, connection={"timeout_s": 1.0})
        world.start()
        chain = await device.open(recovery=recovery)
        await put(chain, "a")
        await world.stop()
        await world.loop.pause(2)
        if recovery == "sync":
            with pytest.raises(Offline, match="read with one only"):
                await texts(chain)
        else:
            assert await texts(chain) == ["a"]
        for durability in Durability:
            dio = chain.dio()
            dio.store(Note(durability.name))
            if recovery == "async":
                assert (await dio.commit(durability)).is_pending
            else:
                with pytest.raises(Offline, match="takes no commits"):
                    await dio.commit(durability)
                assert dio.has_changes
        await chain.close()
        opening = device.open(recovery=recovery, connection={"timeout_s": 1.0})
        if recovery in ("sync", "readonly-sync"):
            with pytest.raises(Offline, match="cannot reach"):
                await opening
        else:
            chain = await opening
            kept = ["FULL", "LOCAL", "NONE", "a"] if recovery == "async" else ["a"]
            assert await texts(chain) == kept
            await chain.close()
        world.start()
        chain = await device.open(recovery=recovery)
        await put(chain, "b")
        await chain.sync()
        assert await texts(chain) == ([*kept, "b"] if recovery == "async" else ["a", "b"])
        await chain.close()

    play(main, starts=False)


@pytest.mark.parametrize("recovery", RECOVERY)
def test_a_commit_that_waits_for_a_dead_server_is_told_within_two_seconds(recovery: str) -> None:
    async def main(world: World) -> None:
        chain = await world.device().open(recovery=recovery)
        await put(chain, "before")
        waiting = asyncio.ensure_future(put(chain, "during"))
        await world.loop.pause(0)
        await world.stop()
        died = world.loop.time()
        if recovery == "async":
            await waiting
            assert chain.status.pending == 1
        else:
            with pytest.raises(Disconnected, match="may have landed"):
                await waiting
            with pytest.raises(Offline):
                await put(chain, "after")
        assert world.loop.time() - died < 2
        world.start()
        await chain.sync()
        found = await texts(chain)
        # It had reached the server, or not: nothing is sent once its author was told.
        assert found in (["before"], ["before", "during"]) or recovery == "async"
        if recovery == "async":
            assert found == ["before", "during"]
        await chain.close()

    play(main)


@pytest.mark.parametrize("style", [None, *STYLES])
def test_a_chain_of_versions_survives_any_number_of_kills(style: Any) -> None:
    async def main(world: World) -> None:
        device, chain = await offline(world)
        dao = await put(chain, "v0")
        other = await put(chain, "other")
        for n in range(1, 6):
            dio = chain.dio()
            mine = await dio.load(Note, dao.id)
            mine.value.text = f"v{n}"
            mine.value = mine.value
            await dio.commit(Durability.LOCAL)
        await device.kill(*([style] if style else []))
        world.start()
        for at in range(12):  # ends while some have landed and others wait
            chain = await device.open()
            await world.loop.pause(0.003 * at)
            await device.kill()
        chain = await device.open()
        await chain.sync()
        assert chain.conflicts == []
        assert await texts(chain) == ["other", "v5"]
        rows = [bytes(one.id) for r in await world.log() for one in map(r.row, range(r.row_count))]
        assert rows.count(bytes(dao.id)) == 6
        assert rows.count(bytes(other.id)) == 1
        assert [v.value.text async for v in chain.dio().history(dao.id, Note)] == [
            f"v{n}" for n in range(5, -1, -1)
        ]
        assert chain._remote is not None
        assert len(chain._remote.forwarder.outbox) == 0
        await chain.close()

    play(main)


def test_what_waits_is_seen_as_if_it_had_landed() -> None:
    async def main(world: World) -> None:
        device = world.device()
        chain = await device.open()
        top = await put(chain, "top")
        old = await put(chain, "old")
        await world.stop()
        await world.loop.pause(2)
        dio = chain.dio()
        parent = dio.store(Note("parent"))
        child = dio.store(Note("child"), parent=parent)
        dio.store(Note("below"), parent=top.id)
        dio.delete(old.id)
        await dio.commit()
        for _ in range(2):
            dio = chain.dio()
            assert await texts(chain) == ["below", "child", "parent", "top"]
            assert [d.value.text async for d in dio.children(parent.id, Note)] == ["child"]
            assert [d.value.text async for d in dio.children(top.id, Note)] == ["below"]
            assert sorted([d.value.text async for d in dio.roots(Note)]) == ["parent", "top"]
            assert await dio.exists(child.id)
            assert not await dio.exists(old.id)
            with pytest.raises(Deleted):
                await dio.load(Note, old.id)
            with pytest.raises(Deleted):
                dio.delete(old.id)
            await chain.close()
            chain = await device.open()  # and also in the next process
        world.start()
        await chain.sync()
        assert await texts(chain) == ["below", "child", "parent", "top"]
        await world.stop()
        await world.loop.pause(2)
        dio = chain.dio()
        more = dio.store(Note("more"), parent=parent.id)
        await dio.commit()
        dio = chain.dio()
        dio.delete(parent.id)
        await dio.commit()
        assert await texts(chain) == ["below", "top"]
        dio = chain.dio()
        dio.store(Note("orphan"), parent=parent.id)
        with pytest.raises(Conflict, match="parent"):
            await dio.commit()
        world.start()
        await chain.sync()
        assert chain.conflicts == []
        assert await texts(chain) == ["below", "top"]
        assert not await chain.dio().exists(more.id)
        await chain.close()

    play(main)


def test_an_object_that_was_deleted_offline_can_be_stored_again() -> None:
    async def main(world: World) -> None:
        device = world.device()
        chain = await device.open()
        dao = await put(chain, "first")
        await world.stop()
        await world.loop.pause(2)
        dio = chain.dio()
        dio.delete(dao.id)
        await dio.commit()
        dio = chain.dio()
        dio.store(Note("second"), id=dao.id)
        await dio.commit()
        assert await texts(chain) == ["second"]
        world.start()
        await chain.sync()
        assert chain.conflicts == []
        assert await texts(chain) == ["second"]
        await chain.close()

    play(main)


async def both_change(world: World, mine: str, theirs: str | None) -> tuple[Device, Any, Any, Any]:
    """Return two chains whose clients changed one object, the first one offline."""
    one, two = world.device("one"), world.device("two")
    a, b = await one.open(), await two.open()
    dao = await put(a, "base")
    await b.sync()
    world.net.cut("one", "server")
    world.net.reset("one", "server")
    await world.loop.pause(2)
    for chain, text in ((a, mine), (b, theirs)):
        dio = chain.dio()
        loaded = await dio.load(Note, dao.id)
        if text is None:
            loaded.delete()
        elif chain is a:
            loaded.value = Note(text, loaded.value.n)
        else:
            loaded.value = Note(loaded.value.text, 7)
        await dio.commit()
    return one, a, b, dao


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("way", ["merge", "overwrite", "drop"])
def test_a_lost_update_is_somebodys_to_decide(way: str, restarts: bool) -> None:
    async def main(world: World) -> None:
        one, a, b, dao = await both_change(world, "mine", "theirs")
        dio = a.dio()
        second = await dio.load(Note, dao.id)
        assert second.value == Note("mine", 0)
        second.value = Note("mine, again", 0)  # stands on what will be refused
        await dio.commit()
        world.net.heal()
        await a.sync()
        assert (await a.dio().load(Note, dao.id)).value == Note("base", 7)
        first, later = a.conflicts
        assert isinstance(first.error, Conflict)
        assert isinstance(later.error, Conflict)
        assert a.status.conflicts == 2
        if restarts:
            await one.kill()
            a = await one.open()
            await a.sync()
            first, later = a.conflicts
            assert isinstance(later.error, Conflict)
        assert first.changes[0].value(Note) == Note("mine", 0)
        with pytest.raises(Conflict, match="refused as well"):
            await later.merge(a, Note)
        later.drop()
        if way == "merge":
            with pytest.raises(UsageError, match="type"):
                await first.merge(a)
            await first.merge(a, Note)
            expected = Note("mine", 7)
        elif way == "overwrite":
            await first.overwrite(a)
            expected = Note("mine", 0)
        else:
            first.drop()
            expected = Note("base", 7)
        assert a.conflicts == []
        await b.sync()
        assert (await b.dio().load(Note, dao.id)).value == expected
        await one.kill()
        a = await one.open()
        assert a.conflicts == []
        await a.close()
        await b.close()

    play(main)


def test_a_change_of_what_was_deleted_meanwhile_can_be_stored_anew_or_dropped() -> None:
    async def main(world: World) -> None:
        _, a, b, _ = await both_change(world, "mine", None)
        world.net.heal()
        await a.sync()
        (setback,) = a.conflicts
        with pytest.raises(Conflict, match="deleted"):
            await setback.merge(a, Note)
        assert a.conflicts == [setback]
        assert "1 changes" in repr(setback)
        setback.drop()
        await a.close()
        await b.close()

    play(main)


@pytest.mark.parametrize("how", ["merge", "last"])
def test_commits_offline_that_say_what_to_do_about_conflicts(how: str) -> None:
    async def main(world: World) -> None:
        _, chain = await offline(world)
        dao = await put(chain, "a")
        first, second = chain.dio(), chain.dio()
        one, two = await first.load(Note, dao.id), await second.load(Note, dao.id)
        one.value, two.value = Note("one", 0), Note("a", 2)
        await first.commit()
        with pytest.raises(Conflict):
            await second.commit()
        await second.commit(on_conflict=how)
        expected = Note("one", 2) if how == "merge" else Note("a", 2)
        assert (await chain.dio().load(Note, dao.id)).value == expected
        world.start()
        await chain.sync()
        assert chain.conflicts == []
        assert (await chain.dio().load(Note, dao.id)).value == expected
        await chain.close()

    play(main)


def test_what_needs_the_server_says_so() -> None:
    async def main(world: World) -> None:
        _, chain = await offline(world)
        session = chain.session
        assert session is not None
        with pytest.raises(Offline, match="cannot wait for one"):
            await chain.set_role("editors", [session.public])
        with pytest.raises(Offline, match="cannot wait for one"):
            await chain.checkpoint()
        dio = chain.dio()
        dio.store(Note("x"))
        with pytest.raises(Offline, match="cannot wait for one"):
            await dio.commit(at=chain.head)
        with pytest.raises((Offline, TimedOut)):
            async with chain.lease("pen", wait_s=1):
                pass
        other = chain.dio(Session.new("other"))
        other.store(Note("x"))
        with pytest.raises(Offline, match="cannot wait for one"):
            await other.commit()
        assert chain.status.pending == 0
        await chain.close()

    play(main)


def test_only_the_session_that_committed_it_goes_on_with_an_outbox() -> None:
    async def main(world: World) -> None:
        device, chain = await offline(world)
        await put(chain, "mine")
        await chain.close()
        for who in (Session.new("bob"), None):
            with pytest.raises(CannotOpen):
                await device.open(session=who)
        world.start()
        chain = await device.open()
        await chain.sync()
        assert await texts(chain) == ["mine"]
        await chain.close()

    play(main)


def test_a_damaged_outbox_is_told_and_left_alone() -> None:
    async def main(world: World) -> None:
        device, chain = await offline(world)
        await put(chain, "mine")
        await put(chain, "too")
        await chain.close()
        path = f"/d/{NAME}/outbox"
        file = device.disk.open(path)
        before = bytes(file.pread(1 << 20, 0))
        file.pwrite([b"\xff" * 8], 60)
        file.datasync()
        file.close()
        with pytest.raises(AteError, match="damaged"):
            await device.open()
        file = device.disk.open(path)
        file.pwrite([before], 0)
        file.datasync()
        file.close()
        world.start()
        chain = await device.open()
        await chain.sync()
        assert await texts(chain) == ["mine", "too"]
        await chain.close()

    play(main)


def test_a_chain_that_is_not_there_is_made_only_when_asked() -> None:
    async def main(world: World) -> None:
        device = world.device()
        with pytest.raises(NotFound):
            await device.open(create=False, memory=True)
        with pytest.raises(NotFound):
            await device.open(create=False)
        chain = await world.device("two").open()
        await put(chain, "a")
        other = await world.device("three").open(create=False, memory=True)
        assert await texts(other) == ["a"]
        await other.close()
        await chain.close()

    play(main)


async def edits(chain: ate.Chain, count: int) -> dict[bytes, list[str]]:
    """Commit one by one: new objects, then a new version of every second one."""
    versions: dict[bytes, list[str]] = {}
    for n in range(count):
        dio = chain.dio()
        if n >= 2 * count // 3:
            dao = await dio.load(Note, list(versions)[2 * n - 4 * count // 3])
            dao.value = Note(f"{n}")
        else:
            dao = dio.store(Note(f"{n}"))
        await dio.commit(Durability.LOCAL)
        versions.setdefault(bytes(dao.id), []).insert(0, f"{n}")
    return versions


async def check_once(world: World, chain: ate.Chain, versions: dict[bytes, list[str]]) -> None:
    """Raise unless every commit is in the chain, once, each version on the one before it."""
    assert chain.conflicts == []
    rows = [bytes(one.id) for r in await world.log() for one in map(r.row, range(r.row_count))]
    for object_id, said in versions.items():
        dio = chain.dio()
        assert rows.count(object_id) == len(said)
        found = [version.value.text async for version in dio.history(object_id, Note)]
        assert found == said
    assert chain._remote is not None
    assert len(chain._remote.forwarder.outbox) == 0
    assert len(chain._remote.forwarder.parking.overlay) == 0


def test_what_waited_leaves_together_and_finds_its_place() -> None:
    async def main(world: World) -> None:
        _, chain = await offline(world)
        versions = await edits(chain, 90)
        held = {one: await chain.dio().load(Note, one) for one in versions}
        before = chain.commits
        world.start()
        await chain.sync()
        assert chain.commits - before == 2
        await check_once(world, chain, versions)
        for object_id, dao in held.items():  # loaded while it waited: its seq is known by now
            dio = chain.dio()
            now = await dio.load(Note, object_id)
            assert chain._remote is not None
            assert chain._remote.forwarder.parking.overlay.real(dao.seq) == now.seq
        await chain.close()

    play(main)


@pytest.mark.parametrize("style", [None, *STYLES])
@pytest.mark.parametrize("moment", ["kept, not sent", "sent, not answered", "landed", "any"])
def test_a_crash_while_much_leaves_together_doubles_and_loses_nothing(
    moment: str, style: Any
) -> None:
    async def main(world: World) -> None:
        device, chain = await offline(world)
        versions = await edits(chain, 60)
        assert chain._remote is not None
        forwarder = chain._remote.forwarder
        sent: list[int] = []
        if moment == "kept, not sent":
            assert forwarder.carrier is not None
            forwarder.carrier.send = lambda parcel: sent.append(len(parcel.group))  # type: ignore[method-assign]
        world.start()
        if moment == "sent, not answered":
            while not forwarder.moving:
                await world.loop.pause(0.0005)
            sent += [len(parcel.group) for parcel in forwarder.moving]
            world.net.stall("server", "one", 30.0, both=False)
            await world.loop.pause(0.05)
        elif moment == "landed":
            while forwarder.landed_count < 3:
                await world.loop.pause(0.0005)
        else:
            while not (sent or forwarder.moving):
                await world.loop.pause(0.0005)
        assert moment in ("landed", "any") or max(sent) > 20
        await device.kill(*([style] if style else []))
        world.net.heal()
        for at in range(6 if moment == "any" else 0):
            chain = await device.open()
            await world.loop.pause(0.0007 * at)
            await device.kill(*([style] if style else []))
        chain = await device.open()
        await chain.sync()
        await check_once(world, chain, versions)
        await chain.close()

    play(main)


@pytest.mark.parametrize("restarts", [False, True])
def test_of_many_that_leave_together_one_comes_back(restarts: bool) -> None:
    """The server knows of a change that this client does not when it sends."""

    async def main(world: World) -> None:
        one, two = world.device("one"), world.device("two")
        a, b = await one.open(), await two.open()
        dao = await put(a, "base")
        await b.sync()
        await world.stop()
        await world.loop.pause(2)
        versions: dict[bytes, list[str]] = {}
        for n in range(30):
            dio = b.dio()
            if n == 11:
                loaded = await dio.load(Note, dao.id)
                loaded.value = Note("mine")
            else:
                versions[bytes(dio.store(Note(f"{n}")).id)] = [f"{n}"]
            await dio.commit(Durability.LOCAL)
        assert b._remote is not None
        held: list[Any] = []
        carrier = b._remote.link
        send, carrier.send = carrier.send, held.append  # type: ignore[method-assign]
        world.start()
        while not held:
            await world.loop.pause(0.01)
        (parcel,) = held
        assert len(parcel.group) == 30
        await a.sync()
        dio = a.dio()
        loaded = await dio.load(Note, dao.id)
        loaded.value = Note("theirs")
        await dio.commit()
        if restarts:
            await two.kill()
            b = await two.open()
        else:
            carrier.send = send  # type: ignore[method-assign]
            send(parcel)
        await b.sync()
        (setback,) = b.conflicts
        assert setback.changes[0].value(Note) == Note("mine")
        setback.drop()
        await check_once(world, b, versions)
        await a.close()
        await b.close()

    play(main)


def test_a_server_without_room_keeps_serving_and_takes_commits_when_there_is_some() -> None:
    async def main(world: World) -> None:
        a, b = await world.device("one").open(), await world.device("two").open()
        dao = await put(a, "before")
        await b.sync()
        world.disk.fail("write", OutOfSpace("no space left on device"), times=-1)
        head = a.head
        dio = a.dio()
        mine = dio.store(Note("large " * 20_000))
        dio.store(Note("small"))
        for _ in range(3):
            began = world.loop.time()
            with pytest.raises(OutOfSpace, match="the server's disk is full"):
                await dio.commit()
            assert world.loop.time() - began < 1
            assert dio.has_changes
        assert a.status.trouble == ""
        for n in range(5):  # promised: it waits
            kept = await put(a, f"kept {n}", Durability.LOCAL)
        await until(a, lambda: bool(a.status.trouble))
        assert a.status.online
        assert a.status.trouble == "the server's disk is full"
        assert a.status.pending == 5
        with pytest.raises(OutOfSpace):  # also behind what waits
            await dio.commit()
        again = a.dio()
        loaded = await again.load(Note, kept.id)
        loaded.value = Note("kept 4", 1)
        with pytest.raises(OutOfSpace):  # and when it builds on that
            await again.commit()
        assert again.has_changes
        with pytest.raises(TimedOut, match="disk is full"):
            await a.sync(10)
        assert a.status.pending == 5
        c = await world.device("three").open()  # a reader who comes now
        for chain in (a, b, c):
            assert (await chain.dio().load(Note, dao.id)).value == Note("before")
        assert (b.head, c.head) == (head, head)
        world.disk.heal()
        await a.sync()
        assert a.status.trouble == ""
        await dio.commit()
        await again.commit()
        assert (await a.dio().load(Note, kept.id)).value == Note("kept 4", 1)
        await asyncio.gather(b.sync(), c.sync())
        for chain in (a, b, c):
            assert await texts(chain) == sorted(
                ["before", *(f"kept {n}" for n in range(5)), "large " * 20_000, "small"]
            )
            assert chain.conflicts == []
        assert mine.seq
        for chain in (a, b, c):
            await chain.close()

    play(main)


def test_what_waits_for_room_outlives_its_process() -> None:
    async def main(world: World) -> None:
        device, chain = await offline(world)
        versions = await edits(chain, 12)
        world.net.cut("one", "server")
        world.start()
        other = await world.device("two").open()
        world.disk.fail("write", OutOfSpace("no space left on device"), times=-1)
        world.net.heal()
        await until(chain, lambda: bool(chain.status.trouble) and chain.status.online)
        await device.kill()
        chain = await device.open()
        await until(chain, lambda: bool(chain.status.trouble) and chain.status.online)
        assert chain.status.pending == 12
        world.disk.heal()
        await chain.sync()
        await check_once(world, chain, versions)
        await chain.close()
        await other.close()

    play(main)
