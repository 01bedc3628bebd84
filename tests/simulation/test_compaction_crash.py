"""Power cuts, full disks and failing calls under a compaction: the old log or the new, never a mix.

Commits land between its steps, as they do in life. `ATE_FUZZ=1` opens every cut; without it a
sample is, from a fixed seed.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ate
from ate.chain.compact import Compaction, finish
from ate.chain.retention import Retention
from ate.chain.thinning import Cut
from ate.chain.verify import verify
from ate.errors import AteError, CorruptLog, OutOfSpace, StorageError
from ate.log import generations, recovery
from ate.log.disk import Disk
from ate.log.local import LocalLog
from ate.testing.chance import Chance
from ate.testing.platter import STYLES, Style
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member

HOME = "/disk"
DIRECTORY = f"{HOME}/c"
#: One cut in so many is opened, unless everything is asked for.
SAMPLE = 1 if os.environ.get("ATE_FUZZ") else 5

Value = dict[str, Any]


class Script:
    """A chain on a simulated disk, and what it must hold at each moment.

    Args:
        seed: of the disk.
        who: founds the chain, signed; nobody: it is unsigned.
    """

    def __init__(self, seed: int, who: str | None) -> None:
        self.disk = SimDisk(seed)
        self.clock = SimClock(tick_us=1)
        self.session = member(who) if who else None
        self.values: dict[bytes, Value] = {}
        self.deleted: set[bytes] = set()
        #: (length of the journal, values, deleted) after each acknowledged commit.
        self.acked: list[tuple[int, dict[bytes, Value], frozenset[bytes]]] = []

    @asynccontextmanager
    async def open(self, disk: Disk | None = None, **options: Any) -> AsyncIterator[ate.Chain]:
        chain = await ate.open(
            "c",
            path=HOME,
            disk=disk or self.disk,
            clock=self.clock,
            session=self.session,
            **options,
        )
        try:
            yield chain
        finally:
            await chain.close()

    async def change(self, chain: ate.Chain, *, add: int = 0, size: int = 10, **some: int) -> None:
        """Commit once: store `add` values, update and delete `some` of those there are."""
        dio = chain.dio()
        values, deleted = dict(self.values), set(self.deleted)
        for number in range(add):
            dao = dio.store({"n": number, "pad": "x" * size})
            values[bytes(dao.id)] = dict(dao.value)
        ids = list(self.values)
        for one in ids[: some.get("update", 0)]:
            dao = await dio.load(dict, ate.ObjectId(one))
            dao.value = values[one] = {**dao.value, "n": dao.value["n"] + 100}
        for one in ids[len(ids) - some.get("delete", 0) :]:
            dio.delete(ate.ObjectId(one))
            del values[one]
            deleted.add(one)
        await dio.commit()
        self.values, self.deleted = values, deleted
        self.note()

    def note(self) -> None:
        self.acked.append((len(self.disk.journal), self.values, frozenset(self.deleted)))

    async def prepare(self, chain: ate.Chain) -> None:
        """Give the chain a past worth compacting."""
        await self.change(chain, add=12)
        await self.change(chain, add=1, size=70_000)
        await self.change(chain, update=5)
        await self.change(chain, update=1, delete=3)
        await self.change(chain, update=3, add=1, size=66_000)

    def allowed(self, done: int) -> list[dict[bytes, Value]]:
        """Return the states that may be there after a cut: the last acknowledged one, or later."""
        first = sum(mark <= done for mark, _, _ in self.acked) - 1
        later = [values for _, values, _ in self.acked[max(first, 0) :]]
        return later if first >= 0 else [{}, *later]

    def gone_at(self, done: int) -> frozenset[bytes]:
        known = [deleted for mark, _, deleted in self.acked if mark <= done]
        return known[-1] if known else frozenset()


async def compacted_by_hand(script: Script, chain: ate.Chain, *, every: int = 3) -> None:
    """Drive a compaction step by step, and commit between its steps."""
    ledger = chain._ledger
    if script.session is not None:
        await chain.checkpoint()
    compaction = Compaction(ledger, Cut(ledger.view, set()))
    turn = 0

    async def drive(steps: Iterator[Any]) -> None:
        nonlocal turn
        value = None
        assert hasattr(steps, "send")
        while True:
            try:
                step = steps.send(value)
            except StopIteration:
                return
            value = step() if step is not None else None
            turn += 1
            if turn % every == 0 and turn < 8 * every:
                large = turn % (2 * every) == 0
                await script.change(chain, update=2, add=1, size=68_000 if large else 5)

    await drive(compaction.cut.present())
    compaction.cut.check()
    await drive(compaction.thin(set(), script.clock.now_us()))
    await drive(compaction.catch_up())
    await drive(compaction.prepare())
    await script.change(chain, update=1)  # between the snapshot and the switch
    finish(compaction.catch_up())
    compaction.switch()
    compaction.adopt()
    await script.change(chain, update=1, delete=1)  # while the old generation is still there
    compaction.tidy_up()
    assert turn > 3 * every


async def contents(chain: ate.Chain) -> dict[bytes, Value]:
    return {bytes(dao.id): dict(dao.value) async for dao in chain.dio().all(dict)}


def generation_names(disk: Disk) -> list[str]:
    return [name for name in disk.listdir(DIRECTORY) if name.isdigit()]


async def check(script: Script, done: int, disk: SimDisk) -> int:
    """Open what a power cut left; returns its generation."""
    async with script.open(disk) as chain:
        generation: int = chain._ledger.store.generation
        assert generation_names(disk) == [f"{generation:06d}"], "what was left behind is gone"
        found = await contents(chain)
        assert found in script.allowed(done), "a state that some commit made, and none lost"
        for one in script.gone_at(done):
            assert not await chain.dio().exists(ate.ObjectId(one))
        root, head = chain.root, chain.head
        dio = chain.dio()
        extra = dio.store({"n": -1}).id
        await dio.commit()
        await chain.compact()
        assert await contents(chain) == {**found, bytes(extra): {"n": -1}}
        assert chain.head > head
        assert chain.root != root
    reader = LocalLog.open(DIRECTORY, disk=disk, readonly=True)
    result = await verify(reader)
    reader.close()
    assert result.ok, result.problems
    return generation


def sampled(
    script: Script, begun: int, seed: int, *, styles: tuple[Style, ...] = STYLES
) -> Iterator[tuple[int, Style, SimDisk]]:
    chance = Chance(seed)
    total = len(script.disk.journal)
    for done, style, disk in script.disk.cuts(styles):
        if done >= begun and (SAMPLE == 1 or done == total or not chance.below(SAMPLE)):
            yield done, style, disk


@pytest.mark.parametrize("who", [None, "alice"])
async def test_every_power_cut_of_a_compaction_with_commits_in_between(who: str | None) -> None:
    script = Script(21, who)
    async with script.open() as chain:
        await script.prepare(chain)
        begun = len(script.disk.journal)
        await compacted_by_hand(script, chain)
        assert await contents(chain) == script.values
    seen: dict[int, int] = {}
    for done, style, disk in sampled(script, begun, 5):
        try:
            generation = await check(script, done, disk)
        except (AteError, AssertionError) as error:
            raise AssertionError(f"cut at {done}, {style.name}") from error
        seen[generation] = seen.get(generation, 0) + 1
    assert set(seen) == {1, 2}
    assert min(seen.values()) > 5


@pytest.mark.parametrize("who", [None, "alice"])
async def test_every_power_cut_of_a_second_compaction(who: str | None) -> None:
    """The second one thins what is thinned already, and removes a generation it did not make."""
    script = Script(22, who)
    async with script.open() as chain:
        await script.prepare(chain)
        await chain.compact()
        script.note()
        await script.change(chain, update=4, delete=1)
    async with script.open() as chain:
        begun = len(script.disk.journal)
        await chain.compact(Retention(versions=2))
        script.note()
    seen = set()
    for done, style, disk in sampled(script, begun, 6):
        try:
            seen.add(await check(script, done, disk))
        except (AteError, AssertionError) as error:
            raise AssertionError(f"cut at {done}, {style.name}") from error
    assert seen == {2, 3}


# --- calls that fail -----------------------------------------------------------------------------


async def begun_script(who: str | None) -> Script:
    script = Script(23, who)
    async with script.open() as chain:
        await script.prepare(chain)
    return script


async def one_fault(who: str | None, verb: str, fault: StorageError, skip: int) -> str:
    """Let one call of a compaction fail; returns how the chain took it."""
    script = await begun_script(who)
    chain = await ate.open(
        "c", path=HOME, disk=script.disk, clock=script.clock, session=script.session
    )
    if who:
        await chain.checkpoint()
    script.disk.fail(verb, fault, name="000002" if verb != "rename" else "", skip=skip)
    try:
        done = await chain.compact()
    except StorageError as error:
        outcome = "poisoned" if chain._ledger.store._fault else "refused"  # type: ignore[attr-defined]
        known = type(error)
    else:
        assert done.generation == 2
        known, outcome = type(fault), "done"
    assert known is type(fault)
    if not script.disk.pending_faults and outcome == "done":
        outcome = "tidied"  # it met what comes after the switch
    script.disk.heal()
    assert await contents(chain) == script.values, "it can still be read"
    if outcome == "poisoned":
        with pytest.raises(StorageError, match="confirmed"):
            await script.change(chain, update=1)
        with pytest.raises(StorageError):
            await chain.close()
    else:
        await script.change(chain, update=1, add=1)
        await chain.compact()
        assert await contents(chain) == script.values
        await chain.close()
    for disk in (script.disk, script.disk.cut(STYLES[0]), script.disk.cut(STYLES[4])):
        await check(script, len(script.disk.journal), disk)
    return outcome


@pytest.mark.parametrize("who", [None, "alice"])
async def test_a_disk_that_is_full_at_any_write_of_a_compaction(who: str | None) -> None:
    outcomes = []
    for skip in range(100):
        outcomes.append(await one_fault(who, "write", OutOfSpace("full"), skip))
        if outcomes[-1] == "done":
            break
    assert outcomes[-1] == "done"
    # "tidied": what did not fit were zeros written ahead, which nobody needs.
    assert set(outcomes[:-1]) == {"refused", "tidied"}
    assert outcomes.count("refused") > 3


@pytest.mark.parametrize("verb", ["sync", "create", "mkdir", "syncdir", "rename", "open"])
async def test_any_other_call_that_fails_leaves_one_whole_generation(verb: str) -> None:
    outcomes = []
    for skip in range(60):
        outcomes.append(await one_fault(None, verb, StorageError("input/output error"), skip))
        if outcomes[-1] == "done":
            break
    assert outcomes[-1] == "done"
    assert "refused" in outcomes or "poisoned" in outcomes


@pytest.mark.parametrize(
    "verb,name", [("sync", "CURRENT"), ("rename", "CURRENT"), ("syncdir", "c")]
)
async def test_a_current_that_can_not_be_confirmed_ends_all_writing(verb: str, name: str) -> None:
    """Nobody knows which generation a crash would leave; both stay until somebody opens again."""
    script = await begun_script("alice")
    for skip in range(4):
        disk = SimDisk(9, platter=script.disk.cut(STYLES[1])._platter)
        chain = await ate.open(
            "c", path=HOME, disk=disk, clock=script.clock, session=script.session
        )
        await chain.checkpoint()
        old = chain._ledger.store
        disk.fail(verb, StorageError("input/output error"), name=name, skip=skip)
        armed = disk._faults[0]
        ended = False
        try:
            await chain.compact()
        except StorageError:
            ended = bool(old._fault)  # type: ignore[attr-defined]
        if armed.times:
            await chain.close()
            break
        disk.heal()
        if ended:
            assert generation_names(disk) == ["000001", "000002"]
            for style in STYLES:
                assert await check(script, len(script.disk.journal), disk.cut(style)) in (1, 2)
            with pytest.raises(StorageError):
                await chain.close()
        else:
            await chain.close()
        assert await check(script, len(script.disk.journal), disk) in (1, 2)
    else:
        assert verb == "syncdir"


# --- planted bugs --------------------------------------------------------------------------------


async def caught(script: Script, begun: int) -> list[str]:
    """Return what every style of cut, at each moment, breaks."""
    found = []
    for done, style, disk in script.disk.cuts():
        if done < begun:
            continue
        try:
            await check(script, done, disk)
        except (AteError, AssertionError) as error:
            found.append(f"{done} {style.name}: {type(error).__name__} {error}")
            if len(found) > 3:
                break
    return found


async def scripted(monkeypatch: pytest.MonkeyPatch, bug: str) -> list[str]:
    script = Script(24, None)
    chain = await ate.open("c", path=HOME, disk=script.disk, clock=script.clock)
    await script.change(chain, add=4)
    await script.change(chain, update=3)
    begun = len(script.disk.journal)
    plant(monkeypatch, bug)
    compaction = Compaction(chain._ledger, Cut(chain._ledger.view, set()))
    for steps in (compaction.cut.present(), compaction.thin(set(), 0), compaction.catch_up()):
        finish(steps)
    await script.change(chain, update=1, add=1)
    finish(compaction.catch_up())
    compaction.switch()
    compaction.tidy_up()
    monkeypatch.undo()
    with pytest.raises(StorageError, match="taken over"):
        await chain.close()
    return await caught(script, begun)


def plant(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    if bug == "current before flush":

        def take_over(self: LocalLog, predecessor: Any) -> None:
            generations.switch(self._disk, self._directory, self.generation)
            self._lock, predecessor._lock = predecessor._lock, generations.NoLock()
            predecessor._fault = "another generation has taken over"

        monkeypatch.setattr(LocalLog, "take_over", take_over)
    elif bug == "tail not copied":
        monkeypatch.setattr(Compaction, "catch_up", Compaction._write)
    elif bug == "old one goes first":

        def switch(disk: Disk, directory: str, generation: int) -> None:
            name = f"{generation:06d}\n".encode()
            path = f"{directory}/{recovery.CURRENT}"
            file = disk.create(path + ".new")
            file.pwrite((name,), 0)
            file.datasync()
            file.close()
            disk.sync_dir(recovery.generation_path(directory, generation))
            disk.rename(path + ".new", path)
            generations.sweep(disk, directory, generation)

        monkeypatch.setattr(generations, "switch", switch)


BUGS = ["current before flush", "tail not copied", "old one goes first"]


@pytest.mark.parametrize("bug", BUGS)
async def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    found = await scripted(monkeypatch, bug)
    assert found, "nothing was found"
    told = CorruptLog.__name__ if bug == "old one goes first" else "none lost"
    assert any(told in line or "CorruptLog" in line for line in found), found


async def test_without_a_planted_bug_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await scripted(monkeypatch, "") == []
