"""`Uplink`: follows a chain's master for a mirror, as one client; it makes no commits of its own.

Whatever comes is judged like in any replica, and then the mirror hands it on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ate.chain.ledger import Ledger
from ate.errors import AteError, Disconnected
from ate.event.commit import Record
from ate.merkle import Frontier
from ate.mesh.line import Line
from ate.mesh.replica import Replica
from ate.wire.message import (
    Accepted,
    AnyMessage,
    Close,
    Failed,
    Moved,
    Open,
    Opened,
    Records,
    Refused,
    Stated,
)
from ate.wire.terms import PeerSession, Terms

if TYPE_CHECKING:
    from ate.mesh.mirror import Mirror

#: A master that says nothing is asked after so long, and given up after twice as much: whoever
#: reads here is told within two seconds.
KEEPALIVE_S: Final = 0.75
TERMS: Final = Terms(keepalive_s=KEEPALIVE_S)


class Nobody:
    """The author of no commit."""

    def landed(self, parcel: Any, record: Record, frontier: Frontier) -> None:
        """See `Author`."""

    def passed(self, parcel: Any) -> None:
        """See `Author`."""

    def refused(self, parcel: Any, error: AteError) -> None:
        """See `Author`."""

    def skipped(self, parcels: Sequence[Any]) -> None:
        """See `Author`."""

    def changed(self) -> None:
        """See `Author`."""


class Uplink(Replica):
    """See the module.

    Args:
        mirror: what is told of all that comes.
    """

    def __init__(
        self, name: str, ledger: Ledger, line: Line, mirror: Mirror, *,
        reline: Callable[[str], Line],
    ) -> None:  # fmt: skip
        super().__init__(name, ledger, line, Nobody(), reline=reline)
        self._mirror = mirror

    @property
    def master(self) -> PeerSession | None:
        """What the other side has proved."""
        return self._listener.peer

    def connected(self, peer: PeerSession) -> None:
        super().connected(peer)
        self._mirror.met(peer)

    async def _take(self, message: Any) -> None:
        mirror = self._mirror
        if isinstance(message, Accepted | Refused):
            mirror.answer(message)
            return
        if isinstance(message, Stated):
            mirror.hear(message.statement)
            return
        async with mirror.alone:  # who opens the chain here sees all of a message or nothing
            try:
                await super()._take(message)
            finally:
                if isinstance(message, Records | Opened):
                    await mirror.advance()
        if isinstance(message, Opened):
            mirror.hear(message.statement)

    def _lose(self, error: AteError) -> None:
        super()._lose(error)
        self._mirror.lost(error)


class Question:
    """One `Open` that follows nothing: its answer brings what the master states just now.

    Args:
        name, chain_id: of the chain.
        seen: the statement that the answer is to name.
    """

    def __init__(self, line: Line, name: str, chain_id: bytes, seen: bytes) -> None:
        self._line, self._name, self._chain_id, self._seen = line, str(name), chain_id, seen
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._ch = line.attach(self)

    async def ask(self) -> bytes:
        """Return the statement; empty when the master makes none.

        Raises:
            Disconnected: there is no answer.
        """
        try:
            return await self._answer
        finally:
            self._line.send(Close(self._ch))
            self._line.detach(self._ch)

    def connected(self, peer: PeerSession) -> None:
        self._line.send(Open(self._ch, self._name, self._chain_id, follow=False, seen=self._seen))

    def received(self, message: AnyMessage) -> None:
        if isinstance(message, Opened):
            self._settle(message.statement)
        elif isinstance(message, Moved | Failed):
            self.disconnected(Disconnected("the master does not answer for the chain"))

    def disconnected(self, error: AteError) -> None:
        if not self._answer.done():
            self._answer.set_exception(Disconnected(f"the master is lost: {error.message}"))
            self._answer.exception()  # whoever asked may be gone

    def _settle(self, statement: bytes) -> None:
        if not self._answer.done():
            self._answer.set_result(statement)
