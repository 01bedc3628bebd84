"""The entry point of `ate`: runs a command and makes every end one exit status; it prints no data.

Whatever goes wrong ends in one line and a hint on stderr, never in a traceback. `ATE_DEBUG=1` shows
the traceback of an error that nobody foresaw.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> int:
    """Run `ate` with these arguments and return its exit status."""
    words = list(sys.argv[1:] if args is None else args)
    as_json = "--json" in words  # also when the words are so wrong that nobody can parse them
    try:
        status = _run(words)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _drop_stdout()
        from atecli.exits import BROKEN_PIPE

        return BROKEN_PIPE
    except KeyboardInterrupt:
        from atecli.exits import INTERRUPTED

        _drop_stdout(after_flush=True)
        return INTERRUPTED
    except Exception as error:  # the last line before a traceback
        from atecli.exits import tell

        status = tell(error, as_json=as_json)
        _drop_stdout(after_flush=True)
        return status


def _run(words: list[str]) -> int:
    from click.exceptions import Exit

    from atecli.table import ate

    if "_ATE_COMPLETE" in os.environ:
        ate.main(words, prog_name="ate", complete_var="_ATE_COMPLETE")
    try:
        # Not `ate.main()`: it would put its own words and its own exit status in place of ours.
        with ate.make_context("ate", words) as context:
            ate.invoke(context)
    except Exit as done:
        return done.exit_code
    return 0


def _drop_stdout(*, after_flush: bool = False) -> None:
    """Leave nothing for the interpreter to flush when it ends: it would complain on its own."""
    if after_flush:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            return
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
