"""`SimNetwork`: hosts with names and the connections between them, with faults on demand.

It never touches a real socket. All that chance decides comes from the seed of the loop: how long a
frame is under way, and what a broken connection loses.

    net = SimNetwork(sim_loop())
    net.listen("server", accept)
    transport = await net.dial("alice")(Url.parse("ws://server"))
    net.cut("alice", "server")
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from itertools import permutations
from math import inf
from typing import Any, TypeAlias

from ate.errors import Disconnected, UsageError
from ate.mesh.transport import CONNECT_S, Dial, Transport
from ate.mesh.url import Url
from ate.testing.simlane import Lane, Link, SimTransport
from ate.testing.simloop import SimLoop

#: What a host does with a connection that comes in.
Accept: TypeAlias = Callable[[SimTransport], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class _Host:
    name: str
    accept: Accept | None = None
    is_up: bool = True
    #: A host that went down silently answers nothing, not even with a refusal.
    is_silent: bool = False
    transports: dict[SimTransport, None] = field(default_factory=dict)
    #: Ends that died unseen; their peers are told when the host is back.
    unseen: list[SimTransport] = field(default_factory=list)
    tasks: dict[asyncio.Task[Any], None] = field(default_factory=dict)


class SimNetwork:
    """Hosts, links and connections.

    Args:
        loop: in whose time it all happens.
        purpose: tells apart several networks of one run.
    """

    def __init__(self, loop: SimLoop, *, purpose: str = "network") -> None:
        self._loop = loop
        self._chance = loop.chance(purpose)
        self._hosts: dict[str, _Host] = {}
        self._links: dict[tuple[str, str], Link] = {}
        self._shape: dict[str, Any] = {}
        self._made = 0

    # --- hosts and connections ------------------------------------------------------------------

    def host(self, name: str) -> None:
        """Make a host; those that listen or dial are made by that."""
        self._host(name)

    def listen(self, host: str, accept: Accept) -> None:
        """Run `accept` as a task for each connection to this host, until it crashes or `refuse`."""
        self._host(host).accept = accept

    def refuse(self, host: str) -> None:
        """Listen no more; connections that stand stay."""
        self._host(host).accept = None

    def dial(self, from_host: str) -> Dial:
        """Return what connects from this host; only the host of an address counts."""
        self._host(from_host)

        async def dial(url: Url) -> Transport:
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await self._dial(from_host, url.host)
            except TimeoutError:
                raise Disconnected(
                    f"{url.host} does not answer", hint="is the network up, and the host?"
                ) from None

        return dial

    def spawn(self, host: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something on a host: it is cancelled when the host crashes."""
        tasks = self._host(host).tasks
        task = self._loop.create_task(work, name=f"{host}.{len(tasks)}")
        tasks[task] = None
        task.add_done_callback(lambda done: tasks.pop(done, None))
        return task

    def connections(self, a: str, b: str) -> list[SimTransport]:
        """Return the ends at `a` of the connections that it has with `b`."""
        host = self._host(a)
        for transport in [one for one in host.transports if one.is_gone]:
            del host.transports[transport]
        return [one for one in host.transports if one.address == b]

    async def _dial(self, here: str, there: str) -> SimTransport:
        host = self._hosts.get(there)
        if host is None:
            raise Disconnected(f"there is no host {there}", hint="check the name")
        if not self._host(here).is_up:
            raise Disconnected(f"{here} is down", hint="restart it")
        for road in (self._link(here, there), self._link(there, here)):
            await road.cross(self._loop, self._chance)
            if host.is_silent:
                await self._loop.create_future()
        if not self._host(here).is_up:
            raise Disconnected(f"{here} went down")
        if host.accept is None:
            raise Disconnected(f"{there} refuses the connection", hint="is its server running?")
        self._made += 1
        lanes = [
            Lane(f"{a}>{b}#{self._made}", self._link(a, b), self._loop, self._chance)
            for a, b in ((here, there), (there, here))
        ]
        near = SimTransport(there, lanes[0], lanes[1])
        far = SimTransport(here, lanes[1], lanes[0])
        self._host(here).transports[near] = None
        host.transports[far] = None
        self.spawn(there, host.accept(far)).add_done_callback(self._look)
        return near

    def _look(self, task: asyncio.Task[Any]) -> None:
        """An error of a server must not stay unseen."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Disconnected):
            what = f"{task.get_name()} failed"
            self._loop.call_exception_handler({"message": what, "exception": error})

    def _host(self, name: str) -> _Host:
        if name not in self._hosts:
            self._hosts[name] = _Host(name)
        return self._hosts[name]

    def _link(self, a: str, b: str) -> Link:
        if (a, b) not in self._links:
            self._links[a, b] = replace(Link(), **self._shape)
        return self._links[a, b]

    def _pairs(self, a: str, b: str) -> Iterator[tuple[str, str]]:
        """Yield the directed pairs meant; an empty name means every host."""
        for one, other in permutations(self._hosts, 2):
            if a in {"", one} and b in {"", other}:
                yield one, other

    # --- faults ---------------------------------------------------------------------------------

    @property
    def hosts(self) -> list[str]:
        return list(self._hosts)

    def shape(self, a: str = "", b: str = "", *, both: bool = True, **properties: Any) -> None:
        """Set properties of links, by the names that `Link` has.

        Without names of hosts it is for all links, also those that are yet to come.
        """
        unknown = properties.keys() - {"latency_s", "slow_percent", "slow_s", "bytes_per_s"}
        if unknown:
            raise UsageError(f"a link has no {', '.join(sorted(unknown))}")
        if not a and not b:
            self._shape |= properties
        for pair in self._directions(a, b, both=both):
            for name, value in properties.items():
                setattr(self._link(*pair), name, value)

    def cut(self, a: str = "", b: str = "", *, both: bool = True) -> None:
        """Let nothing from `a` arrive at `b`, nor the other way: it waits for `heal`."""
        for pair in self._directions(a, b, both=both):
            self._link(*pair).set_open(inf)

    def stall(self, a: str, b: str, seconds: float, *, both: bool = True) -> None:
        """Let nothing arrive for some time."""
        until = self._loop.time() + seconds
        for pair in self._directions(a, b, both=both):
            link = self._link(*pair)
            link.set_open(max(link.open_at, until))

    def heal(self, a: str = "", b: str = "") -> None:
        """End cuts and stalls; what waited arrives now."""
        for pair in self._directions(a, b, both=True):
            self._link(*pair).set_open(0.0)

    def partition(self, *groups: set[str]) -> None:
        """Cut every link between hosts of different groups; other hosts reach all of them."""
        for one, other in permutations(groups, 2):
            for a in sorted(one):
                for b in sorted(other):
                    self.cut(a, b, both=False)

    def reset(self, a: str = "", b: str = "") -> int:
        """Break the connections between two hosts; return how many.

        Each side gets a prefix of what was under way to it, then `Disconnected`.
        """
        broken = 0
        for one, other in self._pairs(a, b):
            for transport in self.connections(one, other):
                broken += transport.reset("the connection was reset")
        return broken

    def crash(self, host: str, *, silent: bool = False) -> list[asyncio.Task[Any]]:
        """End what runs on a host, its connections and its listening; return the cancelled tasks.

        Args:
            silent: the machine loses power: peers are not told before `restart`. Otherwise its
                process dies, and the system closes the connections.
        """
        dead = self._host(host)
        dead.is_up, dead.is_silent, dead.accept = False, silent, None
        for transport in list(dead.transports):
            if not transport.is_gone:
                transport.break_off(f"{host} is gone", silent=silent)
                dead.unseen += [transport] if silent else []
        dead.transports.clear()
        tasks = list(dead.tasks)
        for task in tasks:
            task.cancel()
        return tasks

    def restart(self, host: str) -> None:
        """Let a host be up again; it listens when somebody calls `listen`."""
        back = self._host(host)
        back.is_up, back.is_silent = True, False
        for transport in back.unseen:
            transport.tell()
        back.unseen.clear()

    def _directions(self, a: str, b: str, *, both: bool) -> list[tuple[str, str]]:
        for name in (a, b):
            if name:
                self._host(name)
        found = dict.fromkeys(self._pairs(a, b))
        if both:
            found |= dict.fromkeys(self._pairs(b, a))
        return list(found)
