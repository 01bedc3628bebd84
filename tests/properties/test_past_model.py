"""Random histories against a plain dictionary that is copied at each commit: the past stays it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ate
from ate.chain import past
from ate.client import Chain
from ate.crypto.entropy import SeededEntropy
from ate.errors import Deleted, NotFound
from ate.ids import ROOT, ObjectId
from ate.session import Session
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member

IDS = [ObjectId(bytes(15) + bytes([number])) for number in range(1, 7)]
#: id → (value, parent) of the living.
State = dict[bytes, tuple[int, bytes]]

#: (what, which object, where or what value)
STEP = st.tuples(
    st.sampled_from(["put", "put", "move", "delete"]), st.integers(0, 5), st.integers(0, 6)
)
HISTORY = st.lists(st.lists(STEP, min_size=1, max_size=5), min_size=1, max_size=10)


def below(state: State, top: bytes) -> set[bytes]:
    """Return an object and all that hangs below it."""
    found, grown = {top}, True
    while grown:
        more = {one for one, (_, parent) in state.items() if parent in found} | found
        grown, found = more != found, more
    return found


class Model:
    """A chain and what it must say about every row up to its head."""

    def __init__(self) -> None:
        self.state: State = {}
        #: Head → the state behind that commit.
        self.past: dict[int, State] = {}
        #: Object → its versions, oldest first: value (None: deleted) and parent.
        self.versions: dict[bytes, list[tuple[int | None, bytes]]] = {one: [] for one in IDS}

    async def commit(self, chain: Chain, steps: list[tuple[str, int, int]]) -> None:
        """Do the steps that make sense, each to another object, and commit them."""
        dio, before = chain.dio(), dict(self.state)
        touched: set[bytes] = set()
        for what, which, number in steps:
            one, parent = IDS[which], ROOT if number == 6 else IDS[number]
            if one in touched or parent in touched or touched & below(self.state, one):
                continue
            if what == "put":
                if one in self.state:
                    (await dio.load(int, one)).value = number
                    self.state[one] = (number, self.state[one][1])
                else:
                    above = parent if parent in self.state else ROOT
                    dio.store(number, id=one, parent=above)
                    self.state[one] = (number, above)
            elif one not in self.state:
                continue
            elif what == "move":
                if parent != ROOT and (
                    parent not in self.state or parent in below(self.state, one)
                ):
                    continue
                (await dio.load(int, one)).move(parent)
                self.state[one] = (self.state[one][0], parent)
            else:
                gone = below(self.state, one)
                dio.delete(one)
                touched |= gone
                self.state = {key: at for key, at in self.state.items() if key not in gone}
            touched.add(one)
        if not dio.has_changes:
            return
        await dio.commit()
        self.past[chain.head] = dict(self.state)
        for one in IDS:
            if one in touched and one in self.state:
                self.versions[one].append(self.state[one])
            elif one in touched and one in before:
                self.versions[one].append((None, before[one][1]))


async def state_of(chain: Chain) -> State:
    return {dao.id: (dao.value, dao.parent) async for dao in chain.dio().all(int)}


async def check(chain: Chain, disk: SimDisk, model: Model, who: Session | None) -> None:
    dio = chain.dio()
    for one, wanted in model.versions.items():
        if not wanted:
            with pytest.raises(NotFound):
                await anext(aiter(dio.history(one)))
            continue
        found = [version async for version in dio.history(one, int)]
        assert [(each.value, each.parent) for each in reversed(found)] == wanted
        assert [each.is_delete for each in reversed(found)] == [v is None for v, _ in wanted]
        assert not any(each.older_dropped for each in found)
        again = [version.seq async for version in dio.history(one, int, oldest_first=True)]
        assert again == [version.seq for version in reversed(found)]
    for at, state in model.past.items():
        for one in IDS:
            try:
                dao = await dio.load(int, one, at_seq=at)
            except (NotFound, Deleted):
                assert one not in state
            else:
                assert state[one] == (dao.value, dao.parent)
        when = chain._ledger.view.find(at)[0].sequencer.time_us
        assert past.seq_at_time(chain._ledger.view, when) == at
        await chain.fork(f"at{at}", at=at, path="/f", disk=disk)
        async with ate.open(f"at{at}", path="/f", disk=disk, session=who, create=False) as fork:
            assert await state_of(fork) == state


async def play(history: list[list[tuple[str, int, int]]], who: Session | None) -> None:
    disk, model = SimDisk(), Model()
    parts: dict[str, Any] = {"clock": SimClock(tick_us=1), "entropy": SeededEntropy(b"past")}
    async with ate.open("m", path="/c", disk=disk, session=who, **parts) as chain:
        for steps in history:
            await model.commit(chain, steps)
        assert await state_of(chain) == model.state
        await check(chain, disk, model, who)
    async with ate.open("m", path="/c", disk=disk, session=who, readonly=True) as reader:
        await check(reader, SimDisk(), model, who)


@given(history=HISTORY)
def test_the_past_is_what_it_was(history: list[list[tuple[str, int, int]]]) -> None:
    asyncio.run(play(history, None))


@given(history=HISTORY)
@settings(max_examples=8)
def test_the_past_of_a_sealed_chain_is_what_it_was(
    history: list[list[tuple[str, int, int]]],
) -> None:
    asyncio.run(play(history, member("alice")))
