from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.ate.archive.chains import LARGE, content, write

import ate
from ate.archive.backup import Backup
from ate.archive.memory import MemoryStore
from ate.archive.prune import check
from ate.archive.restore import Moment, restore
from ate.archive.series import find
from ate.errors import (
    Compacted,
    Conflict,
    CorruptBackup,
    CorruptLog,
    Disconnected,
    NotFound,
    StorageError,
)
from ate.log.local import LocalLog
from ate.testing.simclock import SimClock
from ate.testing.stage import member


def data_of(store: MemoryStore) -> dict[str, bytes]:
    return {key: data for key, data in store.objects.items() if "/data/" in key}


def test_what_did_not_change_is_not_sent_again(tmp_path: Path) -> None:
    store = MemoryStore()
    write(tmp_path, commits=20, size=LARGE)
    with Backup(tmp_path / "c", store) as backup:
        first = backup.run()
    assert first.is_new
    assert first.put_bytes == sum(map(len, data_of(store).values())) > 20 * 2 * LARGE
    before = store.put_bytes
    with Backup(tmp_path / "c", store) as backup:
        assert not backup.run().is_new
        assert not backup.run().is_new
    assert store.put_bytes == before
    write(tmp_path, commits=1, rows=1)
    with Backup(tmp_path / "c", store) as backup:
        second = backup.run()
    assert 0 < second.put_bytes < 2000
    assert (second.point.point, second.point.line) == (2, 1)


def test_a_log_that_has_grown_is_backed_up_each_time(tmp_path: Path) -> None:
    store = MemoryStore()
    sizes = []
    for _ in range(5):
        head, root = write(tmp_path)
        with Backup(tmp_path / "c", store) as backup:
            point = backup.run().point
        assert (point.head, point.root) == (head, root.hex())
        sizes.append(point.size)
    assert sizes == sorted(set(sizes))


def test_many_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, path = MemoryStore(), tmp_path / "c"
    write(tmp_path)
    for _ in range(4):
        with ate.blocking.open("c", path=tmp_path) as chain:
            chain._target._ledger.store._segment_bytes = 4096
            for _ in range(6):
                dio = chain.dio()
                dio.store({"pad": b"x" * 900})
                dio.commit()
            root = chain.root
        with Backup(path, store) as backup:
            point = backup.run().point
    names = [file.name for file in point.files]
    assert len(names) > 4
    assert names == sorted(names)
    assert restore(find(store, "c"), tmp_path / "r/c").found.root == root


def test_two_chains_of_one_name_keep_apart(tmp_path: Path) -> None:
    store = MemoryStore()
    for _ in range(2):
        write(tmp_path)
        with Backup(tmp_path / "c", store) as backup:
            assert backup.run().point.point == 1
        shutil.rmtree(tmp_path / "c")
    assert len(store.folders()) == 2


def test_a_chain_that_went_back_begins_another_line(tmp_path: Path) -> None:
    store = MemoryStore()
    write(tmp_path)
    shutil.copytree(tmp_path / "c", tmp_path / "old/c")
    write(tmp_path, commits=3)
    with Backup(tmp_path / "c", store) as backup:
        newer = backup.run().point
    write(tmp_path / "old", commits=1)  # not what the other one went on with
    with Backup(tmp_path / "old/c", store) as backup:
        done = backup.run()
        assert (done.began_line, done.point.line, done.point.point) == (True, 2, 2)
        assert not backup.run().is_new
    series = find(store, "c")
    assert series.load(1).point == newer
    assert not check(series)
    write(tmp_path / "old", commits=1)
    with Backup(tmp_path / "old/c", store) as backup:
        assert backup.run().point.line == 2


def test_an_older_copy_does_not_replace_a_newer_backup(tmp_path: Path) -> None:
    store = MemoryStore()
    write(tmp_path)
    shutil.copytree(tmp_path / "c", tmp_path / "old/c")
    head, _ = write(tmp_path, commits=3)
    for path in (tmp_path / "c", tmp_path / "old/c"):
        with Backup(path, store) as backup:
            backup.run()
    assert find(store, "c").load(1).point.head == head
    assert restore(find(store, "c"), tmp_path / "r/c", moment=None).found.head < head


def test_a_damaged_chain_is_not_backed_up(tmp_path: Path) -> None:
    store = MemoryStore()
    write(tmp_path, commits=2, size=LARGE)
    with Backup(tmp_path / "c", store) as backup:
        backup.run()
    before = dict(store.objects)
    write(tmp_path, commits=2, size=LARGE)
    body = tmp_path / "c/000001/body.000001"
    raw = bytearray(body.read_bytes())
    raw[-100] ^= 1
    body.write_bytes(raw)
    with Backup(tmp_path / "c", store) as backup, pytest.raises(CorruptLog, match="altered"):
        backup.run()
    assert store.objects == before


def test_history_that_was_rewritten_is_not_added(tmp_path: Path) -> None:
    store = MemoryStore()
    write(tmp_path, commits=3)
    with Backup(tmp_path / "c", store) as backup:
        backup.run()
        write(tmp_path, commits=1)
        log = LocalLog.open(tmp_path / "c")
        payload = [bytes(one) for _, one in log.scan()][-1]
        log.append([payload])  # the same commit once more: it does not go on from the last
        log.close()
        with pytest.raises(CorruptLog):
            backup.run()


class Interfering(MemoryStore):
    """Does something when the first piece is about to be written."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self.act: Callable[[], None] | None = act

    def put_new(self, key: str, data: bytes) -> bool:
        act, self.act = self.act, None
        if act is not None:
            act()
        return super().put_new(key, data)


def test_a_chain_that_is_replaced_meanwhile_is_backed_up_as_it_is_then(tmp_path: Path) -> None:
    write(tmp_path, commits=3)

    def replace() -> None:
        shutil.rmtree(tmp_path / "c")
        write(tmp_path, commits=1)

    store = Interfering(replace)
    with Backup(tmp_path / "c", store) as backup:
        point = backup.run().point
    head, root = content(tmp_path)
    assert (point.head, point.root) == (head, root.hex())
    series = backup.series
    assert restore(series, tmp_path / "r/c").found.root == root
    (other,) = set(store.folders()) - {series.group}
    assert not list(store.walk(f"{other}/points/"))


def test_a_chain_that_is_replaced_again_and_again(tmp_path: Path) -> None:
    write(tmp_path, commits=3)

    def replace() -> None:
        shutil.rmtree(tmp_path / "c")
        write(tmp_path, commits=1)
        store.act = replace

    store = Interfering(replace)
    with Backup(tmp_path / "c", store) as backup, pytest.raises(StorageError, match="each time"):
        backup.run()
    assert not any("/points/" in key for key in store.objects)


def test_a_chain_that_goes_away_meanwhile(tmp_path: Path) -> None:
    write(tmp_path, commits=3)
    store = Interfering(lambda: shutil.rmtree(tmp_path / "c"))
    with Backup(tmp_path / "c", store) as backup, pytest.raises(NotFound):
        backup.run()
    assert not any("/points/" in key for key in store.objects)


def test_another_backup_that_comes_first(tmp_path: Path) -> None:
    write(tmp_path, commits=3)
    store = MemoryStore()

    def other() -> None:
        with Backup(tmp_path / "c", store) as backup:
            backup.run()

    slow = Interfering(other)
    slow.objects = store.objects
    with Backup(tmp_path / "c", slow) as backup:
        with pytest.raises(Conflict):
            backup.run()
        assert not backup.run().is_new
    assert not check(find(store, "c"))


class Breaking(MemoryStore):
    """Fails for good at the nth write."""

    def __init__(self, nth: int) -> None:
        super().__init__()
        self.nth = nth

    def put_new(self, key: str, data: bytes) -> bool:
        self.nth -= 1
        if not self.nth:
            raise Disconnected("gone")
        return super().put_new(key, data)


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_backup_that_breaks_off_goes_on(tmp_path: Path, nth: int) -> None:
    write(tmp_path, commits=5, size=LARGE)
    store = Breaking(0)
    with Backup(tmp_path / "c", store) as backup:
        first = backup.run().point
    head, root = write(tmp_path, commits=150, size=LARGE)  # several pieces
    store.nth = nth
    with Backup(tmp_path / "c", store, workers=1) as backup:
        with pytest.raises(Disconnected):
            backup.run()
        assert backup.series.newest().point == first  # type: ignore[union-attr]
        assert not check(backup.series)
        there = store.put_bytes
        done = backup.run()
    assert done.put_objects < 5
    assert sum(map(len, data_of(store).values())) <= first.size + done.point.size - first.size
    assert store.put_bytes > there
    assert (done.point.head, done.point.root) == (head, root.hex())
    assert restore(backup.series, tmp_path / "r/c").found.root == root


def test_a_piece_of_an_earlier_try_that_is_cut_short_is_named(tmp_path: Path) -> None:
    write(tmp_path, commits=2)
    store = MemoryStore()
    with Backup(tmp_path / "c", store) as backup:
        backup.run()
        series = backup.series
        (key,) = data_of(store)
        del store.objects[series.key(1)]
        store.objects[key] = store.objects[key][:-1]
        with pytest.raises(CorruptBackup, match=key):
            Backup(tmp_path / "c", store).run()


def test_the_rate_is_kept(tmp_path: Path) -> None:
    write(tmp_path, commits=120, size=LARGE)
    clock = SimClock()

    class Waits:
        def wait(self, seconds: float) -> bool:
            clock.advance(seconds)
            return False

    with Backup(
        tmp_path / "c", MemoryStore(), clock=clock, pause=Waits(), rate=1 << 20, workers=1
    ) as backup:
        size = backup.run().point.size
    assert clock.monotonic_s() >= (size - (8 << 20)) / (1 << 20) > 5


def test_memory_is_bounded_by_the_threads(tmp_path: Path) -> None:
    """At no time are there more pieces in hand than two for each thread."""
    import threading

    class Counting(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.lock, self.now, self.most = threading.Lock(), 0, 0

        def put_new(self, key: str, data: bytes) -> bool:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            done = super().put_new(key, data)
            with self.lock:
                self.now -= 1
            return done

    write(tmp_path, commits=200, size=LARGE * 2)
    store = Counting()
    with Backup(tmp_path / "c", store, workers=2) as backup:
        assert backup.run().put_objects > 4
    assert store.most <= 2


def compacted(path: Path, *, signed: bool = False) -> tuple[int, bytes]:
    """Update an object a few times, compact the chain, and return head and root."""
    session = member("alice") if signed else None
    with ate.blocking.open("c", path=path, session=session) as chain:
        dio = chain.dio()
        one = dio.store({"n": -1, "pad": b"y" * LARGE})
        dio.commit()
        for number in range(5):
            one.value = {"n": number, "pad": b"z" * LARGE}
            dio.commit()
        chain.compact()
        return chain.head, chain.root


@pytest.mark.parametrize("signed", [False, True])
def test_another_generation_goes_on_in_the_same_line(tmp_path: Path, *, signed: bool) -> None:
    store = MemoryStore()
    write(tmp_path, commits=3, size=LARGE, signed=signed)
    with Backup(tmp_path / "c", store) as backup:
        backup.run()
        before = compacted(tmp_path, signed=signed)
        done = backup.run()
        assert (done.point.generation, done.point.line, done.began_line) == (2, 1, False)
        assert not backup.run().is_new
        head, root = write(tmp_path, signed=signed)
        assert backup.run().put_bytes < 20_000
        assert restore(backup.series, tmp_path / "r/c").found.root == root
        first = restore(backup.series, tmp_path / "old/c", moment=Moment(point=1))
        with pytest.raises(Compacted, match="thinned"):
            restore(backup.series, tmp_path / "thin/c", moment=Moment(point=2, seq=4))
        again = restore(backup.series, tmp_path / "then/c", moment=Moment(seq=before[0]))
    assert (first.point.generation, first.found.ok) == (1, True)
    assert again.found.root == before[1]
    assert content(tmp_path / "r") == (head, root)


def test_a_generation_that_comes_while_it_is_read(tmp_path: Path) -> None:
    found: list[tuple[int, bytes]] = []
    write(tmp_path, commits=3, size=LARGE)
    store = Interfering(lambda: found.append(compacted(tmp_path)))
    with Backup(tmp_path / "c", store) as backup:
        point = backup.run().point
        head, root = found[0]
        assert (point.generation, point.head, point.root) == (2, head, root.hex())
        assert not check(backup.series)
        assert restore(backup.series, tmp_path / "r/c").found.root == root
