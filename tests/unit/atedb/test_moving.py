"""`atedb move`: asks, waits, and says what came of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ate.errors import Redirected
from ate.mesh.guest import Guest
from ate.mesh.hall import HANDLED, Hall
from ate.mesh.shelf import MemoryShelf
from ate.mesh.topology import Place
from ate.server import serve
from ate.wire.message import Moved, Open
from atedb.identity import load_or_new
from atedb.main import main


class Office:
    """Answers as it is told to."""

    def __init__(self) -> None:
        self.asked_for: list[Any] = []
        self.answer: Any = 3

    async def asked(self, visitor: Guest, message: Open) -> Place | None:
        self.asked_for.append((message.name, message.more, visitor.peer.key_id))
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            visitor.send(Moved(message.ch, "ws://here/", self.answer))
        return HANDLED


@asynccontextmanager
async def target() -> AsyncIterator[tuple[str, Hall]]:
    hall = Hall(MemoryShelf())
    async with serve(hall) as server:
        yield server.url, hall
    await hall.close()


async def move(url: str, identity: Path, *words: str) -> int:
    given = ["move", "notes", "--from", "ws://b", "--to", url, "--identity", str(identity)]
    return await asyncio.to_thread(main, [*given, *words])


async def test_it_asks_the_target(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    key, _ = load_or_new(tmp_path / "key")
    async with target() as (url, hall):
        office = hall.office = Office()
        assert await move(url, tmp_path / "key") == 0
        assert capfd.readouterr().out == f"moved notes to {url} (epoch 3)\n"
        more = {"ask": "bring", "url": "ws://b:5000/"}
        assert office.asked_for == [("notes", more, key.public.key_id)]
        assert await move(url, tmp_path / "key", "--json") == 0
        assert json.loads(capfd.readouterr().out)["epoch"] == 3
        office.answer = Redirected("it is at ws://c by now")
        assert await move(url, tmp_path / "key") == 9
        assert "ws://c" in capfd.readouterr().err
        office.answer = 0  # it was there from the beginning, or is nowhere
        assert await move(url, tmp_path / "key") == 0
        assert capfd.readouterr().out.startswith("nothing to move")
        office.answer = None
        assert await move(url, tmp_path / "key", "--timeout", "0.2") == 9
        assert "still on its way" in capfd.readouterr().err


async def test_what_cannot_be_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert await move("ws://127.0.0.1:9/", tmp_path / "none") == 3
    load_or_new(tmp_path / "key")
    assert await move("ws://127.0.0.1:9/", tmp_path / "key") == 9
    async with target() as (url, _):
        assert await move(url, tmp_path / "key") != 0
        assert "in no cluster" in capfd.readouterr().err
