"""`ate.log.takeover`: a chain goes on in files of its own, and what it left behind goes."""

from __future__ import annotations

import pytest

from ate.errors import CorruptLog, LogLocked, OutOfSpace
from ate.log import recovery, takeover
from ate.log.local import LocalLog
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk

CHAIN = "/data/notes"
TARGET = f"{CHAIN}/.epoch-2"


def opened(disk: SimDisk, *, readonly: bool = False, path: str = CHAIN) -> LocalLog:
    return LocalLog.open(path, disk=disk, readonly=readonly, segment_bytes=1024)


def payloads(log: LocalLog) -> list[bytes]:
    return [bytes(payload) for _, payload in log.scan()]


def filled(count: int = 6) -> tuple[SimDisk, LocalLog, list[bytes], int]:
    """Return a chain of several segments of each kind."""
    disk = SimDisk()
    log, frames, place = opened(disk), [], 0
    for number in range(count):
        place = log.write_body([bytes([number]) * 500])
        frames.append(bytes([65 + number]) * 400)
        log.append([frames[-1]])
        log.flush()
        log.write_index((b"index",))
    return disk, log, frames, place


def test_a_chain_goes_on_where_the_old_owner_does_not_write() -> None:
    disk, old, frames, place = filled()
    takeover.branch(disk, CHAIN, TARGET)
    assert recovery.home(disk, CHAIN) == TARGET
    old.append([b"late"])
    old.write_body([b"late" * 100])
    old.flush()
    new = opened(disk, path=TARGET)
    assert payloads(new) == frames
    assert bytes(new.body(place, 500)) == bytes([5]) * 500
    assert bytes(new.read_index() or b"") == b"index"
    new.append([b"new"])
    new.close()
    assert payloads(old) == [*frames, b"late"]
    assert payloads(opened(disk, readonly=True)) == [*frames, b"new"]


def test_a_power_cut_leaves_the_chain_in_one_place_or_the_other() -> None:
    disk, old, frames, _ = filled()
    old.close()
    begun = len(disk.journal)
    takeover.branch(disk, CHAIN, TARGET)
    homes = set()
    for done, style, after in disk.cuts():
        if done >= begun:
            homes.add(recovery.home(after, CHAIN))
            assert payloads(opened(after)) == frames, (done, style)
            takeover.branch(after, recovery.home(after, CHAIN), f"{CHAIN}/.epoch-3")
            assert payloads(opened(after)) == frames, (done, style)
    assert homes == {CHAIN, TARGET}
    assert recovery.home(disk.cut(STYLES[0]), CHAIN) == TARGET


def test_without_links_everything_is_copied() -> None:
    disk, _, frames, _ = filled()

    class Plain(SimDisk):
        def link(self, source: str, target: str) -> bool:
            return False

    plain = Plain(platter=disk._platter)
    takeover.branch(plain, CHAIN, TARGET)
    assert payloads(opened(plain)) == frames


def test_a_compaction_that_ends_meanwhile_is_followed() -> None:
    disk, old, frames, _ = filled(2)

    class Moving(SimDisk):
        moved = False

        def link(self, source: str, target: str) -> bool:
            if not self.moved:
                self.moved = True
                new = old.successor()
                new.append_many([(frame,) for frame in frames])
                new.take_over(old)
                new.sweep()
                self.rmtree(f"{CHAIN}/000001")
            return super().link(source, target)

    moving = Moving(platter=disk._platter)
    takeover.branch(moving, CHAIN, TARGET)
    log = opened(moving)
    assert (log.generation, payloads(log)) == (2, frames)


def test_what_is_missing_or_does_not_fit_is_told() -> None:
    disk, _, frames, _ = filled()
    disk.fail("write", OutOfSpace("full"), name=".epoch-2")
    with pytest.raises(OutOfSpace):
        takeover.branch(disk, CHAIN, TARGET)
    assert recovery.home(disk, CHAIN) == CHAIN
    takeover.branch(disk, CHAIN, TARGET)
    assert payloads(opened(disk, readonly=True)) == frames
    disk.remove(f"{CHAIN}/000001/head.000001")
    with pytest.raises(CorruptLog):
        takeover.branch(disk, CHAIN, f"{CHAIN}/.epoch-3")
    assert recovery.home(disk, CHAIN) == TARGET


def test_what_was_left_behind_goes_when_nobody_reads_it() -> None:
    disk, old, frames, _ = filled()
    old.close()
    reader = opened(disk, readonly=True)
    takeover.branch(disk, CHAIN, TARGET)
    takeover.branch(disk, TARGET, f"{CHAIN}/.epoch-3")
    opened(disk).close()
    assert disk.exists(f"{CHAIN}/000001/head.000001")
    assert not disk.exists(TARGET)
    assert reader.is_superseded()
    moved = reader.reopened()
    assert not moved.is_superseded()
    assert payloads(moved) == frames
    reader.close()
    opened(disk).close()
    assert disk.listdir(CHAIN) == [".epoch-3", "CURRENT", "LOCK"]
    with pytest.raises(CorruptLog):  # as a version does that knows of no take-over
        recovery.locate(disk, CHAIN)
    assert payloads(opened(disk, readonly=True)) == frames


def test_who_waited_for_the_lock_finds_the_chain_elsewhere() -> None:
    disk, old, _, _ = filled(1)
    old.close()
    takeover.check_home(disk, CHAIN, CHAIN)
    takeover.branch(disk, CHAIN, TARGET)
    with pytest.raises(LogLocked, match="just taken"):
        takeover.check_home(disk, CHAIN, CHAIN)


def test_every_cut_while_a_chain_goes_that_was_taken_over() -> None:
    disk, old, frames, _ = filled(3)
    old.close()
    takeover.branch(disk, CHAIN, TARGET)
    takeover.branch(disk, TARGET, f"{CHAIN}/.epoch-3")
    log = LocalLog.open(CHAIN, disk=disk, segment_bytes=1024)
    begun, seen = len(disk.journal), set()
    log.destroy()
    assert not disk.exists(CHAIN)
    for done, style, after in disk.cuts():
        if done >= begun:
            again = opened(after)
            seen.add(tuple(payloads(again)))
            again.append([b"anew"])
            again.close()
            assert payloads(opened(after, readonly=True))[-1:] == [b"anew"], (done, style)
    assert seen == {tuple(frames), ()}


def test_a_file_of_ones_own() -> None:
    disk = SimDisk()
    disk.put("/shared", b"both")
    disk.link("/shared", "/mine")
    takeover.own(disk, "/mine")
    disk.open("/shared").pwrite((b"late",), 0)
    assert disk.snapshot() == {"/shared": b"late", "/mine": b"both"}


def test_bodies_that_nobody_names_are_dropped_from_a_copy() -> None:
    """The segment that is cut may be linked with one that the old owner cuts as well."""
    disk, old, frames, place = filled()
    for _ in range(3):
        old.write_body([b"x" * 900])
    old.flush()
    takeover.branch(disk, CHAIN, TARGET)
    new = opened(disk, path=TARGET)
    new.trim_bodies(place + 500)
    moved = new.write_body([b"new" * 10])
    new.append([b"named"])
    new.flush()
    old.trim_bodies(place + 500)
    assert bytes(new.body(moved, 30)) == b"new" * 10
    new.close()
    assert payloads(opened(disk, readonly=True)) == [*frames, b"named"]
