"""Cells of chains that live long: updates and compaction, commits beside it, memory of the past.

Like all cells they run in a process of their own, read back what was written, and judge nothing.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from tools.race.cells import Figures, Options, Stopwatch, expect, run
from tools.race.records import Row, row

_BATCH: Final = 1000
_QUIET_COMMITS: Final = 3000
_ROUNDS: Final = 3


def updates(objects: int, count: int, batch: int = _BATCH) -> list[list[int]]:
    """Return the numbers that each commit changes: `batch` different ones, at random."""
    chance = np.random.default_rng(2)
    return [chance.choice(objects, batch, replace=False).tolist() for _ in range(count // batch)]


def churn(options: Options) -> Figures:
    """Update `objects` rows `updates` times in commits of 1000, then compact; updates a second."""
    if options["store"] == "ate":
        return run(_churn_ate(options))
    from tools.race.peers import open_peer

    objects = options["objects"]
    store: Any = open_peer(options["store"], Path(options["folder"]), durable=False)
    store.put([row(number) for number in range(objects)])
    newest: dict[int, Row] = {}
    for version, numbers in enumerate(updates(objects, options["updates"]), 1):
        some = [row(number, version) for number in numbers]
        store.put(some)
        newest.update((one[0], one) for one in some)
    watch = Stopwatch()
    store.pack()
    took = watch.stop()
    expect([store.get(number) for number in sorted(newest)], [newest[n] for n in sorted(newest)])
    store.close()
    return {"per_s": options["updates"] / took, "compact_s": took}


async def _churn_ate(options: Options) -> Figures:
    from tools.race import product

    import ate

    folder, objects = Path(options["folder"]), options["objects"]
    newest = {number: row(number) for number in range(objects)}
    async with product.open_chain(folder) as chain:
        await _overwrite(chain, list(newest.values()))
        for version, numbers in enumerate(updates(objects, options["updates"]), 1):
            some = [row(number, version) for number in numbers]
            await _overwrite(chain, some)
            newest.update((one[0], one) for one in some)
        watch = Stopwatch()
        await chain.compact()
        took = watch.stop()
    async with product.open_chain(folder) as chain:
        expect(product.as_rows(await product.scan(chain)), [newest[n] for n in sorted(newest)])
    fresh = folder / "fresh"
    fresh.mkdir()
    async with ate.open(product.NAME, path=fresh, session=product.session_of(folder)) as chain:
        for at in range(0, objects, _BATCH):
            await product.put(chain, [newest[n] for n in range(at, at + _BATCH)], own_ids=True)
    size, live = product.files_bytes(folder), product.files_bytes(fresh)
    return {
        "per_s": options["updates"] / took, "compact_s": took, "live_x": size / live,
        "bytes_per_object": size / objects,
    }  # fmt: skip


async def _overwrite(chain: Any, some: list[Row]) -> None:
    """Write rows over what is there; they are flushed when the chain is closed."""
    from tools.race import product

    import ate

    dio = chain.dio()
    for one in some:
        dio.store(product.Record(*one), id=product.id_of(one[0]))
    await dio.commit(ate.Durability.NONE, on_conflict="last")


def beside(options: Options) -> Figures:
    """Commit single objects, durably, without and beside a compaction; how the slow ones compare.

    The slow ones: the 99th of each hundred.
    """
    return run(_beside(options))


async def _beside(options: Options) -> Figures:
    from tools.race import product

    folder, objects = Path(options["folder"]), options["count"]
    quiet: list[float] = []
    busy: list[float] = []
    numbers = iter(range(objects, 1 << 40))
    async with product.open_chain(folder) as chain:

        async def commit(times: list[float]) -> None:
            started = time.perf_counter()
            await product.put(chain, [row(next(numbers))], own_ids=True)
            times.append(time.perf_counter() - started)

        for turn in range(_ROUNDS):
            for version, some in enumerate(updates(objects, options["updates"])):
                version += turn * 1000  # noqa: PLW2901
                await _overwrite(chain, [row(number, version + 1) for number in some])
            for _ in range(_QUIET_COMMITS):
                await commit(quiet)
                await asyncio.sleep(0)
            compacting = asyncio.create_task(chain.compact())
            while not compacting.done():
                await commit(busy)
                await asyncio.sleep(0)
            await compacting
        expect(len(chain), objects + len(quiet) + len(busy))
    return {
        "p99_x": _p99(busy) / _p99(quiet), "p99_quiet_s": _p99(quiet), "p99_busy_s": _p99(busy),
        "median_x": _median(busy) / _median(quiet), "commits_beside": len(busy),
    }  # fmt: skip


def _p99(times: list[float]) -> float:
    return sorted(times)[len(times) * 99 // 100]


def _median(times: list[float]) -> float:
    return sorted(times)[len(times) // 2]


CELLS: Final = {one.__name__: one for one in (churn, beside)}
