"""The cells: one measurement of one store, in a process of its own; each reads back what it wrote.

A cell is a function of its options; it returns figures by name. It judges nothing.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import pstats
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, TextIO

from tools.race.records import Row, row, rows, shuffled

Options = Mapping[str, Any]
Figures = dict[str, float]

_PEER_FILL_ROWS: Final = 10_000
_COMPARED_MAX: Final = 20_000


class WrongDataError(Exception):
    """What was read back is not what was written; the cell's figures are void."""


def expect(found: object, written: object) -> None:
    """Raise WrongDataError unless both are equal."""
    if found != written:
        raise WrongDataError("the store returned other rows than were written")


class Stopwatch:
    """Measures from its making until `stop`; with a profile it looks at that span only."""

    #: What `--profile` asks for; the cells know nothing of it.
    profile: ClassVar[cProfile.Profile | None] = None

    def __init__(self) -> None:
        if self.profile is not None:
            self.profile.enable()
        self._started = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._started

    def stop(self) -> float:
        """Return the seconds since the start."""
        took = self.elapsed_s
        if self.profile is not None:
            self.profile.disable()
        return took

    @classmethod
    def show(cls, file: TextIO) -> None:
        """Write the profile, if one was asked for and this process has looked at something."""
        if cls.profile is not None and cls.profile.getstats():
            pstats.Stats(cls.profile, stream=file).sort_stats("tottime").print_stats(20)
            file.flush()


def run(work: Coroutine[Any, Any, Figures]) -> Figures:
    """Run the product's side of a cell on an event loop of its own."""
    return asyncio.run(work)


# --- commits ------------------------------------------------------------------------------------


def commit(options: Options) -> Figures:
    """Insert rows in durable commits of `batch` until `seconds` are over; objects a second."""
    if options["store"] == "ate":
        return run(_commit_ate(options))
    from tools.race.peers import open_peer

    folder, batch, seconds = Path(options["folder"]), options["batch"], options["seconds"]
    everything = rows(options["most"])
    store = open_peer(options["store"], folder)
    done, watch = 0, Stopwatch()
    while done < len(everything) and watch.elapsed_s < seconds:
        store.put(everything[done : done + batch])
        done += batch
    took = watch.stop()
    store.close()
    store = open_peer(options["store"], folder)
    expect(sorted(store.scan()), everything[:done])
    store.close()
    return {"per_s": done / took, "objects": done}


async def _commit_ate(options: Options) -> Figures:
    from tools.race import product

    folder, batch, seconds = Path(options["folder"]), options["batch"], options["seconds"]
    everything = rows(options["most"])
    async with product.open_chain(folder, suite=options.get("suite", 2)) as chain:
        done, watch = 0, Stopwatch()
        while done < len(everything) and watch.elapsed_s < seconds:
            await product.put(chain, everything[done : done + batch])
            done += batch
        took = watch.stop()
    async with product.open_chain(folder) as chain:
        expect(product.as_rows(await product.scan(chain)), everything[:done])
    size = product.files_bytes(folder)
    return {"per_s": done / took, "objects": done, "bytes_per_object": size / done}


def together(options: Options) -> Figures:
    """Insert with `tasks` asyncio tasks, each committing single objects; objects a second."""
    return run(_together(options))


async def _together(options: Options) -> Figures:
    from tools.race import product

    folder, seconds = Path(options["folder"]), options["seconds"]
    everything = rows(options["most"])
    waiting = iter(everything)
    done: list[Row] = []
    async with product.open_chain(folder) as chain:

        async def one_task() -> None:
            for one in waiting:
                await product.put(chain, [one])
                done.append(one)
                if watch.elapsed_s > seconds:
                    return

        watch = Stopwatch()
        await asyncio.gather(*(one_task() for _ in range(options["tasks"])))
        took = watch.stop()
    async with product.open_chain(folder) as chain:
        expect(product.as_rows(await product.scan(chain)), sorted(done))
    return {"per_s": len(done) / took, "objects": len(done)}


# --- data for the readers -----------------------------------------------------------------------


def fill(options: Options) -> Figures:
    """Make the data that other cells read: `count` rows in commits of `batch`.

    With `past`, so many updates of them follow.
    """
    if options["store"] == "ate":
        return run(_fill_ate(options))
    from tools.race.peers import open_peer

    store = open_peer(options["store"], Path(options["folder"]), durable=False)
    watch = Stopwatch()
    for at in range(0, options["count"], _PEER_FILL_ROWS):
        end = min(options["count"], at + _PEER_FILL_ROWS)
        store.put([row(number) for number in range(at, end)])
    store.close()
    return {"fill_s": watch.stop()}


async def _fill_ate(options: Options) -> Figures:
    from tools.race import product

    folder, count, batch = Path(options["folder"]), options["count"], options["batch"]
    watch = Stopwatch()
    async with product.open_chain(folder) as chain:
        for at in range(0, count, batch):
            some = [row(number) for number in range(at, min(count, at + batch))]
            await product.put(chain, some, own_ids=True)
        for version, at in enumerate(range(0, options.get("past", 0), batch), 1):
            some = [row((at + n) % count, version) for n in range(batch)]
            await product.overwrite(chain, some)
    size = product.files_bytes(folder)
    return {"fill_s": watch.stop(), "bytes_per_object": size / count}


def size(options: Options) -> Figures:
    """Return the bytes on disk an object of finished data, all files of the store counted."""
    folder = Path(options["folder"])
    total = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
    return {"bytes_per_object": total / options["count"]}


# --- opening ------------------------------------------------------------------------------------


def verify(options: Options) -> Figures:
    """Check all of a chain from the first byte, bodies included; seconds."""
    return run(_verify(options))


async def _verify(options: Options) -> Figures:
    from tools.race import product

    from ate.chain.verify import verify as verify_chain
    from ate.log.local import LocalLog

    folder = Path(options["folder"])
    store = LocalLog.open(folder / product.NAME, readonly=True)
    watch = Stopwatch()
    found = await verify_chain(store)
    took = watch.stop()
    store.close()
    if not found.ok or found.rows < options["count"] or not found.signatures[2]:
        raise WrongDataError("; ".join(found.problems) or "not everything was checked")
    return {"verify_s": took, "rows": found.rows, "commits": found.commits}


def memory(options: Options) -> Figures:
    """Return what an open chain takes in memory an object; `replay` ignores the snapshot."""
    return run(_memory(options))


async def _memory(options: Options) -> Figures:
    from tools.race import product

    folder, count = Path(options["folder"]), options["count"]
    session = product.session_of(folder)
    async with ate_in_memory() as warm:  # modules, codecs and ciphers are loaded by it
        await product.put(warm, [row(0)])
    if options.get("replay"):
        for index in (folder / product.NAME).rglob("index"):
            index.unlink()
    gc.collect()
    anon, total = _resident()
    chain = await product.open_chain(folder, session=session)
    if len(chain) != count:
        raise WrongDataError("the chain has another number of objects")
    gc.collect()
    anon_open, total_open = _resident()
    dio = chain.dio()
    for number in shuffled(count, most=min(count, 10_000)):
        await product.get(dio, number)
    gc.collect()
    anon_used, total_used = _resident()
    await chain.close()
    return {
        "anon_per_object": (anon_open - anon) / count,
        "total_per_object": (total_open - total) / count,
        "anon_used_per_object": (anon_used - anon) / count,
        "total_used_per_object": (total_used - total) / count,
        "process_bytes": total_open,
    }


def ate_in_memory() -> Any:
    """Return the opening of a chain that has no files."""
    import ate
    from ate.session import Session

    return ate.open("warm", memory=True, session=Session.new("warm"))


def _resident() -> tuple[int, int]:
    """Return (anonymous, all) resident bytes of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    known = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return tuple(int(known[name].split()[0]) * 1024 for name in ("RssAnon", "VmRSS"))  # type: ignore[return-value]


# --- reading and changing -----------------------------------------------------------------------


def load(options: Options) -> Figures:
    """Load every object of freshly opened data once, by id, in random order; objects a second."""
    order = shuffled(options["count"], most=options.get("most"))
    if options["store"] == "ate":
        return run(_load_ate(options, order))
    from tools.race.peers import open_peer

    store = open_peer(options["store"], Path(options["folder"]))
    watch = Stopwatch()
    found = [store.get(number) for number in order]
    took = watch.stop()
    expect(found, [row(number) for number in order])
    store.close()
    return {"per_s": len(order) / took}


async def _load_ate(options: Options, order: list[int]) -> Figures:
    from tools.race import product

    ids = [product.id_of(number) for number in order]
    async with product.open_chain(Path(options["folder"])) as chain:
        dio = chain.dio()
        watch = Stopwatch()
        found = [(await dio.load(product.Record, one)).value for one in ids]
        took = watch.stop()
        expect([(one.id, one.name, one.data) for one in found], [row(one) for one in order])
    return {"per_s": len(order) / took}


def scan(options: Options) -> Figures:
    """Make all objects of freshly opened data; objects a second, opening included."""
    if options["store"] == "ate":
        return run(_scan_ate(options))
    from tools.race.peers import open_peer

    watch = Stopwatch()
    store = open_peer(options["store"], Path(options["folder"]))
    found = store.scan()
    took = watch.stop()
    expect(sorted(found), rows(options["count"]))
    store.close()
    return {"per_s": len(found) / took}


async def _scan_ate(options: Options) -> Figures:
    from tools.race import product

    folder = Path(options["folder"])
    session = product.session_of(folder)
    watch = Stopwatch()
    async with product.open_chain(folder, session=session) as chain:
        found = await product.scan(chain)
        took = watch.stop()
        expect(product.as_rows(found), rows(options["count"]))
    return {"per_s": len(found) / took}


def change(options: Options) -> Figures:
    """Update random rows of finished data in durable commits of `batch`; objects a second.

    `blind` writes over what is there without loading it, as sqlite's INSERT OR REPLACE does.
    """
    changed = [row(number, 1) for number in shuffled(options["count"])]
    step = options["batch"]
    batches = [changed[at : at + step] for at in range(0, len(changed), step)]
    if options["store"] == "ate":
        return run(_change_ate(options, batches))
    from tools.race.peers import open_peer

    folder = Path(options["folder"])
    store = open_peer(options["store"], folder)
    watch, done = Stopwatch(), 0
    for done, some in enumerate(batches, 1):  # noqa: B007
        store.put(some)
        if watch.elapsed_s > options["seconds"]:
            break
    took = watch.stop()
    store.close()
    store = open_peer(options["store"], folder)
    for some in _spread(batches[:done]):
        expect([tuple(store.get(number)) for number, _, _ in some], some)
    store.close()
    return {"per_s": done * options["batch"] / took}


async def _change_ate(options: Options, batches: list[list[Row]]) -> Figures:
    from tools.race import product

    way: Callable[..., Any] = product.overwrite if options.get("blind") else product.update
    folder = Path(options["folder"])
    async with product.open_chain(folder) as chain:
        watch, done = Stopwatch(), 0
        for done, some in enumerate(batches, 1):  # noqa: B007
            await way(chain, some)
            if watch.elapsed_s > options["seconds"]:
                break
        took = watch.stop()
    async with product.open_chain(folder) as chain:
        for some in _spread(batches[:done]):
            dio = chain.dio()
            expect([await product.get(dio, number) for number, _, _ in some], some)
    return {"per_s": done * options["batch"] / took}


def _spread(batches: list[list[Row]]) -> list[list[Row]]:
    """Return as many batches as are worth comparing, spread over all."""
    step = max(1, sum(map(len, batches)) // _COMPARED_MAX)
    return batches[::step]


CELLS: Final[dict[str, Callable[[Options], Figures]]] = {
    one.__name__: one for one in (commit, together, fill, size, verify, memory, load, scan, change)
}
