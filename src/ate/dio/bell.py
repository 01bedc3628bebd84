"""`Bell`: wakes one task: the head has moved, a time has come, the chain closes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from ate.dio.watch import Watch

if TYPE_CHECKING:
    from ate.dio.chain import Chain

#: A timer shorter than this would only spin: the clock that is asked may be coarser.
_REST_S_MIN = 0.001


class Bell(Watch):
    """Rings at each publish of a chain while it is entered with `with`.

    What rings between two rests is not lost: the next rest returns at once.
    """

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self._chain = chain

    def __enter__(self) -> Self:
        self._chain._ledger.feed.subscribe(self.wake)
        self._register()
        return self

    def _register(self) -> None:
        """Ring when the chain closes, or at once if it is closed."""
        self._chain._watches[self] = None
        if self._chain._closed:
            self.end()

    def __exit__(self, *_: object) -> None:
        self._chain._ledger.feed.unsubscribe(self.wake)
        self._chain._watches.pop(self, None)

    async def rest(self, seconds: float | None = None) -> None:
        """Wait for the next ring, at most `seconds`; the caller asks its own clock afterwards."""
        timer = None
        if seconds is not None:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(max(seconds, _REST_S_MIN), self.wake)
        try:
            await self.wait()
        finally:
            if timer is not None:
                timer.cancel()
