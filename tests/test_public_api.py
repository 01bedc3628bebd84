"""The public names of `ate` are a promise: adding or removing one is a decision, seen in a review.

`tests/public_api.txt` holds them. After a decision, `python tests/test_public_api.py` renews it.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import ate

SNAPSHOT = Path(__file__).with_name("public_api.txt")
#: Parts of the command line, of extras and of the tests; a program that embeds `ate` needs none.
LATE = ("click", "rich", "zstandard", "pytest", "hypothesis", "sqlite3", "concurrent.futures")


def kind_of(value: object) -> str:
    if inspect.ismodule(value):
        return "module"
    if isinstance(value, type):
        return "error" if issubclass(value, Exception) else "class"
    return "function" if callable(value) else "value"


def public_names() -> str:
    """Return one line for each public name, with its kind."""
    return "".join(f"{kind_of(getattr(ate, name)):9}{name}\n" for name in sorted(ate.__all__))


def test_public_names_are_the_promised_ones() -> None:
    assert public_names() == SNAPSHOT.read_text()


def test_every_public_name_is_documented() -> None:
    silent = [
        name
        for name in ate.__all__
        if kind_of(getattr(ate, name)) != "value" and not inspect.getdoc(getattr(ate, name))
    ]
    assert not silent


def test_import_loads_nothing_that_only_some_need() -> None:
    script = f"import sys, ate; print(*[name for name in {LATE!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not done.stdout.split()


if __name__ == "__main__":
    SNAPSHOT.write_text(public_names())
