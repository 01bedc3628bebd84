"""`ate.mesh.flipping`: a server compacts where a root says so, also after it was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.ate.mesh.served import settled

import ate
from ate.mesh.hall import Hall
from ate.mesh.meter import SilentMeter
from ate.mesh.shelf import DiskShelf
from ate.server import serve
from ate.testing.stage import member


class Tally(SilentMeter):
    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []

    def compacted(self, outcome: str, nbytes: int) -> None:
        self.told.append((outcome, nbytes > 0))


async def change(chain: ate.Chain, times: int = 20) -> None:
    dio = chain.dio()
    one = dio.store({"text": "x" * 100, "n": 0})
    for number in range(times):
        one.value = {"text": "x" * 100, "n": number}
        await dio.commit()


@pytest.mark.parametrize("compacts", [True, False])
async def test_a_root_s_word_is_followed_or_not(tmp_path: Path, compacts: bool) -> None:
    meter = Tally()
    hall = Hall(DiskShelf(tmp_path), meter=meter, compacts=compacts)
    async with (
        serve(hall) as server,
        ate.open("c", url=server.url, session=member("alice")) as chain,
    ):
        await change(chain)
        await chain.checkpoint()
        assert not meter.told
        await chain.checkpoint(compact=True)
        cut = chain._ledger.view.cut
        if compacts:  # before more is written, or the log may not be smaller in the end
            await settled(lambda: meter.told)
            assert meter.told == [("done", True)]
        await change(chain)
        view = hall.roots["c"].ledger.view
        assert view.cut == (cut if compacts else 0)
    await hall.close()


async def test_what_was_not_done_is_done_when_the_chain_is_opened(tmp_path: Path) -> None:
    options: dict[str, Any] = {"session": member("alice")}
    hall = Hall(DiskShelf(tmp_path), compacts=False)
    async with serve(hall) as server, ate.open("c", url=server.url, **options) as chain:
        await change(chain)
        await chain.checkpoint(compact=True)
        cut = chain._ledger.view.cut
        await chain.checkpoint()
    await hall.close()
    meter = Tally()
    hall = Hall(DiskShelf(tmp_path), meter=meter)
    async with serve(hall) as server, ate.open("c", url=server.url, **options):
        await settled(lambda: meter.told)
        assert hall.roots["c"].ledger.view.cut == cut
    await hall.close()


async def test_a_hold_is_respected_and_told(tmp_path: Path) -> None:
    meter = Tally()
    hall = Hall(DiskShelf(tmp_path), meter=meter, compacts=False)
    options: dict[str, Any] = {"session": member("alice")}
    async with serve(hall) as server, ate.open("c", url=server.url, **options) as chain:
        await change(chain)
        await chain.checkpoint(compact=True)
        await chain.set_hold("case 12")
        with pytest.raises(ate.Refused):
            await chain.checkpoint(compact=True)
    await hall.close()
    hall = Hall(DiskShelf(tmp_path), meter=meter)
    async with serve(hall) as server, ate.open("c", url=server.url, **options) as chain:
        await settled(lambda: meter.told)
        assert meter.told == [("failed", False)]
        assert hall.roots["c"].ledger.view.cut == 0
        await chain.set_hold(None)
        await chain.checkpoint()
        await settled(lambda: len(meter.told) == 2)
        assert meter.told[1] == ("done", True)
    await hall.close()
