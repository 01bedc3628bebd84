"""Processes beside a cell: forked, spoken to over pipes, ended; it knows nothing of servers.

The cell's own process runs no event loop, so that it may be forked at any time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any, Final, TypeVar

from tools.race.cells import Stopwatch

T = TypeVar("T")
#: What a member does, given its end of the pipe.
Work = Callable[[Connection], Coroutine[Any, Any, Any]]

_HEAR_S_MAX: Final = 600.0
_FORK: Final = multiprocessing.get_context("fork")


class CrewError(Exception):
    """A member failed or fell silent."""


class Member:
    """One process. What its work returns is heard last."""

    def __init__(self, work: Work) -> None:
        self._wire, theirs = _FORK.Pipe()
        self._process = _FORK.Process(target=_live, args=(work, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def tell(self, what: object) -> None:
        """Say something to it; one that is gone hears nothing."""
        try:
            self._wire.send(what)
        except OSError:
            return

    def hear(self, wait_s: float = _HEAR_S_MAX) -> Any:
        """Return the next thing it says; raises CrewError."""
        if not self._wire.poll(wait_s):
            raise CrewError(f"a process said nothing for {wait_s:g} s")
        try:
            good, what = self._wire.recv()
        except EOFError:
            raise CrewError("a process ended without a word") from None
        if not good:
            raise CrewError(what)
        return what

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        if self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()
        self._wire.close()

    def leave(self) -> None:
        """Let it end by itself, for a while."""
        self._process.join(10)
        self.kill()


def say(wire: Connection, what: object) -> None:
    """Say something from inside a member."""
    wire.send((True, what))


def in_process(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run work with an event loop in a process of its own; return what it returns."""
    member = Member(lambda _: work())
    try:
        found: T = member.hear()
        return found
    finally:
        member.leave()


def _live(work: Work, wire: Connection) -> None:
    """Be a member. Whoever works, works on uvloop where it is installed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run: Any = import_module("uvloop").run if find_spec("uvloop") else asyncio.run
    try:
        found = (True, run(work(wire)))
    except BaseException as error:
        found = (False, f"{type(error).__name__}: {error}")
    Stopwatch.show(sys.stderr)
    try:
        wire.send(found)
        wire.close()
    finally:
        # Clients that were not closed have threads and destructors; they are not waited for.
        os._exit(0)
