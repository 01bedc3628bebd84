"""`Neighbours`: the other chains that a chain's links lead to, each opened once; it writes nothing.

They are opened where the first one is: below the same directory, or on the same server over the
same connection. They share one set of neighbours, so that chains which lead to each other in a
circle are each open once. All of them are closed with the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ate import limits
from ate.errors import UsageError
from ate.ids import ChainName

if TYPE_CHECKING:
    from ate.dio.chain import Chain
    from ate.dio.dio import Dio


class Neighbours:
    """See the module.

    Args:
        open: opens a chain to be read; None where there is no such place.
    """

    def __init__(
        self, open: Callable[[ChainName], Coroutine[Any, Any, Chain]] | None = None
    ) -> None:
        self._open = open
        self._home: Chain | None = None
        self._known: dict[ChainName, asyncio.Task[Chain]] = {}
        self._is_closed = False

    def join(self, chain: Chain) -> None:
        """Count a chain among them; the first one is their home."""
        if self._home is None:
            self._home = chain

    async def resolve(self, name: ChainName) -> Dio:
        """Return a unit of work on the chain of this name, with all that is there now.

        Raises:
            UsageError: there is nowhere to look for it.
            LimitExceeded: links have led to too many chains.
            AteError: it cannot be opened, see `ate.open`.
        """
        if self._home is not None and name == self._home.name:
            return self._home.dio()
        opening = self._task(name)
        await asyncio.wait([opening])
        if opening.cancelled():
            raise UsageError("the chain is closed")
        chain = opening.result()
        if chain.readonly:
            await chain.refresh()
        return chain.dio()

    def _task(self, name: ChainName) -> asyncio.Task[Chain]:
        task = self._known.get(name)
        if task is not None and not (task.done() and (task.cancelled() or task.exception())):
            return task
        if self._open is None or self._is_closed:
            raise UsageError(
                f"chain {name} is not open here", hint="open it and call link.load(chain)"
            )
        opened = len(self._known) + (task is None)
        limits.check("chains that links lead to", opened, limits.NEIGHBOURS_MAX)
        task = self._known[name] = asyncio.get_running_loop().create_task(self._open(name))
        task.add_done_callback(_look)
        return task

    async def close(self, chain: Chain) -> None:
        """Close all of them, when it is their home that is closed."""
        if chain is not self._home:
            return
        self._is_closed = True
        tasks = list(self._known.values())
        for task in tasks:
            task.cancel()  # one that is done stays done
        for found in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(found, BaseException):
                await found.close()
        self._known.clear()


def _look(opening: asyncio.Task[Chain]) -> None:
    """Whoever asked for it may be gone: an error is then nobody's."""
    if not opening.cancelled():
        opening.exception()
