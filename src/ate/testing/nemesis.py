"""`Nemesis`: breaks things at moments that its seed decides, and mends each one; it checks nothing.

nemesis = Nemesis(sim_loop())
network_faults(nemesis, net)
crashes(nemesis, ["server"], crash, restart)
async with asyncio.TaskGroup() as group:
    group.create_task(work())
    group.create_task(nemesis.run(60))
# here everything is mended
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from ate.errors import OutOfSpace, StorageError
from ate.testing.chance import Chance
from ate.testing.simdisk import SimDisk
from ate.testing.simnet import SimNetwork

#: Breaks something, waits as long as it wants, and mends it. What it needs of chance it takes from
#: its argument; it returns at once when there is nothing to break.
Fault: TypeAlias = Callable[[Chance], Awaitable[None]]
#: Ends what a host runs, and its connections. The second argument says that power is lost.
Crash: TypeAlias = Callable[[str, bool], Awaitable[None]]
Restart: TypeAlias = Callable[[str], Awaitable[None]]


class Jumps(Protocol):
    """A clock that can be set: `HostClock`, `SimClock`."""

    def jump(self, seconds: float) -> None: ...


class Pace(Protocol):
    """The time that a nemesis lives in: a `SimLoop`, or `RealPace`."""

    def time(self) -> float:
        """Return seconds."""
        ...

    def chance(self, purpose: str) -> Chance:
        """Return choices of their own for one purpose."""
        ...

    def note(self, text: str) -> None:
        """Hear what is done."""
        ...

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        ...


class RealPace:
    """The time of this machine: faults for real processes, of which a seed decides the order.

    Args:
        told: hears what is done.
    """

    def __init__(self, seed: int | str, told: Callable[[str], None] | None = None) -> None:
        self.seed, self._told = seed, told

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def chance(self, purpose: str) -> Chance:
        return Chance(f"{self.seed}/{purpose}")

    def note(self, text: str) -> None:
        if self._told is not None:
            self._told(text)

    async def pause(self, seconds: float) -> None:
        never = asyncio.get_running_loop().create_future()
        await asyncio.wait([never], timeout=seconds)


class Nemesis:
    """Lets faults happen for a while.

    Args:
        pace: in whose time.
        every_s: from one fault to the next; those that last may overlap.
        lasts_s: how long a fault lasts that ends.
    """

    def __init__(
        self,
        pace: Pace,
        *,
        every_s: tuple[float, float] = (0.5, 4.0),
        lasts_s: tuple[float, float] = (0.1, 15.0),
        purpose: str = "nemesis",
    ) -> None:
        #: What it did, with the time, for the message of a failure.
        self.log: list[str] = []
        self._pace, self._every_s, self._lasts_s = pace, every_s, lasts_s
        self._chance = pace.chance(purpose)
        self._faults: list[tuple[str, Fault]] = []

    def add(self, name: str, fault: Fault, *, weight: int = 1) -> None:
        """Make a kind of fault known; one of twice the weight happens twice as often."""
        self._faults += [(name, fault)] * weight

    def note(self, what: str) -> None:
        """Say what was done, in the log and in the trace."""
        self.log.append(f"{self._pace.time():.3f} {what}")
        self._pace.note(f"nemesis: {what}")

    def between(self, bounds: tuple[float, float]) -> float:
        """Return a number between the two."""
        return bounds[0] + (bounds[1] - bounds[0]) * self._chance.below(1_000_000) / 1e6

    async def last(self) -> None:
        """Return when a fault has lasted long enough."""
        await self._pace.pause(self.between(self._lasts_s))

    async def run(self, seconds: float) -> None:
        """Break things for so long; return when all is mended."""
        end = self._pace.time() + seconds
        async with asyncio.TaskGroup() as group:
            while self._faults:
                pause = self.between(self._every_s)
                if self._pace.time() + pause > end:
                    break
                await self._pace.pause(pause)
                name, fault = self._chance.choice(self._faults)
                group.create_task(self._one(name, fault))
        self.note("done")

    async def _one(self, name: str, fault: Fault) -> None:
        await fault(Chance(f"{name}/{self._chance.below(1 << 62)}"))


def network_faults(nemesis: Nemesis, net: SimNetwork, *, weight: int = 1) -> None:
    """Add cuts of both ways and of one, stalls, resets and partitions, between any hosts."""

    def pair(chance: Chance) -> tuple[str, str]:
        a = chance.choice(net.hosts)
        return a, chance.choice([name for name in net.hosts if name != a])

    async def cut(chance: Chance, *, both: bool = True) -> None:
        a, b = pair(chance)
        nemesis.note(f"cut {a} {'and' if both else 'to'} {b}")
        net.cut(a, b, both=both)
        await nemesis.last()
        nemesis.note(f"heal {a} and {b}")
        net.heal(a, b)

    async def cut_one_way(chance: Chance) -> None:
        await cut(chance, both=False)

    async def stall(chance: Chance) -> None:
        a, b = pair(chance)
        seconds = nemesis.between((0.05, 5.0))
        nemesis.note(f"stall {a} and {b} for {seconds:.3f} s")
        net.stall(a, b, seconds)

    async def reset(chance: Chance) -> None:
        a, b = pair(chance)
        nemesis.note(f"reset {a} and {b}: {net.reset(a, b)} connections")

    async def partition(chance: Chance) -> None:
        one = {name for name in net.hosts if chance.happens(50)}
        nemesis.note(f"part {sorted(one)} from the others")
        net.partition(one, set(net.hosts) - one)
        await nemesis.last()
        nemesis.note("heal all")
        net.heal()

    for name, fault in (
        ("cut", cut), ("one way", cut_one_way), ("stall", stall), ("reset", reset),
        ("partition", partition),
    ):  # fmt: skip
        nemesis.add(name, fault, weight=weight)


def crashes(
    nemesis: Nemesis, hosts: Sequence[str], crash: Crash, restart: Restart, *, weight: int = 1
) -> None:
    """Add crashes of these hosts, half of them with loss of power; each is started again."""
    down: dict[str, None] = {}

    async def strike(chance: Chance) -> None:
        up = [name for name in hosts if name not in down]
        if not up:
            return
        host, power = chance.choice(up), chance.happens(50)
        down[host] = None
        nemesis.note(f"{'power off' if power else 'kill'} {host}")
        await crash(host, power)
        await nemesis.last()
        nemesis.note(f"start {host}")
        await restart(host)
        del down[host]

    nemesis.add("crash", strike, weight=weight)


def clock_jumps(
    nemesis: Nemesis, clocks: Mapping[str, Jumps], *, most_s: float = 60.0, weight: int = 1
) -> None:
    """Add clocks that are set wrong and, a while later, right."""

    async def jump(chance: Chance) -> None:
        host = chance.choice(list(clocks))
        seconds = nemesis.between((-most_s, most_s))
        nemesis.note(f"set the clock of {host} by {seconds:+.3f} s")
        clocks[host].jump(seconds)
        await nemesis.last()
        nemesis.note(f"set the clock of {host} right")
        clocks[host].jump(-seconds)

    nemesis.add("clock", jump, weight=weight)


_FULL: Final = OutOfSpace("cannot write: no space left on device")
_EIO: Final = StorageError("cannot flush: input/output error")


def disk_faults(
    nemesis: Nemesis, hosts: Sequence[str], disk_of: Callable[[str], SimDisk], *, weight: int = 1
) -> None:
    """Add disks that are full for a while, and flushes that fail once.

    Args:
        disk_of: the disk that a host has now; a power cut gives it another one.
    """

    async def full(chance: Chance) -> None:
        host = chance.choice(hosts)
        disk = disk_of(host)
        nemesis.note(f"fill the disk of {host}")
        disk.fail("write", _FULL, skip=chance.below(4), times=-1)
        await nemesis.last()
        nemesis.note(f"empty the disk of {host}")
        disk.heal()

    async def flush(chance: Chance) -> None:
        host = chance.choice(hosts)
        nemesis.note(f"a flush of {host} fails")
        disk_of(host).fail("sync", _EIO)

    nemesis.add("full", full, weight=weight)
    nemesis.add("flush", flush, weight=weight)
