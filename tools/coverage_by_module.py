"""Measure every module of `src/` under its own mirrored test; it never adds two runs together.

    src/ate/x/y.py  is measured by  tests/unit/ate/x/test_y.py  (or by the files test_y_*.py)

A module passes with 90 % of its statements. One without a test fails, unless it only declares:
protocols, constants, types, re-exports. Arguments name the modules to measure, all when absent.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
UNIT = ROOT / "tests" / "unit"
REQUIRED_PERCENT = 90.0
JOBS = 2


@dataclass(frozen=True, slots=True)
class Result:
    """What one module's own test reached."""

    module: Path
    statements: int
    percent: float
    branch_percent: float
    note: str = ""

    @property
    def is_enough(self) -> bool:
        return self.note == "declares only" or (not self.note and self.percent >= REQUIRED_PERCENT)


def tests_of(module: Path) -> list[Path]:
    """Return the mirrored test files of a module; a package's `__init__` has `test_init.py`."""
    stem = "init" if module.stem == "__init__" else module.stem
    folder = UNIT / module.relative_to(SRC).parent
    return sorted({*folder.glob(f"test_{stem}.py"), *folder.glob(f"test_{stem}_*.py")})


def owned_tests(module: Path) -> list[Path]:
    """Return `tests_of` without the files that mirror a sibling: test_log_store is not of `log`."""
    siblings = [other for other in module.parent.glob(f"{module.stem}_*.py") if other != module]
    theirs = {test for sibling in siblings for test in tests_of(sibling)}
    return [test for test in tests_of(module) if test not in theirs]


def declares_only(module: Path) -> bool:
    """Tell whether no function of the module has a body that could be run."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for one in node.body:
                # A docstring and `...` are constants; anything else does something.
                if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)):
                    return False
    return True


def measure(module: Path) -> Result:
    """Run the module's own tests and return what they reached of it."""
    tests = owned_tests(module)
    if not tests:
        return Result(module, 0, 0.0, 0.0, "declares only" if declares_only(module) else "no test")
    with tempfile.TemporaryDirectory() as folder:
        data, report = Path(folder, "data"), Path(folder, "report.json")
        environment = {**os.environ, "COVERAGE_FILE": str(data)}
        coverage = [sys.executable, "-m", "coverage"]
        pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
        ran = subprocess.run(
            [*coverage, "run", *pytest, *map(str, tests)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            return Result(module, 0, 0.0, 0.0, f"tests fail: {ran.stdout.strip().splitlines()[-1]}")
        subprocess.run(
            [*coverage, "json", "-q", f"--include={module}", "-o", str(report)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            check=False,
        )
        if not report.exists():
            return Result(module, 0, 0.0, 0.0, "no report: see `coverage run` by hand")
        totals = json.loads(report.read_text())["totals"]
    return Result(
        module,
        totals["num_statements"],
        percent_of(totals["covered_lines"], totals["num_statements"]),
        percent_of(totals["covered_branches"], totals["num_branches"]),
    )


def percent_of(part: int, whole: int) -> float:
    """Return the share in percent; of nothing, everything is covered."""
    return 100.0 * part / whole if whole else 100.0


def chosen(words: list[str]) -> list[Path]:
    """Return the modules whose path contains one of the words; all of them without words."""
    modules = sorted(SRC.rglob("*.py"))
    return [one for one in modules if not words or any(word in str(one) for word in words)]


def main() -> int:
    """Print the table; return 1 when a module is below the bound."""
    parser = argparse.ArgumentParser(description="coverage of each module by its own test")
    parser.add_argument("module", nargs="*", help="part of a module's path, such as crypto/aead")
    modules = [one for one in chosen(parser.parse_args().module) if one.stat().st_size]
    print(f"{'module':34} {'statements':>10} {'covered':>8} {'branches':>8}")
    short = 0
    with ThreadPoolExecutor(JOBS) as pool:
        for result in pool.map(measure, modules):
            name = result.module.relative_to(SRC).as_posix()
            mark = "" if result.is_enough else "  <- below the bound"
            short += not result.is_enough
            if result.note:
                print(f"{name:34} {result.note}{mark}", flush=True)
            else:
                print(
                    f"{name:34} {result.statements:10} {result.percent:7.1f}% "
                    f"{result.branch_percent:7.1f}%{mark}",
                    flush=True,
                )
    print(f"{len(modules)} modules, {short} below {REQUIRED_PERCENT:.0f} %")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
