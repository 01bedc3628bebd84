"""One server and its clients in virtual time: links break and hosts die when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import ate
from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import SigningKey
from ate.dio.chain import Chain
from ate.log.local import LocalLog
from ate.mesh.attend import attend
from ate.mesh.hall import Hall
from ate.mesh.pins import Pins
from ate.mesh.registry import Registry
from ate.mesh.shelf import DiskShelf
from ate.mesh.stating import stating
from ate.testing.platter import Style
from ate.testing.simdisk import SimDisk
from ate.testing.simloop import SimLoop, run, sim_loop
from ate.testing.simnet import SimNetwork
from ate.testing.stage import member

#: A killed process leaves all it wrote to the system.
KILLED = Style("killed", "all", "all")
NAME = "notes"


@dataclass
class Note:
    text: str = ""
    n: int = 0


@dataclass
class Device:
    """A client's machine: its disk, its clock, its network; all survive the process."""

    world: World
    name: str
    disk: SimDisk
    clock: Any
    lines: Registry
    pins: Pins = field(default_factory=lambda: Pins(None))
    chains: list[Chain] = field(default_factory=list)

    async def open(self, who: str = "alice", **options: Any) -> Chain:
        """Open the chain in the running process."""
        connection = {"lines": self.lines, "pins": self.pins, **options.pop("connection", {})}
        given = {"path": "/d", "disk": self.disk, "session": member(who), "clock": self.clock}
        given |= {"entropy": self.world.entropy(), "recovery": "async", "name": NAME}
        if options.get("memory"):
            del given["path"]
        given |= options
        chain = await ate.open(given.pop("name"), url="ws://server", connection=connection, **given)
        self.chains.append(chain)
        return chain

    async def kill(self, style: Style = KILLED) -> None:
        """End the process at once; what it wrote is on the disk as `style` says."""
        self.disk = self.disk.cut(style)
        old, self.lines = self.lines, self.world.lines(self.name)
        for chain in self.chains:
            for task in (chain._writer._task, chain._remote and chain._remote.link._task):
                if task is not None:
                    task.cancel()
        self.chains.clear()
        await old.close()


class World:
    """See the module."""

    def __init__(self, *, signs: bool = False, hall: type[Hall] = Hall) -> None:
        self.loop: SimLoop = sim_loop()
        self.net = SimNetwork(self.loop)

        self.clock = self.loop.clock()
        self.disk = SimDisk(1)
        self.identity = SigningKey.generate(SeededEntropy(77)) if signs else None
        self.hall_type, self.lives = hall, 0

    def entropy(self) -> SeededEntropy:
        self.lives += 1
        return SeededEntropy(f"{self.loop.seed} {self.lives}".encode())

    def start(self) -> Hall:
        """Start the server."""
        self.net.restart("server")
        state = stating(self.identity) if self.identity is not None else None
        self.hall = hall = self.hall_type(
            DiskShelf("/s", self.disk), clock=self.clock, entropy=self.entropy(), state=state
        )

        async def accept(transport: Any) -> None:
            await attend(transport, hall, identity=self.identity, server_id=hall.server_id)

        self.net.listen("server", accept)
        return hall

    async def stop(self, style: Style = KILLED) -> None:
        """Kill the server."""
        self.disk = self.disk.cut(style)
        await asyncio.gather(*self.net.crash("server"), return_exceptions=True)

    def lines(self, host: str) -> Registry:
        return Registry(self.net.dial(host), entropy=self.entropy(), agent="test")

    def device(self, name: str = "one", ahead_s: float = 0.0) -> Device:
        """Return a machine."""
        return Device(self, name, SimDisk(1), self.loop.clock(ahead_s), self.lines(name))

    async def log(self) -> list[Any]:
        """Return the records that the server has, in order."""
        from ate.event.prefix import is_commit
        from ate.event.thinned import decode_record

        log = LocalLog.open(f"/s/{NAME}", disk=self.disk, readonly=True)
        found = [decode_record(memoryview(bytes(p))) for _, p in log.scan() if is_commit(p)]
        log.close()
        return found


def play(main: Callable[[World], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run a test in a world of its own."""
    seed = options.pop("seed", 1)
    starts = options.pop("starts", True)

    async def inside() -> None:
        world = World(**options)
        if starts:
            world.start()
        await main(world)

    run(inside, seed=seed, limit_s=3600)


async def texts(chain: Chain) -> list[str]:
    return sorted([dao.value.text async for dao in chain.dio().all(Note)])


async def put(chain: Chain, text: str, durability: ate.Durability | None = None) -> Any:
    dio = chain.dio()
    dao = dio.store(Note(text))
    await dio.commit(durability)
    return dao


async def until(chain: Chain, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    assert chain._remote is not None
    await chain._remote.wait(condition, timeout_s)
