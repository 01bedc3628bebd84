from __future__ import annotations

import asyncio
import threading
from typing import Any as Anything

import pytest

import ate
from ate import limits
from ate.client import Chain
from ate.dio.transaction import Durability
from ate.errors import (
    Conflict,
    Fenced,
    LimitExceeded,
    OutOfSpace,
    Refused,
    StorageError,
    UsageError,
)
from ate.event.access import Access, Everyone
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member
from ate.trust.plugin import ABSTAIN, Deny, Proposal, Verdict

HEAD = "/c/w/000001/head.000001"
EIO = StorageError("input/output error")
FULL = OutOfSpace("the disk is full")


class Slow(SimClock):
    """A clock on which everything takes a second, so that flushes go to a thread."""

    def monotonic_s(self) -> float:
        self.advance(1)
        return super().monotonic_s()


class NoOdd:
    """Refuses commits that hold an odd number."""

    name = "no-odd"

    async def validate(self, proposal: Proposal) -> Verdict:
        odd = [at for at, draft in enumerate(proposal.drafts or ()) if draft.body[-1:] == b"\1"]
        return [Deny(at, "odd") for at in odd] or ABSTAIN


async def committed(chain: Chain, *values: Anything, **options: Anything) -> ate.Receipt:
    dio = chain.dio()
    for value in values:
        dio.store(value)
    return await dio.commit(**options)


def flushes(disk: SimDisk) -> int:
    """Count flushes of head segments since the journal was cleared."""
    heads = {op[1] for op in disk.journal if op[0] == "write"}
    return sum(1 for op in disk.journal if op[0] == "sync" and op[1] in heads)


async def test_sixteen_tasks_share_a_few_flushes() -> None:
    """E7: one flush serves all that wait, and nobody returns before the one that covers it."""
    disk = SimDisk()
    async with ate.open("w", path="/c", disk=disk, clock=SimClock()) as chain:
        disk.journal.clear()
        receipts = await asyncio.gather(*(committed(chain, number) for number in range(16)))
        assert flushes(disk) <= 2
        assert sorted(receipt.seq for receipt in receipts) == list(range(2, 18))
        values = [dao.value async for dao in chain.dio().all(int)]
        assert sorted(values) == list(range(16))


async def test_no_acknowledged_commit_is_missing_after_any_cut() -> None:
    disk = SimDisk()
    acknowledged: list[tuple[int, int]] = []

    async def author(chain: Chain, number: int) -> None:
        for turn in range(number % 5):
            await committed(chain, number * 10 + turn)
            acknowledged.append((len(disk.journal), number * 10 + turn))

    async with ate.open("w", path="/c", disk=disk, clock=SimClock()) as chain:
        await asyncio.gather(*(author(chain, number) for number in range(16)))
    checked = 0
    for done, style, survivor in disk.cuts():
        wanted = {value for at, value in acknowledged if at <= done}
        if wanted:
            checked += 1
            async with ate.open("w", path="/c", disk=survivor, readonly=True) as chain:
                found = {dao.value async for dao in chain.dio().all(int)}
            assert wanted <= found, (done, style)
    assert checked > 50


async def test_one_flush_each_when_there_is_nobody_to_share_with() -> None:
    disk = SimDisk()
    async with ate.open("w", path="/c", disk=disk, clock=SimClock()) as chain:
        disk.journal.clear()
        for number in range(5):
            await committed(chain, number)
        assert flushes(disk) == 5
        disk.journal.clear()
        for number in range(5):
            await committed(chain, number, durability=ate.NONE)
        assert flushes(disk) == 0
        assert len(chain) == 10, "visible all the same"
        await asyncio.gather(
            committed(chain, 1, durability=Durability.NONE),
            committed(chain, 2, durability=ate.LOCAL),
        )
        assert flushes(disk) == 1


async def test_ten_writers_that_saw_the_same_head() -> None:
    """E3: one wins, nine learn the true head."""
    async with ate.open("w", memory=True) as chain:
        await committed(chain, 0)
        head = chain.head
        outcomes = await asyncio.gather(
            *(committed(chain, number, at=head) for number in range(10)), return_exceptions=True
        )
        won = [one for one in outcomes if isinstance(one, ate.Receipt)]
        lost = [one for one in outcomes if isinstance(one, Conflict)]
        assert (len(won), len(lost)) == (1, 9)
        assert won[0].seq == head + 1
        assert all((one.theirs, one.object) == (chain.head, None) for one in lost)
        assert chain.head == head + 1
        await committed(chain, 11, at=chain.head)


async def test_of_a_group_only_those_are_refused_that_must_be() -> None:
    async with ate.open("w", memory=True, plugins=[NoOdd()]) as chain:
        outcomes = await asyncio.gather(
            *(committed(chain, number) for number in (0, 1, 2, 1, 4)), return_exceptions=True
        )
        assert [isinstance(one, Refused) for one in outcomes] == [False, True, False, True, False]
        assert [dao.value async for dao in chain.dio().all(int)] == [0, 2, 4]


async def test_two_tasks_that_change_one_object_are_not_merged() -> None:
    async with ate.open("w", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store({"n": 0})
        await dio.commit()
        units = [chain.dio() for _ in range(3)]
        for number, unit in enumerate(units, 1):
            (await unit.load(dict, dao.id)).value = {"n": number}
        outcomes = await asyncio.gather(*(u.commit() for u in units), return_exceptions=True)
        assert [isinstance(one, Conflict) for one in outcomes] == [False, True, True]
        conflict = outcomes[1]
        assert isinstance(conflict, Conflict)
        assert (conflict.object, conflict.theirs) == (dao.id, 3)
        await units[1].commit(on_conflict="last")
        assert (await chain.dio().load(dict, dao.id)).value == {"n": 2}


async def test_sessions_do_not_share_a_commit() -> None:
    alice, bob = member("alice"), member("bob")
    public = Access(read=Everyone, write=Everyone)
    async with ate.open("w", memory=True, session=alice, access=public) as chain:
        mine, theirs = chain.dio(), chain.dio(session=bob)
        one, two = mine.store("a"), theirs.store("b")
        before = chain.commits
        await asyncio.gather(mine.commit(), theirs.commit())
        assert chain.commits == before + 2
        assert (one.author, two.author) == ("alice", "bob")


async def test_a_large_transaction_goes_alone() -> None:
    async with ate.open("w", memory=True) as chain:
        before = chain.commits
        await asyncio.gather(
            committed(chain, *range(3000)), committed(chain, *range(3000)), committed(chain, 1)
        )
        assert chain.commits - before in (2, 3)
        assert len(chain) == 6001


async def test_seventy_thousand_rows_are_too_many_and_stay_in_the_dio() -> None:
    async with ate.open("w", memory=True) as chain:
        dio = chain.dio()
        daos = [dio.store(number) for number in range(70_000)]
        with pytest.raises(LimitExceeded, match="rows in a commit is 70000") as caught:
            await dio.commit()
        assert caught.value.hint == "commit in smaller portions"
        assert (chain.head, dio.has_changes) == (1, True)
        for dao in daos[limits.COMMIT_ROWS_MAX :]:
            dao.delete()
        await dio.commit()
        assert len(chain) == limits.COMMIT_ROWS_MAX


async def test_a_full_disk_fails_the_commit_and_the_next_one_lands() -> None:
    disk = SimDisk()
    async with ate.open("w", path="/c", disk=disk, clock=SimClock()) as chain:
        dio = chain.dio()
        dio.store("kept")
        disk.fail("write", FULL, name="head")
        with pytest.raises(OutOfSpace):
            await dio.commit()
        assert dio.has_changes
        receipt = await dio.commit()
        assert receipt.seq == 2
        outcomes = await asyncio.gather(*(committed(chain, number) for number in range(4)))
        assert len(outcomes) == 4
    async with ate.open("w", path="/c", disk=disk) as chain:
        assert len(chain) == 5


@pytest.mark.parametrize("clock", [SimClock, Slow])
async def test_a_flush_that_fails_ends_all_writing_until_reopened(clock: type[SimClock]) -> None:
    disk = SimDisk()
    chain = await ate.open("w", path="/c", disk=disk, clock=clock())
    await committed(chain, "first")
    disk.fail("sync", EIO, name="head")
    dio = chain.dio()
    dio.store("second")
    with pytest.raises(StorageError):
        await dio.commit()
    assert len(chain) == 1, "what is not durable is not visible"
    assert dio.has_changes
    with pytest.raises(StorageError) as caught:
        await dio.commit()
    assert "open the chain again" in caught.value.hint
    with pytest.raises(StorageError):
        await chain.close()
    async with ate.open("w", path="/c", disk=disk) as again:
        assert [dao.value async for dao in again.dio().all(str)][:1] == ["first"]
        await committed(again, "third")


async def test_a_slow_disk_is_flushed_in_a_thread_and_order_is_kept() -> None:
    disk = SimDisk()
    async with ate.open("w", path="/c", disk=disk, clock=Slow()) as chain:
        for number in range(5):
            await committed(chain, number)
        await asyncio.gather(*(committed(chain, number) for number in range(5, 20)))
        assert [dao.value async for dao in chain.dio().all(int)] == list(range(20))
    async with ate.open("w", path="/c", disk=disk, readonly=True) as chain:
        assert len(chain) == 20


async def test_one_thread_while_flushes_are_quick() -> None:
    """D31: everything happens where the caller is."""
    before = threading.active_count()
    async with ate.open("w", path="/c", disk=SimDisk(), clock=SimClock()) as chain:
        await asyncio.gather(*(committed(chain, number) for number in range(50)))
        events = chain.watch(since=0)
        for _ in range(50):
            await anext(events)
        assert threading.active_count() == before


@pytest.mark.parametrize("clock", [SimClock, Slow])
async def test_closing_finishes_what_was_submitted(clock: type[SimClock]) -> None:
    disk = SimDisk()
    chain = await ate.open("w", path="/c", disk=disk, clock=clock())
    await committed(chain, 0)
    await committed(chain, 1)
    tasks = [asyncio.ensure_future(committed(chain, number)) for number in range(2, 6)]
    for _ in range(3):
        await asyncio.sleep(0)
    await chain.close()
    receipts = await asyncio.gather(*tasks)
    assert [receipt.seq for receipt in receipts] == [4, 5, 6, 7]
    with pytest.raises(UsageError, match="closed"):
        await committed(chain, 9)
    async with ate.open("w", path="/c", disk=disk) as again:
        assert len(again) == 6


async def test_a_dio_of_a_closed_chain_keeps_its_changes() -> None:
    async with ate.open("w", memory=True) as chain:
        dio = chain.dio()
        dio.store(1)
    with pytest.raises(UsageError, match="closed"):
        await dio.commit()
    assert dio.has_changes


async def test_a_commit_that_is_cancelled_before_its_turn_does_not_land() -> None:
    disk = SimDisk()
    async with ate.open("w", path="/c", disk=disk, clock=Slow()) as chain:
        await committed(chain, 0)
        first = asyncio.ensure_future(committed(chain, 1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        dio = chain.dio()
        dio.store(2)
        second = asyncio.ensure_future(dio.commit())
        await asyncio.sleep(0)
        second.cancel()
        await first
        with pytest.raises(asyncio.CancelledError):
            await second
        assert dio.has_changes
        await committed(chain, 3)
        assert [dao.value async for dao in chain.dio().all(int)] == [0, 1, 3]
        await dio.commit()
        assert len(chain) == 4


async def test_an_id_can_be_used_again_after_its_object_was_deleted() -> None:
    async with ate.open("w", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store("one")
        await dio.commit()
        dao.delete()
        await dio.commit()
        dio.store("two", id=dao.id)
        await dio.commit()
        assert (await chain.dio().load(str, dao.id)).value == "two"
        assert len(chain) == 1


async def test_why_two_changes_conflict_is_said() -> None:
    async with ate.open("w", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store("one")
        await dio.commit()
        late = await chain.dio().load(str, dao.id)
        clash = chain.dio()
        clash.store("mine", id=dao.id)
        with pytest.raises(Conflict, match="exists already") as caught:
            await clash.commit()
        assert (caught.value.object, caught.value.theirs) == (dao.id, 2)
        dao.value = "two"
        await dio.commit()
        late.value = "three"
        with pytest.raises(Conflict, match="changed since it was loaded"):
            await late._dio.commit()
        dao.delete()
        await dio.commit()
        for how in ("error", "merge", "last"):
            with pytest.raises(Conflict, match="was deleted") as caught:
                await late._dio.commit(on_conflict=how)
            assert "new one" in caught.value.hint


async def test_overwriting_keeps_the_moment_of_creation() -> None:
    async with ate.open("w", memory=True, clock=SimClock(tick_us=1_000_000)) as chain:
        dio = chain.dio()
        dao = dio.store("one")
        await dio.commit()
        created = dao.created
        other = chain.dio()
        other.store("two", id=dao.id)
        await other.commit(on_conflict="last")
        found = await chain.dio().load(str, dao.id)
        assert (found.value, found.created) == ("two", created)
        assert found.updated != created


async def test_nothing_is_hung_under_what_is_not_there() -> None:
    async with ate.open("w", memory=True) as chain:
        dio = chain.dio()
        parent = dio.store({"parent": 1})
        await dio.commit()
        late = chain.dio()
        child = late.store({"child": 1}, parent=parent.id)
        async with chain.dio() as other:
            other.delete(parent.id)
        with pytest.raises(ate.Conflict, match="was deleted") as caught:
            await late.commit()
        assert caught.value.object == parent.id
        child.move(None)
        await late.commit()
        stranger = chain.dio()
        stranger.store({"child": 2}, parent=ate.ObjectId.random())
        with pytest.raises(ate.Conflict, match="is not in this chain"):
            await stranger.commit()
        assert len(chain) == 1


async def test_a_child_and_the_end_of_its_parent_never_share_a_commit() -> None:
    async with ate.open("w", memory=True) as chain:
        async with chain.dio() as dio:
            parent = dio.store({"parent": 1})
        deleting, adding = chain.dio(), chain.dio()
        deleting.delete(parent.id)
        adding.store({"child": 1}, parent=parent.id)
        deleted, added = await asyncio.gather(
            deleting.commit(), adding.commit(), return_exceptions=True
        )
        assert not isinstance(deleted, BaseException)
        assert isinstance(added, ate.Conflict)
        assert len(chain) == 0


# --- alone ---------------------------------------------------------------------------------------


async def test_work_that_runs_alone_waits_for_commits_and_lets_them_wait() -> None:
    disk = SimDisk()
    async with ate.open("w", path="/c", disk=disk, clock=Slow()) as chain:
        told: list[str] = []

        async def work() -> str:
            head = chain.head
            told.append("begun")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert chain.head == head, "nothing came in between"
            told.append("ended")
            return "done"

        async def author(number: int) -> None:
            await committed(chain, number)
            told.append("commit")

        first = asyncio.create_task(author(1))
        await asyncio.sleep(0)
        found, *_ = await asyncio.gather(
            chain._writer.run_alone(work), author(2), author(3), chain._writer.run_alone(work)
        )
        await first
        assert found == "done"
        assert sorted(told) == ["begun", "begun", "commit", "commit", "commit", "ended", "ended"]
        begun = [at for at, word in enumerate(told) if word == "begun"]
        assert all(told[at + 1] == "ended" for at in begun)
        assert len(chain) == 3


async def test_what_fails_alone_is_told_and_commits_go_on() -> None:
    async with ate.open("w", memory=True) as chain:

        async def fails() -> None:
            raise StorageError("no")

        with pytest.raises(StorageError, match="no"):
            await chain._writer.run_alone(fails)
        await committed(chain, 1)

        async def ends() -> None:
            await asyncio.sleep(0)

        task = asyncio.create_task(chain._writer.run_alone(ends))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await committed(chain, 2)
        assert len(chain) == 2
    with pytest.raises(UsageError, match="closed"):
        await chain._writer.run_alone(fails)


async def test_a_cancelled_writer_answers_everybody() -> None:
    chain = await ate.open("w", memory=True)

    async def forever() -> None:
        await asyncio.Event().wait()

    first = asyncio.create_task(chain._writer.run_alone(forever))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(chain._writer.run_alone(forever)),
              asyncio.create_task(committed(chain, 1))]  # fmt: skip
    await asyncio.sleep(0)
    task = chain._writer._task
    assert task is not None
    task.cancel()
    done = await asyncio.gather(first, *others, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in done)
    await chain.close()


class Guarded:
    """What a commit stands on."""

    def __init__(self, *guards: tuple[bytes, int]) -> None:
        self.guards = guards


async def test_a_commit_under_a_guard_lands_only_while_the_guard_holds() -> None:
    async with ate.open("w", memory=True, clock=SimClock()) as chain:
        dio = chain.dio()
        post = dio.store({"turn": 1})
        await dio.commit()
        guard = Guarded((post.id, post.seq))
        await committed(chain, {"n": 1}, lease=guard)
        post.value = {"turn": 2}
        await dio.commit()
        late, head = chain.dio(), chain.head
        late.store({"n": 2})
        for options in ({}, {"on_conflict": "last"}, {"on_conflict": "merge"}):
            with pytest.raises(Fenced):
                await late.commit(lease=guard, **options)
        assert (chain.head, late.has_changes) == (head, True)


async def test_what_is_guarded_does_not_share_a_commit_with_its_change() -> None:
    """Handed in together, the change first: the guarded commit must see it."""
    async with ate.open("w", memory=True, clock=SimClock()) as chain:
        dio = chain.dio()
        post = dio.store({"turn": 1})
        await dio.commit()
        guard, before = Guarded((post.id, post.seq)), chain.commits
        early, late = chain.dio(), chain.dio()
        early.store({"n": 1})
        late.store({"n": 2})
        post.value = {"turn": 2}
        results = await asyncio.gather(
            early.commit(lease=guard),
            dio.commit(),
            late.commit(lease=guard),
            return_exceptions=True,
        )
        assert [type(one) for one in results] == [ate.Receipt, ate.Receipt, Fenced]
        assert chain.commits == before + 2
