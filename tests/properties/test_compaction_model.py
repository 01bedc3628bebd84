"""A chain that is compacted at any moment against a dictionary: nothing of the present moves.

Two members of a role write, one of them may leave and come back; roots rotate; the index file is
deleted now and then; a reader follows across generations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import ate
from ate.chain.ledger import Ledger
from ate.chain.retention import Retention
from ate.chain.verify import verify
from ate.client import Chain
from ate.crypto.entropy import SeededEntropy, system_entropy
from ate.errors import Compacted, Deleted, NoReadKey, NotFound
from ate.event.access import Access, Only
from ate.event.access import Any as AnyOf
from ate.ids import ROOT, ObjectId
from ate.log.local import LocalLog
from ate.session import Session
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member

T = TypeVar("T")
DIRECTORY = "/c/m"
STAFF = Access(Only("Staff"), AnyOf("Staff"))


@dataclass(frozen=True)
class Thing:
    """A live object: value, parent, and the seq of its newest version."""

    value: dict[str, int]
    parent: bytes
    seq: int


class CompactionMachine(RuleBasedStateMachine):
    """Unsigned."""

    names: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.disk, self.clock = SimDisk(), SimClock(tick_us=1)
        self.entropy = SeededEntropy(b"compaction model")
        self.people = [member(name) for name in self.names]
        self.things: dict[bytes, Thing] = {}
        self.dead: set[bytes] = set()
        #: (object, seq) → value, of every version there ever was.
        self.versions: dict[tuple[bytes, int], dict[str, int]] = {}
        #: seqs of versions that must be kept since the last compaction.
        self.kept: set[int] = set()
        self.facts: tuple[bytes, int, bytes] = (b"", 0, b"")
        self.staff = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def founder(self) -> Session | None:
        return self.people[0] if self.people else None

    @initialize()
    def begin(self) -> None:
        self.chain = self.run(self._open())
        self.reader: Chain | None = None
        if self.people:
            self.change_staff(both=True)
        for number in range(5):
            self.store(number, 0, ruled=number == 1)
        self.update(1, 7)
        self.update(2, 8)

    async def _open(self, **options: Any) -> Chain:
        return await ate.open(
            "m", path="/c", session=self.founder, disk=self.disk, clock=self.clock,
            entropy=self.entropy, **options,
        )  # fmt: skip

    def teardown(self) -> None:
        if hasattr(self, "chain"):
            if self.reader is not None:
                self.run(self.reader.close())
            self.run(self.chain.close())
        self.runner.close()

    # --- what happens ---------------------------------------------------------------------------

    numbers = st.integers(0, 30)

    def pick(self, number: int) -> ObjectId | None:
        ids = sorted(self.things)
        return ObjectId(ids[number % len(ids)]) if ids else None

    def landed(self, one: bytes, thing: Thing) -> None:
        self.things[one] = thing
        self.versions[one, thing.seq] = thing.value
        self.kept.add(thing.seq)

    @rule(a=numbers, above=numbers, ruled=st.booleans())
    def store(self, a: int, above: int, ruled: bool) -> None:
        parent = self.pick(above) if above % 3 else None
        dio = self.chain.dio()
        access = STAFF if ruled and self.people and parent is None else None
        dao = dio.store({"a": a, "b": 0}, parent=parent, access=access)
        self.run(dio.commit())
        self.landed(bytes(dao.id), Thing({"a": a, "b": 0}, parent or ROOT, dao.seq))

    @rule(number=numbers, b=numbers)
    def update(self, number: int, b: int) -> None:
        if (one := self.pick(number)) is None:
            return
        dio = self.chain.dio()
        dao = self.run(dio.load(dict, one))
        dao.value = {**dao.value, "b": b + 1000 * len(self.versions)}
        self.run(dio.commit())
        self.landed(one, replace(self.things[one], value=dict(dao.value), seq=dao.seq))

    @rule(number=numbers, above=numbers)
    def move(self, number: int, above: int) -> None:
        one, parent = self.pick(number), self.pick(above) if above % 3 else None
        if one is None or (parent is not None and one in self.above(parent)):
            return
        dio = self.chain.dio()
        dao = self.run(dio.load(dict, one))
        dao.move(parent)
        self.run(dio.commit())
        self.landed(one, replace(self.things[one], parent=parent or ROOT, seq=dao.seq))

    def above(self, start: bytes) -> list[bytes]:
        path = []
        while start != ROOT:
            path.append(start)
            start = self.things[start].parent
        return path

    @rule(number=numbers)
    def delete(self, number: int) -> None:
        if (one := self.pick(number)) is None:
            return
        gone = {other for other in self.things if one in self.above(other)}
        dio = self.chain.dio()
        self.run(dio.load(dict, one)).delete()
        self.run(dio.commit())
        for other in gone:
            del self.things[other]
        self.dead |= gone

    @rule(number=numbers)
    def store_again(self, number: int) -> None:
        """The id of a deleted object, under the rule that its tombstone keeps, if it is there."""
        if not self.dead:
            return
        one = sorted(self.dead)[number % len(self.dead)]
        dio = self.chain.dio()
        dao = dio.store({"a": -1, "b": number}, id=ObjectId(one), access=self.rule_of(one))
        try:
            self.run(dio.commit())
        except NoReadKey:
            # Keys of a deleted domain are not handed on when a role changes: nobody writes there.
            assert self.rule_of(one) == STAFF
            dio.cancel()
            return
        self.dead.discard(one)
        self.landed(one, Thing({"a": -1, "b": number}, ROOT, dao.seq))

    def rule_of(self, one: bytes) -> Access | None:
        stored = self.chain._ledger.view.stored(one)
        return stored.access if stored else None

    @rule()
    def checkpoint(self) -> None:
        if self.people:
            self.run(self.chain.checkpoint())

    @rule(hours=st.integers(0, 60))
    def wait(self, hours: int) -> None:
        self.clock.advance(3600 * hours)

    @rule(
        versions=st.integers(1, 3), window=st.sampled_from((None, 5, 40)),
        tombstones=st.sampled_from((None, 0, 10)),
    )  # fmt: skip
    def compact(self, versions: int, window: int | None, tombstones: int | None) -> None:
        before = self.chain.root, self.chain.head, self.chain.commits
        done = self.run(self.chain.compact(Retention(versions, _hours(window), _hours(tombstones))))
        assert done.rows_after <= done.rows_before + 1
        if not self.people:
            assert (self.chain.root, self.chain.head, self.chain.commits) == before
        # Whatever is not the newest version may be gone now; those in the tail are copied.
        self.kept = {seq for seq in self.kept if seq >= done.cut}
        self.kept |= {thing.seq for thing in self.things.values()}
        for one, thing in self.things.items():
            older = sorted(
                (s for o, s in self.versions if o == one and s < thing.seq), reverse=True
            )
            wanted = [s for s in older[: versions - 1] if s in self.readable(one)]
            assert wanted == older[: len(wanted)], "versions go from the newest one on"

    def readable(self, one: bytes) -> set[int]:
        """Return the seqs of the versions of an object that the log holds."""
        view = self.chain._ledger.view
        found = set()
        for other, seq in self.versions:
            if other == one:
                try:
                    view.find(seq)
                    found.add(seq)
                except Compacted:
                    pass
        return found

    @rule(with_index=st.booleans())
    def reopen(self, with_index: bool) -> None:
        generation = self.chain._ledger.store.generation
        self.run(self.chain.close())
        if not with_index:
            self.disk.remove(f"{DIRECTORY}/{generation:06d}/index")
        self.people = [Session(one.identity, one.own) for one in self.people]
        self.chain = self.run(self._open())

    @rule()
    def follow(self) -> None:
        """Let a reader begin here, or catch up over all generations since."""
        if self.reader is None:
            self.reader = self.run(self._open(readonly=True))
        else:
            self.run(self.reader.refresh())
        self.agrees(self.reader)

    @rule()
    def stop_following(self) -> None:
        if self.reader is not None:
            self.run(self.reader.close())
            self.reader = None

    def change_staff(self, *, both: bool) -> None:
        self.run(self.chain.set_role("Staff", [one.public for one in self.people[: 1 + both]]))
        self.staff = both

    # --- what holds -----------------------------------------------------------------------------

    def agrees(self, chain: Chain) -> None:
        assert (chain.root, chain.head, chain.id) == (
            self.chain.root, self.chain.head, self.chain.id,
        )  # fmt: skip
        dio = chain.dio()
        found = self.run(_all(dio))
        assert found == {one: (t.value, t.parent) for one, t in self.things.items()}
        assert len(chain) == len(self.things)

    @invariant()
    def the_present_is_there(self) -> None:
        if not hasattr(self, "chain"):
            return
        self.agrees(self.chain)
        dio = self.chain.dio()
        for parent in {ROOT, *(thing.parent for thing in self.things.values())}:
            children = self.run(_children(dio, ObjectId(parent)))
            assert children == {o for o, thing in self.things.items() if thing.parent == parent}
        for one in self.dead:
            assert not self.run(dio.exists(ObjectId(one)))

    @rule()
    def the_past_is_right_or_gone(self) -> None:
        dio = self.chain.dio()
        for (one, seq), value in self.versions.items():
            try:
                dao = self.run(dio.load(dict, ObjectId(one), at_seq=seq))
            except Compacted:
                assert seq not in self.kept or one not in self.things
            except NoReadKey:
                assert one in self.dead, "nobody hands on the keys of what is deleted"
            except (NotFound, Deleted):
                assert one in self.dead or seq not in self.kept
            else:
                assert dict(dao.value) == value, "never another one"

    @rule()
    def all_of_it_verifies(self) -> None:
        store = LocalLog.open(DIRECTORY, disk=self.disk, readonly=True)
        found = self.run(verify(store))
        assert found.ok, found.problems
        assert (found.root, found.head) == (self.chain.root, self.chain.head)
        ledger = Ledger(store, session=None, clock=self.clock, entropy=system_entropy)
        self.run(ledger.replay(use_snapshot=False))
        mine = self.chain._ledger.view
        assert ledger.view.trust.roles == mine.trust.roles
        assert ledger.view.origins.table == mine.origins.table
        assert ledger.view.held == mine.held
        store.close()


class SignedMachine(CompactionMachine):
    """Signed and sealed, with a role whose members change, and roots that rotate."""

    names = ("alice", "bob")

    @rule(both=st.booleans())
    def staff_changes(self, both: bool) -> None:
        self.change_staff(both=both)

    @rule(turn=st.booleans())
    def roots_rotate(self, turn: bool) -> None:
        """The founder stays, or nobody could go on; the other one comes and goes."""
        roots = [one.public for one in self.people[: 1 + turn]]
        self.run(self.chain.set_role("root", roots))

    @rule(number=st.integers(0, 30))
    def the_other_one_writes(self, number: int) -> None:
        """Under the rule that names the staff; the founder reads it."""
        view = self.chain._ledger.view
        ruled = [o for o in sorted(self.things) if (s := view.stored(o)) and s.access == STAFF]
        if not ruled or not self.staff:
            return
        one = ObjectId(ruled[number % len(ruled)])
        dio = self.chain.dio(self.people[1])
        dao = self.run(dio.load(dict, one))
        dao.value = {**dao.value, "b": -number}
        self.run(dio.commit())
        self.landed(one, replace(self.things[one], value=dict(dao.value), seq=dao.seq))


def _hours(hours: int | None) -> timedelta | None:
    return None if hours is None else timedelta(hours=hours)


async def _all(dio: ate.Dio) -> dict[bytes, tuple[dict[str, int], bytes]]:
    return {bytes(dao.id): (dict(dao.value), bytes(dao.parent)) async for dao in dio.all(dict)}


async def _children(dio: ate.Dio, parent: ObjectId) -> set[bytes]:
    return {bytes(dao.id) async for dao in dio.children(parent, dict)}


_SOME = settings().max_examples
TestUnsigned = CompactionMachine.TestCase
TestUnsigned.settings = settings(max_examples=_SOME // 3, stateful_step_count=30)
TestSigned = SignedMachine.TestCase
TestSigned.settings = settings(max_examples=_SOME // 5, stateful_step_count=25)
