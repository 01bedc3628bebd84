"""Exit statuses and last words of `atedb`: those of `ate`, for a server; it shows no secret."""

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
CORRUPT: Final = 5
FULL: Final = 8

EXITS: Final = (
    Exit(0, "it was told to end, and has ended in order"),
    Exit(INTERNAL, "an error nobody foresaw"),
    Exit(2, "wrong usage, or settings that are not safe",
         (errors.UsageError, errors.LimitExceeded, click.ClickException)),
    Exit(3, "a file is not there", (errors.LoadError, FileNotFoundError)),
    Exit(4, "a key or certificate does not fit", (errors.TrustError,)),
    Exit(CORRUPT, "a file or directory cannot be used, or the medium failed",
         (errors.StorageError, errors.ProtocolError, OSError)),
    Exit(6, "another server uses the directory", (errors.LogLocked,)),
    Exit(7, "a file is there already", (FileExistsError,)),
    Exit(FULL, "the disk is full", (errors.OutOfSpace,)),
    Exit(9, "the address or port cannot be used", (errors.NetworkError,)),
    Exit(10, "another server has taken the directory over", (errors.Deposed,)),
    Exit(130, "ended by ctrl-c before it was ready", (KeyboardInterrupt, click.Abort)),
)  # fmt: skip

_STATUS: Final = {cause: row.status for row in EXITS for cause in row.causes}


def status_of(error: BaseException) -> int:
    """Return the exit status for an error."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FULL
    return next((_STATUS[cls] for cls in type(error).__mro__ if cls in _STATUS), INTERNAL)


def tell(error: BaseException, *, as_json: bool) -> int:
    """Say on stderr what went wrong, and return the exit status."""
    status = status_of(error)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return status
    code, message, hint = described(error)
    if as_json:
        told: dict[str, Any] = {"code": code, "message": message, "exit": status}
        say_raw(json.dumps({"error": {**told, **({"hint": hint} if hint else {})}}))
    else:
        say(message)
        if hint:
            say(f"hint: {hint}")
    if status == INTERNAL and os.environ.get("ATE_DEBUG"):
        traceback.print_exception(error)
    return status


def say(line: str) -> None:
    """Put one line for people on stderr."""
    say_raw(f"atedb: {''.join(one if one.isprintable() else '?' for one in line)}")


def say_raw(line: str) -> None:
    """Put a line on stderr; a stderr that is closed is nobody's problem."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def described(error: BaseException) -> tuple[str, str, str]:
    """Return (code, message, hint) of an error, with nothing in it that a peer must not see."""
    if isinstance(error, errors.AteError):
        return error.code, error.message, error.hint
    if isinstance(error, click.ClickException):
        text = " ".join(error.format_message().split()).removesuffix(".")
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "atedb"
        return "usage", text[:1].lower() + text[1:], f"try `{command} --help`"
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "interrupted", "interrupted", ""
    if isinstance(error, OSError):
        where = f"{Path(os.fsdecode(error.filename)).name}: " if error.filename else ""
        return "storage", f"{where}{(error.strerror or 'input or output failed').lower()}", ""
    # The text of an unknown error may hold anything, so only its kind and place are told.
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" in {Path(frame[0].filename).name} line {frame[0].lineno}" if frame else ""
    hint = "this is a bug: run it again with ATE_DEBUG=1 and report what it shows"
    return "internal", f"internal error: {type(error).__name__}{place}", hint
