"""The command line of the race; it measures nothing."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tools.race import report
from tools.race.goals import BY_HAND, lines
from tools.race.plan import FULL, QUICK, Line
from tools.race.rounds import ROOT, CellError, Track

PAGE = ROOT / "docs" / "bench.md"
#: Below `build`, which git ignores.
RESULTS = ROOT / "build" / "bench"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench.py", description="race the product and its peers")
    parser.add_argument("--quick", action="store_true", help="small data, two rounds; under 3 min")
    parser.add_argument("--only", default="", metavar="G1,G3", help="these goals only")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X",
                        help="events to catch up on: 1 is a million")  # fmt: skip
    parser.add_argument("--rounds", type=int, help="how often (default 5, with --quick 2)")
    parser.add_argument("--dir", type=Path, help="a folder on the disk to race on")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--profile", metavar="GOAL", help="profile the product's cells of a goal")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the race; return 1 when a cell failed."""
    asked = parse(arguments)
    sizes = QUICK if asked.quick else FULL
    sizes = replace(sizes, events=max(int(sizes.events * asked.scale), 1000))
    only = {one for one in (asked.profile or asked.only).upper().split(",") if one}
    goals = only or {line.goal for line in lines(sizes)} - BY_HAND
    chosen = [line for line in lines(sizes) if line.goal in goals]
    if not chosen:
        sys.stderr.write("bench: no such goal\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="race-", dir=asked.dir) as folder:
        track = Track(Path(folder), _say)
        if asked.profile:
            return _profile(track, chosen)
        load = os.getloadavg()[0]
        about = report.machine(track.disk_us())
        results = _race(track, chosen, asked.rounds or (2 if asked.quick else 5))
    _say("")
    raw = json.dumps(report.as_json(results, about), indent=1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "results.json").write_text(raw)
    if not only and not asked.quick and asked.scale == 1:
        PAGE.write_text(report.markdown(results, about, sizes, load))
    print(raw if asked.json else report.text(results))
    return int(any(one.error and not one.error.startswith("not installed") for one in results))


def _race(track: Track, chosen: Sequence[Line], rounds: int) -> list[report.Result]:
    results: list[report.Result] = []
    for goal in dict.fromkeys(line.goal for line in chosen):
        some = [line for line in chosen if line.goal == goal]
        measured = track.run(goal, some, rounds)
        results += [report.judge(line, measured) for line in some]
    return results


def _profile(track: Track, chosen: Sequence[Line]) -> int:
    for cell in dict.fromkeys(line.ours for line in chosen):
        print(f"== {cell.kind} {dict(cell.options)}", flush=True)
        try:
            print(track.measure(cell, profile=True))
        except CellError as error:
            print(error)
    return 0


def _say(text: str) -> None:
    """Show what goes on, when somebody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
