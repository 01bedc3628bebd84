from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from ate.errors import Disconnected, OutOfSpace, StorageError
from ate.mesh.url import Url
from ate.testing.chance import Chance
from ate.testing.nemesis import Nemesis, RealPace, clock_jumps, crashes, disk_faults, network_faults
from ate.testing.simclock import START_US
from ate.testing.simdisk import SimDisk
from ate.testing.simlane import SimTransport
from ate.testing.simloop import SimLoop, run, sim_loop
from ate.testing.simnet import SimNetwork

SERVER = Url.parse("ws://server")


class Counting:
    """A server that counts frames; a client that sends them for ever, whatever breaks."""

    def __init__(self) -> None:
        self.net = SimNetwork(sim_loop())
        self.frames = self.connections = 0
        self.calls: list[str] = []
        self.net.listen("server", self.serve)

    async def serve(self, transport: SimTransport) -> None:
        self.connections += 1
        while True:
            await transport.receive()
            self.frames += 1

    async def crash(self, host: str, power: bool) -> None:
        self.calls.append(f"crash {host}")
        await asyncio.gather(*self.net.crash(host, silent=power), return_exceptions=True)

    async def restart(self, host: str) -> None:
        self.calls.append(f"restart {host}")
        self.net.restart(host)
        self.net.listen("server", self.serve)

    async def send(self) -> None:
        while True:
            try:
                transport = await self.net.dial("alice")(SERVER)
                while True:
                    transport.send([b"frame"])
                    async with asyncio.timeout(3):
                        await transport.drain()
                        await sim_loop().pause(0.1)
            except (Disconnected, TimeoutError):
                await sim_loop().pause(0.1)


def test_everything_breaks_and_everything_is_mended() -> None:
    async def main() -> list[str]:
        play = Counting()
        nemesis = Nemesis(sim_loop())
        network_faults(nemesis, play.net, weight=2)
        client = asyncio.create_task(play.send())
        await nemesis.run(600)
        seen = play.frames
        await sim_loop().pause(60)
        client.cancel()
        assert play.frames - seen > 500, "all is well after it is done"
        return nemesis.log

    log = run(main)
    kinds = Counter(line.split()[1] for line in log)
    assert set(kinds) == {"cut", "heal", "stall", "reset", "part", "done"}
    assert min(kinds[one] for one in ("cut", "stall", "reset", "part")) > 10
    assert any("cut alice to server" in line for line in log)
    assert any("cut server to alice" in line for line in log)
    assert any("reset" in line and not line.endswith(" 0 connections") for line in log)


def test_equal_seeds_break_the_same_things() -> None:
    async def main() -> list[str]:
        play = Counting()
        nemesis = Nemesis(sim_loop())
        network_faults(nemesis, play.net)
        client = asyncio.create_task(play.send())
        await nemesis.run(60)
        client.cancel()
        return nemesis.log

    logs, digests = [], []
    for seed in (1, 1, 2):
        loop = SimLoop(seed)
        logs.append(loop.run(main))
        digests.append(loop.digest)
    assert logs[0] == logs[1] != logs[2]
    assert digests[0] == digests[1] != digests[2]


def test_what_is_crashed_is_started_again() -> None:
    async def main() -> None:
        play = Counting()
        nemesis = Nemesis(sim_loop(), every_s=(0.1, 0.5))
        crashes(nemesis, ["server"], play.crash, play.restart)
        client = asyncio.create_task(play.send())
        await nemesis.run(100)
        assert play.calls == ["crash server", "restart server"] * (len(play.calls) // 2)
        assert len(play.calls) > 10
        words = Counter(line.split(" ", 1)[1] for line in nemesis.log)
        assert words["kill server"]
        assert words["power off server"]
        seen = play.frames
        await sim_loop().pause(60)
        client.cancel()
        assert play.frames > seen

    run(main)


def test_clocks_jump_and_come_back() -> None:
    async def main() -> None:
        clocks = {name: sim_loop().clock() for name in ("a", "b")}
        nemesis = Nemesis(sim_loop(), lasts_s=(1.0, 2.0))
        clock_jumps(nemesis, clocks, most_s=30)
        wrong = set()

        async def watch() -> None:
            while True:
                await sim_loop().pause(0.1)
                off = clocks["a"].now_us() - START_US - round(sim_loop().time() * 1e6)
                wrong.add(round(off / 1e6))

        watching = asyncio.create_task(watch())
        await nemesis.run(300)
        watching.cancel()
        assert min(wrong) < -10
        assert max(wrong) > 10
        assert clocks["a"].now_us() == clocks["b"].now_us()

    run(main)


def test_disks_fail_and_come_back() -> None:
    async def main() -> None:
        disk = SimDisk()
        failures = Counter[type[StorageError]]()
        nemesis = Nemesis(sim_loop())
        disk_faults(nemesis, ["server"], lambda _: disk)

        async def write() -> None:
            file = disk.create("f")
            while True:
                await sim_loop().pause(0.1)
                try:
                    file.pwrite([b"x"], 0)
                    file.datasync()
                except StorageError as error:
                    failures[type(error)] += 1

        writing = asyncio.create_task(write())
        await nemesis.run(200)
        writing.cancel()
        assert failures[OutOfSpace] > 10
        assert failures[StorageError] > 3

    run(main)


def test_a_fault_of_ones_own() -> None:
    async def main() -> list[int]:
        drawn: list[int] = []

        async def mine(chance: Chance) -> None:
            drawn.append(chance.below(100))

        nemesis = Nemesis(sim_loop(), every_s=(1, 1))
        nemesis.add("mine", mine)
        await nemesis.run(20)
        return drawn

    assert len(run(main)) == 20
    assert len(set(run(main))) > 5


def test_a_fault_that_fails_fails_the_run() -> None:
    async def broken(chance: Chance) -> None:
        raise LookupError("cannot restart")

    async def main() -> None:
        nemesis = Nemesis(sim_loop())
        nemesis.add("broken", broken)
        await nemesis.run(20)

    with pytest.raises(ExceptionGroup) as caught:
        run(main)
    assert caught.value.subgroup(LookupError)


def test_without_faults_it_ends() -> None:
    async def main() -> list[str]:
        nemesis = Nemesis(sim_loop())
        await nemesis.run(1000)
        return nemesis.log

    assert run(main) == ["0.000 done"]


async def test_in_real_time_it_is_the_same() -> None:
    told: list[str] = []
    drawn: list[int] = []

    async def mine(chance: Chance) -> None:
        drawn.append(chance.below(100))
        nemesis.note("mine")
        await nemesis.last()

    for _ in range(2):
        pace = RealPace(5, told.append)
        nemesis = Nemesis(pace, every_s=(0.004, 0.004), lasts_s=(0.001, 0.001))
        nemesis.add("mine", mine)
        start = pace.time()
        await nemesis.run(0.05)
        assert pace.time() - start > 0.02
        assert "nemesis: mine" in told
        drawn.append(-1)
    await RealPace(1).pause(0)
    RealPace(1).note("nobody listens")
    middle = drawn.index(-1)
    shorter = min(middle, len(drawn) - middle - 2)
    assert 0 < shorter <= 13
    assert drawn[:shorter] == drawn[middle + 1 : middle + 1 + shorter]
