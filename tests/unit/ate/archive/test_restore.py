from __future__ import annotations

import contextlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.ate.archive.chains import LARGE, content, write

import ate
from ate.archive.backup import Backup
from ate.archive.memory import MemoryStore
from ate.archive.point import decode, encode
from ate.archive.restore import Moment, choose, restore
from ate.archive.series import Series, find
from ate.errors import CorruptBackup, NotFound, OutOfSpace, StorageError, UsageError
from ate.testing.simdisk import SimDisk


def backed_up(path: Path, store: MemoryStore | None = None) -> Series:
    made = store or MemoryStore()
    with Backup(path, made) as backup:
        backup.run()
        return backup.series


def test_what_comes_back_is_what_was_there(tmp_path: Path) -> None:
    head, root = write(tmp_path, commits=3, size=LARGE, signed=True)
    series = backed_up(tmp_path / "c")
    shutil.rmtree(tmp_path / "c")
    done = restore(series, tmp_path / "c")
    assert (done.found.head, done.found.root, done.found.ok) == (head, root, True)
    assert content(tmp_path) == (head, root)
    assert (
        write(tmp_path, signed=True)[0] == head + 3
    )  # and it goes on, with a certificate for the new session
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]


def test_a_chain_that_is_there_stays(tmp_path: Path) -> None:
    write(tmp_path)
    series = backed_up(tmp_path / "c")
    newer = write(tmp_path, commits=5)
    with pytest.raises(UsageError) as caught:
        restore(series, tmp_path / "c")
    assert "--path" in caught.value.hint
    assert content(tmp_path) == newer
    (tmp_path / "c/CURRENT").unlink()  # a damaged one too
    with pytest.raises(UsageError):
        restore(series, tmp_path / "c")


def test_a_chain_above_others(tmp_path: Path) -> None:
    head, root = write(tmp_path, "a")
    below = write(tmp_path, "a/b")
    series = backed_up(tmp_path / "a")
    shutil.rmtree(tmp_path / "a/000001")
    (tmp_path / "a/CURRENT").unlink()
    restore(series, tmp_path / "a")
    assert content(tmp_path, "a") == (head, root)
    assert content(tmp_path, "a/b") == below
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def history(path: Path, store: MemoryStore) -> list[tuple[int, bytes, int]]:
    """Make a chain of ten commits with a backup after every third; return head, root and time."""
    states = []
    with ate.blocking.open("c", path=path) as chain:
        for number in range(10):
            dio = chain.dio()
            dio.store({"pad": b"x" * (LARGE if number % 2 else 10)})
            dio.store({"n": number})
            dio.commit()
            time_us = chain._target._ledger.view.time_us
            states.append((chain.head, chain.root, time_us))
            if number % 3 == 2:
                backed_up(path / "c", store)
    return states


def test_any_row_of_the_past(tmp_path: Path) -> None:
    store = MemoryStore()
    states = history(tmp_path, store)
    series = find(store, "c")
    for at, (head, root, _) in enumerate(states[:9]):
        for seq in (head - 1, head):
            target = tmp_path / f"{seq}/c"
            done = restore(series, target, moment=Moment(seq=seq))
            assert (done.found.head, done.found.root) == (head, root)
            assert done.point.point == at // 3 + 1  # the earliest that holds it
            assert content(target.parent) == (head, root)
    assert write(tmp_path / f"{states[1][0]}", size=LARGE)[0] == states[1][0] + 2
    with pytest.raises(NotFound, match="ends at row"):
        restore(series, tmp_path / "none/c", moment=Moment(seq=states[9][0]))


def test_any_time_of_the_past(tmp_path: Path) -> None:
    store = MemoryStore()
    states = history(tmp_path, store)
    series = find(store, "c")
    for at, (head, root, time_us) in enumerate(states[:9]):
        if time_us != states[at + 1][2]:
            done = restore(series, tmp_path / f"{at}/c", moment=Moment(time_us=time_us))
            assert (done.found.head, done.found.root) == (head, root)
    now = int(datetime.now(UTC).timestamp() * 1e6)
    assert choose(series, Moment(time_us=now)).point.point == 3
    with pytest.raises(NotFound, match="begun later"):
        restore(series, tmp_path / "never/c", moment=Moment(time_us=1))
    assert not list((tmp_path / "never").iterdir())


def test_points_by_number(tmp_path: Path) -> None:
    store = MemoryStore()
    states = history(tmp_path, store)
    series = find(store, "c")
    done = restore(series, tmp_path / "r/c", moment=Moment(point=2))
    assert (done.found.head, done.found.root) == states[5][:2]
    with pytest.raises(NotFound, match="no restore point 7"):
        choose(series, Moment(point=7))
    with pytest.raises(NotFound):
        choose(Series(store, "x", "0" * 16), Moment())


def spoiled(data: bytes, how: str, other: bytes) -> bytes | None:
    if how == "lost":
        return None
    if how == "cut":
        return data[:-1]
    if how == "grown":
        return data + b"\0"
    if how == "flipped":
        at = len(data) // 2
        return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]
    return other


@pytest.mark.parametrize("how", ["lost", "cut", "grown", "flipped", "swapped"])
def test_every_object_counts(tmp_path: Path, how: str) -> None:
    store = MemoryStore()
    for number in range(3):
        write(tmp_path, size=LARGE + number)  # equal bytes could be swapped unseen, without harm
        series = backed_up(tmp_path / "c", store)
    shutil.rmtree(tmp_path / "c")
    keys = sorted(store.objects)
    needed = [key for key in keys if "/data/" in key] + [series.key(2), series.key(3)]
    assert len(needed) >= 8
    for key in needed:
        before = store.objects[key]
        after = spoiled(before, how, store.objects[keys[keys.index(key) - 1]])
        if after is None:
            del store.objects[key]
        else:
            store.objects[key] = after
        # A lost newest manifest leaves the point before it as the newest.
        moment = Moment(point=3) if key == series.key(3) and after is None else None
        with pytest.raises((CorruptBackup, NotFound)) as caught:
            if key == series.key(2) and after is None:
                series.load(2)
            restore(series, tmp_path / "c", moment=moment)
        if isinstance(caught.value, CorruptBackup):
            assert key in caught.value.message
        else:
            assert moment is not None
        assert not list(tmp_path.iterdir())
        store.objects[key] = before
    assert restore(series, tmp_path / "c").found.ok


def test_a_list_of_objects_that_adds_up_to_another_chain(tmp_path: Path) -> None:
    """Whoever writes at the destination can make a list anew: the chain must hold all the same."""
    import msgspec

    store = MemoryStore()
    write(tmp_path, commits=3)
    series = backed_up(tmp_path / "c", store)
    point = decode(store.objects[series.key(1)], "k")
    shutil.rmtree(tmp_path / "c")
    (file,) = point.files
    for changes in ({"root": "0" * 64}, {"head": 1}):
        forged = msgspec.structs.replace(point, **changes)
        store.objects[series.key(1)] = encode(forged)
        with pytest.raises(CorruptBackup, match="another chain"):
            restore(series, tmp_path / "c")
    short = msgspec.structs.replace(file, pieces=file.pieces * 2)
    store.objects[series.key(1)] = encode(msgspec.structs.replace(point, files=(short,)))
    with pytest.raises(CorruptBackup, match="00000001: "):
        restore(series, tmp_path / "c")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["create", "write", "sync", "rename", "syncdir", "mkdir"])
def test_a_medium_that_fails_has_no_chain(tmp_path: Path, verb: str) -> None:
    write(tmp_path, commits=3, size=LARGE)
    series = backed_up(tmp_path / "c")
    for skip in range(3):
        disk = SimDisk(skip)
        disk.mkdir("/d")
        disk.fail(verb, OutOfSpace("full"), skip=skip)
        with contextlib.suppress(OutOfSpace):
            restore(series, "/d/c", disk=disk, workers=1)
        if disk.pending_faults:
            continue
        disk.heal()
        if not disk.exists("/d/c/CURRENT"):
            assert disk.listdir("/d") == []
            restore(series, "/d/c", disk=disk)
        assert content("/d", disk=disk)[0] == 7


def test_a_full_disk_says_what_to_do(tmp_path: Path) -> None:
    write(tmp_path)
    series = backed_up(tmp_path / "c")
    disk = SimDisk(1)
    disk.mkdir("/d")
    disk.fail("write", OutOfSpace("full"))
    with pytest.raises(OutOfSpace) as caught:
        restore(series, "/d/c", disk=disk)
    assert "nothing was restored" in caught.value.hint
    assert disk.listdir("/d") == []


def test_what_a_killed_restore_left_is_removed_by_the_next(tmp_path: Path) -> None:
    write(tmp_path)
    series = backed_up(tmp_path / "c")
    shutil.move(tmp_path / "c", tmp_path / ".c.restoring-0000")
    with pytest.raises(ate.NotFound):
        content(tmp_path)
    from ate.log.disk import RealDisk

    (tmp_path / ".c.restoring-1111").mkdir()
    running = RealDisk().lock(f"{tmp_path}/.c.restoring-1111/LOCK")
    restore(series, tmp_path / "c")
    running.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".c.restoring-1111", "c"]


def test_a_rubbish_bin_that_is_stuck_does_not_hide_the_cause(tmp_path: Path) -> None:
    write(tmp_path)
    series = backed_up(tmp_path / "c")
    disk = SimDisk(1)
    disk.mkdir("/d")
    disk.fail("write", StorageError("broken"))
    disk.fail("remove", StorageError("stuck"), times=-1)
    with pytest.raises(StorageError, match="broken"):
        restore(series, "/d/c", disk=disk)
