"""`ate.log.owned`: a log that ends when its directory has another owner."""

from __future__ import annotations

import pytest

from ate.errors import Deposed, LogLocked, StorageError, UnsupportedFormat
from ate.log import ownership as owners
from ate.log import recovery, takeover
from ate.log.local import LocalLog
from ate.log.owned import OwnedLog, first_epoch, take_all
from ate.log.ownership import Ownership
from ate.testing.simdisk import SimDisk

CHAIN, OWN = "/data/notes", "/data/.own"


@pytest.fixture
def disk() -> SimDisk:
    made = SimDisk()
    recovery.make_directory(made, OWN)
    return made


def owner(disk: SimDisk, *, deposes: int = 0) -> Ownership:
    facts = {"run": f"{deposes}"}
    made = owners.depose(disk, OWN, deposes, facts) if deposes else owners.claim(disk, OWN, facts)
    assert made is not None
    return made


def take(disk: SimDisk, mine: Ownership, *, create: bool = True, path: str = CHAIN) -> OwnedLog:
    return OwnedLog.take(path, mine, disk=disk, create=create)


def payloads(log: LocalLog) -> list[bytes]:
    return [bytes(payload) for _, payload in log.scan()]


def test_an_owner_that_nobody_contests_writes_where_everybody_does(disk: SimDisk) -> None:
    mine = owner(disk)
    with pytest.raises(UnsupportedFormat):
        take(disk, mine, create=False)
    log = take(disk, mine)
    log.append([b"one"])
    log.append_many([(b"two",), (b"three",)])
    log.flush()
    with pytest.raises(LogLocked):
        LocalLog.open(CHAIN, disk=disk)
    log.close()
    plain = LocalLog.open(CHAIN, disk=disk)
    assert payloads(plain) == [b"one", b"two", b"three"]
    with pytest.raises(LogLocked):
        take(disk, mine)
    plain.close()


def test_a_deposed_owner_appends_nothing_and_confirms_nothing(disk: SimDisk) -> None:
    first = owner(disk)
    log = take(disk, first)
    log.append([b"acknowledged"])
    log.flush()
    log.append([b"on its way"])
    second = owner(disk, deposes=1)
    for write in (
        log.flush,
        lambda: log.append([b"late"]),
        lambda: log.append_many([(b"late",)]),
        lambda: take(disk, first),
    ):
        with pytest.raises(Deposed):
            write()
    new = take(disk, second)
    assert payloads(new)[:1] == [b"acknowledged"]
    assert recovery.home(disk, CHAIN) == f"{CHAIN}/.epoch-2"
    log.close()
    new.close()
    again = take(disk, second)
    assert recovery.home(disk, CHAIN) == f"{CHAIN}/.epoch-2"
    again.close()


def test_a_compaction_that_ends_too_late_is_told(disk: SimDisk) -> None:
    first = owner(disk)
    log = take(disk, first)
    log.append([b"kept"])
    log.flush()
    made = log.successor()
    made.append([b"kept"])
    assert made.generation == 2
    second = owner(disk, deposes=1)
    new = take(disk, second)
    with pytest.raises(Deposed):
        made.take_over(log)
    new.append([b"new"])
    new.flush()
    next_one = new.successor()
    next_one.append_many([(b"kept",), (b"new",)])
    next_one.take_over(new)
    new.close()
    next_one.sweep()
    next_one.close()
    assert payloads(LocalLog.open(CHAIN, disk=disk, readonly=True)) == [b"kept", b"new"]


def test_new_chains_of_a_contested_owner_are_its_own(disk: SimDisk) -> None:
    owner(disk)
    second = owner(disk, deposes=1)
    log = take(disk, second)
    assert recovery.home(disk, CHAIN) == f"{CHAIN}/.epoch-2"
    assert not disk.exists(f"{CHAIN}/CURRENT")
    log.append([b"one"])
    log.close()
    log = take(disk, second, create=False)
    log.destroy()
    assert not disk.exists(CHAIN)


def test_an_owner_from_before_finds_no_chain_of_a_later_one(disk: SimDisk) -> None:
    """Only in a directory that was put together by hand."""
    first = owner(disk)
    take(disk, first).close()
    takeover.branch(disk, CHAIN, f"{CHAIN}/.epoch-7")
    with pytest.raises(StorageError, match="in epoch 7, and this server's is 1") as caught:
        take(disk, first)
    assert "remove .atedb/owner" in caught.value.hint
    first.close()
    disk.remove(owners.owner_path(OWN, 1))
    assert first_epoch(disk, "/data") == 8
    assert first_epoch(disk, "/data/nowhere") == 1
    second = owners.claim(disk, OWN, {}, first=lambda: first_epoch(disk, "/data"))
    assert second is not None
    assert (second.epoch, second.is_contested) == (8, False)
    take(disk, second).close()
    third = owners.depose(disk, OWN, 8, {})
    assert third is not None
    take(disk, third).close()
    assert recovery.home(disk, CHAIN) == f"{CHAIN}/.epoch-9"


def test_a_deposed_owner_that_looked_too_early_finds_out_at_the_chain(disk: SimDisk) -> None:
    first = owner(disk)

    class Late(SimDisk):
        """Somebody takes over between the look at the owner and the look at the chain."""

        done = False

        def listdir(self, path: str) -> list[str]:
            if path == CHAIN and not self.done:
                self.done = True
                take(disk, owner(disk, deposes=1)).close()
            return super().listdir(path)

    late = Late(platter=disk._platter)
    late.locks, late.shares = disk.locks, disk.shares
    with pytest.raises(Deposed):
        take(late, first)


def test_when_nobody_contests_any_more_what_was_left_goes(disk: SimDisk) -> None:
    first = owner(disk)
    log = take(disk, first)
    log.append([b"one"])
    log.flush()
    second = owner(disk, deposes=1)
    take(disk, second).close()
    assert disk.exists(f"{CHAIN}/000001")
    log.close()
    first.close()
    second.close()
    third = owner(disk)
    assert not third.is_contested
    assert payloads(take(disk, third)) == [b"one"]
    assert not disk.exists(f"{CHAIN}/000001")


def test_a_directory_that_goes_away_meanwhile_is_made_again(disk: SimDisk) -> None:
    owner(disk)
    second = owner(disk, deposes=1)
    disk.fail("mkdir", StorageError("gone"), name=".epoch-2", times=2)
    take(disk, second).close()
    disk.fail("open", StorageError("no"), name="CURRENT", times=-1)
    with pytest.raises(StorageError, match="no"):
        take(disk, second)
    disk.heal()
    disk.fail("open", StorageError("broken"), name="head.000001", times=-1)
    with pytest.raises(StorageError, match="broken"):
        take(disk, second)


def test_an_owner_that_nobody_contests_takes_a_fault_as_it_is(disk: SimDisk) -> None:
    mine = owner(disk)
    disk.fail("mkdir", StorageError("no"), name="notes")
    with pytest.raises(StorageError, match="no"):
        take(disk, mine)
    assert not disk.shares.get(f"{CHAIN}/LOCK")


def test_what_the_old_owner_has_open_is_taken_over_at_once(disk: SimDisk) -> None:
    first = owner(disk)
    names = [CHAIN, f"{CHAIN}/below", "/data/a/b/c"]
    logs = [take(disk, first, path=name) for name in names]
    logs[2].close()
    plain = LocalLog.open("/data/plain", disk=disk)  # of a program that is no server
    second = owner(disk, deposes=1)
    assert take_all("/data", second, disk=disk, goes_on=lambda: False) == 0
    turns = iter([True, False])
    assert take_all("/data", second, disk=disk, goes_on=lambda: next(turns)) == 0
    assert take_all("/data", second, disk=disk, goes_on=lambda: True, workers=2) == 2
    homes = [recovery.home(disk, name) for name in [*names, "/data/plain"]]
    assert [recovery.epoch_of(home) for home in homes] == [2, 2, 0, 0]
    plain.close()
    for log in logs[:2]:
        log._ownership = second  # it only gives its lock back
        log.close()
    assert take_all("/data", second, disk=disk, goes_on=lambda: True) == 0
    owner(disk, deposes=2)
    held = LocalLog.open("/data/plain", disk=disk)
    with pytest.raises(Deposed):
        take_all("/data", second, disk=disk, goes_on=lambda: True)
    held.close()
