"""A follower that keeps nothing: opens a chain over TCP and counts what comes; it judges no commit.

Ten thousand clients as programs open them do not fit beside their servers on one machine. These
cost the server the same as any client and their own side as little as can be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ate.mesh.dial import dialer
from ate.mesh.url import Url
from ate.wire.connection import Connection
from ate.wire.message import Credit, Failed, Moved, Open, Opened, Records
from ate.wire.terms import Terms

#: They hear the server's pings, and send none.
_TERMS: Final = Terms(keepalive_s=600.0)
_CREDIT: Final = 8 << 20


class FollowerError(Exception):
    """The server did not let it follow."""


class Follower:
    """One connection with one chain open.

    Args:
        took: told the bytes of each frame as it comes.
    """

    def __init__(self, took: Callable[[int], None]) -> None:
        self._took = took
        self._connection = Connection("client", terms=_TERMS, agent="race")
        self._used = 0
        #: Commits that the server had when it answered.
        self.commits = -1

    async def connect(self, url: str, chain: str) -> None:
        """Return when the chain is open."""
        self._transport = await dialer()(Url.parse(url))
        self._connection.start(0.0)
        self._flush()
        while not self._connection.is_ready:
            self._connection.receive(await self._transport.receive(), 0.0)
            self._flush()
        self._transport.frame_max = self._connection.frame_bound
        self._connection.send(Open(1, chain, credit=_CREDIT))
        self._flush()
        while self.commits < 0:
            await self._turn()

    async def follow(self) -> None:
        """Take what comes, for ever."""
        while True:
            await self._turn()

    async def close(self) -> None:
        """Hang up."""
        await self._transport.close()

    async def _turn(self) -> None:
        for message in self._connection.receive(await self._transport.receive(), 0.0):
            self._hear(message)
        self._flush()

    def _hear(self, message: Any) -> None:
        if isinstance(message, Records):
            for frame in message.frames:
                self._used += len(frame)
                self._took(len(frame))
            if self._used > _CREDIT // 2:
                self._connection.send(Credit(1, self._used))
                self._used = 0
        elif isinstance(message, Opened):
            self.commits = message.commits
        elif isinstance(message, Failed | Moved):
            raise FollowerError(str(message))

    def _flush(self) -> None:
        out = self._connection.outgoing()
        if out:
            self._transport.send(out)
