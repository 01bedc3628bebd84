"""The cell of job queues: workers in processes, killed or not; each job is counted. It judges none.

Without kills a job's work is nothing, and the workers tell what they ended. With kills each job
leaves a record in the store, since a dead worker tells nothing, and those are counted.
"""

from __future__ import annotations

import os
import select
import struct
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from tools.race.cells import Figures, Options, WrongDataError
from tools.race.crew import Member, in_process, say
from tools.race.servers.known import make
from tools.race.servers.process import running
from tools.race.traffic import body_of

_NUMBER: Final = struct.Struct("<I")
#: The share of the kills that must have hit workers at work.
_KILLED_MIN: Final = 0.7
_SILENT_S: Final = 1.0
_SILENT_S_MAX: Final = 60.0


def queue(options: Options) -> Figures:
    """Push `jobs` jobs, have `workers` processes do them; jobs a second, lost, doubled.

    `kills` workers are killed on the way, each replaced at once; a job is offered again when its
    worker was silent for `lease_s`.
    """
    with running(make(options["store"], Path(options["folder"]))) as server:
        bodies = [_job(number) for number in range(options["jobs"])]
        started = time.perf_counter()
        in_process(partial(server.push, bodies))
        pushing_s = time.perf_counter() - started
        shift = _Shift(server, options)
        try:
            took = shift.run()
        finally:
            shift.end()
        if shift.killed < options["kills"] * _KILLED_MIN:
            raise WrongDataError(f"only {shift.killed} workers were killed while there was work")
        done = in_process(server.effects) if options["kills"] else shift.told
    lost, doubled = tally(done, options["jobs"])
    return {
        "per_s": options["jobs"] / took, "pushed_per_s": options["jobs"] / pushing_s,
        "lost": lost, "doubled": doubled, "wrong": lost + doubled, "killed": shift.killed,
    }  # fmt: skip


def _job(number: int) -> bytes:
    return _NUMBER.pack(number) + body_of(0, number)[_NUMBER.size :]


def tally(done: Sequence[int], jobs: int) -> tuple[int, int]:
    """Return (jobs never done, times a job was done again) of the numbers below `jobs`."""
    counted = Counter(done)
    if counted and not 0 <= min(counted) <= max(counted) < jobs:
        raise WrongDataError("a job was done that nobody pushed")
    return jobs - len(counted), len(done) - len(counted)


class _Shift:
    """The workers of one run, and what they tell over a pipe that outlives each of them."""

    def __init__(self, server: Any, options: Options) -> None:
        self._server, self._options = server, options
        self._ear, self._mouth = os.pipe()
        self._workers = [self._hire() for _ in range(options["workers"])]
        self.told: list[int] = []
        self.killed = 0

    def _hire(self) -> Member:
        return Member(partial(_work, self._server, self._mouth, self._options))

    def run(self) -> float:
        """Let them work until no job is left; return the seconds that took."""
        for worker in self._workers:
            worker.hear()
        started = heard = time.perf_counter()
        for worker in self._workers:
            worker.tell("go")
        jobs, kills = self._options["jobs"], self._options["kills"]
        while True:
            if self._listen():
                heard = time.perf_counter()
            due = jobs * (self.killed + 1) // (kills + 1)
            if self.killed < kills and due <= len(self.told) < jobs:
                self._kill()
            if not kills and len(self.told) >= jobs:
                return heard - started
            silent = time.perf_counter() - heard
            # A worker may die after its job's end and before it tells.
            if kills and silent > _SILENT_S and not in_process(self._server.left):
                while self._listen():
                    heard = time.perf_counter()
                return heard - started
            if silent > _SILENT_S_MAX:
                raise WrongDataError(f"{jobs - len(set(self.told))} jobs were not done")

    def _listen(self) -> bool:
        if not select.select([self._ear], [], [], 0.02)[0]:
            return False
        raw = os.read(self._ear, 64 * 1024)
        self.told += [number for (number,) in _NUMBER.iter_unpack(raw)]
        return True

    def _kill(self) -> None:
        """Kill one worker somewhere in its work, and hire another."""
        chance = blake2b(self.killed.to_bytes(8, "little"), digest_size=4).digest()
        victim = chance[0] % len(self._workers)
        select.select([], [], [], chance[1] / 256 * 0.002)
        self._workers[victim].kill()
        self.killed += 1
        self._workers[victim] = self._hire()
        self._workers[victim].tell("go")

    def end(self) -> None:
        """Send everybody home."""
        for worker in self._workers:
            worker.kill()
        os.close(self._ear)
        os.close(self._mouth)


async def _work(server: Any, mouth: int, options: Options, wire: Connection) -> None:
    def begin() -> None:
        say(wire, "ready")
        wire.recv()

    def report(number: int) -> None:
        os.write(mouth, _NUMBER.pack(number))

    effects = options["kills"] > 0
    await server.work(begin, report, effects=effects, lease_s=options["lease_s"])


CELLS: Final = {"queue": queue}
