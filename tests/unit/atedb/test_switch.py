"""`atedb.switch`: messages go to the hall of their path, until they are held back."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from ate.errors import Disconnected
from ate.mesh.attend import Visitor
from ate.wire.message import Ping
from atedb.switch import Switch


class Peer:
    def __init__(self, path: str) -> None:
        self.path = path


class Guest:
    def __init__(self, path: str) -> None:
        self.peer = Peer(path)
        self.ends: list[tuple[str, str]] = []

    def close(self, code: str = "", text: str = "") -> None:
        self.ends.append((code, text))


class Notebook:
    """A hall that writes down what it is told."""

    def __init__(self) -> None:
        self.notes: list[Any] = []

    async def arrived(self, visitor: Visitor) -> None:
        self.notes.append("arrived")

    async def handle(self, visitor: Visitor, message: Any) -> None:
        self.notes.append(message)

    async def left(self, visitor: Visitor) -> None:
        self.notes.append("left")


async def test_each_path_has_its_hall() -> None:
    one, two = Notebook(), Notebook()
    switch = Switch({"/": one, "/b": two})
    first, second = cast(Visitor, Guest("/")), cast(Visitor, Guest("/b"))
    for visitor, number in ((first, 1), (second, 2)):
        await switch.arrived(visitor)
        await switch.handle(visitor, Ping(number))
    assert switch.visitors == (first, second)
    await switch.left(first)
    assert one.notes == ["arrived", Ping(1), "left"]
    assert two.notes == ["arrived", Ping(2)]


async def test_what_is_held_back_ends_with_the_server() -> None:
    hall, guest = Notebook(), Guest("/")
    switch, visitor = Switch({"/": hall}), cast(Visitor, guest)
    await switch.arrived(visitor)
    switch.hold()
    waiting = asyncio.ensure_future(switch.handle(visitor, Ping(1)))
    await asyncio.sleep(0)
    assert not waiting.done()
    switch.end()
    with pytest.raises(Disconnected):
        await waiting
    assert hall.notes == ["arrived"]
    assert guest.ends == [("", "the server stops: connect again in a moment")]
