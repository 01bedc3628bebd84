"""Putting results on stdout, as lines or as JSON; errors go another way (`atecli.exits`)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
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


def flush() -> None:
    """Hand over what was printed to whoever is waiting for it."""
    sys.stdout.flush()
