"""`atedb.counted`: bytes are counted, and pass as they are."""

from __future__ import annotations

from collections.abc import Sequence

from ate.mesh.transport import Transport
from atedb.counted import Counted
from atedb.metrics import Metrics


class Echo:
    """A transport that gives back what it was sent."""

    def __init__(self) -> None:
        self.address = "192.0.2.1"
        self.frame_max = 100
        self.frames: list[bytes] = []
        self.drained = self.closed = 0

    @property
    def queued(self) -> int:
        return sum(map(len, self.frames))

    def send(self, frames: Sequence[bytes]) -> None:
        self.frames += frames

    async def drain(self) -> None:
        self.drained += 1

    async def receive(self) -> bytes:
        return self.frames.pop(0)

    async def close(self) -> None:
        self.closed += 1


async def test_everything_passes_and_bytes_are_counted() -> None:
    echo, metrics = Echo(), Metrics()
    one: Transport = Counted(echo, metrics)
    assert one.address == "192.0.2.1"
    one.send([b"abc", b"de"])
    assert one.queued == 5
    assert await one.receive() == b"abc"
    assert metrics.sent_bytes.values == {"": 5}
    assert metrics.received.values == {"": 3}
    one.frame_max = 7
    assert (one.frame_max, echo.frame_max) == (7, 7)
    await one.drain()
    await one.close()
    assert (echo.drained, echo.closed) == (1, 1)
