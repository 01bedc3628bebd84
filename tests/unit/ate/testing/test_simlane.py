from __future__ import annotations

import asyncio
from math import inf

import pytest

from ate.errors import Disconnected, RemoteProtocolError
from ate.mesh.transport import CLOSE_S, QUEUE_HIGH
from ate.testing.chance import Chance
from ate.testing.simlane import WINDOW, Lane, Link, SimTransport
from ate.testing.simloop import run, sim_loop


def pair(link: Link | None = None) -> tuple[SimTransport, SimTransport]:
    """Two ends; both lanes are on the same road."""
    road = link or Link(latency_s=(0.01, 0.02), slow_percent=0)
    loop = sim_loop()
    there, back = (Lane(name, road, loop, loop.chance(name)) for name in ("a>b", "b>a"))
    near, far = SimTransport("b", there, back), SimTransport("a", back, there)
    near.frame_max = far.frame_max = 1 << 20
    return near, far


def test_a_frame_that_is_too_long_ends_the_connection() -> None:
    async def main() -> None:
        near, far = pair()
        far.frame_max = 10
        near.send([bytes(10), bytes(11), b"more"])
        assert await far.receive() == bytes(10)
        with pytest.raises(RemoteProtocolError, match="11 bytes, over 10"):
            await far.receive()
        for end in (near, far):
            with pytest.raises(Disconnected):
                await end.receive()

    run(main)


def test_delays_are_between_the_bounds_and_now_and_then_long() -> None:
    chance = Chance(1)
    plain = Link(latency_s=(0.5, 1.5), slow_percent=0)
    assert all(0.5 <= plain.delay(chance) <= 1.5 for _ in range(200))
    slow = Link(latency_s=(0.5, 1.5), slow_percent=10, slow_s=100)
    assert 5 < sum(slow.delay(chance) > 1.5 for _ in range(200)) < 50


def test_crossing_waits_until_the_link_is_open() -> None:
    async def main() -> None:
        link, loop = Link(latency_s=(1, 1), slow_percent=0), sim_loop()
        await link.cross(loop, loop.chance("x"))
        assert loop.time() == 1
        link.set_open(10)
        await link.cross(loop, loop.chance("x"))
        assert loop.time() == 10
        link.set_open(inf)
        task = asyncio.create_task(link.cross(loop, loop.chance("x")))
        await loop.pause(10)
        assert not task.done()
        link.set_open(0)
        await task
        assert loop.time() == 20
        assert not link.dials

    run(main)


def test_a_frame_is_copied_when_it_is_sent() -> None:
    async def main() -> None:
        near, far = pair()
        frame = bytearray(b"frame")
        near.send([bytes(frame)])
        near.send([frame])  # type: ignore[list-item]
        frame[:] = b"other"
        assert [await far.receive(), await far.receive()] == [b"frame", b"frame"]

    run(main)


def test_drain_returns_below_the_bound() -> None:
    async def main() -> None:
        near, far = pair()
        near.send([bytes(1024)] * ((WINDOW + QUEUE_HIGH) // 1024 + 2))
        task = asyncio.create_task(near.drain())
        await sim_loop().pause(60)
        assert not task.done()
        for _ in range(4):
            await far.receive()
        await task
        assert near.queued <= QUEUE_HIGH

    run(main)


def test_the_end_comes_after_the_frames_and_frees_the_link() -> None:
    async def main() -> None:
        link = Link(latency_s=(0.01, 0.02))
        near, far = pair(link)
        assert len(link.lanes) == 2
        near.send([b"one", b"two"])
        await near.close()
        assert near.is_gone
        assert [await far.receive(), await far.receive()] == [b"one", b"two"]
        with pytest.raises(Disconnected, match="closed"):
            await far.receive()
        assert far.is_gone
        await sim_loop().pause(1)
        assert not link.lanes

    run(main)


def test_a_broken_lane_gives_a_prefix_of_what_was_under_way() -> None:
    async def main() -> int:
        near, far = pair(Link(latency_s=(1, 1), bytes_per_s=0))
        near.send([bytes([n]) for n in range(5)])
        assert near.reset("reset")
        assert not near.reset("again")
        got = []
        with pytest.raises(Disconnected, match="reset"):
            while True:
                got.append(await far.receive())
        assert got == [bytes([n]) for n in range(len(got))]
        return len(got)

    assert {run(main, seed=seed) for seed in range(40)} == {0, 1, 2, 3, 4, 5}


def test_a_silent_end_is_seen_when_it_is_told() -> None:
    async def main() -> None:
        near, far = pair()
        near.send([b"one"])
        near.break_off("no power", silent=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1000):
                await far.receive()
        near.tell()
        with pytest.raises(Disconnected, match="no power"):
            while True:
                await far.receive()

    run(main)


def test_breaking_off_wakes_those_who_wait() -> None:
    async def main() -> None:
        near, _ = pair()
        near.send([bytes(WINDOW)] * 3)
        waiting = [asyncio.create_task(one) for one in (near.drain(), near.receive())]
        await sim_loop().pause(1)
        near.break_off("gone")
        for task in waiting:
            with pytest.raises(Disconnected, match="gone"):
                await task

    run(main)


def test_a_close_that_takes_too_long_breaks_off() -> None:
    async def main() -> None:
        near, far = pair()
        near.send([bytes(WINDOW)] * 3)
        await near.close()
        assert CLOSE_S <= sim_loop().time() < CLOSE_S + 1
        with pytest.raises(Disconnected):
            for _ in range(3):
                await far.receive()

    run(main)


def test_what_is_sent_after_the_end_is_dropped() -> None:
    async def main() -> None:
        near, far = pair()
        far.break_off("gone")
        near.send([b"into nothing"])
        with pytest.raises(Disconnected, match="gone"):
            await near.receive()
        near.send([b"more"])
        assert near.queued == 0
        assert repr(near) == "<a>b>"

    run(main)
