"""Real servers for the nemesis: processes that are started, killed, frozen and waited for."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ate.testing.nemesis import RealPace

#: A server that does not answer after so long never will.
START_S = 30.0
#: From one attempt to connect to the next.
RETRY_S = 0.02
MIB = 1 << 20


async def answers(port: int, *, within_s: float = START_S, process: ServerProcess) -> None:
    """Return when a connection to the port stands; each attempt is an attempt, no wait for luck."""
    pace = RealPace(0)
    until = pace.time() + within_s
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if not process.is_running:
                pytest.fail(f"{process} ended:\n{process.said()}")
            if pace.time() > until:
                pytest.fail(f"{process} does not answer:\n{process.said()}")
            await pace.pause(RETRY_S)
        else:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            return


class ServerProcess:
    """A program that serves a port, and may be started again and again.

    Args:
        argv: the command.
        port: that it listens on.
        log: gets what it prints, of all its lives.
        env: added to the environment.
    """

    def __init__(
        self,
        argv: Sequence[str],
        port: int,
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.argv, self.port, self.log = list(argv), port, log
        self.env = dict(env or {})
        self.starts = self.kills = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"the server on port {self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self} was never started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    @property
    def cpu_s(self) -> float:
        """Seconds of a processor that it has used since it was started."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def said(self, lines: int = 40) -> str:
        """Return the end of what it printed."""
        with suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    async def start(self) -> None:
        """Start it and return when it answers."""
        self._launch()
        await answers(self.port, process=self)

    def _launch(self) -> None:
        assert not self.is_running, f"{self} runs"
        self.starts += 1
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **self.env},
            )

    def kill(self) -> None:
        """End it as `kill -9` does; it may be frozen, or gone already."""
        if self._process is not None and self.is_running:
            self.kills += 1
            self._process.kill()
            self._process.wait()

    async def stop(self, *, within_s: float = START_S) -> int:
        """Ask it to end, and return its exit status."""
        assert self._process is not None
        self._process.terminate()
        return await asyncio.to_thread(self._process.wait, within_s)

    def freeze(self) -> None:
        """Let it stand still, as a machine that is suspended does."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.is_running:
            os.kill(self.pid, number)


class SmallDisk:
    """A file system that can be filled and emptied.

    Args:
        path: where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (MIB, 4096, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def empty(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[SmallDisk]:
    """Mount a file system of this size at a new folder, or skip the test."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs root")
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        yield SmallDisk(place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
