"""`Requests`: questions on a channel and their answers; it understands neither."""

from __future__ import annotations

import asyncio
from typing import Any

from ate.errors import AteError, Conflict, Disconnected, codes
from ate.ids import ObjectId
from ate.wire.message import Failed, Refused


class Requests:
    """Numbers questions, and hands each answer to whoever asked."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last = 0

    def ask(self) -> tuple[int, asyncio.Future[Any]]:
        """Return a number for a question, and what its answer will be."""
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
    cls = codes().get(message.code, AteError)
    text, hint = message.text, message.hint or None
    if isinstance(message, Refused) and issubclass(cls, Conflict):
        about = ObjectId(message.object) if len(message.object) == 16 else None
        return Conflict(text, object=about, theirs=message.theirs, hint=hint)
    try:
        return cls(text, hint=hint)
    except TypeError:  # made of other things than a text
        return AteError(text, hint=hint)
