"""An outbox after a power cut at every moment, and with one fault at every call."""

from __future__ import annotations

import pytest

from ate.errors import OutOfSpace, StorageError
from ate.log import outbox as module
from ate.log.outbox import Entry, Outbox
from ate.testing.chance import Chance
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the file anew often."""
    monkeypatch.setattr(module, "DEAD_BYTES", 1500)
    monkeypatch.setattr(module, "_DEAD_BYTES_MAX", 3000)


class Script:
    """Random calls; notes every state there was, and which of them was flushed when."""

    def __init__(self, seed: int) -> None:
        self.disk = SimDisk(seed)
        self.disk.mkdir("/c")
        self.disk.sync_dir("/")
        self.chance = Chance(seed)
        self.outbox = Outbox.open(self.disk, "/c")
        self.states: list[list[Entry]] = [[]]
        self.next: list[int] = [1]
        self.flushed: list[tuple[int, int]] = []
        self.lsn = 0
        self.rewritten = 0

    def change(self) -> None:
        outbox, chance = self.outbox, self.chance
        numbers = [entry.number for entry in outbox.entries]
        what = chance.below(10 + len(numbers))
        blob = chance.bytes(chance.choice((1, 40, 300, 900)))
        self.lsn += 1
        if not numbers or what < 3:
            outbox.add(blob)
        elif what < 5:
            outbox.add_prepared(7, self.lsn, blob)
        elif what < 6:
            outbox.prepare([chance.choice(numbers)], 7, self.lsn, blob)
        elif what < 7:
            outbox.mark(chance.choice(numbers), "conflict", blob[:50])
        elif what < 9:
            work = [entry.number for entry in outbox.entries if entry.work]
            group = list(dict.fromkeys(chance.choice(work) for _ in range(3))) if work else numbers
            outbox.prepare(group[: len(work) or 1], 7, self.lsn, blob)
        elif what < 12:
            outbox.settle(chance.choice(numbers))
        else:
            outbox.remove(chance.choice(numbers))
        self.note()

    def note(self) -> None:
        if self.outbox.entries != self.states[-1]:
            self.states.append(self.outbox.entries)
            self.next.append(max([self.next[-1], *(e.number + 1 for e in self.outbox.entries)]))

    def flush(self) -> None:
        self.outbox.flush()
        self.flushed.append((len(self.disk.journal), len(self.states) - 1))

    def run(self, steps: int) -> None:
        for _ in range(steps):
            what = self.chance.below(12)
            if what < 8:
                self.change()
            elif what < 11:
                self.flush()
            else:
                self.outbox.close()
                self.flushed.append((len(self.disk.journal), len(self.states) - 1))
                self.outbox = Outbox.open(self.disk, "/c")
                assert self.outbox.entries == self.states[-1]
        self.rewritten = sum(op[0] == "rename" for op in self.disk.journal)

    def least(self, done: int) -> int:
        return max((state for mark, state in self.flushed if mark <= done), default=0)


@pytest.mark.parametrize("seed", range(6))
def test_every_cut_leaves_a_state_that_was_not_before_the_last_flush(seed: int) -> None:
    script = Script(seed)
    script.run(140)
    assert script.rewritten > 2
    for done, style, disk in script.disk.cuts(STYLES):
        if not disk.exists("/c"):
            continue
        found = Outbox.open(disk, "/c")
        least = script.least(done)
        # Never half an entry, and nothing removed comes back: it is a state that there was.
        at = next(
            (n for n in range(least, len(script.states)) if script.states[n] == found.entries), -1
        )
        assert at >= least, (done, style)
        number = found.add(b"one more")
        assert number >= script.next[least], (done, style)
        found.flush()
        before = found.entries
        for last in (STYLES[0], STYLES[-1]):
            assert Outbox.open(disk.cut(last), "/c").entries == before, (done, style)


@pytest.mark.parametrize("seed", [11, 12])
def test_a_second_cut_anywhere_in_the_recovery_of_the_first(seed: int) -> None:
    script = Script(seed)
    script.run(50)
    for done, style, disk in list(script.disk.cuts(STYLES))[::7]:
        if disk.exists("/c"):
            wanted = Outbox.open(disk, "/c").entries
            for _, other, twice in disk.cuts((STYLES[0], STYLES[-1])):
                assert Outbox.open(twice, "/c").entries == wanted, (done, style, other)


FULL = OutOfSpace("no space left on device")
BROKEN = StorageError("input/output error")


class Stubborn:
    """Does each of some calls until it succeeds, opening the outbox again when it must."""

    def __init__(self, disk: SimDisk) -> None:
        self.disk = disk
        self.outbox: Outbox | None = None
        self.wanted: dict[int, Entry] = {}
        self.failures = 0

    def step(self, number: int) -> None:
        for _ in range(4):
            try:
                if self.outbox is None:
                    self.outbox = Outbox.open(self.disk, "/c")
                if self.outbox.find(number) is None:
                    assert self.outbox.add(b"%d" % number * 400) == number
                self.outbox.prepare([number], 3, number, b"c" * 700)
                if number > 1:
                    self.outbox.remove(number - 1)
                self.outbox.flush()
            except StorageError as error:
                self.failures += 1
                if self.outbox and ("confirmed" in error.message or self.outbox._fault):
                    self.outbox.close()
                    self.outbox = None
                continue
            self.wanted.pop(number - 1, None)
            self.wanted[number] = Entry(number, b"%d" % number * 400, 3, number, b"c" * 700, "sent")
            return
        pytest.fail("it does not recover")


@pytest.mark.parametrize(
    "verb, fault",
    [
        ("write", FULL), ("write", BROKEN), ("sync", BROKEN), ("syncdir", BROKEN),
        ("create", FULL), ("rename", BROKEN), ("open", BROKEN), ("truncate", BROKEN),
        ("remove", BROKEN),
    ],
)  # fmt: skip
def test_one_fault_at_every_call_loses_nothing(verb: str, fault: StorageError) -> None:
    met = 0
    while True:
        disk = SimDisk(met)
        disk.mkdir("/c")
        disk.sync_dir("/")
        disk.fail(verb, fault, skip=met)
        if verb == "truncate":
            disk.fail("write", FULL, skip=5)
        script = Stubborn(disk)
        for number in range(1, 14):
            script.step(number)
            for style in STYLES:
                found = Outbox.open(disk.cut(style), "/c")
                assert found.entries == list(script.wanted.values()), (verb, met, style)
        if disk.pending_faults:
            break
        met += 1
        assert met < 200
    assert met > 0
