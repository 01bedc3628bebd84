from __future__ import annotations

import shutil
import threading
from pathlib import Path

from tests.unit.ate.archive.chains import write

from ate.archive.backup import Done
from ate.archive.follow import Rounds
from ate.archive.memory import MemoryStore
from ate.archive.pace import Stop
from ate.archive.series import find
from ate.errors import AteError, CorruptLog, Disconnected, NotFound


class Told:
    def __init__(self) -> None:
        self.said: list[tuple[str, Done | AteError]] = []
        self.came = threading.Event()

    def __call__(self, name: str, what: Done | AteError) -> None:
        self.said.append((name, what))
        if isinstance(what, Done) and what.is_new:
            self.came.set()


def chains(top: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(top.iterdir())}


def test_one_failure_does_not_end_the_others(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path, name)
    write(tmp_path, "b", commits=3)
    head = tmp_path / "b/000001/head.000001"
    raw = bytearray(head.read_bytes())
    raw[100] ^= 1
    head.write_bytes(raw)
    told, store = Told(), MemoryStore()
    rounds = Rounds(lambda: chains(tmp_path), store, told=told)
    assert rounds.run() == 1
    assert [name for name, what in told.said if isinstance(what, Done)] == ["a", "c"]
    assert isinstance(dict(told.said)["b"], CorruptLog)
    rounds.close()


def test_chains_come_and_go(tmp_path: Path) -> None:
    write(tmp_path, "a")
    told, store = Told(), MemoryStore()
    known = {"a": tmp_path / "a"}
    rounds = Rounds(lambda: dict(known), store, told=told)
    assert rounds.run() == 0
    write(tmp_path, "b")
    known["b"] = tmp_path / "b"
    shutil.rmtree(tmp_path / "a")
    assert rounds.run() == 1
    assert isinstance(told.said[-2][1], NotFound)
    del known["a"]
    assert rounds.run() == 0
    rounds.close()


def test_old_points_go(tmp_path: Path) -> None:
    told, store = Told(), MemoryStore()
    write(tmp_path, "a")
    rounds = Rounds(lambda: chains(tmp_path), store, keep=2, told=told)
    for _ in range(5):
        rounds.run()
        write(tmp_path, "a")
    assert find(store, "a").numbers() == [4, 5]
    rounds.close()


def test_it_follows_until_told_and_ends_with_all_that_was_written(tmp_path: Path) -> None:
    told, store, stop = Told(), MemoryStore(), Stop()
    head, _ = write(tmp_path, "a")
    rounds = Rounds(lambda: chains(tmp_path), store, told=told)
    failed: list[int] = []
    thread = threading.Thread(target=lambda: failed.append(rounds.follow(0.01, stop)))
    thread.start()
    for _ in range(3):
        assert told.came.wait(30)
        told.came.clear()
        head, _ = write(tmp_path, "a")
    stop.set()
    thread.join(30)
    assert failed == [0]
    newest = find(store, "a").newest()
    assert newest is not None
    assert newest.point.head == head
    rounds.close()


def test_a_destination_that_comes_back_gets_what_it_missed(tmp_path: Path) -> None:
    class Shaky(MemoryStore):
        is_up = True

        def put_new(self, key: str, data: bytes) -> bool:
            if not self.is_up:
                raise Disconnected("down")
            return super().put_new(key, data)

    told, store = Told(), Shaky()
    write(tmp_path, "a")
    rounds = Rounds(lambda: chains(tmp_path), store, told=told)
    rounds.run()
    head, _ = write(tmp_path, "a")
    store.is_up = False
    assert rounds.run() == 1
    store.is_up = True
    assert rounds.run() == 0
    newest = find(store, "a").newest()
    assert newest is not None
    assert newest.point.head == head
    rounds.close()
