"""`ate.mesh.newsroom`: what a visitor is told of chains that it has not open."""

from __future__ import annotations

import pytest
from tests.unit.ate.mesh.served import NAME, Scribe, founded, visitor

from ate.errors import (
    AccessDenied,
    BadToken,
    LimitExceeded,
    NotFound,
    ProtocolError,
    Throttled,
    TokenExpired,
)
from ate.mesh.gate import Caller, OpenGate, Rights
from ate.mesh.hall import Hall
from ate.mesh.shelf import MemoryShelf
from ate.testing.simclock import SimClock
from ate.wire.message import Accepted, Changed, Open, Submit, Sync


class Choosy(OpenGate):
    """Judges by the chain's name and the token."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = 0
        self.error: Exception | None = None

    def may_open(self, visitor: Caller, name: str, token: bytes, *, exists: bool) -> Rights:
        self.asked.append(name)
        if self.error is not None:
            raise self.error
        self.open += 1
        return Rights(read=name == NAME or token == b"key")

    def closed(self, visitor: Caller, name: str) -> None:
        self.open -= 1


async def place() -> tuple[Hall, Choosy]:
    """Return a hall with the chains NAME and "other"."""
    gate, hall = Choosy(), Hall(MemoryShelf(), clock=SimClock(tick_us=1))
    _, envoy, _ = await founded(hall)
    await envoy.open("other", ch=2)
    await envoy.say(Submit(2, await Scribe().founding("other")))
    await envoy.until(Accepted, 2)
    await envoy.leave()
    hall.gate = gate
    return hall, gate


async def test_the_gate_is_asked_about_what_has_changed_alone() -> None:
    hall, gate = await place()
    guest = await visitor(hall)
    await guest.say(Sync(1, {}, [NAME, "other", "never-was", "no name"]))
    answer = guest.of(Changed)[0]
    assert (answer.ref, answer.heads) == (1, [(NAME, 1)])
    assert sorted(gate.asked) == [NAME, "other"]
    gate.asked.clear()
    await guest.say(Sync(2, answer.cursor, [NAME, "other"]))
    assert guest.of(Changed)[1].heads == []
    assert not gate.asked
    assert gate.open == 0
    await hall.close()


async def test_a_token_opens_more() -> None:
    hall, _ = await place()
    guest = await visitor(hall)
    await guest.say(Sync(1, {}, [NAME, "other"], {"token": "key"}))
    assert dict(guest.of(Changed)[0].heads) == {NAME: 1, "other": 1}
    for wrong in (7, "ü", "k" * 20_000):
        with pytest.raises(ProtocolError, match="token"):
            await guest.say(Sync(2, {}, [NAME], {"token": wrong}))
    await hall.close()


async def test_of_what_is_open_the_answer_is_known() -> None:
    hall, gate = await place()
    guest = await visitor(hall)
    await guest.open(NAME)
    await guest.say(Open(2, "other"))
    gate.asked.clear()
    await guest.say(Sync(1, {}, []))
    assert guest.of(Changed)[0].heads == [(NAME, 1)]
    assert not gate.asked
    await hall.close()


async def test_a_new_start_tells_what_it_has_not_looked_at() -> None:
    shelf = MemoryShelf()
    first, envoy, _ = await founded(Hall(shelf, clock=SimClock(tick_us=1)))
    await envoy.say(Sync(1, {}, [NAME]))
    cursor = envoy.of(Changed)[0].cursor
    await first.close()
    hall = Hall(shelf, clock=SimClock(tick_us=1))
    guest = await visitor(hall)
    names = [NAME, *(f"never-{number}" for number in range(200))]
    await guest.say(Sync(1, cursor, names))
    answer = guest.of(Changed)[0]
    assert answer.heads == [(NAME, 0)]
    await guest.say(Sync(2, answer.cursor, names))
    assert guest.of(Changed)[1].heads == []
    assert not hall.roots
    await hall.close()


async def test_a_gate_that_is_busy_passes_nothing_over() -> None:
    hall, gate = await place()
    guest = await visitor(hall)
    for told in (Throttled("later"), BadToken("none"), TokenExpired("old")):
        gate.error = told
        with pytest.raises(type(told)):
            await guest.say(Sync(1, {}, [NAME]))
    for number, error in enumerate((AccessDenied("no"), NotFound("no"), LimitExceeded("n", 2, 1))):
        gate.error = error
        await guest.say(Sync(1, {}, [NAME]))
        assert guest.of(Changed)[number].heads == []
    await hall.close()
