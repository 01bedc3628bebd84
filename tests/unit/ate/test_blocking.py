from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import ate
from ate.blocking import Blocking, Runner
from ate.errors import Conflict, LogLocked, NotFound, Offline, UsageError
from ate.ids import ObjectId
from ate.mesh.hall import Hall
from ate.mesh.shelf import DiskShelf
from ate.server import Server, serve


@dataclass
class Task:
    text: str
    notes: ate.Vec[str] = field(default_factory=ate.Vec)


def test_the_same_calls_without_await(tmp_path: Path) -> None:
    with ate.blocking.open("b", path=tmp_path) as chain:
        dio = chain.dio()
        top = dio.store(Task("top"))
        daos = [dio.store(number, parent=top) for number in range(5)]
        receipt = dio.commit()
        assert isinstance(receipt, ate.Receipt)
        assert receipt.seq == top.seq == 2
        assert len(chain) == 6
        assert chain.head == 7
        assert dio.load(int, daos[3].id).value == 3
        assert dio.exists(daos[3].id) is True
        assert [dao.value for dao in dio.children(top, int)] == [0, 1, 2, 3, 4]
        daos[0].delete()
        dio.commit()
        with pytest.raises(ate.Deleted):
            dio.load(int, daos[0].id)
    with ate.blocking.open("b", path=tmp_path, readonly=True) as chain:
        assert chain.name == "b"
        assert len(list(chain.dio().all(object))) == 5


def test_a_block_commits_and_errors_come_through() -> None:
    with ate.blocking.open("b", memory=True) as chain:
        with chain.dio() as dio:
            dao = dio.store({"n": 1})
        assert len(chain) == 1
        with pytest.raises(KeyError), chain.dio() as dio:
            dio.store(2)
            raise KeyError
        assert len(chain) == 1
        with pytest.raises(NotFound):
            chain.dio().load(dict, ObjectId.random())
        other = chain.dio()
        other.store({"n": 2}, id=dao.id)
        with pytest.raises(Conflict):
            other.commit()
        assert other.has_changes
        other.commit(on_conflict="last")


def test_async_iterators_are_plain_ones_and_can_be_left() -> None:
    with ate.blocking.open("b", memory=True) as chain:
        with chain.dio() as dio:
            for number in range(600):
                dio.store(number)
        events = chain.watch(since=0)
        assert [next(events).value for _ in range(3)] == [0, 1, 2]
        events.close()
        assert len(chain._target._ledger.feed) == 0
        for dao in chain.dio().all(int):
            assert dao.value == 0
            break
        assert sum(1 for _ in chain.dio().all(int)) == 600


def test_collections_are_used_through_a_proxy() -> None:
    with ate.blocking.open("b", memory=True) as chain:
        with chain.dio() as dio:
            task = dio.store(Task("t"))
            task.value.notes.push("one")
            task.value.notes.push("two")
        notes = Blocking(task.value.notes, chain._runner)
        assert notes.count() == 2
        assert [note.value for note in notes] == ["one", "two"]
        assert repr(notes).startswith("Blocking(Vec(")


def test_everything_runs_in_one_thread_that_ends() -> None:
    before = set(threading.enumerate())
    with ate.blocking.open("b", memory=True) as chain:
        (added,) = set(threading.enumerate()) - before
        assert (added.name, added.daemon) == ("ate", True)
        with chain.dio() as dio:
            dio.store(1)
    assert set(threading.enumerate()) == before


def test_an_opening_that_fails_leaves_no_thread_behind(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with ate.blocking.open("b", path=tmp_path):
        with pytest.raises(LogLocked), ate.blocking.open("b", path=tmp_path):
            pass
        assert len(set(threading.enumerate()) - before) == 1
    with pytest.raises(UsageError), ate.blocking.open("b", memory=True, mode="typo"):
        pass
    assert set(threading.enumerate()) == before


def test_attributes_can_be_set_through_the_proxy() -> None:
    with ate.blocking.open("b", memory=True) as chain:
        chain.durability = ate.NONE
        assert chain._target.durability is ate.NONE


def test_daos_of_a_proxy_are_given_back_as_they_are() -> None:
    with ate.blocking.open("b", memory=True) as chain, chain.dio() as dio:
        dao = dio.store(1)
        child = dio.store(2, parent=dao)
        assert child.parent == dao.id
        assert dio.load_many([dao.id], int) == [dao]


async def _cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.get_running_loop().create_future()


def test_what_is_interrupted_is_cancelled() -> None:
    runner = Runner()
    with pytest.raises(BaseException) as caught:
        runner.run(_cancelled())
    assert "Cancelled" in type(caught.value).__name__
    runner.stop()


@dataclass
class Errands:
    name: str
    items: ate.Vec[str] = field(default_factory=ate.Vec)


def test_collections_of_a_value_are_waited_for_through_the_chain() -> None:
    with ate.blocking.open("errands", memory=True) as chain:
        dio = chain.dio()
        dao = dio.store(Errands("today"))
        dao.value.items.push("milk")
        dao.value.items.push("bread")
        dio.commit()
        loaded = chain.dio().load(Errands, dao.id)
        assert [one.value for one in chain.each(loaded.value.items)] == ["milk", "bread"]
        assert chain.run(loaded.value.items.count()) == 2


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The address of a server in another thread."""
    runner = Runner()

    async def begin() -> tuple[Hall, Server]:
        hall = Hall(DiskShelf(tmp_path / "server"))
        server = serve(hall, host="127.0.0.1", port=0)
        await server.start()
        return hall, server

    hall, server = runner.run(begin())
    yield server.url
    runner.run(server.close())
    runner.run(hall.close())
    runner.stop()


def loops() -> set[threading.Thread]:
    """The threads that a blocking chain has made."""
    return {thread for thread in threading.enumerate() if thread.name == "ate"}


def test_a_shared_chain_works_without_await(url: str, tmp_path: Path) -> None:
    before = loops()
    options = {"url": url, "session": ate.Session.new("alice")}
    with (
        ate.blocking.open("b", path=tmp_path / "one", **options) as one,
        ate.blocking.open("b", **options) as two,
    ):
        with one.dio() as dio:
            task = dio.store(Task("call"))
        assert one.status.online
        assert two.sync().head == one.head
        assert two.dio().load(Task, task.id).value.text == "call"
        changes = two.watch(type=Task, since=0)
        assert next(changes).value.text == "call"
        changes.close()
        with two.dio() as dio:
            dio.load(Task, task.id).update(text="write")
        assert one.sync(10).pending == 0
        assert one.dio().load(Task, task.id).value.text == "write"
        one.checkpoint(compact=True)
        statuses = one.statuses()
        assert next(statuses).online
        statuses.close()
    assert loops() == before


def test_a_server_that_is_not_there_leaves_nothing_behind() -> None:
    before = loops()
    with (
        pytest.raises(Offline),
        ate.blocking.open("b", url="ws://127.0.0.1:1/", connection={"timeout_s": 0.2}),
    ):
        pass
    assert loops() == before
