from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from ate.errors import Disconnected, UsageError
from ate.mesh.transport import CONNECT_S, Transport
from ate.mesh.url import Url
from ate.testing.simlane import WINDOW, SimTransport
from ate.testing.simloop import SimLoop, SimulationFailed, run, sim_loop
from ate.testing.simnet import SimNetwork

SERVER = Url.parse("ws://server")


class Play:
    """A network with one server that keeps its connections for the test to drive."""

    def __init__(self) -> None:
        self.net = SimNetwork(sim_loop())
        self.accepted: asyncio.Queue[SimTransport] = asyncio.Queue()
        self.serve()

    def serve(self) -> None:
        self.net.listen("server", self._accept)

    async def _accept(self, transport: SimTransport) -> None:
        self.accepted.put_nowait(transport)

    async def connect(self, host: str = "alice") -> tuple[Transport, SimTransport]:
        near = await self.net.dial(host)(SERVER)
        far = await self.accepted.get()
        near.frame_max = far.frame_max = 1 << 20
        return near, far


async def received(transport: Transport) -> list[bytes]:
    """Return what comes until the end."""
    frames = []
    while True:
        try:
            frames.append(await transport.receive())
        except Disconnected:
            return frames


def numbered(count: int, size: int = 4) -> list[bytes]:
    return [number.to_bytes(4, "big") + bytes(size - 4) for number in range(count)]


def test_frames_come_in_order_both_ways_and_take_time() -> None:
    async def main() -> None:
        play = Play()
        near, far = await play.connect()
        assert (near.address, far.address) == ("server", "alice")
        start = sim_loop().time()
        assert start > 0
        for frame in numbered(500):
            near.send([frame])
        far.send(numbered(7))
        assert [await far.receive() for _ in range(500)] == numbered(500)
        assert [await near.receive() for _ in range(7)] == numbered(7)
        assert sim_loop().time() > start

    run(main)


def test_connections_overtake_each_other() -> None:
    async def main(seed: int) -> list[int]:
        play = Play()
        order: list[int] = []

        async def read(number: int, far: SimTransport) -> None:
            for _ in range(10):
                await far.receive()
                order.append(number)

        pairs = [await play.connect() for _ in range(3)]
        for near, _ in pairs:
            near.send(numbered(10))
        await asyncio.gather(*(read(n, far) for n, (_, far) in enumerate(pairs)))
        return order

    orders = [run(lambda seed=seed: main(seed), seed=seed) for seed in (1, 1, 2)]  # type: ignore[misc]
    assert orders[0] == orders[1] != orders[2]
    assert sum(a != b for a, b in pairwise(orders[0])) > 3


def test_equal_seeds_give_the_same_trace() -> None:
    digests = []
    for seed in (5, 5, 6):
        loop = SimLoop(seed)

        async def main() -> None:
            play = Play()
            near, far = await play.connect()
            near.send(numbered(50, 2000))
            await far.receive()
            play.net.reset()
            await received(far)

        loop.run(main)
        digests.append(loop.digest)
    assert digests[0] == digests[1] != digests[2]


def test_closing_sends_what_is_queued_and_ends_both_sides() -> None:
    async def main() -> None:
        play = Play()
        near, far = await play.connect()
        reader = asyncio.create_task(received(near))
        near.send(numbered(200, 1000))
        await near.close()
        await near.close()
        assert await reader == []
        assert await received(far) == numbered(200, 1000)
        with pytest.raises(Disconnected):
            await far.drain()
        with pytest.raises(Disconnected):
            await near.drain()
        far.send([b"too late"])
        near.send([b"too late"])
        assert near.queued == far.queued == 0

    run(main)


def test_closing_does_not_wait_for_ever_for_a_peer_that_does_not_read() -> None:
    async def main() -> None:
        play = Play()
        near, _ = await play.connect()
        near.send([bytes(WINDOW)] * 5)
        start = sim_loop().time()
        await near.close()
        assert 1 < sim_loop().time() - start < 10

    run(main)


def test_a_reader_that_is_slow_fills_the_queue_of_the_sender() -> None:
    async def main() -> None:
        play = Play()
        near, far = await play.connect()
        frames = numbered(20, WINDOW // 4)
        near.send(frames)
        assert near.queued == 20 * WINDOW // 4
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await near.drain()
        for frame in frames:
            assert await far.receive() == frame
        await near.drain()
        assert near.queued == 0
        near.send([bytes(3 * WINDOW)])
        assert len(await far.receive()) == 3 * WINDOW, "one larger than the window still passes"

    run(main)


def test_bandwidth_is_a_bound() -> None:
    async def main() -> None:
        play = Play()
        play.net.shape(bytes_per_s=1000, latency_s=(0.0, 0.0), slow_percent=0)
        near, far = await play.connect()
        start = sim_loop().time()
        near.send(numbered(10, 500))
        for _ in range(10):
            await far.receive()
        assert sim_loop().time() - start == pytest.approx(5.0)
        play.net.shape("alice", "server", bytes_per_s=0)
        near.send(numbered(10, 500))
        for _ in range(10):
            await far.receive()
        assert sim_loop().time() - start == pytest.approx(5.0)
        with pytest.raises(UsageError, match="colour"):
            play.net.shape(colour="red")

    run(main)


def test_a_cut_holds_back_and_loses_nothing() -> None:
    async def main() -> None:
        play = Play()
        near, far = await play.connect()
        near.send(numbered(3))
        play.net.cut("alice", "server")
        near.send(numbered(3))
        far.send(numbered(2))
        for end in (near, far):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(600):
                    await end.receive()
        play.net.heal()
        assert [await far.receive() for _ in range(6)] == numbered(3) * 2
        assert [await near.receive() for _ in range(2)] == numbered(2)

    run(main)


def test_a_cut_may_be_one_way() -> None:
    async def main() -> None:
        play = Play()
        near, far = await play.connect()
        play.net.cut("alice", "server", both=False)
        near.send([b"up"])
        far.send([b"down"])
        assert await near.receive() == b"down"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await far.receive()
        play.net.heal("alice", "server")
        assert await far.receive() == b"up"

    run(main)


def test_a_stall_is_late() -> None:
    async def main() -> None:
        play = Play()
        near, far = await play.connect()
        start = sim_loop().time()
        play.net.stall("alice", "server", 40)
        near.send([b"late"])
        again = asyncio.create_task(play.connect())
        assert await far.receive() == b"late"
        assert sim_loop().time() - start >= 40
        with pytest.raises(Disconnected, match="does not answer"):
            await again

    run(main)


def test_a_reset_loses_any_suffix_and_tells_both() -> None:
    lengths = set()

    async def main() -> int:
        play = Play()
        play.net.shape(latency_s=(0.1, 0.1), slow_percent=0, bytes_per_s=0)
        near, far = await play.connect()
        near.send(numbered(8))
        far.send(numbered(8))
        assert play.net.reset("alice", "server") == 1
        assert play.net.reset() == 0
        near.send([b"lost"])
        got = await asyncio.gather(received(near), received(far))
        for frames in got:
            assert frames == numbered(8)[: len(frames)]
        assert play.net.connections("alice", "server") == []
        return len(got[1])

    for seed in range(20):
        lengths.add(run(main, seed=seed))
    assert min(lengths) == 0
    assert max(lengths) == 8
    assert len(lengths) > 4


def test_groups_that_are_parted_do_not_meet() -> None:
    async def main() -> None:
        play = Play()
        near, _ = await play.connect("alice")
        _, far = await play.connect("bob")
        play.net.partition({"alice"}, {"server", "bob"})
        near.send([b"no"])
        with pytest.raises(Disconnected, match="does not answer"):
            await play.net.dial("alice")(SERVER)
        await play.connect("bob")
        await play.connect("carol")
        play.net.heal()
        await play.connect("alice")
        far.send([b"still here"])

    run(main)


def test_a_dial_waits_for_the_network_to_heal() -> None:
    async def main() -> None:
        play = Play()
        play.net.cut("alice", "server")
        task = asyncio.create_task(play.connect())
        await sim_loop().pause(CONNECT_S / 2)
        play.net.heal()
        await task
        assert sim_loop().time() < CONNECT_S

    run(main)


def test_dials_are_refused_where_nobody_listens() -> None:
    async def main() -> None:
        play = Play()
        with pytest.raises(Disconnected, match="no host nowhere") as caught:
            await play.net.dial("alice")(Url.parse("nowhere"))
        assert caught.value.hint
        near, far = await play.connect()
        play.net.refuse("server")
        with pytest.raises(Disconnected, match="refuses"):
            await play.net.dial("alice")(SERVER)
        near.send([b"stays"])
        assert await far.receive() == b"stays"

    run(main)


def test_a_process_that_dies_is_seen_at_once() -> None:
    async def main() -> None:
        play = Play()
        worker = play.net.spawn("server", sim_loop().pause(1000))
        near, far = await play.connect()
        near.send([b"x"] * 9)
        far.send([b"y"] * 9)
        ended = play.net.crash("server")
        assert worker in ended
        got = await received(near)
        assert got == [b"y"] * len(got)
        assert await received(far) == []
        assert worker.cancelled()
        assert sim_loop().time() < 1
        with pytest.raises(Disconnected, match="refuses"):
            await play.net.dial("alice")(SERVER)
        with pytest.raises(Disconnected, match="is down"):
            await play.net.dial("server")(Url.parse("alice"))
        play.net.restart("server")
        play.serve()
        near, far = await play.connect()
        near.send([b"again"])
        assert await far.receive() == b"again"

    run(main)


def test_a_machine_without_power_is_seen_when_it_is_back() -> None:
    async def main() -> None:
        play = Play()
        near, _ = await play.connect()
        play.net.crash("server", silent=True)
        near.send([bytes(WINDOW)] * 3)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await near.receive()
        assert near.queued == 2 * WINDOW
        with pytest.raises(Disconnected, match="does not answer"):
            await play.net.dial("alice")(SERVER)
        play.net.restart("server")
        assert await received(near) == []
        assert near.queued == 0

    run(main)


def test_a_host_that_dies_while_it_dials_gets_no_connection() -> None:
    async def main() -> None:
        play = Play()
        play.net.shape(latency_s=(1.0, 1.0))
        task = asyncio.ensure_future(play.net.dial("alice")(SERVER))
        await sim_loop().pause(0.5)
        play.net.crash("alice")
        with pytest.raises(Disconnected, match="went down"):
            await task

    run(main)


def test_a_server_that_fails_fails_the_run() -> None:
    async def broken(transport: SimTransport) -> None:
        raise LookupError("a bug")

    async def main() -> None:
        net = SimNetwork(sim_loop())
        net.listen("server", broken)
        near = await net.dial("alice")(SERVER)
        await sim_loop().pause(1)
        await near.close()

    with pytest.raises(SimulationFailed, match="a bug"):
        run(main)


def test_hosts_are_listed() -> None:
    async def main() -> None:
        net = SimNetwork(sim_loop())
        net.host("a")
        net.dial("b")
        net.shape("c", "a", bytes_per_s=10)
        assert net.hosts == ["a", "b", "c"]

    run(main)
