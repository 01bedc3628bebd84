"""An address without a port means the one that servers listen on, whatever the scheme."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ate
from ate.errors import AteError
from ate.mesh.hall import Hall
from ate.mesh.shelf import DiskShelf
from ate.mesh.url import PORT
from ate.server import serve


async def test_an_address_needs_no_port(tmp_path: Path) -> None:
    """One after the other: both are on the same port."""
    await _needs_no_port(tmp_path / "ws", "ws", {})
    await _needs_no_port(tmp_path / "tcp", "tcp", {"websocket": False, "tcp": True})


async def _needs_no_port(folder: Path, scheme: str, options: dict[str, Any]) -> None:
    hall = Hall(DiskShelf(folder))
    server = serve(hall, host="127.0.0.1", port=PORT, **options)
    try:
        await server.start()
    except (AteError, OSError) as error:
        await hall.close()
        pytest.skip(f"port {PORT} cannot be had here: {error}")
    try:
        async with ate.open("p", url=f"{scheme}://127.0.0.1/") as chain:
            async with chain.dio() as dio:
                note = dio.store("by its default port")
            assert chain.status.url == f"{scheme}://127.0.0.1:{PORT}/"
        async with ate.open("p", url=f"{scheme}://127.0.0.1:{PORT}") as chain:
            assert (await chain.dio().load(str, note.id)).value == "by its default port"
    finally:
        await server.close()
        await hall.close()
