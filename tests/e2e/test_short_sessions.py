"""A thousand short sessions, one after the other and at once, leave no descriptor behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.unit.ate.mesh.actors import Certificates, EarPort, EchoHall, descriptors

from ate.mesh.dial import dialer
from ate.mesh.line import Line
from ate.mesh.transport import Dial
from ate.mesh.url import Url
from ate.server import serve
from ate.wire.message import Records, Submit


async def session(url: Url, dial: Dial, number: int) -> None:
    """Connect, say one thing, hear it and go; every third goes without waiting for anything."""
    line, port = Line(url, dial), EarPort()
    ch = line.attach(port)
    if number % 3:
        await port.until("up")
        line.send(Submit(ch, b"%d" % number))
        await port.until("message")
        assert port.messages == [Records(ch, [b"%d" % number])]
    else:
        for _ in range(number % 40):
            await asyncio.sleep(0)
    await line.close()


@pytest.mark.parametrize("kind,count", [("ws", 1000), ("tcp", 1000), ("wss", 100), ("tcps", 100)])
async def test_short_sessions_leave_nothing(kind: str, count: int, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path) if kind in {"wss", "tcps"} else None
    hall = EchoHall()
    server = serve(
        hall,
        websocket=kind.startswith("ws"),
        tcp=kind.startswith("tcp"),
        tls=certificates.server() if certificates else None,
    )
    dial = dialer(tls=certificates.client() if certificates else None)
    async with server:
        url = server.urls[0]
        assert url.scheme == kind
        await session(url, dial, 1)
        before = descriptors()
        for number in range(count // 2):
            await session(url, dial, number)
        for start in range(count // 2, count, 50):
            await asyncio.gather(*(session(url, dial, start + n) for n in range(50)))
        await hall.until(lambda hall: not hall.here)
        async with asyncio.timeout(60):  # the far ends close a moment later
            while descriptors() > before:
                await session(url, dial, 1)
        assert len(asyncio.all_tasks()) == 1
