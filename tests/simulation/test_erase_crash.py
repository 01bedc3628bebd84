"""Erasing under power cuts: the present is there, whole, whatever happens."""

from __future__ import annotations

import pytest

import ate
from ate.chain.verify import verify
from ate.log.local import LocalLog
from ate.testing.platter import STYLES
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member


@pytest.mark.parametrize("who", [None, "alice"])
async def test_a_power_cut_at_any_moment_of_erasing(who: str | None) -> None:
    disk, session, clock = SimDisk(), member(who) if who else None, SimClock(tick_us=1)
    async with ate.open("c", path="/d", disk=disk, session=session, clock=clock) as chain:
        dio = chain.dio()
        kept = [dio.store({"text": f"first value number {n}"}) for n in range(3)]
        gone = dio.store("x" * 70_000)
        await dio.commit()
        for dao in kept:
            dao.update(text="the value that stays")
        dio.delete(gone.id)
        await dio.commit()
        before = len(chain)
        disk.journal.clear()
        disk._origin = disk._platter.after_cut(STYLES[1], disk._chance)  # what follows is cut
        erased = (await chain.compact(erase=True)).erased
        assert erased is not None
        assert erased.is_proved
    ids, tried = [dao.id for dao in kept], 0
    for at, style, after in disk.cuts():
        async with ate.open("c", path="/d", disk=after, session=session, clock=clock) as chain:
            assert len(chain) == before, (at, style)
            dio = chain.dio()
            for one in ids:
                assert (await dio.load(dict, one)).value["text"] == "the value that stays"
        store = LocalLog.open("/d/c", disk=after, readonly=True)
        assert (await verify(store)).ok, (at, style)
        store.close()
        tried += 1
    assert tried > 100
