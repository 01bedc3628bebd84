"""A fork holds what was there: same ids, places, values and rules, under a genesis of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import ate
from ate.chain.verify import verify
from ate.chain.view import View
from ate.client import Chain
from ate.dio.fork import Fork, fork_of
from ate.errors import (
    Compacted,
    Conflict,
    Deleted,
    NoReadKey,
    NotFound,
    OutOfSpace,
    UsageError,
    WriteDenied,
)
from ate.event.commit import Record
from ate.event.draft import Draft
from ate.event.row import CODEC_ZSTD, Kind
from ate.ids import ROOT, ObjectId
from ate.log.local import LocalLog
from ate.session import Session
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member
from ate.trust.compression import Zstd

#: id → (parent, collection, value, rule) of all objects.
Objects = dict[bytes, tuple[bytes, int, Any, ate.Access]]


@dataclass
class Box:
    label: str
    things: ate.Vec[str]


class WithoutRow2(View):
    """A view of a chain that dropped its second row, and with it a commit."""

    def record(self, place: int) -> Record:
        record = super().record(place)
        if record.first_seq == 2:
            raise Compacted("dropped")
        return record


class Play:
    """A disk with chains on it."""

    def __init__(self) -> None:
        self.disk, self.clock = SimDisk(), SimClock(tick_us=1_000_000)

    @asynccontextmanager
    async def open(
        self, name: str, who: Session | None = None, **more: Any
    ) -> AsyncIterator[Chain]:
        parts: dict[str, Any] = {"path": "/c", "disk": self.disk, "clock": self.clock}
        async with ate.open(name, session=who, **parts, **more) as chain:
            yield chain

    async def fork(self, chain: Chain, name: str = "f", **options: Any) -> Fork:
        return await chain.fork(name, path="/c", disk=self.disk, **options)

    async def objects(self, name: str, who: Session | None = None, **more: Any) -> Objects:
        async with self.open(name, who, create=False, **more) as chain:
            return await objects_of(chain)

    async def check(self, name: str) -> None:
        store = LocalLog.open(f"/c/{name}", disk=self.disk, readonly=True)
        found = await verify(store)
        store.close()
        assert found.ok, found.problems

    def chains(self) -> list[str]:
        return self.disk.listdir("/c")


async def objects_of(chain: Chain) -> Objects:
    return {dao.id: (*dao.place, dao.value, dao.access) async for dao in chain.dio().all(object)}


@pytest.fixture
def play() -> Play:
    return Play()


async def test_a_fork_is_what_was_there(play: Play) -> None:
    async with play.open("s") as chain:
        dio = chain.dio()
        box = dio.store(Box("a", ate.Vec()))
        note = dio.store("note")
        await dio.commit()
        thing = box.value.things.push("thing")
        note.move(box)
        await dio.commit()
        dio.store(b"x" * 100_000, parent=thing)
        first = await objects_of(chain)
        await dio.commit()
        at, then = chain.head, await objects_of(chain)
        when = chain.dio()
        (await when.load(str, note.id)).value = "changed"
        when.delete(box.id)
        when.store("later")
        await when.commit()
        root = (await when.commit() if when.has_changes else None) or chain.root
        made = await play.fork(chain, at=at)
        assert (made.name, made.seq, made.objects, made.left_out) == ("f", at, len(then), 0)
        assert made.id != chain.id
        assert len(first) < len(then)
        now = await play.fork(chain, "now")
        assert (now.seq, now.objects) == (chain.head, len(await objects_of(chain)))
    assert await play.objects("f") == then
    async with play.open("f") as fork:
        assert fork.id == made.id
        (shelf,) = [dao async for dao in fork.dio().roots(Box)]
        assert [dao.value async for dao in shelf.value.things] == ["thing"]
        genesis = fork._ledger.view.trust.genesis
        assert genesis is not None
        told = fork_of(genesis.policy)
        assert told is not None
        assert told.items() >= {"chain": chain.id.hex(), "name": "s", "seq": at}.items()
        assert told["root"] != root.hex()
        dio = fork.dio()
        dio.store("it goes on", parent=note.id)
        await dio.commit()
    async with play.open("now") as fork:
        genesis = fork._ledger.view.trust.genesis
        assert genesis is not None
        assert genesis.policy["fork"]["root"] == root.hex()
    await play.check("f")
    assert play.chains() == ["f", "now", "s"]
    assert fork_of({"fork": "x"}) is None


async def test_order_of_creation_is_kept(play: Play) -> None:
    async with play.open("s") as chain:
        ids = []
        for number in range(6):
            dio = chain.dio()
            ids.append(dio.store(number).id)
            await dio.commit()
        dio = chain.dio()
        for number in (4, 1, 0):  # below something younger
            (await dio.load(int, ids[number])).move(ids[5])
        await dio.commit()
        (await dio.load(int, ids[2])).value = 22
        await dio.commit()
        await play.fork(chain)
    async with play.open("f") as fork:
        dio = fork.dio()
        assert [dao.value async for dao in dio.roots(int)] == [22, 3, 5]
        assert [dao.value async for dao in dio.children(ids[5], int)] == [0, 1, 4]


async def test_many_objects_go_in_portions(play: Play) -> None:
    async with play.open("s") as chain:
        for start in range(0, 9000, 3000):
            dio = chain.dio()
            for number in range(start, start + 3000):
                dio.store(number)
            await dio.commit()
        dio = chain.dio()
        for _ in range(3):
            dio.store(bytes(4 << 20))
        await dio.commit()
        steps: list[tuple[int, int]] = []
        made = await play.fork(chain, advance=lambda done, total: steps.append((done, total)))
        there = await objects_of(chain)
    assert steps[-1] == (9003, 9003)
    assert len(steps) > 3
    assert steps == sorted(steps)
    assert await play.objects("f") == there
    async with play.open("f") as fork:
        assert fork.commits > 4
        assert made.objects == len(fork)


async def test_rules_and_roles_come_along(play: Play) -> None:
    alice, bob, carol = member("alice"), member("bob"), member("carol")
    async with play.open("s", alice) as chain:
        await chain.set_role("Staff", [alice.public, bob.public, carol.public])
        dio = chain.dio()
        staff = dio.store("staff", access=ate.Access(ate.Only("Staff"), ate.Any("Staff")))
        inner = dio.store("inner", parent=staff, access=ate.Access(write=ate.Nobody))
        dio.store("leaf", parent=inner)
        dio.store("mine", access=ate.Access(ate.Only(alice.public), ate.Any(alice.public)))
        dio.store("all", access=ate.Access(ate.Everyone, ate.Everyone))
        await dio.commit()
        await chain.set_access(ate.Access(ate.Only("Staff", alice.public), ate.Any("Staff")))
        await chain.set_role("Staff", [alice.public, bob.public])
        there = await objects_of(chain)
        await play.fork(chain)
    assert await play.objects("f", alice) == there
    await play.check("f")
    async with play.open("f", bob) as fork:
        dio = fork.dio()
        assert [dao.value async for dao in dio.all(str)].count("mine") == 0
        dio.store("from bob", parent=staff.id)
        await dio.commit()
        dio.store("from bob", parent=inner.id)
        with pytest.raises(WriteDenied):
            await dio.commit()
    async with play.open("f", carol) as fork:  # left the role before
        with pytest.raises(NoReadKey):
            await fork.dio().load(str, staff.id)
        dio = fork.dio()
        dio.store("from carol", parent=staff.id)
        with pytest.raises((WriteDenied, NoReadKey)):
            await dio.commit()


async def test_the_rule_of_the_chain_is_that_of_the_moment(play: Play) -> None:
    alice, bob = member("alice"), member("bob")
    public = ate.Access(ate.Everyone, ate.Any(alice.public, bob.public))
    async with play.open("s", alice, access=public) as chain:
        dio = chain.dio(bob)
        key = dio.store("public").id
        await dio.commit()
        at = chain.head
        await chain.set_access(ate.Access())
        await play.fork(chain, at=at)
        await play.fork(chain, "now")
    async with play.open("f", bob) as fork:
        assert (await fork.dio().load(str, key)).value == "public"
        dio = fork.dio()
        dio.store("more")
        await dio.commit()
    async with play.open("now", bob) as fork:
        with pytest.raises(NoReadKey):
            await fork.dio().load(str, key)


async def test_a_rule_may_lock_the_founder_out_of_the_fork(play: Play) -> None:
    alice, bob = member("alice"), member("bob")
    async with play.open("s", alice, access=ate.Access(write=ate.Any(bob.public))) as chain:
        dio = chain.dio(bob)
        dio.store("public", access=ate.Access(ate.Everyone))
        await dio.commit()
        await play.fork(chain)
    async with play.open("f", alice) as fork:
        dio = fork.dio()
        dio.store("root is not named")
        with pytest.raises(WriteDenied):
            await dio.commit()


async def test_what_cannot_be_read_is_not_silently_lost(play: Play) -> None:
    alice, bob = member("alice"), member("bob")
    async with play.open("s", alice) as chain:
        dio = chain.dio()
        box = dio.store("sealed", access=ate.Access(ate.Only(alice.public)))
        dio.store("open below", parent=box, access=ate.Access(ate.Everyone))
        top = dio.store("open", access=ate.Access(ate.Everyone))
        await dio.commit()
        with pytest.raises(NoReadKey, match=r"1 cannot be read .* 1 hang below those"):
            await play.fork(chain, session=bob)
        assert play.chains() == ["s"]
        made = await play.fork(chain, session=bob, skip_unreadable=True)
        assert (made.objects, made.left_out) == (1, 2)
    assert list(await play.objects("f", bob)) == [top.id]


async def test_what_hangs_below_nothing_is_told(play: Play) -> None:
    async with play.open("s") as chain:
        dio = chain.dio()
        above = dio.store("above")
        below = dio.store("below", parent=above)
        await dio.commit()
        seq = chain._ledger.view.index.locate(above.id)
        row = Draft(int(Kind.TOMBSTONE), above.id, bytes(ROOT), 0, seq, seq, 0, 0, b"")
        await chain._writer.submit([row], None, chain.durability, None)  # not what `delete` does
        assert await chain.dio().exists(below.id)
        with pytest.raises(Deleted, match="1 hang below something deleted"):
            await play.fork(chain)
        assert (await play.fork(chain, skip_unreadable=True)).left_out == 1


async def test_a_chain_without_keys_gets_some(play: Play) -> None:
    alice = member("alice")
    async with play.open("s") as chain:
        dio = chain.dio()
        dio.store("plain", access=ate.Access(write=ate.Any(alice.public)))
        await dio.commit()
        there = await objects_of(chain)
        await play.fork(chain, session=alice)
        await play.fork(chain, "plain")
    assert await play.objects("f", alice) == await play.objects("plain") == there
    async with play.open("f") as fork:
        assert [dao async for dao in fork.dio().all(str)] == []


async def test_a_signed_chain_is_forked_by_somebody(play: Play) -> None:
    async with play.open("s", member("alice")) as chain:
        dio = chain.dio()
        dio.store("x")
        await dio.commit()
    async with play.open("s", readonly=True) as closed:
        with pytest.raises(UsageError, match="needs a root"):
            await play.fork(closed)
    async with play.open("s", member("alice"), readonly=True) as reader:
        assert (await play.fork(reader)).objects == 1


async def test_a_time_is_a_point_too(play: Play) -> None:
    async with play.open("s") as chain:
        dio = chain.dio()
        dao = dio.store("early")
        await dio.commit()
        when = dao.updated
        assert when is not None
        dio.store("late")
        await dio.commit()
        assert (await play.fork(chain, at=when)).objects == 1
        with pytest.raises(NotFound):
            await play.fork(chain, "g", at=datetime(1960, 1, 1, tzinfo=UTC))
        for at in (0, chain.head + 1):
            with pytest.raises(NotFound, match=f"no row {at}"):
                await play.fork(chain, "g", at=at)
        assert (await play.fork(chain, "g", at=when + timedelta(days=999))).objects == 2


async def test_a_name_that_is_taken(play: Play) -> None:
    async with play.open("s") as chain:
        for name in ("s", "f"):
            if name == "f":
                await play.fork(chain)
            with pytest.raises(Conflict, match=f"'{name}' already"):
                await play.fork(chain, name)
        with pytest.raises(UsageError):
            await play.fork(chain, "no/../name")


async def test_a_fork_of_nothing_and_of_a_fork(play: Play) -> None:
    async with play.open("s") as chain:
        assert (await play.fork(chain, at=1)).objects == 0
    async with play.open("f") as fork:
        await play.fork(fork, "deep/g")
    async with play.open("deep/g") as again:
        genesis = again._ledger.view.trust.genesis
        assert genesis is not None
        assert genesis.policy["fork"]["chain"] == fork.id.hex()


async def test_a_write_once_chain_stays_one(play: Play) -> None:
    alice, bob = member("alice"), member("bob")
    async with play.open("s", alice, policy={"worm": True}) as chain:
        dio = chain.dio()
        box = dio.store("box", access=ate.Access(write=ate.Any(alice.public)))
        await dio.commit()
        await play.fork(chain)
        dio.store("in it", parent=box)
        other = dio.store("other", access=ate.Access(write=ate.Any(alice.public, bob.public)))
        dio.store("in it", parent=other)
        await dio.commit()
        await play.fork(chain, "g")
        closed = dio.store("closed", access=ate.Access(write=ate.Nobody))
        dio.store("in it", parent=closed)
        await dio.commit()
        with pytest.raises(UsageError, match="write-once"):
            await play.fork(chain, "h")
    async with play.open("g", alice) as fork:
        dio = fork.dio()
        dio.delete(box.id)
        with pytest.raises(ate.Refused):
            await dio.commit()


async def test_packed_bodies_stay_packed(play: Play) -> None:
    async with play.open("s", plugins=[Zstd()]) as chain:
        dio = chain.dio()
        key = dio.store("word " * 5000).id
        await dio.commit()
        await play.fork(chain)
        await play.fork(chain, "plain", plugins=())
    for name, packed in (("f", CODEC_ZSTD), ("plain", 0)):
        async with play.open(name, plugins=[Zstd()]) as fork:
            stored = fork._ledger.view.stored(key)
            assert stored is not None
            assert stored.row.codec & CODEC_ZSTD == packed
            assert (await fork.dio().load(str, key)).value == "word " * 5000


async def test_a_full_disk_leaves_nothing(play: Play) -> None:
    async with play.open("s") as chain:
        dio = chain.dio()
        for number in range(100):
            dio.store(number)
        await dio.commit()
        play.disk.fail("write", OutOfSpace("full"), name="building", skip=3)
        with pytest.raises(OutOfSpace):
            await play.fork(chain)
        play.disk.heal()
        assert play.chains() == ["s"]
        assert (await play.fork(chain)).objects == 100


async def test_others_run_while_a_fork_is_made(play: Play) -> None:
    async with play.open("s") as chain:
        dio = chain.dio()
        for number in range(17_000):
            dio.store(number)
        await dio.commit()
        at, turns = chain.head, 0

        async def write() -> None:
            nonlocal turns
            while True:
                dio = chain.dio()
                dio.store("meanwhile")
                await dio.commit()
                turns += 1
                await asyncio.sleep(0)

        writing = asyncio.create_task(write())
        made = await play.fork(chain, at=at)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert made.objects == 17_000
        assert turns, "the loop was free in between"


async def test_an_id_that_lived_twice(play: Play) -> None:
    key = ObjectId(bytes(15) + b"\x01")
    async with play.open("s") as chain:
        for value in ("first", None, "second", None):
            dio = chain.dio()
            if value is None:
                dio.delete(key)
            else:
                dio.store(value, id=key)
            await dio.commit()
        for at, values in {2: ["first"], 3: [], 4: ["second"], 5: []}.items():
            await play.fork(chain, f"f{at}", at=at)
            found = await play.objects(f"f{at}")
            assert [value for _, _, value, _ in found.values()] == values


async def test_a_state_that_is_not_held_is_refused_with_one_that_is(play: Play) -> None:
    async with play.open("s") as chain:
        dio = chain.dio()
        dao = dio.store("a")
        await dio.commit()
        for value in ("b", "c"):
            dao.value = value
            await dio.commit()
        chain._ledger.view.__class__ = WithoutRow2
        with pytest.raises(Compacted) as caught:
            await play.fork(chain, at=2)
        assert "oldest row whose state is held is 3" in caught.value.hint
        assert (await play.fork(chain, at=3)).objects == 1
    assert play.chains() == ["f", "s"]
