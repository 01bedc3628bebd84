from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tools.race.goals import BY_HAND, lines
from tools.race.plan import FULL, QUICK
from tools.race.servers.light import Follower
from tools.race.strain import CELLS, forget, resident

import ate
from ate.mesh.hall import Hall
from ate.mesh.shelf import MemoryShelf
from ate.server import serve


async def test_a_light_follower_gets_every_commit_of_any_size() -> None:
    hall, taken = Hall(MemoryShelf()), list[int]()
    come = asyncio.Event()

    def took(nbytes: int) -> None:
        taken.append(nbytes)
        if len(taken) == 4:
            come.set()

    async with (
        serve(hall, websocket=False, tcp=True) as server,
        ate.open("bench", url=server.url) as chain,
    ):
        for size in (10, 3_000_000):
            dio = chain.dio()
            dio.store(b"x" * size)
            await dio.commit()
        follower = Follower(took)
        await follower.connect(server.url, "bench")
        assert follower.commits == chain.commits == 3
        following = asyncio.create_task(follower.follow())
        dio = chain.dio()
        dio.store(b"y")
        await dio.commit()
        await come.wait()
        assert max(taken) > 3_000_000
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await follower.close()
    await hall.close()


def test_its_goals_have_cells_and_the_largest_is_run_by_hand() -> None:
    for sizes in (FULL, QUICK):
        strained = [one for one in lines(sizes) if one.ours.kind in CELLS]
        assert {one.goal for one in strained} == {"E10", "E20", "B8"}
    assert {"B8"} == BY_HAND


def test_what_is_forgotten_is_still_there(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(b"x" * 10_000)
    forget(tmp_path)
    assert (tmp_path / "below" / "file").read_bytes() == b"x" * 10_000


def test_memory_is_that_of_a_process_in_bytes() -> None:
    assert 1 << 20 < resident(os.getpid()) < 1 << 36
    with pytest.raises(FileNotFoundError):
        resident(2**22 + 1)
