"""Two units of work on one chain against a dictionary: what they see, what lands, what clashes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import ate
from ate.client import Chain
from ate.crypto.entropy import SeededEntropy
from ate.errors import Conflict, Deleted, NotFound, UsageError
from ate.ids import ROOT, ObjectId
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member

T = TypeVar("T")
Value = dict[str, int]


@dataclass(frozen=True)
class Thing:
    """A committed object; `version` is its seq, `created` the seq of its first version."""

    value: Value
    parent: bytes
    version: int
    created: int
    alive: bool = True


@dataclass(frozen=True)
class Change:
    """An uncommitted one; `base` is the version it started from, None for a new object."""

    value: Value
    parent: bytes
    base: Thing | None
    deleted: bool = False


@dataclass
class Unit:
    """One Dio and what the model says of it."""

    dio: ate.Dio
    changes: dict[bytes, Change] = field(default_factory=dict)


class DioMachine(RuleBasedStateMachine):
    """In memory, without keys."""

    who: str | None = None
    on_disk = False

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.disk, self.clock = SimDisk(), SimClock(tick_us=1)
        # Ids must be the same in every run, or hypothesis could not shrink what it finds.
        self.entropy = SeededEntropy(b"dio model")
        self.session = member(self.who) if self.who else None
        self.things: dict[bytes, Thing] = {}
        self.head = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        """Start with a small tree, so that there is something to move and fell."""
        self.open()
        for number in range(6):
            self.store(0, 3 * number + number % 3, number % 4)
        self.commit(0, "error", cancel=False)

    def open(self) -> None:
        self.chain = self.run(self._open())
        self.units = [Unit(self.chain.dio()), Unit(self.chain.dio())]

    async def _open(self) -> Chain:
        where: dict[str, Any] = {"path": "/c"} if self.on_disk else {"memory": True}
        parts: dict[str, Any] = {"disk": self.disk, "clock": self.clock, "entropy": self.entropy}
        return await ate.open("m", session=self.session, **parts, **where)

    def teardown(self) -> None:
        if hasattr(self, "chain"):
            self.run(self.chain.close())
        self.runner.close()

    # --- what a unit sees -----------------------------------------------------------------------

    def seen(self, unit: Unit) -> dict[bytes, tuple[Value, bytes]]:
        """Return value and parent of everything alive in the eyes of a unit."""
        found = {one: (t.value, t.parent) for one, t in self.things.items() if t.alive}
        for one, change in unit.changes.items():
            if change.deleted:
                found.pop(one, None)
            else:
                found[one] = (change.value, change.parent)
        return found

    def pick(self, unit: Unit, number: int) -> ObjectId | None:
        ids = sorted(self.seen(unit))
        return ObjectId(ids[number % len(ids)]) if ids else None

    def pick_parent(self, unit: Unit, number: int) -> ObjectId | None:
        return None if number % 3 == 0 else self.pick(unit, number)

    def touch(self, unit: Unit, one: bytes, **what: Any) -> None:
        known = unit.changes.get(one)
        if known is None:
            thing = self.things[one]
            known = Change(thing.value, thing.parent, thing)
        unit.changes[one] = replace(known, **what)

    # --- changing -------------------------------------------------------------------------------

    units_ = st.integers(0, 1)
    numbers = st.integers(0, 30)

    @rule(which=units_, above=numbers, a=st.integers(0, 3))
    def store(self, which: int, above: int, a: int) -> None:
        unit = self.units[which]
        parent = self.pick_parent(unit, above)
        dao = unit.dio.store({"a": a, "b": 0}, parent=parent)
        unit.changes[dao.id] = Change(dict(dao.value), parent or ROOT, None)

    @rule(which=units_, number=numbers, name=st.sampled_from("ab"), to=st.integers(0, 3))
    def update(self, which: int, number: int, name: str, to: int) -> None:
        unit = self.units[which]
        if (one := self.pick(unit, number)) is not None:
            dao = self.run(unit.dio.load(dict, one))
            dao.value = {**dao.value, name: to}
            self.touch(unit, one, value=dict(dao.value))

    @rule(which=units_, number=numbers, above=numbers)
    def move(self, which: int, number: int, above: int) -> None:
        unit = self.units[which]
        one, parent = self.pick(unit, number), self.pick_parent(unit, above)
        if one is None:
            return
        dao = self.run(unit.dio.load(dict, one))
        try:
            dao.move(parent)
        except UsageError:
            assert one in self.above(unit, parent)
        else:
            assert one not in self.above(unit, parent)
            self.touch(unit, one, parent=parent or ROOT)

    def above(self, unit: Unit, start: bytes | None) -> list[bytes]:
        """Return `start` and what it hangs under, in the eyes of a unit."""
        path: list[bytes] = []
        while start is not None and start != ROOT and start not in path:
            path.append(start)
            change, thing = unit.changes.get(start), self.things.get(start)
            start = change.parent if change else thing.parent if thing else None
        return path

    @rule(which=units_, number=numbers, by_id=st.booleans(), now=st.booleans())
    def delete(self, which: int, number: int, by_id: bool, now: bool) -> None:
        unit = self.units[which]
        if (one := self.pick(unit, number)) is not None:
            if by_id:
                unit.dio.delete(one)
            else:
                self.run(unit.dio.load(dict, one)).delete()
            self.touch(unit, one, deleted=True)
        if now:
            self.commit(which, "error", cancel=True)

    @rule(which=units_, number=numbers)
    def store_again(self, which: int, number: int) -> None:
        """An id whose object is gone may be used again."""
        unit = self.units[which]
        dead = sorted(o for o, t in self.things.items() if not t.alive and o not in unit.changes)
        if dead:
            one = ObjectId(dead[number % len(dead)])
            unit.dio.store({"a": 9, "b": 9}, id=one)
            unit.changes[one] = Change({"a": 9, "b": 9}, ROOT, None)

    @rule(which=units_)
    def cancel(self, which: int) -> None:
        self.units[which].dio.cancel()
        self.units[which].changes.clear()

    # --- committing -----------------------------------------------------------------------------

    @rule(which=units_)
    def commit_both(self, which: int) -> None:
        """The second one meets what the first one has just changed."""
        self.commit(which, "error", cancel=False)
        self.commit(1 - which, "error", cancel=True)

    @rule(which=units_, how=st.sampled_from(("error", "last")), cancel=st.booleans())
    def commit(self, which: int, how: str, cancel: bool) -> None:
        unit = self.units[which]
        doomed = self.fell(unit)
        landing = {o: c for o, c in unit.changes.items() if c.base is not None or not c.deleted}
        conflicts = [o for o, c in landing.items() if self.clashes(o, c, how)]
        work = unit.dio.commit(on_conflict=how)
        if not landing:
            with pytest.raises(UsageError):
                self.run(work)
        elif conflicts:
            with pytest.raises(Conflict) as caught:
                self.run(work)
            assert caught.value.object in conflicts
            assert caught.value.theirs == self.things[caught.value.object].version
            assert unit.dio.has_changes
        elif missing := self.missing_parents(landing, doomed):
            with pytest.raises(Conflict, match="the parent") as caught:
                self.run(work)
            assert caught.value.object in missing
            assert unit.dio.has_changes
        else:
            self.land(landing, doomed, self.run(work).seq)
            unit.changes.clear()
        if cancel:
            self.cancel(which)

    def fell(self, unit: Unit) -> list[bytes]:
        """Mark what hangs below deleted objects; return those that are no change of the unit."""
        pending = [one for one, change in unit.changes.items() if change.deleted]
        doomed: list[bytes] = []
        while pending:
            parent = pending.pop()
            for one, change in list(unit.changes.items()):
                if change.parent == parent and not change.deleted:
                    unit.changes[one] = replace(change, deleted=True)
                    pending.append(one)
            for one, thing in self.things.items():
                if thing.alive and thing.parent == parent and one not in (*doomed, *unit.changes):
                    doomed.append(one)
                    pending.append(one)
        return doomed

    def missing_parents(self, landing: dict[bytes, Change], doomed: list[bytes]) -> set[bytes]:
        """Return the parents that would not be there after the commit."""
        after = {one for one, thing in self.things.items() if thing.alive} - set(doomed)
        after -= {one for one, change in landing.items() if change.deleted}
        after |= {one for one, change in landing.items() if not change.deleted}
        wanted = {change.parent for change in landing.values() if not change.deleted}
        return wanted - after - {bytes(ROOT)}

    def clashes(self, one: bytes, change: Change, how: str) -> bool:
        thing = self.things.get(one)
        if change.base is None:
            return thing is not None and thing.alive and how != "last"
        assert thing is not None
        return thing.version != change.base.version and (how != "last" or not thing.alive)

    def land(self, landing: dict[bytes, Change], doomed: list[bytes], seq: int) -> None:
        for at, (one, change) in enumerate(landing.items()):
            old = self.things.get(one)
            first = seq + at if old is None or not old.alive else old.created
            self.things[one] = Thing(
                change.value, change.parent, seq + at, first, alive=not change.deleted
            )
        for one in doomed:
            # Which of their seqs each one got does not matter: they are gone.
            version = self.version_of(one)
            self.things[one] = replace(self.things[one], version=version, alive=False)

    def version_of(self, one: bytes) -> int:
        return self.chain._ledger.view.index.locate(one) & ((1 << 48) - 1)

    @precondition(lambda self: self.on_disk)
    @rule(how=st.sampled_from(("closed", "killed", "no snapshot")))
    def reopen(self, how: str) -> None:
        if how == "killed":
            self.disk.locks.clear()  # nothing is closed, flushed or written any more
            self.run(self.chain._writer.close())
        else:
            self.run(self.chain.close())
        if how == "no snapshot" and self.disk.exists("/c/m/000001/index"):
            self.disk.remove("/c/m/000001/index")
        self.open()

    # --- comparing ------------------------------------------------------------------------------

    @invariant()
    def everybody_sees_what_is_committed(self) -> None:
        if not hasattr(self, "chain"):
            return
        alive = {one: thing for one, thing in self.things.items() if thing.alive}
        assert len(self.chain) == len(alive)
        dio = self.chain.dio()
        found = self.run(_all(dio))
        by_version = sorted(alive.items(), key=lambda item: item[1].version)
        assert [(dao.id, dao.value, dao.parent, dao.seq) for dao in found] == [
            (one, thing.value, thing.parent, thing.version) for one, thing in by_version
        ]
        by_creation = sorted(alive.items(), key=lambda item: item[1].created)
        for parent in {ROOT, *(thing.parent for thing in alive.values())}:
            children = self.run(_children(dio, ObjectId(parent)))
            assert [dao.id for dao in children] == [o for o, t in by_creation if t.parent == parent]

    @invariant()
    def each_unit_sees_its_own_changes_over_it(self) -> None:
        if not hasattr(self, "chain"):
            return
        for unit in self.units:
            seen = self.seen(unit)
            assert unit.dio.has_changes == any(
                change.base is not None or not change.deleted for change in unit.changes.values()
            )
            listed = {bytes(d.id): (d.value, bytes(d.parent)) for d in self.run(_all(unit.dio))}
            assert listed == seen
            for one in (*self.things, *unit.changes):
                assert self.run(unit.dio.exists(ObjectId(one))) == (one in seen)
                assert self.run(_value(unit.dio, ObjectId(one))) == seen.get(one, (None,))[0]
            for parent in {ROOT, *(place for _, place in seen.values())}:
                children = {bytes(d.id) for d in self.run(_children(unit.dio, ObjectId(parent)))}
                assert children == {one for one, (_, above) in seen.items() if above == parent}


async def _all(dio: ate.Dio) -> list[ate.Dao[Any]]:
    return [dao async for dao in dio.all(dict)]


async def _children(dio: ate.Dio, parent: ObjectId) -> list[ate.Dao[Any]]:
    return [dao async for dao in dio.children(parent, dict)]


async def _value(dio: ate.Dio, one: ObjectId) -> Value | None:
    try:
        return dict((await dio.load(dict, one)).value)
    except (NotFound, Deleted):
        return None


class DiskMachine(DioMachine):
    """On a disk, sealed and signed, closed and killed now and then."""

    who = "alice"
    on_disk = True


#: A step of a machine costs more than an example of a function; `make fuzz` still runs many.
_SOME = settings().max_examples
TestInMemory = DioMachine.TestCase
TestInMemory.settings = settings(max_examples=_SOME // 2, stateful_step_count=40)
TestOnDisk = DiskMachine.TestCase
TestOnDisk.settings = settings(max_examples=_SOME // 4, stateful_step_count=40)
