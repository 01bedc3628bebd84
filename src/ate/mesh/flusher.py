"""`Flusher`: flushes the logs of all chains of a server, here or in threads; it appends nothing.

One quick flush runs on the event loop: the way to a thread and back costs as much. When several
chains are at it, their flushes would add up there, and nothing else would happen meanwhile. Then
those of one turn of the loop go to a few threads, and the disk takes them together. On a slow disk
each flush goes by itself, so that no chain waits for another's.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from ate.chain.ledger import Ledger

#: Flushes on the event loop take no longer than this together.
_INLINE_S: Final = 0.0005
_WEIGHT: Final = 0.2
#: Threads that share quick flushes: the ways there and back cost as much as these do.
_THREADS: Final = 4


class Flusher:
    """One for all chains on a disk.

    Attributes:
        busy: chains that are ordering commits now; their roots count themselves.
    """

    def __init__(self) -> None:
        self.busy = 0
        self._usual_s = 0.0
        self._waiting: list[tuple[Ledger, asyncio.Future[float]]] = []

    async def flush(self, ledger: Ledger) -> float:
        """Make durable what a ledger has appended; return how long that took.

        Raises:
            StorageError: it may be durable, or not.
        """
        if self._usual_s * max(self.busy, 1) < _INLINE_S:
            took = _flush(ledger)
        else:
            loop = asyncio.get_running_loop()
            if not self._waiting:
                loop.call_soon(self._send)
            done = loop.create_future()
            self._waiting.append((ledger, done))
            took = await done
        self._usual_s += _WEIGHT * (took - self._usual_s)
        return took

    def _send(self) -> None:
        """Share out among the threads what has come in this turn of the loop."""
        work, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()
        parts = min(len(work), _THREADS) if self._usual_s < _INLINE_S else len(work)
        for at in range(parts):
            part = work[at::parts]
            ledgers = [ledger for ledger, _ in part]
            flushing = loop.run_in_executor(None, _flush_each, ledgers)
            flushing.add_done_callback(partial(_tell, [done for _, done in part]))


def _tell(
    waiting: list[asyncio.Future[float]], flushing: asyncio.Future[list[float | Exception]]
) -> None:
    for done, outcome in zip(waiting, flushing.result(), strict=True):
        if done.cancelled():
            continue
        if isinstance(outcome, Exception):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)


def _flush_each(ledgers: list[Ledger]) -> list[float | Exception]:
    """Return for each how long it took, or why it failed."""
    found: list[float | Exception] = []
    for ledger in ledgers:
        try:
            found.append(_flush(ledger))
        except Exception as error:
            found.append(error)
    return found


def _flush(ledger: Ledger) -> float:
    started = ledger.clock.monotonic_s()
    ledger.store.flush()
    return ledger.clock.monotonic_s() - started
