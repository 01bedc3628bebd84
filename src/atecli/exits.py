"""Exit statuses: one table from what went wrong to what the shell sees, and what is said about it.

The voice: lower case, no full stop, one line that begins with `ate:` and one with `ate: hint:` when
there is something to do. It never shows a value, a key or a passphrase.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from ate import errors


class Exit(NamedTuple):
    """One line of the table.

    Args:
        status: what the process returns.
        meaning: for people.
        causes: the errors that end so; the most special one decides.
    """

    status: int
    meaning: str
    causes: tuple[type[BaseException], ...] = ()


INTERNAL: Final = 1
USAGE: Final = 2
MISSING: Final = 3
CORRUPT: Final = 5
LOCKED: Final = 6
REFUSED: Final = 7
FULL: Final = 8
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

EXITS: Final = (
    Exit(0, "all is well"),
    Exit(INTERNAL, "an error nobody foresaw"),
    Exit(USAGE, "wrong usage, or input that does not fit",
         (errors.UsageError, errors.LimitExceeded, click.ClickException)),
    Exit(MISSING, "not there, deleted, or of another type", (errors.LoadError, FileNotFoundError)),
    Exit(4, "a key, signature or rule says no", (errors.TrustError,)),
    Exit(CORRUPT, "damaged or foreign files, or the medium failed",
         (errors.StorageError, errors.ProtocolError, OSError)),
    Exit(LOCKED, "another process writes to the chain", (errors.LogLocked,)),
    Exit(REFUSED, "a commit was refused or is in conflict", (errors.CommitError, FileExistsError)),
    Exit(FULL, "the disk is full", (errors.OutOfSpace,)),
    Exit(9, "a peer failed, or there is no way to it",
         (errors.NetworkError, errors.Offline, errors.RemoteError)),
    Exit(INTERRUPTED, "ended by ctrl-c", (KeyboardInterrupt, click.Abort)),
    Exit(BROKEN_PIPE, "the reader of the output went away", (BrokenPipeError,)),
)  # fmt: skip

_STATUS: Final = {cause: row.status for row in EXITS for cause in row.causes}


class Failed(Exception):
    """A command has said all that is to say and ends with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def status_of(error: BaseException) -> int:
    """Return the exit status for an error."""
    if isinstance(error, Failed):
        return error.status
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FULL
    for cls in type(error).__mro__:
        if cls in _STATUS:
            return _STATUS[cls]
    return INTERNAL


def tell(error: Exception, *, as_json: bool) -> int:
    """Say on stderr what went wrong, and return the exit status.

    Args:
        as_json: as one JSON document instead of lines.
    """
    status = status_of(error)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    if status == INTERRUPTED or isinstance(error, (Failed, click.exceptions.NoArgsIsHelpError)):
        return status
    code, message, hint = _described(error)
    if as_json:
        told: dict[str, Any] = {"code": code, "message": message, "exit": status}
        if hint:
            told["hint"] = hint
        say_raw(json.dumps({"error": told}, ensure_ascii=False))
    else:
        say(message)
        if hint:
            say(f"hint: {hint}")
    if status == INTERNAL and os.environ.get("ATE_DEBUG"):
        traceback.print_exception(error)
    return status


def say(line: str) -> None:
    """Put one line for people on stderr."""
    from atecli.text import visible

    say_raw(f"ate: {visible(line)}")


def say_raw(line: str) -> None:
    """Put a line on stderr; a stderr that is closed is nobody's problem."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def _described(error: Exception) -> tuple[str, str, str]:
    """Return (code, message, hint) of an error."""
    if isinstance(error, errors.AteError):
        return error.code, error.message, _shell_hint(error)
    if isinstance(error, click.ClickException):
        return "usage", _lower(error.format_message()), _usage_hint(error)
    if isinstance(error, OSError):
        where = f"{Path(os.fsdecode(error.filename)).name}: " if error.filename else ""
        return "storage", f"{where}{(error.strerror or 'input or output failed').lower()}", ""
    # The text of an unknown error may hold anything, so only its kind and place are told.
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" in {Path(frame[0].filename).name} line {frame[0].lineno}" if frame else ""
    hint = "this is a bug: run it again with ATE_DEBUG=1 and report what it shows"
    return "internal", f"internal error: {type(error).__name__}{place}", hint


#: Hints of the library that speak of Python, in the words of the shell.
_SHELL_HINTS: Final[dict[type[errors.AteError], str]] = {
    errors.LogLocked: "wait for the other program, or close it; commands that only read still work",
    errors.OutOfSpace: "free some space and run it again: nothing of this commit was written",
    errors.WriteDenied: "act as somebody the rule names: --as NAME",
    errors.NoReadKey: "act as somebody who may read it: --as NAME",
    errors.Conflict: "look at it again with `ate get`, then redo the change",
    errors.WrongType: "",
}


def _shell_hint(error: errors.AteError) -> str:
    if error.hint != error.default_hint:
        return error.hint
    return _SHELL_HINTS.get(type(error), error.hint)


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"try `{context.command_path} --help`" if context is not None else "try `ate --help`"


def _lower(text: str) -> str:
    text = " ".join(text.split()).removesuffix(".").replace(". Did", ", did")
    return text[:1].lower() + text[1:]
