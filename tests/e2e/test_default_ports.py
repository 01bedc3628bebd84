"""An address without a port means the port of its scheme, where this machine lets us have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ate
from ate.errors import AteError
from ate.mesh.hall import Hall
from ate.mesh.shelf import DiskShelf
from ate.mesh.url import PORTS
from ate.server import serve


@pytest.mark.parametrize("scheme", ["ws", "tcp"])
async def test_an_address_needs_no_port(tmp_path: Path, scheme: str) -> None:
    port = PORTS[scheme]
    options: dict[str, Any] = {"tcp": {"websocket": False, "tcp": True}, "ws": {}}[scheme]
    hall = Hall(DiskShelf(tmp_path))
    server = serve(hall, host="127.0.0.1", port=port, **options)
    try:
        await server.start()
    except (AteError, OSError) as error:
        await hall.close()
        pytest.skip(f"port {port} cannot be had here: {error}")
    try:
        async with ate.open("p", url=f"{scheme}://127.0.0.1/") as chain:
            async with chain.dio() as dio:
                note = dio.store("by its default port")
            assert chain.status.url == f"{scheme}://127.0.0.1/"
        async with ate.open("p", url=f"{scheme}://127.0.0.1:{port}") as chain:
            assert (await chain.dio().load(str, note.id)).value == "by its default port"
    finally:
        await server.close()
        await hall.close()
