"""A transport that counts what passes through it; it changes no byte."""

from __future__ import annotations

from collections.abc import Sequence

from ate.mesh.transport import Transport
from atedb.metrics import Metrics


class Counted:
    """Passes everything on to a transport.

    Args:
        inner: what carries the frames.
        metrics: where the bytes are counted.
    """

    __slots__ = ("_inner", "_metrics", "address")

    def __init__(self, inner: Transport, metrics: Metrics) -> None:
        self._inner, self._metrics = inner, metrics
        self.address = inner.address

    @property
    def frame_max(self) -> int:
        return self._inner.frame_max

    @frame_max.setter
    def frame_max(self, value: int) -> None:
        self._inner.frame_max = value

    @property
    def queued(self) -> int:
        return self._inner.queued

    def send(self, frames: Sequence[bytes]) -> None:
        self._metrics.sent_bytes.add(sum(map(len, frames)))
        self._inner.send(frames)

    async def drain(self) -> None:
        await self._inner.drain()

    async def receive(self) -> bytes:
        frame = await self._inner.receive()
        self._metrics.received.add(len(frame))
        return frame

    async def close(self) -> None:
        await self._inner.close()
