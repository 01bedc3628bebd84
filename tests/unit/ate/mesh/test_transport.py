"""What every transport does, on real sockets: both kinds, with and without TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.unit.ate.mesh.actors import Certificates, descriptors

from ate.errors import Disconnected
from ate.mesh import tcp, websocket
from ate.mesh.dial import dialer
from ate.mesh.transport import CLOSE_S, QUEUE_HIGH, Listener, Transport
from ate.mesh.url import SCHEMES, Url

FRAME_MAX = 1 << 20


class Ends:
    """A listener of one kind, and what connects to it."""

    def __init__(self, scheme: str, folder: Path) -> None:
        self.scheme = scheme
        certificates = Certificates(folder) if scheme in {"wss", "tcps"} else None
        self.server_tls = certificates.server() if certificates else None
        self.client_tls = certificates.client() if certificates else None
        self.accepted: asyncio.Queue[Transport] = asyncio.Queue()
        self.listener: Listener | None = None
        self._over = asyncio.Event()

    async def listen(self) -> None:
        if self.scheme.startswith("tcp"):
            self.listener = await tcp.listen(
                self.accepted.put_nowait, "127.0.0.1", 0, tls=self.server_tls
            )
        else:
            self.listener = await websocket.listen(
                self._serve, "127.0.0.1", 0, frame_max=FRAME_MAX, tls=self.server_tls
            )

    async def _serve(self, transport: Transport) -> None:
        self.accepted.put_nowait(transport)
        await self._over.wait()

    @property
    def url(self) -> Url:
        assert self.listener is not None
        return Url(self.scheme, "127.0.0.1", self.listener.port)

    async def connect(self) -> tuple[Transport, Transport]:
        near = await dialer(tls=self.client_tls)(self.url)
        far = await self.accepted.get()
        near.frame_max = far.frame_max = FRAME_MAX
        return near, far

    async def close(self) -> None:
        assert self.listener is not None
        self._over.set()
        self.listener.stop()
        await self.listener.close()


@asynccontextmanager
async def ends(scheme: str, folder: Path) -> AsyncIterator[Ends]:
    made = Ends(scheme, folder)
    await made.listen()
    try:
        yield made
    finally:
        await made.close()


schemes = pytest.mark.parametrize("scheme", SCHEMES)


@schemes
async def test_frames_arrive_whole_and_in_order_both_ways(scheme: str, tmp_path: Path) -> None:
    async with ends(scheme, tmp_path) as made:
        near, far = await made.connect()
        assert near.address == far.address == "127.0.0.1"
        frames = [
            bytes([n]) * size for n, size in enumerate((1, 125, 126, 65_535, 65_536, FRAME_MAX))
        ]
        for one, other in ((near, far), (far, near)):
            one.send(frames)
            one.send(frames[:1])
            assert [await other.receive() for _ in range(7)] == [*frames, frames[0]]
        await asyncio.gather(near.close(), far.close())


@schemes
async def test_what_is_queued_is_sent_before_the_end(scheme: str, tmp_path: Path) -> None:
    async with ends(scheme, tmp_path) as made:
        near, far = await made.connect()
        frame = bytes(FRAME_MAX)
        for _ in range(20):
            near.send([frame])
        assert near.queued > 0
        closing = asyncio.create_task(near.close())
        for _ in range(20):
            assert await far.receive() == frame
        with pytest.raises(Disconnected):
            await far.receive()
        await asyncio.gather(closing, far.close())
        near.send([frame])  # dropped
        assert near.queued == 0


@schemes
async def test_what_a_server_queues_is_counted(scheme: str, tmp_path: Path) -> None:
    """One call may be all of it: the bound on what a peer leaves unread stands on this."""
    async with ends(scheme, tmp_path) as made:
        near, far = await made.connect()
        frame = bytes(FRAME_MAX)
        far.send([frame] * 100)
        assert far.queued > 0
        for _ in range(100):
            assert await near.receive() == frame
        await asyncio.gather(near.close(), far.close())


@schemes
async def test_an_end_wakes_who_waits_on_both_sides(scheme: str, tmp_path: Path) -> None:
    async with ends(scheme, tmp_path) as made:
        near, far = await made.connect()
        waiting = [asyncio.create_task(one.receive()) for one in (near, far)]
        await asyncio.sleep(0)
        await near.close()
        for task in waiting:
            with pytest.raises(Disconnected):
                await task
        for one in (near, far):
            with pytest.raises(Disconnected):
                await one.receive()
            await one.close()
            await one.close()
            with pytest.raises(Disconnected):
                await one.drain()


@schemes
async def test_a_peer_that_does_not_read_fills_a_queue_that_can_be_waited_for(
    scheme: str, tmp_path: Path
) -> None:
    async with ends(scheme, tmp_path) as made:
        near, far = await made.connect()
        sent, stuck = 0, None
        while stuck is None:
            near.send([bytes(FRAME_MAX)])
            sent += 1
            drain = asyncio.create_task(near.drain())
            done, _ = await asyncio.wait([drain], timeout=0.3)
            stuck = None if done else drain
        assert near.queued > QUEUE_HIGH
        assert sent < 64  # what the system holds, and little more
        for _ in range(sent):
            assert len(await far.receive()) == FRAME_MAX
        await stuck
        assert near.queued <= QUEUE_HIGH
        await asyncio.gather(near.close(), far.close())


@schemes
async def test_closing_towards_a_peer_that_does_not_read_ends_in_time(
    scheme: str, tmp_path: Path
) -> None:
    async with ends(scheme, tmp_path) as made:
        near, far = await made.connect()
        near.send([bytes(FRAME_MAX)] * 30)
        began = asyncio.get_running_loop().time()
        await near.close()
        assert asyncio.get_running_loop().time() - began < CLOSE_S + 1
        await far.close()


@schemes
async def test_a_reset_is_a_disconnection(scheme: str, tmp_path: Path) -> None:
    async with ends(scheme, tmp_path) as made:
        near, far = await made.connect()
        stream: asyncio.Transport = near._stream  # type: ignore[attr-defined]
        stream.abort()
        with pytest.raises(Disconnected):
            await far.receive()
        with pytest.raises(Disconnected):
            await near.receive()
        far.send([b"x"])
        await asyncio.gather(near.close(), far.close())


@schemes
async def test_small_frames_leave_at_once(scheme: str, tmp_path: Path) -> None:
    async with ends(scheme, tmp_path) as made:
        both = await made.connect()
        for one in both:
            stream: asyncio.Transport = one._stream  # type: ignore[attr-defined]
            assert stream.get_extra_info("socket").getsockopt(6, 1) == 1  # TCP_NODELAY
        await asyncio.gather(*(one.close() for one in both))


@schemes
async def test_nothing_stays_open(scheme: str, tmp_path: Path) -> None:
    async with ends(scheme, tmp_path) as made:
        await _once(made)
        before = descriptors()
        for _ in range(30):
            await _once(made)
        assert descriptors() <= before


async def _once(made: Ends) -> None:
    near, far = await made.connect()
    near.send([b"x"])
    await far.receive()
    await asyncio.gather(near.close(), far.close())
