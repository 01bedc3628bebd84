"""`Stock`: jobs that a loop holds ahead of its work, so that one commit takes several.

It holds nothing where nobody else could take a job anyway, and never more than is done soon.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from ate.dio.job import Job

if TYPE_CHECKING:
    from ate.dio.queue import Queue

T = TypeVar("T")

#: Jobs that are held ahead are to be done within about this time: for so long nobody else can.
_AHEAD_S = 0.1
_AHEAD_MAX = 64
#: The share of its lease that a job must still have when its work begins.
_FRESH = 0.5


class Stock(Generic[T]):
    """The jobs that the loops over one queue have taken and not begun."""

    #: Like a service, it ends with its chain; it answers nothing.
    request = None

    def __init__(self, queue: Queue[T]) -> None:
        self._queue = queue
        self._jobs: deque[Job[T]] = deque()
        self._loops = 0
        self._most = 1
        self._filled_s = 0.0

    def __len__(self) -> int:
        return len(self._jobs)

    def __enter__(self) -> None:
        self._loops += 1
        if not self._queue._alone and self._loops == 1:
            self._queue.chain._services.append(self)

    def __exit__(self, *_: object) -> None:
        self._loops -= 1
        if self._queue._alone or self._loops:
            return
        if self in self._queue.chain._services:
            self._queue.chain._services.remove(self)
        if self._jobs:
            task = asyncio.ensure_future(self.stop())
            _ENDING.add(task)
            task.add_done_callback(_ENDING.discard)

    async def stop(self) -> None:
        """Give back what is held."""
        jobs = list(self._jobs)
        self._jobs.clear()
        await asyncio.gather(*(job.give_back() for job in jobs))

    def pop(self) -> Job[T] | None:
        """Return a job that is held and whose lease lasts long enough yet."""
        while self._jobs:
            job = self._jobs.popleft()
            if job._is_held_for(_FRESH * self._queue.lease_s):
                return job
            # Its work took longer than expected; the lease runs out by itself, or it has already.
            self._most = 1
        return None

    async def take(self) -> Job[T]:
        """Return a job that is held, or wait until there are some."""
        if (job := self.pop()) is not None:
            return job
        queue = self._queue
        if queue._alone:
            return (await queue._claim_some(1))[0]
        now_s = asyncio.get_running_loop().time()
        if self._filled_s:
            took_s = now_s - self._filled_s
            self._most = min(2 * self._most, _AHEAD_MAX) if took_s < _AHEAD_S else 1
        first, *others = await queue._claim_some(self._most)
        self._filled_s = asyncio.get_running_loop().time()
        self._jobs.extend(others)
        for bell in queue._bells if others else ():
            bell.wake()
        return first


_ENDING: set[asyncio.Task[None]] = set()
