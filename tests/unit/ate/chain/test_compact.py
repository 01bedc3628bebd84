from __future__ import annotations

from datetime import timedelta

import pytest

import ate
from ate.chain.compact import Compaction, finish
from ate.chain.retention import Retention
from ate.chain.thinning import Cut
from ate.chain.verify import verify
from ate.errors import Compacted, Conflict, CorruptLog, StorageError
from ate.ids import ObjectId
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member


class Here:
    """A chain on a simulated disk."""

    def __init__(self, who: str | None = None) -> None:
        self.disk, self.clock = SimDisk(), SimClock(tick_us=1)
        self.session = member(who) if who else None

    def open(self, **options: object) -> ate.client.Opening:  # type: ignore[name-defined]
        return ate.open("c", path="/d", disk=self.disk, clock=self.clock, session=self.session,
                        **options)  # type: ignore[arg-type]  # fmt: skip


async def fill(chain: ate.Chain) -> tuple[ObjectId, ObjectId, ObjectId]:
    """Return (changed, large, deleted)."""
    dio = chain.dio()
    many = [dio.store({"n": n}) for n in range(300)]
    large = dio.store({"body": "x" * 80_000})
    gone = dio.store({"n": -1})
    await dio.commit()
    for dao in many[:200]:
        dao.value = {"n": "new"}
    await dio.commit()
    many[0].value = {"n": "newest"}
    dio.delete(gone.id)
    await dio.commit()
    return many[0].id, large.id, gone.id


def begun(chain: ate.Chain, dropped: set[int] | None = None) -> Compaction:
    compaction = Compaction(chain._ledger, Cut(chain._ledger.view, dropped or set()))
    finish(compaction.cut.present())
    return compaction


@pytest.mark.parametrize("who", [None, "alice"])
@pytest.mark.parametrize("again", [False, True])
async def test_the_present_stays_and_the_past_goes(who: str | None, again: bool) -> None:
    here = Here(who)
    async with here.open() as chain:
        changed, large, gone = await fill(chain)
        before = len(chain), chain._ledger.store.size()
        if again:  # what is thinned already is thinned further
            await chain.compact()
            dio = chain.dio()
            (await dio.load(dict, large)).value = {"body": "y" * 90_000}
            await dio.commit()
        done = await chain.compact()
        assert done.generation == (3 if again else 2)
        assert done.rows_after < done.rows_before
        assert done.bytes_after < done.bytes_before
        assert (done.commits_after, done.still_read) == (len(chain._ledger.view.commits), ())
        assert len(chain) == before[0]
    for with_index in (True, False):
        if not with_index:
            here.disk.remove(f"/d/c/{done.generation:06d}/index")
        async with here.open() as chain:
            dio = chain.dio()
            assert (await dio.load(dict, changed)).value == {"n": "newest"}
            assert len((await dio.load(dict, large)).value["body"]) == (90_000 if again else 80_000)
            assert not await dio.exists(gone)
            assert len(chain) == before[0]
            with pytest.raises(Compacted):
                await dio.load(dict, changed, at_seq=chain.head - 10 if not who else 310)
            assert (await verify(chain._ledger.store)).ok
            dio.store({"n": "more"})
            await dio.commit()
            dio.delete(ObjectId(next(iter([dao.id async for dao in dio.all(dict)]))))
            await dio.commit()
            before = len(chain), 0


async def test_commits_between_the_steps_are_copied() -> None:
    here = Here()
    async with here.open() as chain:
        await fill(chain)
        compaction = begun(chain)
        finish(compaction.thin(set(), 0))
        for size in (10, 70_000):
            dio = chain.dio()
            dio.store({"late": "x" * size})
            await dio.commit()
        finish(compaction.catch_up())
        finish(compaction.prepare())
        count, root = len(chain), chain.root
        compaction.switch()
        done = compaction.adopt()
        assert compaction.tidy_up()[1] == ()
        assert done.rows_after == chain._ledger.view.held
        assert (len(chain), chain.root) == (count, root)
        assert (await verify(chain._ledger.store)).ok


async def test_a_tombstone_whose_id_comes_back_meanwhile() -> None:
    """Whatever the moment: what is dropped was not needed, or the compaction begins anew."""
    for moment in range(3):
        here = Here()
        async with here.open() as chain:
            *_, gone = await fill(chain)
            tombstone = chain._ledger.view.stored(gone)
            assert tombstone is not None

            async def comes_back(chain: ate.Chain, one: ObjectId) -> None:
                dio = chain.dio()
                dio.store({"n": "back"}, id=one)
                await dio.commit()

            compaction = Compaction(chain._ledger, Cut(chain._ledger.view, {tombstone.seq}))
            with pytest.raises(Conflict, match="about to drop"):
                if moment == 0:
                    await comes_back(chain, gone)
                finish(compaction.cut.present())
                if moment == 1:
                    await comes_back(chain, gone)
                finish(compaction.thin(set(), 0))
                if moment == 2:
                    await comes_back(chain, gone)
                finish(compaction.catch_up())
            compaction.tidy_up()
            here.clock.advance(60)
            await chain.compact(Retention(tombstones=timedelta(seconds=1)))
        here.disk.remove("/d/c/000002/index")
        async with here.open() as chain:
            assert (await chain.dio().load(dict, gone)).value == {"n": "back"}


async def test_older_versions_of_what_is_dropped_do_not_come_back() -> None:
    here = Here()
    async with here.open() as chain:
        *_, gone = await fill(chain)
        here.clock.advance(60)
        await chain.compact(Retention(versions=9, tombstones=timedelta(seconds=1)))
        assert not await chain.dio().exists(gone)
    here.disk.remove("/d/c/000002/index")
    async with here.open() as chain:
        assert not await chain.dio().exists(gone)
        assert chain._ledger.view.index.locate(gone) == 0


async def test_the_last_commit_of_all_may_go() -> None:
    here = Here()
    async with here.open() as chain:
        dio = chain.dio()
        one = dio.store({"n": 1})
        await dio.commit()
        dio.delete(one.id)
        await dio.commit()
        here.clock.advance(60)
        await chain.compact(Retention(tombstones=timedelta(seconds=1)))
        head, time_us = chain.head, chain._ledger.view.time_us
    for with_index in (True, False):
        if not with_index:
            here.disk.remove("/d/c/000002/index")
        async with here.open() as chain:
            assert (chain.head, len(chain)) == (head, 0)
            assert chain._ledger.view.time_us == time_us
    async with here.open() as chain:
        dio = chain.dio()
        dio.store({"n": 2})
        await dio.commit()
        await chain.compact()
        assert (await verify(chain._ledger.store)).ok


async def test_a_damaged_body_stops_it_and_nothing_is_dropped() -> None:
    here = Here()
    async with here.open() as chain:
        _, large, _ = await fill(chain)
        stored = chain._ledger.view.stored(large)
        assert stored is not None
    path = "/d/c/000001/body.000001"
    raw = bytearray(here.disk.snapshot()[path])
    raw[200] ^= 1
    here.disk.put(path, bytes(raw))
    async with here.open() as chain:
        with pytest.raises(CorruptLog, match="nothing was dropped"):
            await chain.compact()
        assert chain._ledger.store.generation == 1
        assert [name for name in here.disk.listdir("/d/c") if name.isdigit()] == ["000001"]


async def test_what_was_given_up_can_not_take_over() -> None:
    here = Here()
    async with here.open() as chain:
        await fill(chain)
        compaction = begun(chain)
        finish(compaction.thin(set(), 0))
        compaction.tidy_up()
        with pytest.raises(StorageError, match="given up"):
            compaction.switch()
        assert chain._ledger.store.generation == 1
        await chain.compact()


async def test_what_took_over_is_never_removed() -> None:
    """A program that ends between the switch and what follows it."""
    here = Here()
    chain = await here.open()
    await fill(chain)
    compaction = begun(chain)
    finish(compaction.thin(set(), 0))
    compaction.switch()
    compaction.tidy_up()
    with pytest.raises(StorageError):
        await chain.close()
    compaction._new.close()
    async with here.open() as chain:
        assert chain._ledger.store.generation == 2
        assert len(chain) == 301


async def test_commits_that_come_before_the_snapshot_leave_it_out() -> None:
    here = Here()
    async with here.open() as chain:
        await fill(chain)
        compaction = begun(chain)
        finish(compaction.thin(set(), 0))
        steps = compaction.prepare()
        flush = next(steps)
        assert flush is not None
        flush()
        finish(steps)
        assert compaction.snapshot_head == chain.head
        compaction.tidy_up()
