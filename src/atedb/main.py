"""The entry point of `atedb`: runs a command and makes every end one exit status."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> int:
    """Run `atedb` with these arguments and return its exit status."""
    words = list(sys.argv[1:] if args is None else args)
    try:
        status = _run(words)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _drop_stdout()
        return 141
    except (Exception, KeyboardInterrupt) as error:  # the last line before a traceback
        from atedb.exits import tell

        return tell(error, as_json="--json" in words)


def _run(words: list[str]) -> int:
    from click.exceptions import Exit

    from atedb.table import atedb

    try:
        # Not `atedb.main()`: it would put its own words and its own exit status in place of ours.
        with atedb.make_context("atedb", words) as context:
            atedb.invoke(context)
    except Exit as done:
        return done.exit_code
    return 0


def _drop_stdout() -> None:
    """Leave nothing for the interpreter to flush when it ends: it would complain on its own."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
