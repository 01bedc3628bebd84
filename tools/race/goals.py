"""The goals as data: the cells of each row of the table and what it must reach. It runs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tools.race.plan import LESS, Cell, Line, Sizes
from tools.race.server_goals import server_lines

#: Goals whose cells wait for the disk: a round in which the disk changed is thrown away.
FLUSHING: Final = frozenset(
    {"G1", "G2", "G3", "G4", "G5", "G10", "G14", "G15", "G15W", "G16", "G24"}
)

#: Goals that are run when they are asked for and not otherwise: they want a whole machine.
BY_HAND: Final = frozenset({"B8"})


def lines(sizes: Sizes) -> list[Line]:
    """Return all rows of the table."""
    parts = (_commits, _opening, _reading, _space, _compacting, _starting, server_lines)
    return [line for part in parts for line in part(sizes)]


def _commit(store: str, batch: int, sizes: Sizes, **more: Any) -> Cell:
    # A commit cell of a large batch must see several commits even when they are slow.
    seconds = max(sizes.seconds, 1.0) if batch > 1000 else sizes.seconds
    options = {"batch": batch, "seconds": seconds, "most": sizes.most, **more}
    return Cell("commit", store, tuple(sorted(options.items())))


def _commits(sizes: Sizes) -> Iterable[Line]:
    def against(peer: str, must: float | None, moon: float | None = None) -> Line:
        return Line(
            goal, what, _commit("ate", batch, sizes), _commit(peer, batch, sizes),
            must=must, moon=moon,
        )  # fmt: skip

    goal, what, batch = "G1", "durable commits of 1", 1
    yield against("sqlite", 0.45, 0.6)
    yield against("zodb", 2.5)
    yield against("eventsourcing-aes", 1.5)
    yield against("raw disk", None)
    tasks = {"tasks": 16, "seconds": sizes.seconds, "most": sizes.most}
    yield Line(
        "G2", "16 tasks, each committing 1, beside one task (G1)",
        Cell("together", "ate", tuple(sorted(tasks.items()))), _commit("ate", 1, sizes),
        must=2, moon=5,
    )  # fmt: skip
    goal, what, batch = "G3", "durable commits of 100", 100
    yield against("sqlite", 0.4)
    yield against("zodb", 5)
    yield against("sqlcipher", None, 1)
    yield against("raw disk", None)
    goal, what, batch = "G4", "durable commits of 10 000", 10_000
    yield against("sqlite", 0.4, 1)
    yield against("zodb", 4)
    yield against("eventsourcing-aes", 10)
    yield against("raw disk", None)
    yield Line(
        "G5", "durable commits of 100, both signatures on each (suite 1)",
        _commit("ate", 100, sizes, suite=1), _commit("sqlite", 100, sizes), must=0.15, moon=0.5,
    )  # fmt: skip


def _opening(sizes: Sizes) -> Iterable[Line]:
    def first(store: str, count: int) -> Cell:
        return Cell("first", store, (("count", count),), data=count)

    large = _thousands(sizes.large)
    ours = first("ate", sizes.large)
    yield Line(
        "G6", f"process start to first read of {large} objects", ours,
        first("lmdb", sizes.large), "start_s", "ms", LESS, must=2,
    )  # fmt: skip
    yield Line(
        "G6", f"… opening alone, {large} objects", ours, None, "open_s", "ms", LESS, moon=0.030,
        note="the moon is the bound; there is no must",
    )  # fmt: skip
    yield Line(
        "G6", f"… beside ourselves with {_thousands(sizes.small)}: is it flat?", ours,
        first("ate", sizes.small), "start_s", "ms", LESS,
    )  # fmt: skip
    yield Line(
        "G7", f"verifying all of {large} objects",
        Cell("verify", "ate", (("count", sizes.large),), data=sizes.large), None, "verify_s", "s",
        LESS, must=4 * sizes.scale, moon=1 * sizes.scale,
    )  # fmt: skip


def _reading(sizes: Sizes) -> Iterable[Line]:
    count = sizes.small
    small = _thousands(count)

    def load(store: str) -> Cell:
        return Cell("load", store, (("count", count), ("most", sizes.loads)), data=count)

    def scan(store: str) -> Cell:
        return Cell("scan", store, (("count", count),), data=count)

    def change(store: str, **more: Any) -> Cell:
        options = {"count": count, "batch": 100, "seconds": sizes.seconds, **more}
        return Cell("change", store, tuple(sorted(options.items())), data=count, copies=True)

    what = f"load by id, each of {small} once, cold bodies"
    yield Line("G8", what, load("ate"), load("sqlite"), must=0.8, moon=2)
    what = f"materialise all {small}"
    yield Line("G9", what, scan("ate"), scan("zodb"), must=8)
    yield Line("G9", what, scan("ate"), scan("sqlite"), moon=1)
    for how, ours in (
        ("load, change, commit", change("ate")),
        ("write over, unseen", change("ate", blind=True)),
    ):
        what = f"updates in commits of 100: {how}"
        yield Line("G10", what, ours, change("sqlite"), must=0.8, moon=2)
        yield Line("G10", what, ours, change("zodb"), must=4)


def _space(sizes: Sizes) -> Iterable[Line]:
    count, large = sizes.large, _thousands(sizes.large)

    def memory(**more: Any) -> Cell:
        copies = bool(more)
        return Cell("memory", "ate", (("count", count), *more.items()), data=count, copies=copies)

    def own(figure: str, what: str, cell: Cell, note: str = "", **bounds: float) -> Line:
        return Line("G11", what, cell, None, figure, "B", LESS, note=note, **bounds)  # type: ignore[arg-type]

    yield own("anon_per_object", f"anonymous memory an object, {large} open", memory(),
              must=48, moon=16)  # fmt: skip
    yield own("total_per_object", "… all resident memory, files mapped in counted", memory())
    yield own("anon_used_per_object", "… anonymous, after 10 000 loads", memory())
    yield own("total_used_per_object", "… all resident, after 10 000 loads", memory())
    yield own("anon_per_object", "… anonymous, opened without its snapshot", memory(replay=1),
              must=48, moon=16)  # fmt: skip

    def size(store: str) -> Cell:
        return Cell("size", store, (("count", count),), data=count)

    def disk(what: str, cell: Cell, peer: str = "", **bounds: float) -> Line:
        beside = size(peer) if peer else None
        return Line("G12", what, cell, beside, "bytes_per_object", "B", LESS, **bounds)  # type: ignore[arg-type]

    yield disk(f"bytes on disk an object, {large} in commits of 10 000", size("ate"),
               must=280, moon=200)  # fmt: skip
    yield disk("… beside a store that neither seals nor signs", size("ate"), "sqlite")
    yield disk("… in commits of 100", _commit("ate", 100, sizes))
    yield disk("… in commits of 1", _commit("ate", 1, sizes))


def _compacting(sizes: Sizes) -> Iterable[Line]:
    def churn(store: str) -> Cell:
        return Cell("churn", store, (("objects", 10_000), ("updates", sizes.large)))

    def memory(past: int) -> Cell:
        return Cell("memory", "ate", (("count", sizes.large),), data=sizes.large, past=past)

    updates = _thousands(sizes.large)
    yield Line("G13", f"compaction after {updates} updates of 10 k objects, updates",
               churn("ate"), churn("zodb"), must=10)  # fmt: skip
    yield Line("G13", "… the same, as a figure of its own", churn("ate"), None, moon=5_000_000)
    yield Line("G13", "… size after it, beside a fresh chain of the same objects", churn("ate"),
               None, "live_x", "x", LESS, must=1.2)  # fmt: skip
    pace = Cell("beside", "ate", (("count", sizes.small), ("updates", 2 * sizes.small)),
                data=sizes.small, copies=True)  # fmt: skip
    yield Line("G13", "… p99 of a durable commit of 1 beside it, to p99 without", pace, None,
               "p99_x", "x", LESS, must=2)  # fmt: skip
    yield Line("G13", "… the median likewise", pace, None, "median_x", "x", LESS)
    live, history = _thousands(sizes.large), _thousands(10 * sizes.large)
    what = f"resident memory, {live} objects: {history} rows of history beside none"
    yield Line("G11", what, memory(9 * sizes.large), memory(0), "total_used_per_object", "B", LESS,
               must=1.3)  # fmt: skip


def _starting(sizes: Sizes) -> Iterable[Line]:
    def start(what: str) -> Cell:
        return Cell("start", "ate", (("what", what), ("tries", sizes.starts)))

    def line(what: str, name: str, **bounds: float) -> Line:
        return Line("G23", what, start(name), None, "start_s", "ms", LESS, **bounds)  # type: ignore[arg-type]

    yield line("`import ate`, beyond the bare interpreter", "import", must=0.060, moon=0.040)
    yield line("… and the first use of `ate.open`", "open")
    yield line("`ate --help`, all of it", "help", must=0.200, moon=0.120)


def _thousands(count: int) -> str:
    return f"{count // 1_000_000} M" if count >= 1_000_000 else f"{count // 1000} k"
