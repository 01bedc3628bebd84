"""The goals of the server as data: appends, delivery, catching up, jobs. It runs nothing.

A peer that acknowledges before it has flushed carries that in its name, in every row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tools.race.plan import LESS, Cell, Line, Sizes

_UNFLUSHED: Final = "nats-UNFLUSHED"
_FLUSHED: Final = "nats-flushed"
#: (must, moon)
Bounds = tuple[float | None, float | None]


def server_lines(sizes: Sizes) -> Iterable[Line]:
    """Return the rows of goals G14 to G18 and G24, and of the server under strain."""
    for part in (_appends, _more_appends, _windows, _delivery, _catching_up, _jobs, _strain):
        yield from part(sizes)


def _cell(kind: str, store: str, **options: Any) -> Cell:
    return Cell(kind, store, tuple(sorted(options.items())))


def _append(store: str, sizes: Sizes, clients: int = 1, window: int = 1, **more: Any) -> Cell:
    options = {"clients": clients, "window": window, "seconds": sizes.seconds, **more}
    return _cell("appends", store, **options)


def _appends(sizes: Sizes) -> Iterable[Line]:
    def against(peer: str, must: float | None = None, moon: float | None = None) -> Line:
        return Line("G14", "server: appends of 1 KiB, 1 in flight", _append("ate", sizes),
                    _append(peer, sizes), must=must, moon=moon)  # fmt: skip

    yield against("raw disk", 0.2, 0.4)
    yield against("redis", 0.8)
    yield against(_FLUSHED)
    yield against(_UNFLUSHED)
    for peer in ("redis", _UNFLUSHED):
        yield Line("G14", "… p99 of one append", _append("ate", sizes), _append(peer, sizes),
                   "p99_s", "µs", LESS)  # fmt: skip


def _more_appends(sizes: Sizes) -> Iterable[Line]:
    def rows(what: str, peers: dict[str, Bounds], **how: Any) -> Iterable[Line]:
        for peer, (must, moon) in peers.items():
            yield Line("G15", what, _append("ate", sizes, **how), _append(peer, sizes, **how),
                       must=must, moon=moon)  # fmt: skip

    free: Bounds = (None, None)
    clients: dict[str, Bounds] = {"redis": (1, 2.5), _FLUSHED: free, _UNFLUSHED: (None, 2.5)}
    yield from rows("server: 16 clients of one stream, 1 in flight each", clients, clients=16)
    pipelined: dict[str, Bounds] = {"redis-pool": (1, 2.5), "redis": free, _FLUSHED: free,
                                    _UNFLUSHED: (None, 2.5)}  # fmt: skip
    yield from rows("… one client, 256 in flight", pipelined, window=256)
    known = dict.fromkeys(("redis", _FLUSHED, _UNFLUSHED), free)
    what = "… one client, 256 sent as one: a commit, a pipeline"
    yield from rows(what, known, batch=256)
    yield from rows("… 16 clients, each in a process of its own", known, clients=16, processes=16)
    yield from rows("… 16 clients, each with a stream of its own", known, clients=16, own=True)


def _windows(sizes: Sizes) -> Iterable[Line]:
    for clients in (1, 16):
        for window in (64, 1000):
            what = f"server: {clients} client{'s' * (clients > 1)}, {window} in flight each"
            for peer in ("redis", _FLUSHED, _UNFLUSHED):
                how = {"clients": clients, "window": window}
                yield Line("G15W", what, _append("ate", sizes, **how), _append(peer, sizes, **how))


def _delivery(sizes: Sizes) -> Iterable[Line]:
    def one(store: str) -> Cell:
        return _cell("delivery", store, subscribers=1, messages=sizes.messages, gap_s=1 / 300)

    def crowd(store: str) -> Cell:
        messages = max(sizes.messages // 6, 10)
        return _cell("delivery", store, subscribers=100, messages=messages, gap_s=1 / 25)

    def row(goal: str, what: str, figure: str, peer: str, **bounds: float) -> Line:
        cell = one if goal == "G16" else crowd
        return Line(goal, what, cell("ate"), cell(peer), figure, "µs", LESS, **bounds)  # type: ignore[arg-type]

    what = "commit to another client's verified view, p50"
    yield row("G16", what, "p50_s", "redis", must=1.5)
    yield row("G16", what, "p50_s", _FLUSHED)
    yield row("G16", what, "p50_s", _UNFLUSHED, moon=1)
    for peer in ("redis", _FLUSHED, _UNFLUSHED):
        yield row("G16", "… p99", "p99_s", peer)
    what = "100 subscribers, each verifying: the last one, p50"
    yield row("G17", what, "last_p50_s", "redis", must=1)
    yield row("G17", what, "last_p50_s", _FLUSHED)
    yield row("G17", what, "last_p50_s", _UNFLUSHED)
    yield row("G17", what, "last_p50_s", "nats-KEEPS-NOTHING", moon=0.7)
    yield row("G17", "… p99", "last_p99_s", "redis")


def _catching_up(sizes: Sizes) -> Iterable[Line]:
    def newcomer(store: str, batch: int, count: int) -> Cell:
        fill = (("cell", "fill_stream"), ("batch", batch))
        return Cell("catch_up", store, (("count", count),), data=count, fill=fill)

    for batch, count in ((100, sizes.events), (1, max(sizes.events // 10, 1000))):
        what = f"a new client catches up on {_thousands(count)} events, appends of {batch}"
        ours = newcomer("ate", batch, count)
        yield Line("G18", what, ours, None, must=100_000, moon=500_000)
        for peer in ("redis", _UNFLUSHED):
            yield Line("G18", "… beside peers, who verify nothing", ours,
                       newcomer(peer, batch, count))  # fmt: skip


def _jobs(sizes: Sizes) -> Iterable[Line]:
    def shift(store: str, kills: int = 0) -> Cell:
        jobs = max(sizes.jobs, 40 * kills)
        return _cell("queue", store, jobs=jobs, workers=4, kills=kills, lease_s=1.0)

    def row(peer: str, must: float | None = None, moon: float | None = None) -> Line:
        return Line("G24", "jobs: claim and end, 4 worker processes", shift("ate"), shift(peer),
                    must=must, moon=moon)  # fmt: skip

    yield row("redis", must=1)
    yield row(_FLUSHED)
    yield row(_UNFLUSHED)
    yield row("sqlite", moon=1)
    for store in ("ate", "redis", _UNFLUSHED, "sqlite"):
        name = "" if store == "ate" else f" ({store})"
        for figure in ("lost", "doubled"):
            what = f"jobs {figure} over {sizes.kills} kill -9 of workers, each round{name}"
            bound = 0 if store == "ate" else None
            yield Line("G24K", what, shift(store, sizes.kills), None, figure, "jobs", LESS,
                       must=bound, worst=True)  # fmt: skip


def _strain(sizes: Sizes) -> Iterable[Line]:
    beside = _cell("cold_read", "ate", cold_mib=sizes.cold_mib, seconds=3 * sizes.seconds)
    what = f"p99 of an append beside a cold read of {sizes.cold_mib} MiB, to p99 without"
    yield Line("E20", what, beside, None, "p99_x", "x", LESS)
    yield Line("E20", "… p50 likewise", beside, None, "p50_x", "x", LESS)
    yield Line("E20", "… p99 of an append without it", beside, None, "p99_s", "µs", LESS)
    yield Line("E20", "… the cold read meanwhile", beside, None, "read_mb_s", "MB/s")
    restarts = _cell("recovery", "ate", kills=sizes.restarts, records=sizes.events // 20)
    what = "kill -9 of the server, restarted at once, to the next acknowledged commit"
    yield Line("E10", what, restarts, None, "recovery_s", "s", LESS)
    yield Line("E10", "… the worst", restarts, None, "worst_s", "s", LESS, worst=True)
    yield Line("E10", "… until it says that it is ready", restarts, None, "ready_s", "s", LESS)
    crowd = _cell("crowd", "ate", subscribers=sizes.crowd, relays=4, messages=15, gap_s=2.0)
    what = f"{sizes.crowd} subscribers through 4 relays: the last one, p50"
    yield Line("B8", what, crowd, None, "last_p50_s", "s", LESS)
    yield Line("B8", "… the last one, the slowest message", crowd, None, "last_max_s", "s", LESS)
    yield Line("B8", "… connections of the master", crowd, None, "master_connections",
               "connections", LESS, must=10, worst=True)  # fmt: skip
    yield Line("B8", "… resident memory of a relay, for each", crowd, None, "relay_b", "B", LESS)
    yield Line("B8", "… until all are there", crowd, None, "opened_s", "s", LESS)


def _thousands(count: int) -> str:
    return f"{count / 1_000_000:g} M" if count >= 1_000_000 else f"{count / 1000:g} k"
