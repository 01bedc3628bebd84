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
        task = shown.add_task(what, total=total)
        yield lambda step: shown.advance(task, step)


def _ignore(_: int) -> None:
    pass
