"""`Heartbeat`: a chain seals itself with a checkpoint at an interval, and when it is closed.

It writes nothing when nothing happened, holds no writer up, and never ends a chain: what goes wrong
is told to the event loop's exception handler, and tried again at the next beat.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from ate import limits
from ate.chain.checkpoint import is_sealed, root_key
from ate.errors import UsageError

if TYPE_CHECKING:
    from ate.dio.chain import Chain


def seconds_of(every: float | timedelta) -> float:
    """Return an interval in seconds; raises UsageError when it is too short."""
    seconds = every.total_seconds() if isinstance(every, timedelta) else float(every)
    if not seconds >= limits.CHECKPOINT_EVERY_S_MIN:
        raise UsageError(
            f"a checkpoint every {seconds:g} seconds",
            hint=f"checkpoint_every= is {limits.CHECKPOINT_EVERY_S_MIN} second or more",
        )
    return seconds


class Heartbeat:
    """Writes the checkpoints of one open chain.

    Args:
        chain: open for writing, its session holds a root key.
        every_s: seconds between two looks.

    Raises:
        UsageError: this chain cannot write checkpoints.
    """

    def __init__(self, chain: Chain, every_s: float) -> None:
        if chain.readonly:
            raise UsageError("a chain that is open for reading writes no checkpoints")
        if root_key(chain._ledger, chain.session) is None:
            raise UsageError("checkpoint_every= needs a session with a root key")
        self._chain, self._every_s = chain, every_s
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while not self._ended.is_set():
            try:
                async with asyncio.timeout(self._every_s):
                    await self._ended.wait()
            except TimeoutError:
                pass
            await self._beat()

    async def _beat(self) -> None:
        chain = self._chain
        if is_sealed(chain._ledger.view):
            return
        try:
            await chain.checkpoint(compact=chain._compactor.wants_flip())
        except Exception as error:
            told = {"message": "ate: a checkpoint could not be written", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)

    async def stop(self) -> None:
        """Seal what is not sealed yet, then end."""
        self._ended.set()
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
