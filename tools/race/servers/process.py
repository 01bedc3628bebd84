"""A server as a process: found, started, waited for, stopped; it speaks no server's language."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

_START_S_MAX: Final = 60.0
_STOP_S_MAX: Final = 20.0
_POLL_S: Final = 0.01


class ServerError(Exception):
    """A server did not start; the message ends with the last line it wrote."""


def find(program: str) -> str | None:
    """Return the path of a program: beside this interpreter, else where the system finds it."""
    beside = Path(sys.executable).with_name(program)
    return str(beside) if beside.exists() else shutil.which(program)


def free_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A running server.

    Args:
        command: program and arguments.
        log: what it writes goes there.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return when `ready` says so; raises ServerError when it ends or takes too long."""
        end = time.monotonic() + _START_S_MAX
        while not ready():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                lines = self.log_lines()
                raise ServerError(f"did not start: {lines[-1] if lines else 'it said nothing'}")
            time.sleep(_POLL_S)

    def log_lines(self) -> list[str]:
        """Return what it has written so far."""
        return self._log.read_text(errors="replace").splitlines()

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """End it as a power cut would, for its files."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, by force when asking does not help."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


def answers(port: int, question: bytes, answer: bytes) -> bool:
    """Return whether a server on this port says `answer` to `question`."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as line:
        line.settimeout(1)
        if question:
            line.sendall(question)
        return line.recv(4096).startswith(answer)
    return False


@contextlib.contextmanager
def running(server: Any) -> Iterator[Any]:
    """Start a server and stop it in the end, whatever happens."""
    server.start()
    try:
        yield server
    finally:
        server.stop()
