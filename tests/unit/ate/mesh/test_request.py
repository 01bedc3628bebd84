from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ate.errors import (
    AteError,
    BodyNotHeld,
    Conflict,
    CorruptLog,
    Disconnected,
    LimitExceeded,
    RemoteProtocolError,
    WriteDenied,
)  # fmt: skip
from ate.mesh.request import Requests, error_of
from ate.wire.message import Bodies, Evidence, Failed, Fetch, Found, Lookup, Proved, Refused


async def settled() -> None:
    """Let tasks begin."""
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(3)))


class Here:
    """An asker that is its own line and answers at once."""

    def __init__(self) -> None:
        self.line: Any = self
        self.device, self.channel, self.is_online = 9, 3, True
        self.sent: list[Any] = []
        self.requests = Requests(self)
        self.bodies: list[list[bytes | None]] = []
        self.is_silent = False

    def send(self, message: Any) -> None:
        self.sent.append(message)
        if not self.is_silent:
            asyncio.get_running_loop().call_soon(self.answer, message)

    def answer(self, message: Any) -> None:
        match message:
            case Lookup():
                found = Found(3, message.ref, 17, 4, 99)
                self.requests.answer(message.ref, found)
            case Fetch():
                self.requests.answer(message.ref, Bodies(3, message.ref, self.bodies.pop(0)))
            case Evidence():
                self.requests.answer(message.ref, Proved(3, message.ref, [bytes(32)]))


async def test_questions_and_answers() -> None:
    here = Here()
    assert await here.requests.lookup(5, 6) == 17
    assert await here.requests.newest() == 99
    assert await here.requests.consistency(2, 5) == [bytes(32)]
    here.bodies = [[b"a"], [b"b", None]]
    assert await here.requests.fetch([1, 2, 3]) == [b"a", b"b", None]
    assert [one.seqs for one in here.sent[3:]] == [[1, 2, 3], [2, 3]]
    assert [one.ref for one in here.sent] == [1, 2, 3, 4, 5]
    assert await here.requests.fetch([]) == []
    here.requests.answer(77, object())  # nobody has asked


async def test_a_server_that_never_gives_a_body_is_not_asked_for_ever() -> None:
    here = Here()
    here.bodies = [[]]
    with pytest.raises(RemoteProtocolError, match="none of the bodies"):
        await here.requests.fetch([1])


async def test_without_a_connection_there_is_no_answer() -> None:
    here = Here()
    here.is_silent = True
    waiting = [asyncio.ensure_future(one) for one in (
        here.requests.lookup(1, 1), here.requests.newest(), here.requests.fetch([1]),
        here.requests.consistency(1, 2),
    )]  # fmt: skip
    gone = asyncio.ensure_future(here.requests.newest())
    await settled()
    gone.cancel()
    here.requests.answer(5, object())
    here.requests.lose(Disconnected("the wire broke"))
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in answers] == [Disconnected, Disconnected, BodyNotHeld, Disconnected]
    here.is_online = False
    with pytest.raises(Disconnected, match="no connection"):
        await here.requests.newest()
    with pytest.raises(BodyNotHeld, match="on the server"):
        await here.requests.fetch([1])
    here.requests.lose(Disconnected("again"))


async def test_what_the_server_has_against_it_is_raised_where_it_was_asked() -> None:
    here = Here()
    here.is_silent = True
    asked = asyncio.ensure_future(here.requests.consistency(1, 2))
    await settled()
    here.requests.answer(1, WriteDenied("no"))
    with pytest.raises(WriteDenied):
        await asked


def test_errors_keep_their_class_over_the_wire() -> None:
    def refused(code: str, **more: Any) -> AteError:
        return error_of(Refused(1, 1, 1, 1, 0, code, "why", "try this", **more))

    conflict = refused("conflict", object=bytes(16), theirs=5)
    assert isinstance(conflict, Conflict)
    assert (bytes(conflict.object or b""), conflict.theirs) == (bytes(16), 5)
    without = refused("conflict")
    assert isinstance(without, Conflict)
    assert without.object is None
    assert isinstance(refused("write_denied"), WriteDenied)
    assert refused("write_denied").hint == "try this"
    assert type(refused("never heard of it")) is AteError
    for code in ("limit_exceeded", "corrupt_log"):
        assert isinstance(
            error_of(Failed(1, 0, code, "why")), (AteError, LimitExceeded, CorruptLog)
        )
        assert "why" in error_of(Failed(1, 0, code, "why")).message
