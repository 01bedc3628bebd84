"""A bar on stderr for long work, when somebody looks at it; it costs nothing when nobody does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(what: str, total: int, *, is_wanted: bool = True) -> Iterator[Callable[[int], None]]:
    """Show how far the work is; the name given is called with each step done.

    Args:
        what: is done, e.g. "importing".
        total: steps that make it complete.
        is_wanted: False when it would stand in the way of something else on the terminal.
    """
    done = 0

    def advance(step: int) -> None:
        nonlocal done
        done += step
        tell(done, total)

    with meter(what, is_wanted=is_wanted) as tell:
        yield advance


@contextmanager
def meter(what: str, *, is_wanted: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Show the same for work that says itself how far it is: (steps done, steps in all)."""
    if not (is_wanted and sys.stderr.isatty()):
        yield _ignore
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _ignore(_: int, __: int) -> None:
    pass
