"""Connects to an address by the scheme it has; it never tries a second way.

What is not used is not imported: a program that stays local never loads the HTTP library.
"""

from __future__ import annotations

import ssl

from ate import limits
from ate.mesh.transport import Dial, Transport
from ate.mesh.url import Url


def dialer(*, tls: ssl.SSLContext | None = None, frame_max: int = limits.FRAME_BYTES_MAX) -> Dial:
    """Return what connects a line.

    Args:
        tls: how servers under TLS are verified; by the system's certificates when not given.
        frame_max: the largest frame to take.
    """

    async def dial(url: Url) -> Transport:
        context = (tls or ssl.create_default_context()) if url.is_secure else None
        if url.is_websocket:
            from ate.mesh import websocket

            return await websocket.dial(url, frame_max=frame_max, tls=context)
        from ate.mesh import tcp

        return await tcp.dial(url, tls=context)

    return dial
