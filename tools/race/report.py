"""Turns measured rounds into a table: medians of ratios, spread and verdict; it runs nothing.

The machine is described by what matters and without what names it: no host name, no path.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from tools.race.goals import FLUSHING
from tools.race.plan import LESS, Cell, Line, Sizes
from tools.race.rounds import Rounds
from tools.race.servers.known import version_of

HEADINGS: Final = (
    "goal", "what", "ours", "peer", "ratio", "spread", "must", "moon", "verdict",
)  # fmt: skip
_PACKAGES: Final = (
    "blake3", "cryptography", "msgspec", "numpy", "ZODB", "lmdb", "eventsourcing", "sqlcipher3",
    "uvloop", "redis", "nats-py",
)  # fmt: skip
#: A flush takes 40 to 100 µs here; above this every store waits for somebody else's writes.
_BUSY_US: Final = 300.0


@dataclass(frozen=True)
class Result:
    """One judged row.

    Args:
        ours, peer: medians of the figure.
        ratio: median of the rounds' ratios; of the figure itself when there is no peer.
        low, high: the least and the greatest of them.
        verdict: "moon", "must", "short", "not measured", or "" for rows without a bound.
    """

    line: Line
    ours: float | None
    peer: float | None
    ratio: float | None
    low: float | None
    high: float | None
    verdict: str
    rounds: int
    discarded: int
    steady: bool
    error: str = ""
    disk_us: float = 0.0

    @property
    def doubts(self) -> str:
        """Return what makes the row worth less: a slow disk hides what the processor does."""
        if self.line.goal not in FLUSHING or self.ours is None:
            return ""
        if not self.steady:
            return " (unsteady disk)"
        return " (busy disk)" if self.disk_us > _BUSY_US else ""


def judge(line: Line, rounds: Rounds) -> Result:
    """Compare a line's cells round by round."""
    why = next((rounds.errors[cell] for cell in line.cells if cell in rounds.errors), "")
    if why:
        alone = [None if cell in rounds.errors else _median(line, cell, rounds)
                 for cell in (line.ours, line.peer or line.ours)]  # fmt: skip
        return Result(line, alone[0], alone[1] if line.peer else None, None, None, None,
                      "not measured", 0, rounds.discarded, rounds.steady, why)  # fmt: skip
    ours = [one[line.figure] for one in rounds.figures[line.ours]]
    theirs = [one[line.figure] for one in rounds.figures[line.peer]] if line.peer else []
    ratios = [mine / other for mine, other in zip(ours, theirs)] if theirs else ours
    choose = statistics.median if not line.worst else max if line.better == LESS else min
    ratio = choose(ratios)
    return Result(
        line, choose(ours), statistics.median(theirs) if theirs else None, ratio,
        min(ratios), max(ratios), _verdict(line, ratio), len(ratios), rounds.discarded,
        rounds.steady, disk_us=statistics.median(slowest for _, slowest in rounds.disk_us),
    )  # fmt: skip


def _median(line: Line, cell: Cell, rounds: Rounds) -> float:
    return statistics.median(one[line.figure] for one in rounds.figures[cell])


def _verdict(line: Line, ratio: float) -> str:
    def reached(bound: float | None) -> bool:
        return bound is not None and (ratio <= bound if line.better == LESS else ratio >= bound)

    if line.must is None and line.moon is None:
        return ""
    if line.moon is not None and reached(line.moon):
        return "moon"
    if line.must is None:
        return "under the moon"
    return "must" if reached(line.must) else "short"


def table(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Return the cells of the table as text, without the headings."""
    return [_cells(result) for result in results]


def _cells(result: Result) -> tuple[str, ...]:
    line = result.line
    ours = "-" if result.ours is None else show(result.ours, line.unit)
    peer = _peer(line)
    if result.peer is not None:
        peer = f"{peer} {show(result.peer, line.unit)}"
    bounds = (_bound(line, line.must), _bound(line, line.moon))
    if result.ratio is None:
        return (line.goal, line.what, ours, peer, "-", "-", *bounds,
                f"{result.verdict}: {result.error}")  # fmt: skip
    assert result.low is not None
    assert result.high is not None
    if line.peer is None:
        ratio = "-"
        spread = f"{show(result.low, line.unit)} … {show(result.high, line.unit)}"
    else:
        ratio = show_ratio(result.ratio)
        spread = f"{show_ratio(result.low)} … {show_ratio(result.high)}"
    verdict = result.verdict + result.doubts
    return (line.goal, line.what, ours, peer, ratio, spread, *bounds, verdict.strip())


def _peer(line: Line) -> str:
    if line.peer is None:
        return "-"
    return "ourselves" if line.peer.store == "ate" else line.peer.store


def _bound(line: Line, bound: float | None) -> str:
    if bound is None:
        return ""
    sign = "≤" if line.better == LESS else "≥"
    return f"{sign} {show(bound, line.unit)}" if line.peer is None else f"{sign} {bound:g} x"


def show(figure: float, unit: str) -> str:
    """Return a figure for people, three digits that count."""
    if unit == "ms":
        return f"{_digits(figure * 1000)} ms"
    if unit == "µs":
        return f"{_digits(figure * 1e6)} µs"
    if unit == "/s":
        return f"{_digits(figure / 1000)} k/s"
    return f"{_digits(figure)} {unit}"


def show_ratio(ratio: float) -> str:
    """Return a ratio for people."""
    return f"{_digits(ratio)} x"


def _digits(figure: float) -> str:
    if figure >= 100:
        return f"{figure:.0f}"
    return f"{figure:.3g}" if figure >= 1 or not figure else f"{figure:.2f}"


def text(results: Sequence[Result]) -> str:
    """Return the table aligned for a terminal."""
    rows = [HEADINGS, *table(results)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def machine(disk_us: float) -> dict[str, str]:
    """Describe the machine and the versions of all that takes part."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    found = {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "disk": f"append of 128 bytes and fdatasync: {disk_us:.0f} µs (median)",
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "SQLite": sqlite3.sqlite_version,
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    found |= {name: version_of(name) for name in ("redis-server", "nats-server")}
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def markdown(results: Sequence[Result], about: dict[str, str], sizes: Sizes, load: float) -> str:
    """Return the page of the documentation."""
    rounds = [one.rounds for one in results if one.rounds]
    discarded = {one.line.goal: one.discarded for one in results if one.discarded}
    lines = [_INTRODUCTION]
    lines += ["| | |", "|---|---|", *(f"| {name} | {what} |" for name, what in about.items())]
    lines += [f"| load before the run | {load:.1f} |", "", "## Table", ""]
    lines += [f"| {' | '.join(HEADINGS)} |", "|" + "---|" * len(HEADINGS)]
    lines += [f"| {' | '.join(row)} |" for row in table(results)]
    lines += ["", _reading(min(rounds, default=0), discarded, sizes), ""]
    return "\n".join(lines)


_INTRODUCTION: Final = """# Benchmark

`make bench` runs this race and writes this page.
It needs about an hour; `tools/bench.py --quick` is a rough look in ten minutes, and
`--only G14,G16` races those goals alone.

The product seals every object and signs every commit (suite 2 unless said), and keeps dataclasses.
All stores keep the same records of about 110 bytes, servers (G14 to G18, G24) of 1 KiB.
A commit is on the disk when it returns, with one exception that is named in each of its rows:
**"nats-UNFLUSHED" is NATS JetStream as it comes. It acknowledges what it has not flushed**, so a
pulled plug loses it; it is shown because people use it so, and no must is taken from it.

## Machine
"""


def _reading(rounds: int, discarded: dict[str, int], sizes: Sizes) -> str:
    thrown = ", ".join(f"{goal}: {count}" for goal, count in discarded.items()) or "none"
    return f"""## How to read it

- Figures of one machine on one day mean little; the ratios, taken within one round, hold better.
- Each cell is a process of its own. Stores take turns, and the order turns round by round:
  at least {rounds} rounds. Ratios are medians of the rounds' ratios, the spread their extremes.
- The disk is timed raw around every cell. Goals that wait for it (G1 to G5, G10,
  G14 to G16, G24) run a round again when it moved by more than 30 %; thrown away here: {thrown}.
- Every cell reads back what it wrote and compares it; a difference voids the cell.
- Commit cells run for {sizes.seconds:g} s. The page cache is warm for everybody; caches of the
  stores are cold, since the process is new.
- "raw disk" appends the same records as text to one file and flushes it: no store, no reader.
- G6 starts from the keys themselves, as unlocking a key file with a passphrase is slow on purpose.
  The same record is read, by number or by id. Neither program imports more than it needs.
- G10 has two ways: "load, change, commit" notices when somebody else changed the object meanwhile;
  "write over, unseen" does what the peers' INSERT OR REPLACE does.
- G11 counts anonymous memory as `/proc/self/status` reports it, after opening less before opening;
  the index lies in a mapped file, which the kernel can drop: the rows below it count that too.
- Servers and clients are processes of their own on this machine, clients in Python on uvloop. Our
  clients each keep a copy of the whole chain and verify every commit of everybody; the peers'
  clients get what they ask for and verify nothing. Every record is read back by a new client.
- "redis" flushes its append-only file before each answer. Its client sends together what waits;
  that of "redis-pool" takes a connection for each waiting task, as it does by itself.
- "nats-flushed" has `sync_interval: "always"`. "nats-KEEPS-NOTHING" is publish and subscribe alone.
- G16 and G17 time each record from the call that appends it, in one process, to the subscriber's
  callback in another. The hundred subscribers share one process, each with its own connection.
- G18 starts before the client connects. Appends of 100 are commits of 100 objects for us; one
  signature each. Appends of 1 cost a signature for every event.
- G24: workers end jobs that do nothing. With kills (G24K, the worst round is shown) each job leaves
  a record, in the transaction that ends it where the store has one; those are counted. Leases last
  a second.
- E10: one client appends without a pause to a chain of {sizes.events // 20} records. The time is
  from the kill to the answer to an append that was begun after it, with the start of a Python
  process in it; a supervisor that waits before it restarts adds its wait.
- E20: the cold chain's files are dropped from the page cache first. Its reader takes all that comes
  and checks nothing, so that it is the server that works; the ratio is of p99 within one run.
- B8 (`--only B8`, not in a full run) has light followers too, in four processes, over plain TCP.
- Verdict: "moon" and "must" say which bound was reached, "short" that neither was.
  "unsteady disk" or "busy disk" behind it: run again on a quiet machine before believing it. When
  others keep the disk busy, all stores wait alike, and ratios look better than they are."""


def as_json(results: Sequence[Result], about: dict[str, str]) -> dict[str, Any]:
    """Return everything for machines."""
    return {"machine": about, "rows": [asdict(result) for result in results]}
