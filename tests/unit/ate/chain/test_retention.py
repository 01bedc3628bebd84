from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Self

import pytest

import ate
from ate.chain.index import DEAD, SEQ_MASK
from ate.chain.retention import Retention, ask, old_tombstones, older_versions
from ate.errors import UsageError
from ate.testing.simclock import SimClock
from ate.trust.plugin import Vote

HOUR = timedelta(hours=1)


def all_steps(steps: Iterator[Any]) -> None:
    for _ in steps:
        pass


def test_what_can_be_asked_for() -> None:
    assert not Retention().keeps_past
    assert Retention(2).keeps_past
    assert Retention(window=HOUR).keeps_past
    with pytest.raises(UsageError, match="at least one"):
        Retention(0)


def test_a_chain_s_own_policy_widens() -> None:
    mine = Retention(2, timedelta(days=3), timedelta(days=30))
    assert mine.widened({}) == mine
    assert mine.widened({"retention": {"versions": 5}}).versions == 5
    assert mine.widened({"retention": {"days": 7}}).window == timedelta(days=7)
    assert Retention().widened({"retention": {}}) == Retention()
    for bad in ({"versions": "x"}, {"days": None}):
        with pytest.raises(UsageError, match="policy"):
            mine.widened({"retention": bad})


class Past:
    """A chain with five versions of one object, one hour apart, and a deleted one."""

    def __init__(self) -> None:
        self.clock = SimClock(tick_us=1)

    async def __aenter__(self) -> Self:
        self.chain = await ate.open("m", memory=True, clock=self.clock)
        dio = self.chain.dio()
        one, two = dio.store({"n": 0}), dio.store({"n": 0})
        await dio.commit()
        self.id, self.gone = one.id, two.id
        self.seqs = [one.seq]
        self.first_of_gone = two.seq
        dio.delete(two.id)
        await dio.commit()
        self.tombstone = self.chain.head
        for turn in range(1, 5):
            self.clock.advance(3600)
            one.value = {"n": turn}
            await dio.commit()
            self.seqs.append(one.seq)
        self.view = self.chain._ledger.view
        self.now = self.clock.now_us()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.chain.close()

    def older(self, retention: Retention) -> set[int]:
        kept: set[int] = set()
        all_steps(older_versions(self.view, self.seqs[-1:], retention, self.now, kept))
        return kept


async def test_versions_and_a_window() -> None:
    async with Past() as past:
        seqs = past.seqs
        assert past.older(Retention()) == set()
        assert past.older(Retention(3)) == {seqs[3], seqs[2]}
        assert past.older(Retention(99)) == set(seqs[:-1])
        # The version that was current when the window begins belongs to it.
        assert past.older(Retention(window=timedelta(hours=1.5))) == {seqs[3], seqs[2]}
        assert past.older(Retention(window=timedelta(days=9))) == set(seqs[:-1])
        assert past.older(Retention(2, timedelta(minutes=1))) == {seqs[3]}
        await past.chain.compact()
        assert past.older(Retention(99)) <= {seqs[3]}, "what is gone can not be kept"


async def test_old_tombstones() -> None:
    async with Past() as past:
        flagged = [past.tombstone | DEAD, past.seqs[-1]]

        def found(age: timedelta) -> set[int]:
            gone: set[int] = set()
            all_steps(old_tombstones(past.view, flagged, age, past.now, gone))
            return gone

        assert found(HOUR) == {past.tombstone}
        assert found(timedelta(days=1)) == set()
        dio = past.chain.dio()
        dio.store({"n": "again"}, id=past.gone)
        await dio.commit()
        assert found(HOUR) == set(), "its id was used again"


class Voter:
    """Keeps or drops what it is told to."""

    def __init__(self, keep: set[int], drop: set[int]) -> None:
        self.keep, self.drop = keep, drop
        self.seq = 0

    def vote(self, row: Any, header: object) -> Vote | None:
        if row.base in self.drop:
            return Vote(keep=False, force=True)
        return Vote(keep=True) if row.base in self.keep else None


async def test_votes() -> None:
    async with Past() as past:
        seqs = past.seqs
        kept: set[int] = set()
        dropped: set[int] = set()
        voter = Voter(keep={seqs[0]}, drop={seqs[3], past.first_of_gone})
        all_steps(ask(past.view, [voter], past.chain.head, kept, dropped))
        assert kept == {seqs[1]}
        assert dropped == {seqs[4], past.tombstone}
        assert past.view.index.locate(past.id) & SEQ_MASK == seqs[4]
        kept.clear()
        all_steps(ask(past.view, [Voter(set(seqs), set())], seqs[1], kept, dropped))
        assert kept == {seqs[1]}
