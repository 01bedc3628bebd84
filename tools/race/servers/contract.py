"""What a server must answer to take part in the race; nothing here measures or stores anything.

A server keeps streams of records by name. Everybody's client is the one its users would take, in
Python, on the same event loop. No server is given less durability than the product without its
name saying so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

#: Called with every record that arrives.
Deliver = Callable[[bytes], None]


class Client(Protocol):
    """One connection to one stream."""

    async def append(self, body: bytes) -> None:
        """Add a record; return when the server has acknowledged it."""
        ...

    async def append_batch(self, bodies: Sequence[bytes]) -> None:
        """Add records in the client's own way of sending many together."""
        ...

    async def subscribe(self, deliver: Deliver) -> None:
        """Have every later record delivered; when this returns, none is missed any more."""
        ...

    async def catch_up(self, count: int) -> None:
        """Return when `count` records from the start are here, checked as this client checks."""
        ...

    def records(self, count: int) -> AsyncIterator[bytes]:
        """Yield the first `count` records, in any order."""
        ...

    async def close(self) -> None: ...


class Server(Protocol):
    """A server over a folder: what it keeps survives `stop` and another `start` there."""

    def start(self) -> None:
        """Return when clients may come."""
        ...

    def stop(self) -> None: ...

    async def client(self, stream: str = "bench") -> Client: ...


#: Called with the number of every job that is done.
Report = Callable[[int], None]
#: Called by a worker that is connected; returns when work may begin.
Begin = Callable[[], None]


class JobServer(Protocol):
    """A server that hands out jobs: each to one worker, again when that one died."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    async def push(self, bodies: Sequence[bytes]) -> None:
        """Add jobs, durably."""
        ...

    async def work(self, begin: Begin, report: Report, *, effects: bool, lease_s: float) -> None:
        """Take jobs, do them, end them; report each once its end is acknowledged. Never returns.

        Args:
            effects: record the job's number in the store, as durably as its end.
            lease_s: a job whose worker is silent for so long is offered again.
        """
        ...

    async def left(self) -> int:
        """Return how many jobs have not ended."""
        ...

    async def effects(self) -> list[int]:
        """Return the recorded numbers; one that was recorded twice stands there twice."""
        ...
