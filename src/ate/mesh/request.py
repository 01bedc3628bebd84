"""`Requests`: questions on a replica's channel and their answers; it changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from ate.errors import (
    AteError,
    BodyNotHeld,
    Conflict,
    Disconnected,
    RemoteProtocolError,
    codes,
)
from ate.ids import ObjectId
from ate.mesh.line import Line
from ate.wire import failure
from ate.wire.message import (
    Bodies,
    Evidence,
    Failed,
    Fetch,
    Found,
    Lookup,
    Message,
    Proved,
    Refused,
)

#: Rows asked for in one message.
_FETCH_MAX: Final = 4096


class Asker(Protocol):
    """A replica, as far as it asks."""

    line: Line
    device: int

    @property
    def channel(self) -> int: ...
    @property
    def is_online(self) -> bool: ...


class Requests:
    """Asks the server, and hands each answer to whoever asked.

    Args:
        asker: the replica whose channel is used.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last = 0

    async def lookup(self, session: int, lsn: int) -> int:
        """Return the first seq of a commit, 0 when the chain has not got it."""
        return (await self.look_up(self._asker.device, session, lsn)).first_seq

    async def look_up(self, device: int, session: int, lsn: int) -> Found:
        """Return what the server says of a commit of any device."""
        ref, answer = self._ask()
        self._send(Lookup(self._asker.channel, ref, device, session, lsn))
        found: Found = await answer
        return found

    async def newest(self) -> int:
        """Return how many commits the server has now; all that it had acknowledged are counted."""
        ref, answer = self._ask()
        self._send(Lookup(self._asker.channel, ref, self._asker.device, 0, 0))
        found: Found = await answer
        return found.commits

    async def fetch(self, seqs: Sequence[int]) -> list[bytes | None]:
        """Return stored bodies that are not kept here; the caller checks them.

        Raises:
            BodyNotHeld: there is no connection to ask on.
        """
        bodies: list[bytes | None] = []
        while len(bodies) < len(seqs):
            try:
                ref, answer = self._ask()
                rest = list(seqs[len(bodies) : len(bodies) + _FETCH_MAX])
                self._send(Fetch(self._asker.channel, ref, rest))
                found: Bodies = await answer
            except Disconnected as error:
                raise BodyNotHeld(f"the body is on the server: {error.message}") from error
            if not found.bodies:
                raise RemoteProtocolError("the server sends none of the bodies asked for")
            bodies += found.bodies
        return bodies

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the server's proof that its tree of `new` commits continues that of `old`."""
        ref, answer = self._ask()
        self._send(Evidence(self._asker.channel, ref, old, new))
        proved: Proved = await answer
        return proved.path

    def _send(self, message: Message) -> None:
        self._asker.line.send(message)

    def _ask(self) -> tuple[int, asyncio.Future[Any]]:
        if not self._asker.is_online:
            raise Disconnected("there is no connection to the server")
        self._last += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[self._last] = answer
        return self._last, answer

    def answer(self, ref: int, answer: object) -> None:
        """Hand an answer over; an error is raised where it was asked."""
        waiting = self._waiting.pop(ref, None)
        if waiting is None or waiting.done():
            return
        if isinstance(answer, AteError):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)

    def lose(self, error: AteError) -> None:
        """Say that no answer will come any more."""
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(Disconnected(f"the connection was lost: {error.message}"))
                answer.exception()  # whoever asked may be gone


def error_of(message: Refused | Failed) -> AteError:
    """Return what a server said as an error of its class."""
    error = failure.error_of(message.code, message.text, message.hint)
    if isinstance(message, Refused) and isinstance(error, Conflict):
        about = ObjectId(message.object) if len(message.object) == 16 else None
        return Conflict(error.message, object=about, theirs=message.theirs, hint=error.hint)
    if message.code not in codes():  # of a later version: its text says what there is to say
        return AteError(failure.clean(message.text), hint=failure.clean(message.hint) or None)
    return error
