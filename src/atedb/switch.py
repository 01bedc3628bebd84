"""One hall for each path, and a way to stop them all: takes messages to the hall; reads none.

When the server ends, messages are held back first: what was submitted is then finished while
nothing new comes in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from ate.errors import Disconnected
from ate.mesh.attend import Hall, Visitor
from ate.wire.message import AnyMessage


class Switch:
    """The hall of all services.

    Args:
        halls: by the path of their service.
    """

    def __init__(self, halls: Mapping[str, Hall]) -> None:
        self._halls = halls
        self._at: dict[Visitor, Hall] = {}
        self._holds = False
        self._ended = asyncio.Event()

    @property
    def visitors(self) -> tuple[Visitor, ...]:
        """Those who have arrived and not left."""
        return tuple(self._at)

    async def arrived(self, visitor: Visitor) -> None:
        hall = self._at[visitor] = self._halls[visitor.peer.path]
        await hall.arrived(visitor)

    def handle(self, visitor: Visitor, message: AnyMessage) -> Coroutine[Any, Any, None]:
        return self._stop() if self._holds else self._at[visitor].handle(visitor, message)

    async def left(self, visitor: Visitor) -> None:
        await self._at.pop(visitor).left(visitor)

    async def _stop(self) -> None:
        await self._ended.wait()
        raise Disconnected("the server has stopped")

    def hold(self) -> None:
        """Hand no further message to a hall."""
        self._holds = True

    def end(self) -> None:
        """Say goodbye to everybody."""
        for visitor in self.visitors:
            visitor.close("", "the server stops: connect again in a moment")
        self._ended.set()
