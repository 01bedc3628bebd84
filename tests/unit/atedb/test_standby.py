"""`atedb.standby`: when an owner is gone, when it hangs, and who has a directory then."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from ate.clock import SystemClock
from ate.errors import Deposed, LogLocked, StorageError
from ate.log import ownership as owners
from ate.log.disk import RealDisk
from ate.log.ownership import Sight
from ate.tasks import rest
from ate.testing.simloop import run, sim_loop
from atedb.house import own_folder, take
from atedb.journal import Journal
from atedb.standby import Tenure, Watch, beat_s, facts_of, own_now, stand_by

AFTER_S = 5.0


def facts(name: str) -> dict[str, object]:
    return {**facts_of(f"ws://{name}/", AFTER_S), "run": name}


class Waiting:
    """Somebody who stands by."""

    def __init__(self, folder: Path, name: str) -> None:
        self.out, self.stopped = io.StringIO(), asyncio.Event()
        journal = Journal(self.out, SystemClock())
        self.task = asyncio.create_task(
            stand_by(folder, facts(name), AFTER_S, journal=journal, stopped=self.stopped)
        )

    async def owned(self) -> Tenure:
        found = await self.task
        assert found is not None
        assert found.ownership is not None
        return found


async def beating(tenure: Tenure, count: int) -> None:
    assert tenure.ownership is not None
    for _ in range(count):
        await rest(beat_s(AFTER_S))
        tenure.ownership.beat()


def test_signs_of_life_come_often_enough() -> None:
    assert beat_s(5.0) == beat_s(60.0) == 1.0
    assert beat_s(0.5) == 0.1
    assert facts_of("ws://a/", 0.5)["beat_s"] == 0.1


def test_an_owner_hangs_when_it_was_silent_while_somebody_looked() -> None:
    watch = Watch(2.0)
    seen = Sight(1, b"1", {"beat_s": 0.1})
    assert not watch.hangs(seen, 99.0)
    looks = 0
    while not watch.hangs(seen, 0.25):
        looks += 1
        assert looks < 20
    assert looks == 7
    assert not watch.hangs(Sight(1, b"2", {"beat_s": 0.1}), 0.25)
    assert not watch.hangs(Sight(2, b"2", {"beat_s": 0.1}), 0.25)


def test_who_slept_itself_knows_nothing_of_the_owner() -> None:
    watch = Watch(2.0)
    seen = Sight(1, b"1", {})
    watch.hangs(seen, 0.25)
    assert not watch.hangs(seen, 3600.0)


@pytest.mark.parametrize("told", [2.0, 2])
def test_an_owner_that_beats_slowly_is_given_its_time(told: float) -> None:
    watch, seen = Watch(1.0), Sight(1, b"1", {"beat_s": told})
    watch.hangs(seen, 0.25)
    looks = 0
    while not watch.hangs(seen, 0.25):
        looks += 1
    assert looks == 39


@pytest.mark.parametrize("told", ["soon", None, -1, 1e9, float("nan")])
def test_an_owner_is_not_believed_everything(told: object) -> None:
    watch, seen = Watch(1.0), Sight(1, b"1", {"beat_s": told})
    watch.hangs(seen, 0.25)
    assert [watch.hangs(seen, 0.25) for _ in range(20)][-1]


def test_a_directory_that_nobody_stands_by_for_has_no_owner(tmp_path: Path) -> None:
    tenure = own_now(tmp_path, facts("a"))
    assert tenure.ownership is None
    with pytest.raises(LogLocked, match="another server"):
        own_now(tmp_path, facts("b"))
    tenure.close()
    own_now(tmp_path, facts("b")).close()
    assert owners.newest(RealDisk(), str(own_folder(tmp_path))) == 0


def in_time(main: Callable[[], object]) -> None:
    run(main, limit_s=3600)  # type: ignore[arg-type]


def test_who_comes_first_owns_it_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        tenure = await Waiting(tmp_path, "a").owned()
        assert sim_loop().time() == 0
        assert tenure.ownership is not None
        assert tenure.ownership.epoch == 1
        with pytest.raises(LogLocked, match="another server"):
            own_now(tmp_path, facts("b"))
        tenure.close()
        plain = own_now(tmp_path, facts("b"))  # others may stand by: it says that it is well
        assert plain.ownership is not None
        plain.close()

    in_time(main)


def test_an_owner_that_is_gone_is_followed_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        first = await Waiting(tmp_path, "a").owned()
        second = Waiting(tmp_path, "b")
        await beating(first, 60)
        assert not second.task.done()
        assert "standing by owner=ws://a/ epoch=1" in second.out.getvalue()
        began = sim_loop().time()
        first.close()
        tenure = await second.owned()
        assert sim_loop().time() - began < 0.5
        assert tenure.ownership is not None
        assert (tenure.ownership.epoch, tenure.ownership.is_contested) == (1, False)
        assert tenure.lock is not None
        tenure.close()

    in_time(main)


def test_an_owner_that_hangs_is_deposed_by_one_of_those_who_wait(tmp_path: Path) -> None:
    async def main() -> None:
        first = await Waiting(tmp_path, "a").owned()
        others = [Waiting(tmp_path, name) for name in "bc"]
        await beating(first, 10)
        began = sim_loop().time()
        done, pending = await asyncio.wait(
            [one.task for one in others], return_when=asyncio.FIRST_COMPLETED
        )
        assert AFTER_S - 1 < sim_loop().time() - began < AFTER_S + 1.5
        (tenure,) = (task.result() for task in done)
        assert tenure is not None
        assert tenure.ownership is not None
        assert (tenure.ownership.epoch, tenure.ownership.is_contested) == (2, True)
        assert tenure.lock is None
        assert any("hangs" in one.out.getvalue() for one in others)
        assert first.ownership is not None
        with pytest.raises(Deposed):
            first.ownership.beat()
        await beating(tenure, 30)
        assert not any(task.done() for task in pending)
        first.close()
        await beating(tenure, 3)
        with pytest.raises(LogLocked):  # the lock is free, the directory is not
            own_now(tmp_path, facts("d"))
        tenure.close()
        (last,) = pending
        third = await last
        assert third is not None
        assert third.ownership is not None
        assert (third.ownership.epoch, third.ownership.is_contested) == (2, False)
        third.close()

    in_time(main)


def test_who_knows_of_no_owners_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        lock = take(tmp_path)
        waiting = Waiting(tmp_path, "a")
        await rest(100)
        assert not waiting.task.done()
        lock.close()
        (await waiting.owned()).close()

    in_time(main)


def test_waiting_ends_when_it_is_told_to(tmp_path: Path) -> None:
    async def main() -> None:
        first = await Waiting(tmp_path, "a").owned()
        waiting = Waiting(tmp_path, "b")
        await rest(0.1)
        waiting.stopped.set()
        assert await waiting.task is None
        first.close()

    in_time(main)


def test_a_directory_that_cannot_be_used_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def main() -> None:
        with pytest.raises(StorageError):
            await Waiting(tmp_path / "file", "a").task

    in_time(main)
