from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.ate.mesh.actors import Certificates

from ate.errors import Disconnected
from ate.mesh import tcp, websocket
from ate.mesh.dial import dialer
from ate.mesh.url import Url


async def test_the_scheme_says_how() -> None:
    accepted: asyncio.Queue[tcp.TcpTransport] = asyncio.Queue()
    listener = await tcp.listen(accepted.put_nowait, "127.0.0.1", 0, tls=None)
    near = await dialer()(Url("tcp", "127.0.0.1", listener.port))
    assert isinstance(near, tcp.TcpTransport)
    far = await accepted.get()
    await asyncio.gather(near.close(), far.close())
    await listener.close()


async def test_websockets_too() -> None:
    async def serve(transport: websocket.WebSocketTransport) -> None:
        with pytest.raises(Disconnected):
            await transport.receive()

    listener = await websocket.listen(serve, "127.0.0.1", 0, frame_max=1 << 16, tls=None)
    near = await dialer()(Url("ws", "127.0.0.1", listener.port))
    assert isinstance(near, websocket.WebSocketTransport)
    await near.close()
    await listener.close()


async def test_servers_are_verified_unless_said_otherwise(tmp_path: Path) -> None:
    accepted: asyncio.Queue[tcp.TcpTransport] = asyncio.Queue()
    certificates = Certificates(tmp_path)
    listener = await tcp.listen(accepted.put_nowait, "127.0.0.1", 0, tls=certificates.server())
    url = Url("tcps", "127.0.0.1", listener.port)
    with pytest.raises(Disconnected, match="TLS failed"):
        await dialer()(url)
    near = await dialer(tls=certificates.client())(url)
    far = await accepted.get()
    await asyncio.gather(near.close(), far.close())
    await listener.close()


def test_what_is_not_used_is_not_imported() -> None:
    code = "import sys, ate.mesh.registry; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
