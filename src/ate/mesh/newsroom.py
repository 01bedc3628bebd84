"""`Newsroom`: tells a visitor which chains have changed, of those that it may read; it opens none.

The gate is asked about what has changed and about nothing else, each time anew: rights end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from ate.errors import (
    BadToken,
    LimitExceeded,
    NotFound,
    ProtocolError,
    TokenExpired,
    TrustError,
    UsageError,
)
from ate.ids import ChainName
from ate.mesh.guest import Guest
from ate.wire.message import Changed, Sync

if TYPE_CHECKING:
    from ate.mesh.changes import Changes
    from ate.mesh.gate import Gate, Rights
    from ate.mesh.roster import Roster

#: Names that are looked at before others have their turn.
_STEP: Final = 64
#: Bytes of a token as text.
_TOKEN_MAX: Final = 16_384


class _Hall(Protocol):
    gate: Gate
    changes: Changes
    roster: Roster


class _Open(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def rights(self) -> Rights: ...


class Newsroom:
    """See the module.

    Args:
        hall: whose chains these are.
    """

    def __init__(self, hall: _Hall) -> None:
        self._hall = hall

    async def answer(self, visitor: Guest, message: Sync, channels: Mapping[int, _Open]) -> Changed:
        """Return what has changed since the visitor's cursor.

        A chain that nobody has opened since the server's start is told with head 0 to a visitor
        whose cursor is of another start: it may have changed.

        Args:
            channels: what the visitor has open.

        Raises:
            ProtocolError: the message is none.
            Throttled: the gate has no time for it now; nothing was told.
            BadToken, TokenExpired: what the visitor has shown opens nothing.
        """
        token = message.more.get("token", "")
        if not isinstance(token, str) or len(token) > _TOKEN_MAX or not token.isascii():
            raise ProtocolError("the token of a Sync is not text")
        known = {one.name: one.rights.read for one in channels.values()}
        changes = self._hall.changes
        news = changes.since(message.cursor, message.names or known)
        heads = [*news.heads, *((name, 0) for name in news.unknown)]
        told = await self._readable(visitor, heads, known, token.encode())
        return changes.answer(message.ref, news._replace(heads=told), message.cursor)

    async def _readable(
        self, visitor: Guest, heads: Iterable[tuple[str, int]], known: Mapping[str, bool],
        token: bytes,
    ) -> list[tuple[str, int]]:  # fmt: skip
        told = []
        for number, (name, head) in enumerate(heads, 1):
            may_read = known.get(name)
            if may_read is None:
                may_read = self._may_read(visitor, name, head, token)
            if may_read:
                told.append((name, head))
            if number % _STEP == 0:
                await asyncio.sleep(0)
        return told

    def _may_read(self, visitor: Guest, name: str, head: int, token: bytes) -> bool:
        gate = self._hall.gate
        try:
            plain = ChainName(name)
            if not head and not self._hall.roster.exists(plain):
                return False
            rights = gate.may_open(visitor, plain, token, exists=True)
        except (BadToken, TokenExpired):
            raise  # nothing could be told: an empty answer would move the cursor over it
        except (TrustError, NotFound, UsageError, LimitExceeded):
            return False
        gate.closed(visitor, plain)
        return rights.read
