"""Runs the cells, each in its own process, stores alternating, round by round; it judges no figure.

Around every cell of a round the raw disk is timed; a round in which it changed by more than 30 % is
run again for goals that wait for the disk.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tools.race.goals import FLUSHING
from tools.race.peers import PEERS
from tools.race.plan import Cell, Line
from tools.race.quantiles import moved
from tools.race.servers.known import SERVERS, absent

ROOT: Final = Path(__file__).resolve().parent.parent.parent
_PROBES: Final = 300
_PROBE_BYTES: Final = 128
_CELL_S_MAX: Final = 900
#: Kinds of cells in which servers take part.
SERVED: Final = frozenset(
    {"appends", "delivery", "catch_up", "queue", "cold_read", "recovery", "crowd"}
)
_STARTS: Final = {
    "bare": "pass",
    "import": "import ate",
    "open": "import ate; ate.open",
    "help": "from atecli.main import main; main()",
}

Figures = dict[str, float]


class CellError(Exception):
    """A cell did not end well; its message is the last line it wrote."""


@dataclass
class Rounds:
    """What the rounds of one goal measured.

    Args:
        figures: cell → one dictionary a round, None where the cell failed.
        disk_us: least and greatest raw fdatasync of each round that counts, in microseconds.
        discarded: rounds thrown away because the disk changed.
        steady: False when too many had to be thrown away and the rest were kept as they are.
        errors: cell → why it failed.
    """

    figures: dict[Cell, list[Figures]] = field(default_factory=dict)
    disk_us: list[tuple[float, float]] = field(default_factory=list)
    discarded: int = 0
    steady: bool = True
    errors: dict[Cell, str] = field(default_factory=dict)


class Track:
    """Where the race takes place: a folder on the disk, and the data made there.

    Args:
        folder: an empty folder; what is made in it is removed by whoever made it.
        say: told what goes on, for people.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._count = 0
        self._data: dict[tuple[Any, ...], Path] = {}

    def run(self, goal: str, lines: Sequence[Line], rounds: int) -> Rounds:
        """Run all cells of a goal `rounds` times, in an order that turns round by round."""
        cells = list(dict.fromkeys(cell for line in lines for cell in line.cells))
        result = Rounds(figures={cell: [] for cell in cells})
        for cell in cells:
            if why := missing(cell):
                result.errors[cell] = why
        kept: list[tuple[dict[Cell, Figures], tuple[float, float]]] = []
        spare = 2 * rounds
        turn = 0
        while len(kept) < rounds:
            self._say(f"{goal}: round {len(kept) + 1} of {rounds}")
            at = turn % len(cells)
            turn += 1
            figures, disk = self._round([*cells[at:], *cells[:at]], result)
            if goal in FLUSHING and moved(disk):
                result.discarded += 1
                if spare:
                    spare -= 1
                    continue
                result.steady = False
            kept.append((figures, disk))
        for figures, disk in kept:
            result.disk_us.append(disk)
            for cell, found in figures.items():
                result.figures[cell].append(found)
        return result

    def _round(
        self, cells: Sequence[Cell], result: Rounds
    ) -> tuple[dict[Cell, Figures], tuple[float, float]]:
        """Run each cell once; return their figures, and the range of what the raw disk took."""
        figures: dict[Cell, Figures] = {}
        disk = [self.disk_us()]
        for cell in cells:
            if cell in result.errors:
                continue
            try:
                figures[cell] = self.measure(cell)
            except CellError as error:
                result.errors[cell] = str(error)
            disk.append(self.disk_us())
        return figures, (min(disk), max(disk))

    def measure(self, cell: Cell, *, profile: bool = False) -> Figures:
        """Run one cell and return its figures; raises CellError."""
        if cell.kind == "start":
            return start(**dict(cell.options))
        folder = self.data(cell) if cell.data else self._fresh()
        if cell.copies:
            folder = Path(shutil.copytree(folder, self._fresh(), dirs_exist_ok=True))
        try:
            if cell.kind == "first":
                return first(cell.store, folder, dict(cell.options)["count"])
            options = {**dict(cell.options), "cell": cell.kind, "store": cell.store}
            return run_cell({**options, "folder": str(folder), "profile": profile})
        finally:
            if cell.copies or not cell.data:
                shutil.rmtree(folder)

    def data(self, cell: Cell) -> Path:
        """Return the finished data that a cell reads, making it the first time."""
        key = (cell.store, cell.data, cell.past, cell.fill)
        known = self._data.get(key)
        if known is None:
            self._say(f"filling {cell.store} with {cell.data} rows and {cell.past} updates")
            known = self._fresh()
            run_cell({"cell": "fill", "store": cell.store, "folder": str(known),
                      "count": cell.data, "batch": 10_000, "past": cell.past,
                      **dict(cell.fill)})  # fmt: skip
            self._data[key] = known
        return known

    def disk_us(self) -> float:
        """Return the median of appending 128 bytes and flushing them, in microseconds."""
        path = self._folder / "probe"
        file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        took = []
        for _ in range(_PROBES):
            started = time.perf_counter()
            os.write(file, bytes(_PROBE_BYTES))
            os.fdatasync(file)
            took.append(time.perf_counter() - started)
        os.close(file)
        path.unlink()
        return statistics.median(took) * 1e6

    def _fresh(self) -> Path:
        self._count += 1
        made = self._folder / f"{self._count:04d}"
        made.mkdir()
        return made


def missing(cell: Cell) -> str:
    """Return what is not installed for a cell, or an empty string."""
    if cell.kind in SERVED:
        lacking = absent(cell.store) if cell.store in SERVERS else []
    else:
        needs = PEERS[cell.store][1] if cell.store in PEERS else ()
        lacking = [name for name in needs if importlib.util.find_spec(name) is None]
    if cell.kind == "start" and dict(cell.options)["what"] == "help":
        lacking += ["atecli.main"] if importlib.util.find_spec("atecli.main") is None else []
    return f"not installed: {', '.join(lacking)}" if lacking else ""


def run_cell(options: dict[str, Any]) -> Figures:
    """Run a cell of `cells` in a process of its own."""
    command = [sys.executable, "-m", "tools.race.cell", json.dumps(options)]
    done = subprocess.run(
        command, cwd=ROOT, text=True, check=False, timeout=_CELL_S_MAX, stdout=subprocess.PIPE,
        stderr=None if options.get("profile") else subprocess.PIPE,
    )  # fmt: skip
    if done.returncode:
        raise CellError((done.stderr or "?").strip().splitlines()[-1])
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def first(store: str, folder: Path, count: int) -> Figures:
    """Time a process from its start to its first read."""
    from tools.race.records import row

    number = count // 2
    program = str(Path(__file__).with_name("opening.py"))
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, program, store, str(folder), str(number)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        took = time.perf_counter() - started
        rest = process.stdout.read()
    if ready != "ready\n" or process.returncode:
        raise CellError("the process did not get to its first read")
    found = json.loads(rest)
    if tuple(found["row"]) != row(number):
        raise CellError("the store returned other rows than were written")
    return {"start_s": took, "open_s": found["open_s"]}


def start(what: str, tries: int) -> Figures:
    """Time a Python program from start to end; imports, beyond an interpreter that does nothing."""
    taken, bare = [], []
    for _ in range(tries):
        bare.append(_run_python(_STARTS["bare"]))
        taken.append(_run_python(_STARTS[what], *(["--help"] if what == "help" else [])))
    base = 0.0 if what == "help" else statistics.median(bare)
    return {"start_s": statistics.median(taken) - base}


def _run_python(code: str, *arguments: str) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - started
    if done.returncode:
        raise CellError(done.stderr.strip().splitlines()[-1])
    return took
