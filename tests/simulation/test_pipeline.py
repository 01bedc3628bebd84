"""Many commits on their way at once while the road breaks: each once, and in its author's order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.shared import Note, World, play, put, texts

import ate
from ate import Durability
from ate.errors import AteError, Conflict, Disconnected, OutOfSpace, Refused
from ate.event.commit import Record
from ate.mesh.gate import OpenGate
from ate.mesh.guest import Guest
from ate.mesh.hall import Hall
from ate.mesh.root import Root
from ate.testing.simloop import sim_loop


def rows_of(records: list[Record]) -> list[bytes]:
    """Return the ids of all data rows, in the order of the chain."""
    return [
        bytes(row.id)
        for record in records
        for row in map(record.row, range(record.row_count))
        if row.kind == 1
    ]


async def pipelined(chain: ate.Chain, count: int, durability: Durability) -> list[bytes]:
    """Commit one after the other without waiting for the chain; return the ids in order."""
    ids = []
    waiting = []
    for n in range(count):
        dio = chain.dio()
        ids.append(bytes(dio.store(Note(f"{n:04}", n)).id))
        waiting.append(asyncio.ensure_future(dio.commit(durability)))
        if n % 50 == 0:
            await sim_loop().pause(0.05)
    await asyncio.gather(*waiting)
    return ids


async def check(world: World, chain: ate.Chain, *authors: list[bytes]) -> None:
    """Check that the server has each commit of each author once, in order."""
    await chain.sync(600)
    assert chain.conflicts == []
    found = rows_of(await world.log())
    assert sorted(found) == sorted(one for author in authors for one in author)
    for author in authors:
        mine = set(author)
        assert [one for one in found if one in mine] == author


@pytest.mark.parametrize("durability", [Durability.LOCAL, Durability.FULL])
def test_a_thousand_commits_over_outages_of_ten_seconds(durability: Durability) -> None:
    async def main(world: World) -> None:
        one, two = world.device("one"), world.device("two")
        a, b = await one.open(), await two.open()
        jobs = [asyncio.ensure_future(pipelined(chain, 500, durability)) for chain in (a, b)]
        for n in range(3):
            await world.loop.pause(0.1)
            if n == 1:
                await world.stop()
            else:
                world.net.cut("one", "server")
                world.net.reset("one", "server")
            await world.loop.pause(10)
            if n == 1:
                world.start()
            world.net.heal()
        authors = await asyncio.gather(*jobs)
        await a.sync(600)
        await b.sync(600)
        await check(world, a, *authors)
        assert len(await texts(b)) == 1000
        for chain in (a, b):
            assert chain._remote is not None
            assert len(chain._remote.forwarder.outbox) == 0
            await chain.close()

    play(main)


class Moody(OpenGate):
    """Puts commits off now and then."""

    def __init__(self) -> None:
        self.count = 0

    def may_submit(self, guest: Any, name: str, nbytes: int) -> float:
        self.count += 1
        return 0.5 if self.count % 7 in (3, 5) else 0.0


class MoodyHall(Hall):
    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, gate=Moody(), **more)


class FullHall(Hall):
    """Its disk is full now and then."""

    def _opened(self, root: Root) -> None:
        super()._opened(root)
        accept, count = root.ledger.accept, [0]

        def full(*args: Any) -> Record:
            count[0] += 1
            if count[0] % 5 == 2:
                raise OutOfSpace("the disk is full")
            return accept(*args)

        root.ledger.accept = full  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "hall, durability",
    [(MoodyHall, Durability.LOCAL), (MoodyHall, Durability.FULL), (FullHall, Durability.LOCAL)],
)
def test_a_server_that_puts_commits_off_gets_them_again_in_order(
    hall: type[Hall], durability: Durability
) -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        ids = await pipelined(chain, 100, durability)
        await check(world, chain, ids)
        await chain.close()

    play(main, hall=hall)


def test_authors_of_what_finds_no_room_are_told_and_may_try_again() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        told: list[tuple[OutOfSpace, bool]] = []

        async def commit(n: int) -> bytes:
            dio = chain.dio()
            dao = dio.store(Note(f"{n}"))
            while True:
                try:
                    await dio.commit()
                except OutOfSpace as error:
                    told.append((error, dio.has_changes))
                else:
                    return bytes(dao.id)

        ids = [await commit(n) for n in range(20)]
        ids += await asyncio.gather(*(commit(n) for n in range(20, 80)))
        assert len(told) > 3
        assert all("server's disk" in e.message and "free" in e.hint and k for e, k in told)
        assert sorted(rows_of(await world.log())) == sorted(ids)
        assert chain.status.pending == 0
        await chain.close()

    play(main, hall=FullHall)


class PickyHall(Hall):
    """Refuses every fifth commit for good, as a validator of its own would."""

    def _opened(self, root: Root) -> None:
        super()._opened(root)
        judge = root.ledger.pipeline.judge

        async def picky(proposal: Any) -> None:
            record = proposal.record
            rows = [record.row(at) for at in range(record.row_count)]
            if any(bytes(row.id)[-1] % 5 == 0 and row.kind == 1 for row in rows):
                raise Refused("not this one")
            await judge(proposal)

        root.ledger.pipeline.judge = picky  # type: ignore[method-assign]


@pytest.mark.parametrize("durability", [Durability.LOCAL, Durability.FULL])
def test_what_comes_behind_a_refused_commit_lands_once(durability: Durability) -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        ids, waiting = [], []
        for n in range(200):
            dio = chain.dio()
            ids.append(bytes(dio.store(Note(f"{n}")).id))
            waiting.append(asyncio.ensure_future(dio.commit(durability)))
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        await chain.sync(600)
        good = [one for one in ids if one[-1] % 5]
        found = rows_of(await world.log())
        assert sorted(found) == sorted(good)
        if durability == Durability.FULL:
            refused = [
                i for i, answer in zip(ids, answers, strict=True) if answer.__class__ is Refused
            ]
            assert refused == [one for one in ids if not one[-1] % 5]
            assert chain.conflicts == []
        else:
            assert found == good, "in the order of their author"
            refused = [bytes(one.changes[0].id) for one in chain.conflicts]
            assert refused == [one for one in ids if not one[-1] % 5]
        await chain.close()

    play(main, hall=PickyHall)


def test_a_commit_that_was_in_doubt_is_there_or_never_comes() -> None:
    async def main(world: World) -> None:
        device = world.device()
        landed = 0
        for n in range(30):
            chain = await device.open(recovery="readonly-async")
            dio = chain.dio()
            dio.store(Note(f"{n}"))
            waiting = asyncio.ensure_future(dio.commit())
            await world.loop.pause(0.0004 * n)
            world.net.cut("one", "server")
            world.net.reset("one", "server")
            try:
                await waiting
            except Disconnected:
                assert dio.has_changes
            if n % 2:
                await device.kill()
            world.net.heal()
            if n % 2:
                chain = await device.open(recovery="readonly-async")
            await chain.sync()
            found = len(await texts(chain))
            await world.loop.pause(5)
            await chain.sync()
            assert len(await texts(chain)) == found, "nothing comes late"
            if not waiting.exception():
                assert f"{n}" in await texts(chain)
            landed = found
            await chain.close()
        assert 0 < landed < 30
        rows = rows_of(await world.log())
        assert len(rows) == len(set(rows)) == landed

    play(main)


def test_sync_covers_what_was_acknowledged_to_anybody_before() -> None:
    async def main(world: World) -> None:
        a, b = await world.device("one").open(), await world.device("two").open()
        world.net.shape("two", "server", latency_s=(0.5, 2.0))
        for n in range(20):
            dio = a.dio()
            dao = dio.store(Note(f"{n}"))
            await dio.commit()
            await b.sync()
            assert (await b.dio().load(Note, dao.id)).value.text == f"{n}"
        await a.close()
        await b.close()

    play(main)


def test_sync_does_not_wait_for_what_is_committed_later() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        ended = False

        async def busy() -> None:
            n = 0
            while not ended:
                n += 1
                await put(chain, f"{n}", Durability.LOCAL)
                await world.loop.pause(0.01)

        job = asyncio.ensure_future(busy())
        await world.loop.pause(0)
        await chain.sync(5)
        ended = True
        await job
        await chain.sync()
        await chain.close()

    play(main)


def test_sync_ends_when_the_last_commit_is_refused_and_says_so() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        seen = []

        async def look() -> None:
            async for status in chain.statuses():
                if seen[-1:] != [(status.online, status.conflicts)]:  # the trouble has changed
                    seen.append((status.online, status.conflicts))

        job = asyncio.ensure_future(look())
        dio = chain.dio()
        dio.store(Note("x"), id=ate.ObjectId(bytes(15) + b"\5"))
        await dio.commit(Durability.LOCAL)
        status = await chain.sync(5)
        assert (status.pending, status.conflicts) == (0, 1)
        await world.stop()
        await world.loop.pause(1)
        world.start()
        await chain.sync()
        assert seen == [(True, 0), (True, 1), (False, 1), (True, 1)]
        job.cancel()
        await chain.close()

    play(main, hall=PickyHall)


def test_a_commit_whose_author_gave_up_before_it_was_sent_is_not_sent() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open(recovery="readonly-async")
        await world.stop()
        await world.loop.pause(0.2)
        assert not chain.status.online
        waiting = asyncio.ensure_future(put(chain, "never"))
        await world.loop.pause(0.1)
        waiting.cancel()
        world.start()
        await put(chain, "ever")
        await chain.sync()
        assert await texts(chain) == ["ever"]
        await chain.close()

    play(main)


def test_two_clients_that_change_one_object_each_learn_who_won() -> None:
    async def main(world: World) -> None:
        a, b = await world.device("one").open(), await world.device("two").open()
        dao = await put(a, "0")
        await b.sync()
        losses = []

        async def work(chain: ate.Chain) -> int:
            won = 0
            for _ in range(20):
                dio = chain.dio()
                mine = await dio.load(Note, dao.id)
                mine.value = Note("x", mine.value.n + 1)
                try:
                    await dio.commit()
                    won += 1
                except Conflict as error:
                    losses.append((error.object, error.theirs > 0))
                    await chain.sync()
            return won

        won = sum(await asyncio.gather(work(a), work(b)))
        await a.sync()
        assert (await a.dio().load(Note, dao.id)).value.n == won
        assert 0 < won < 40
        assert losses == [(dao.id, True)] * (40 - won)
        await a.close()
        await b.close()

    play(main)


def test_closing_waits_for_what_is_on_its_way() -> None:
    async def main(world: World) -> None:
        device = world.device()
        chain = await device.open()
        for n in range(20):
            await put(chain, f"{n}", Durability.NONE)
        await chain.close()
        assert len(rows_of(await world.log())) == 20
        chain = await device.open()
        await chain.sync()
        waiting = [asyncio.ensure_future(put(chain, f"more {n}")) for n in range(20)]
        await world.loop.pause(0)
        await chain.close()
        await asyncio.gather(*waiting)
        assert len(rows_of(await world.log())) == 40
        chain = await device.open(recovery="readonly-async")
        waiting = [asyncio.ensure_future(put(chain, f"lost {n}")) for n in range(20)]
        await world.loop.pause(0)
        world.net.cut("one", "server")
        world.net.reset("one", "server")
        await world.loop.pause(0.01)
        await chain.close()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(one, AteError) for one in answers)
        await world.loop.pause(10)
        log = rows_of(await world.log())
        assert len(log) == len(set(log))

    play(main)


class Guests(Hall):
    """Counts connections."""

    arrivals = 0

    async def arrived(self, visitor: Guest) -> None:
        await super().arrived(visitor)
        Guests.arrivals += 1


def test_a_hundred_chains_of_a_program_share_one_connection() -> None:
    async def main(world: World) -> None:
        Guests.arrivals = 0
        device = world.device()
        chains = [await device.open(name=f"c{n}") for n in range(100)]
        await asyncio.gather(*(put(chain, "x") for chain in chains))
        assert Guests.arrivals == 1
        await world.stop()
        await world.loop.pause(3)
        await asyncio.gather(*(put(chain, "y") for chain in chains))
        world.start()
        await asyncio.gather(*(chain.sync() for chain in chains))
        assert Guests.arrivals == 2
        for chain in chains:
            assert await texts(chain) == ["x", "y"]
            await chain.close()
        assert len(device.lines) == 1
        await world.loop.pause(61)
        assert len(device.lines) == 0

    play(main, hall=Guests)


def test_a_checkpoint_lands_while_others_commit_without_a_pause() -> None:
    """Its author is far away, they are near: without help the head is always another one."""

    async def main(world: World) -> None:
        far, near = await world.device("one").open(), await world.device("two").open()
        await far.sync()
        await near.sync()
        world.net.shape("one", "server", latency_s=(0.2, 0.3))
        ids: list[bytes] = []
        busy = True

        async def commit_on() -> None:
            while busy:
                dao = await put(near, "x")
                ids.append(bytes(dao.id))

        tasks = [asyncio.ensure_future(commit_on()) for _ in range(4)]
        await world.loop.pause(1)
        began = world.loop.time()
        await far.checkpoint()
        assert world.loop.time() - began < 3
        await far.checkpoint(compact=True)  # so soon again: the others come first for a while
        assert world.loop.time() - began < 12
        busy = False
        await asyncio.gather(*tasks)
        await asyncio.gather(far.sync(), near.sync())
        assert far.root == near.root
        assert len(far) == len(ids) == len(set(ids))
        await far.close()
        await near.close()

    play(main)


def test_of_much_that_waited_a_rule_of_the_server_hits_one() -> None:
    """Only the server knows which: it is found by halves."""

    class Picky(Hall):
        def _opened(self, root: Root) -> None:
            super()._opened(root)
            judge = root.ledger.pipeline.judge

            async def picky(proposal: Any) -> None:
                asked.append(proposal.record.row_count)
                if bad & set(map(bytes, proposal.record.ids)):
                    raise Refused("not this one")
                await judge(proposal)

            root.ledger.pipeline.judge = picky  # type: ignore[method-assign]

    bad: set[bytes] = set()
    asked: list[int] = []

    async def main(world: World) -> None:
        chain = await world.device().open()
        await world.stop()
        await world.loop.pause(2)
        ids = [bytes((await put(chain, f"{n}", Durability.LOCAL)).id) for n in range(500)]
        bad.update((ids[123], ids[400]))
        asked.clear()
        world.start()
        await chain.sync()
        assert len(chain.conflicts) == 2
        assert {bytes(one.changes[0].id) for one in chain.conflicts} == bad
        assert sorted(rows_of(await world.log())) == sorted(set(ids) - bad)
        assert len(asked) < 100
        for setback in chain.conflicts:
            setback.drop()
        await chain.close()

    play(main, hall=Picky)
