"""Putting results on stdout, as lines or as JSON; errors go another way (`atecli.exits`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from atecli.text import dumps


def lines(some: Iterable[str]) -> None:
    """Print lines."""
    for line in some:
        sys.stdout.write(line + "\n")


def line(one: str = "", *, now: bool = False) -> None:
    """Print one line.

    Args:
        now: do not keep it in a buffer, somebody is waiting for it.
    """
    sys.stdout.write(one + "\n")
    if now:
        sys.stdout.flush()


def document(value: Any, *, now: bool = False) -> None:
    """Print one JSON document in one line."""
    line(dumps(value), now=now)


def raw(data: bytes) -> None:
    """Put bytes on stdout as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def replace(file: Path, data: bytes) -> None:
    """Write a file that takes its name when it is complete and on the disk."""
    partial = file.with_name(file.name + ".part")
    try:
        with partial.open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def is_terminal() -> bool:
    """Return whether a person looks at stdout."""
    return sys.stdout.isatty()


def flush() -> None:
    """Hand over what was printed to whoever is waiting for it."""
    sys.stdout.flush()
