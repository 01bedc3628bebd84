"""`Settling`: makes durable, now and then, what a replica has taken from its server.

A power cut takes little of the local copy then, and that comes from the server again. Nobody ever
waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from ate.chain.ledger import Ledger
from ate.errors import AteError

#: A power cut takes at most what came in so long.
EVERY_S: Final = 1.0
_log = logging.getLogger("ate")


class Settling:
    """See the module.

    Args:
        ledger: the local copy.
        taking: held while it changes.
    """

    def __init__(self, ledger: Ledger, taking: asyncio.Lock) -> None:
        self._ledger, self._taking = ledger, taking
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """Something has come."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._start)

    def _start(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        async with self._taking:
            try:
                await asyncio.to_thread(self._ledger.store.flush)
            except AteError as error:  # the next that comes cannot be kept, and that is told
                _log.warning("the local copy could not be made durable: %s", error)

    async def close(self) -> None:
        """Stop; closing the copy flushes it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
