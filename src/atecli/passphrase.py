"""Where a passphrase comes from: a file, stdin or the terminal; never the command line.

It keeps none, and none is part of any message.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from ate.errors import NotFound, StorageError, UsageError

#: A file beyond this is no passphrase but a mistake.
_BYTES_MAX = 4096


def is_stdin(file: str | None) -> bool:
    """Tell whether the passphrase would be read from stdin."""
    return _chosen(file) == "-"


def _chosen(file: str | None) -> str | None:
    return file or os.environ.get("ATE_PASSPHRASE_FILE") or None


def ask(prompt: str, *, file: str | None = None, confirm: bool = False) -> str:
    """Return a passphrase.

    Args:
        prompt: what is asked on the terminal.
        file: a file's name, `-` for stdin; else `$ATE_PASSPHRASE_FILE`, else the terminal is asked.
        confirm: ask twice on the terminal, because nobody can try it out later.

    Raises:
        UsageError: it is empty, the two differ, or there is no terminal to ask.
        NotFound, StorageError: the file cannot be read.
    """
    chosen = _chosen(file)
    found = _read(chosen) if chosen else _ask(prompt, confirm=confirm)
    if not found:
        raise UsageError("the passphrase is empty", hint="choose some words that nobody guesses")
    return found


def _read(file: str) -> str:
    if file == "-":
        raw = sys.stdin.buffer.read(_BYTES_MAX + 1)
    else:
        try:
            with Path(file).open("rb") as opened:
                raw = opened.read(_BYTES_MAX + 1)
        except FileNotFoundError:
            raise NotFound(f"no passphrase file {Path(file).name}") from None
        except OSError as error:
            raise StorageError(f"cannot read the passphrase file: {error.strerror}") from None
    if len(raw) > _BYTES_MAX:
        raise UsageError(f"a passphrase file has at most {_BYTES_MAX} bytes")
    with contextlib.suppress(UnicodeDecodeError):
        # The line end belongs to the editor that wrote the file.
        return raw.decode().removesuffix("\n").removesuffix("\r")
    # Raised out here: the codec's error carries the bytes, and would hang on ours.
    raise UsageError("the passphrase file is not UTF-8 text")


def _ask(prompt: str, *, confirm: bool) -> str:
    from getpass import getpass

    if not _has_terminal():
        raise UsageError(
            "there is no terminal to ask for the passphrase",
            hint="name a file that holds it: --passphrase-file FILE, or - for stdin",
        )
    try:
        found = getpass(f"{prompt}: ")
        again = getpass("again: ") if confirm and found else found
    except EOFError:
        raise UsageError("no passphrase was given") from None
    if again != found:
        raise UsageError("the two passphrases differ", hint="try again")
    return found


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
