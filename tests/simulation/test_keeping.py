"""What must stay, stays, whoever compacts: write-once chains, retention policies, legal holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from dataclasses import replace
from datetime import timedelta
from typing import Any as Anything

import pytest

import ate
from ate.chain import filling
from ate.chain.compact import Compaction
from ate.chain.retention import Retention
from ate.chain.thinning import Cut
from ate.chain.verify import verify
from ate.client import Chain
from ate.dio.policy import CompactPolicy
from ate.errors import Compacted, CorruptLog, Refused, UsageError, WriteDenied
from ate.event.access import Access, Everyone, Inherit
from ate.event.draft import Draft
from ate.event.header import Header
from ate.event.row import Kind, Row
from ate.ids import ROOT
from ate.session import Session
from ate.testing.stage import Note, Stage, submit
from ate.trust.plugin import Vote

DAY = timedelta(days=1)
WORM = {"worm": True}


async def versions(stage: Stage, who: Session, number: int, *, apart: timedelta = DAY) -> list[int]:
    """Give one note so many versions, some time apart; returns their seqs."""
    note = await stage.as_(who).store("version 1")
    seqs = []
    for count in range(2, number + 2):
        async with stage.open(who) as chain:
            stored = chain._ledger.view.stored(note)
            assert stored is not None
            seqs.append(stored.seq)
        if count <= number:
            stage.clock.advance(apart.total_seconds())
            await stage.as_(who).change(note, f"version {count}")
    return seqs


async def left(chain: Chain, seqs: list[int]) -> list[int]:
    """Return the numbers of the versions that are still there."""
    found = []
    for number, seq in enumerate(seqs, 1):
        try:
            chain._ledger.view.find(seq)
        except Compacted:
            continue
        found.append(number)
    return found


# --- write once ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alice", "bob", None])
async def test_nobody_compacts_a_write_once_chain(name: str | None) -> None:
    stage = Stage(policy=WORM, access=Access(Everyone, Everyone))
    alice, bob = await stage.cast("alice", "bob")
    await stage.as_(alice).store("kept for ever")
    async with stage.open({"alice": alice, "bob": bob, None: None}[name]) as chain:
        for options in ({}, {"erase": True}):
            with pytest.raises(Refused, match="write-once chain keeps everything"):
                await chain.compact(Retention(versions=9), **options)
        assert chain._ledger.store.generation == 1


async def test_overwriting_is_no_way_around_it() -> None:
    stage = Stage(policy=WORM)
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("as it was")
    async with stage.open(alice) as chain:
        dio = chain.dio()
        dio.store(Note("another"), id=note)
        with pytest.raises((Refused, ate.Conflict)):
            await dio.commit(on_conflict="last")
    assert await stage.as_(alice).load(note) == "as it was"


@pytest.mark.parametrize("rooted", [True, False])
async def test_a_write_once_chain_that_was_compacted_all_the_same_is_corrupt(rooted: bool) -> None:
    """Somebody whose program lacks the check compacts it; everybody else notices."""
    stage = Stage(policy=WORM)
    alice = (await stage.cast("alice"))[0] if rooted else None
    if alice is None:
        async with stage.open(None):
            pass
    await stage.as_(alice).store("kept for ever")
    chain = await ate.open(
        "play", path="/chains", disk=stage.disk, clock=stage.clock, session=alice
    )
    if rooted:
        await chain.checkpoint()
    cut = Cut(chain._ledger.view, set())
    compaction = Compaction(chain._ledger, cut)
    for steps in (cut.present(), compaction.thin(set(), 0), compaction.catch_up()):
        value: Anything = None
        while True:
            try:
                step = steps.send(value)  # type: ignore[attr-defined]
            except StopIteration:
                break
            value = step() if step is not None else None
    compaction.switch()
    compaction.adopt()
    compaction.tidy_up()
    chain._ledger.store.close()
    for options in ({}, {"readonly": True}):
        with pytest.raises(CorruptLog, match="write-once chain was compacted"):
            await ate.open("play", path="/chains", disk=stage.disk, session=alice, **options)
    found = await verify(stage.log())
    assert found.problems
    assert "write-once chain was compacted" in found.problems[0]


# --- retention as the chain's own policy ----------------------------------------------------------


@pytest.mark.parametrize(
    "policy, asked, kept",
    [
        ({"versions": 3}, Retention(), [4, 5, 6]),
        ({"versions": 3}, Retention(versions=2), [4, 5, 6]),
        ({"versions": 2}, Retention(versions=4), [3, 4, 5, 6]),
        ({"days": 2.5}, Retention(), [3, 4, 5, 6]),
        ({"versions": 1, "days": 2.5}, Retention(window=DAY / 2), [3, 4, 5, 6]),
        ({"days": 1}, Retention(window=DAY * 3.5), [2, 3, 4, 5, 6]),
        ({}, Retention(), [6]),
    ],
)
async def test_the_policy_is_the_floor_of_every_compaction(
    policy: dict[str, float], asked: Retention, kept: list[int]
) -> None:
    stage = Stage(policy={"retention": policy})
    (alice,) = await stage.cast("alice")
    seqs = await versions(stage, alice, 6)
    async with stage.open(alice) as chain:
        await chain.compact(asked)
        assert await left(chain, seqs) == kept
    async with stage.open(alice, readonly=True) as chain:
        assert await left(chain, seqs) == kept


async def test_who_has_no_keys_keeps_to_the_policy_too() -> None:
    stage = Stage(policy={"retention": {"versions": 2}})
    (alice,) = await stage.cast("alice")
    seqs = await versions(stage, alice, 4)
    async with stage.open(alice) as chain:
        await chain.checkpoint()
    async with stage.open(None) as chain:
        await chain.compact()
        assert await left(chain, seqs) == [3, 4]


async def test_compaction_by_itself_keeps_to_the_policy_too() -> None:
    stage = Stage(policy={"retention": {"versions": 2}})
    (alice,) = await stage.cast("alice")
    seqs = await versions(stage, alice, 4)
    async with stage.open(alice, compact="modified"):
        pass
    async with stage.open(alice, compact=CompactPolicy(retention=Retention(versions=3))) as chain:
        assert chain._ledger.store.generation == 2
        assert await left(chain, seqs) == [3, 4]


@pytest.mark.parametrize(
    "policy",
    [
        {"retention": 3},
        {"retention": {"versions": 0}},
        {"retention": {"versions": True}},
        {"retention": {"versions": "3"}},
        {"retention": {"versions": 2.0}},
        {"retention": {"days": -1}},
        {"retention": {"days": float("nan")}},
        {"retention": {"days": float("inf")}},
        {"retention": {"days": 10**9}},
        {"retention": {"weeks": 3}},
        {"worm": 1},
        {"worm": "no"},
    ],
)
async def test_a_policy_that_nobody_could_keep_makes_no_chain(policy: dict[str, object]) -> None:
    stage = Stage(policy=policy)
    with pytest.raises(UsageError) as raised:
        await stage.cast("alice")
    assert raised.value.hint
    assert not stage.disk.exists(stage.directory)


async def test_other_entries_of_a_policy_are_kept() -> None:
    stage = Stage(policy={"archive": "tape 7", "worm": False, "retention": {}})
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        genesis = chain._ledger.view.trust.genesis
        assert genesis is not None
        assert genesis.policy["archive"] == "tape 7"
        await chain.compact()


# --- legal hold ---------------------------------------------------------------------------------


async def test_under_a_hold_nobody_compacts_until_a_root_releases_it() -> None:
    stage = Stage(access=Access(Everyone, Everyone))
    alice, bob = await stage.cast("alice", "bob")
    seqs = await versions(stage, alice, 3)
    async with stage.open(alice) as chain:
        await chain.checkpoint()
        await chain.set_hold("case 12")
        await chain.set_access(Access(Everyone, Everyone))
    for who in (alice, bob, None):
        async with stage.open(who) as chain:
            with pytest.raises(Refused, match="legal hold forbids compaction: case 12") as raised:
                await chain.compact()
            assert "set_hold(None)" in raised.value.hint
    async with stage.open(alice) as chain:
        await chain.set_hold(None)
        await chain.compact()
        assert await left(chain, seqs) == [3]
        assert chain._ledger.view.hold is None


async def test_a_hold_can_be_set_again_on_a_compacted_chain() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    await versions(stage, alice, 3)
    async with stage.open(alice) as chain:
        await chain.set_hold("first")
        await chain.set_hold(None)
        await chain.compact()
        await chain.set_hold("second")
    async with stage.open(alice) as chain:
        assert chain._ledger.view.hold == "second"
        with pytest.raises(Refused, match="second"):
            await chain.compact()


def after(
    monkeypatch: pytest.MonkeyPatch,
    where: Anything,
    name: str,
    act: Callable[[], Coroutine[Anything, Anything, Anything]],
) -> list[str]:
    """Have `act` awaited once, when these steps of a compaction are done; returns a list of that.

    It is a step itself, in a thread: the event loop is free for it.
    """
    steps, loop = getattr(where, name), asyncio.get_running_loop()
    acted: list[str] = []

    def stepping(*words: Anything) -> Generator[Anything, Anything, Anything]:
        result = yield from steps(*words)
        if not acted:
            acted.append(name)
            yield lambda: asyncio.run_coroutine_threadsafe(act(), loop).result()
        return result

    monkeypatch.setattr(where, name, stepping)
    return acted


async def test_a_hold_that_comes_while_a_compaction_is_under_way_stops_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    seqs = await versions(stage, alice, 3)
    async with stage.open(alice) as chain:
        after(monkeypatch, Compaction, "prepare", lambda: chain.set_hold("just in time"))
        with pytest.raises(Refused, match="just in time"):
            await chain.compact()
        assert await left(chain, seqs) == [1, 2, 3]
        assert chain._ledger.store.generation == 1
    assert not stage.disk.exists(f"{stage.directory}/000002")


@pytest.mark.parametrize("reason", ["pretended", None])
async def test_only_a_root_sets_or_releases_a_hold(reason: str | None) -> None:
    stage = Stage(access=Access(Everyone, Everyone))
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        await chain.set_hold("case 12")
    for who in (bob, None):
        async with stage.open(who) as chain:
            with pytest.raises(WriteDenied if who else UsageError):
                await chain.set_hold(reason)
    async with stage.open(bob) as chain:
        stored = chain._ledger.view.stored(ROOT)
        assert stored is not None
        record, at = chain._ledger.view.find(stored.seq)
        body = bytes(chain._ledger.view.body(record, record.row(at)))
        known = record.header(at)
        assert known is not None
        draft = Draft(int(Kind.GENESIS), bytes(ROOT), bytes(ROOT), 0, 0, 1, 0, 0, body)
        draft.header = replace(known, unknown={}) if reason is None else Header(Access(Inherit))
        with pytest.raises(WriteDenied):
            await submit(chain, bob, draft)
        assert chain._ledger.view.hold == "case 12"


async def test_a_hold_has_a_reason() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        for nothing in ("", "  "):
            with pytest.raises(UsageError, match="reason"):
                await chain.set_hold(nothing)


async def test_a_chain_without_keys_can_be_held_too() -> None:
    stage = Stage()
    async with stage.open(None) as chain:
        await chain.set_hold("for now")
        with pytest.raises(Refused, match="for now"):
            await chain.compact(erase=True)
        await chain.set_hold(None)
        await chain.compact(erase=True)


# --- what must not come back ----------------------------------------------------------------------


class Votes:
    """Drops what is newest, and keeps the first version of everything."""

    name = "votes"

    def __init__(self, view: Anything = None) -> None:
        self.drops: set[bytes] = set()

    def vote(self, row: Row, header: Header | None) -> Vote | None:
        if row.base:
            return Vote(keep=False, force=True) if row.id in self.drops else None
        return Vote(keep=True, force=True)


@pytest.mark.parametrize("rooted", [True, False])
@pytest.mark.parametrize("asked", [Retention(3, None, DAY), Retention(1, DAY, DAY)])
async def test_a_forgotten_object_does_not_come_back(rooted: bool, asked: Retention) -> None:
    """Its older versions go with its tombstone: alone they would be the present again."""
    stage = Stage()
    alice = (await stage.cast("alice"))[0] if rooted else None
    note = await stage.as_(alice).store("deleted long ago")
    await stage.as_(alice).change(note, "deleted long ago, second version")
    await stage.as_(alice).delete(note)
    stage.clock.advance(3 * DAY.total_seconds())
    await stage.as_(alice).store("stays")
    async with stage.open(alice) as chain:
        await chain.compact(asked)
        assert chain._ledger.view.stored(note) is None
    assert (await stage.ledger(alice)).view.stored(note) is None
    assert await stage.as_(alice).texts() == ["stays"]


async def test_within_the_window_a_tombstone_is_not_forgotten() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("deleted")
    await stage.as_(alice).delete(note)
    stage.clock.advance(DAY.total_seconds())
    async with stage.open(alice) as chain:
        await chain.compact(Retention(window=2 * DAY, tombstones=timedelta()))
    stored = (await stage.ledger(alice)).view.stored(note)
    assert stored is not None
    assert stored.dead
    assert await stage.as_(alice).load(note, at_seq=stored.row.base) == "deleted"


@pytest.mark.parametrize("rooted", [True, False])
async def test_a_newest_version_that_votes_drop_takes_the_older_ones_along(rooted: bool) -> None:
    votes = Votes()
    stage = Stage(plugins=[votes])
    alice = (await stage.cast("alice"))[0] if rooted else None
    note = await stage.as_(alice).store("first")
    await stage.as_(alice).change(note, "second")
    other = await stage.as_(alice).store("other")
    await stage.as_(alice).change(other, "other, second")
    votes.drops.add(note)
    async with stage.open(alice) as chain:
        await chain.compact()
    view = (await stage.ledger(alice)).view
    assert view.stored(note) is None
    assert len(list(view.rows(1, view.head))) == view.held
    assert sorted(await stage.as_(alice).texts()) == ["other, second"]


@pytest.mark.parametrize("policy", [{"versions": 2}, {"days": 9}, {"versions": 1}])
async def test_neither_votes_nor_forgetting_go_below_the_policy(policy: dict[str, int]) -> None:
    votes = Votes()
    stage = Stage(plugins=[votes], policy={"retention": policy})
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("first")
    await stage.as_(alice).change(note, "second")
    gone = await stage.as_(alice).store("deleted")
    await stage.as_(alice).delete(gone)
    stage.clock.advance(2 * DAY.total_seconds())
    votes.drops.add(note)
    async with stage.open(alice) as chain:
        await chain.compact(Retention(tombstones=timedelta()))
    assert await stage.as_(alice).load(note) == "second"
    stored = (await stage.ledger(alice)).view.stored(gone)
    assert (stored is not None) is (policy != {"versions": 1})


async def test_a_tombstone_whose_id_was_used_again_stays() -> None:
    """Behind the cut, that of an old checkpoint, a new row goes on from it."""
    stage = Stage(access=Access(Everyone, Everyone))
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("deleted")
    await stage.as_(alice).delete(note)
    async with stage.open(alice) as chain:
        await chain.checkpoint()
    await stage.as_(alice).store("again", id=note)
    stage.clock.advance(DAY.total_seconds())
    async with stage.open(None) as chain:
        await chain.compact(Retention(tombstones=timedelta()))
    assert (await verify(stage.log())).ok
    assert await stage.as_(alice).load(note) == "again"


@pytest.mark.parametrize(
    "where, station",
    [(Cut, "present"), (filling, "old_tombstones"), (Compaction, "thin"), (Compaction, "prepare")],
)
async def test_an_id_that_is_used_again_while_its_tombstone_goes(
    where: Anything, station: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever the commit comes, what is left is one sound chain that holds it."""
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("deleted")
    await stage.as_(alice).delete(note)
    stage.clock.advance(DAY.total_seconds())
    async with stage.open(alice) as chain:

        async def again() -> None:
            async with chain.dio() as dio:
                dio.store(Note("again"), id=note)

        acted = after(monkeypatch, where, station, again)
        await chain.compact(Retention(tombstones=timedelta()))
        assert acted
    assert (await verify(stage.log())).ok
    assert await stage.as_(alice).load(note) == "again"
