"""`atedb.owning`: a server's hold on its directories, from the first look to the last."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from ate.clock import SystemClock
from ate.errors import Deposed, LogLocked, StorageError
from ate.ids import ChainName
from ate.log import ownership as owners
from ate.log.disk import RealDisk
from ate.mesh.shelf import DiskShelf
from ate.tasks import rest
from ate.testing.simloop import run
from atedb.house import own_folder
from atedb.journal import Journal
from atedb.owning import Owning
from atedb.settings import Service, Settings


class Server:
    """As much of a server as there is to own."""

    def __init__(self, folder: Path, **given: object) -> None:
        self.out, self.deposed = io.StringIO(), list[Deposed]()
        settings = Settings(path=folder, **given)  # type: ignore[arg-type]
        self.stopped = asyncio.Event()
        journal = Journal(self.out, SystemClock())
        self.owning = Owning(settings, journal, self.deposed.append)

    async def own(self) -> bool:
        return await self.owning.own(5000, self.stopped)


def test_directories_without_owners_are_locked_and_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        services = (Service("/b", tmp_path / "b"),)
        one = Server(tmp_path / "a", services=services)
        assert await one.own()
        assert one.owning.ownerships == [None, None]
        await one.owning.take_all([DiskShelf(tmp_path / "a")])
        other = Server(tmp_path / "b")
        with pytest.raises(LogLocked):
            await other.own()
        other.owning.close()
        one.owning.close()
        assert await other.own()
        other.owning.close()

    run(main)
    assert not list(tmp_path.rglob("owner.*"))


def test_an_owner_shows_that_it_is_well_until_it_is_deposed(tmp_path: Path) -> None:
    async def main() -> None:
        disk, own = RealDisk(), str(own_folder(tmp_path))
        first = Server(tmp_path, stand_by=True)
        assert await first.own()
        (mine,) = first.owning.ownerships
        log = DiskShelf(tmp_path, ownership=mine).open(ChainName("notes"), create=True)
        before = owners.sight(disk, own)
        assert before.facts["url"] == "ws://127.0.0.1:5000/"
        await rest(3.5)
        beats = {before.beat, owners.sight(disk, own).beat}
        assert len(beats) == 2
        first.owning._timer.cancel()  # type: ignore[union-attr]  # it hangs
        second = Server(tmp_path, stand_by=True)
        assert await second.own()
        (theirs,) = second.owning.ownerships
        assert theirs is not None
        assert theirs.epoch == 2
        shelf = DiskShelf(tmp_path, ownership=theirs)
        await second.owning.take_all([shelf])
        assert "took over chains that were open chains=1" in second.out.getvalue()
        first.owning._beat()
        first.owning._beat()
        assert [error.code for error in first.deposed] == ["deposed"] * 2
        assert not second.deposed
        log.close()
        first.owning.close()
        second.owning.close()

    run(main)


def test_who_is_told_to_end_owns_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        first, second = (Server(tmp_path, stand_by=True) for _ in range(2))
        assert await first.own()
        second.stopped.set()
        assert not await second.own()
        second.owning.close()
        first.owning.close()

    run(main)


def test_a_sign_of_life_that_cannot_be_given_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        one = Server(tmp_path, stand_by=True)
        assert await one.own()
        (mine,) = one.owning.ownerships
        assert mine is not None

        class Broken:
            def pwrite(self, *_: object) -> None:
                raise StorageError("the disk is gone")

            def close(self) -> None:
                kept.close()

        kept, mine._file = mine._file, Broken()  # type: ignore[assignment]
        await rest(2.5)
        assert one.out.getvalue().count("no sign of life could be given") == 2
        one.owning.close()

    run(main)
