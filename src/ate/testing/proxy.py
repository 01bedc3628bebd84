"""`Proxy`: a real TCP proxy between clients and a server that breaks what it carries on demand.

It never looks into what it carries, and a byte that it delivers is the byte that was sent: like a
network it is late, or it ends a connection.

    async with Proxy("127.0.0.1", port, pace=RealPace(7)) as proxy:
        ...                              # clients connect to proxy.port
        proxy.blackhole("down")
        proxy.heal()
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

from ate.testing.chance import Chance
from ate.testing.nemesis import Nemesis, Pace

#: "up" is from a client to the server.
Direction: TypeAlias = Literal["up", "down"]

_PIECE: Final = 64 * 1024
#: l_onoff, l_linger: closing discards what is queued and sends a reset.
_LINGER: Final = struct.pack("ii", 1, 0)
_BOTH: Final[tuple[Direction, ...]] = ("up", "down")


@dataclass(eq=False, slots=True)
class _Pair:
    """A connection of a client and the one to the server that belongs to it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    #: In which direction the next piece is torn.
    torn: Direction | None = None

    def reset(self) -> bool:
        """End both with a reset; return whether they stood."""
        stood = not self.client.is_closing()
        for writer in (self.client, self.server):
            _abort(writer)
        return stood


class Proxy:
    """Carries connections from a port of its own to a server.

    Args:
        host, port: of the server.
        pace: for delays, and for where a piece is torn.
        listen_port: where clients connect; any free port when 0.
    """

    def __init__(
        self, host: str, port: int, *, pace: Pace, listen_port: int = 0, name: str = "proxy"
    ) -> None:
        self.name, self.port = name, listen_port
        self._target = host, port
        self._pace, self._chance = pace, pace.chance(name)
        self._pairs: dict[_Pair, None] = {}
        self._gates = {direction: asyncio.Event() for direction in _BOTH}
        self._delay_s = (0.0, 0.0)
        self._losing = False
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._server: asyncio.Server | None = None
        self.heal()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._pairs)

    # --- faults ---------------------------------------------------------------------------------

    def cut(self) -> None:
        """Carry nothing; it waits for `heal`. Who connects meanwhile is held as well."""
        for gate in self._gates.values():
            gate.clear()

    def blackhole(self, direction: Direction) -> None:
        """Carry nothing one way."""
        self._gates[direction].clear()

    def delay(self, least_s: float, most_s: float) -> None:
        """Carry each piece so much later."""
        self._delay_s = (least_s, most_s)

    def heal(self) -> None:
        """End cuts, delays and the losing of replies; what waited goes on."""
        self._delay_s, self._losing = (0.0, 0.0), False
        for gate in self._gates.values():
            gate.set()

    def reset(self) -> int:
        """Reset all connections on both sides, at once; return how many."""
        return sum([pair.reset() for pair in self._pairs])

    def tear(self, direction: Direction) -> int:
        """Let each connection carry only a part of its next piece, then reset it."""
        for pair in self._pairs:
            pair.torn = direction
        return len(self._pairs)

    def lose_replies(self) -> None:
        """Take what clients send to the server; instead of an answer they get a reset."""
        self._losing = True

    # --- the work -------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = None
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            _abort(writer)
        finally:
            del self._tasks[task]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._gates["up"].wait()
        there, back = await asyncio.open_connection(*self._target)
        pair = _Pair(writer, back)
        self._pairs[pair] = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(pair, "up", reader, back))
                group.create_task(self._carry(pair, "down", there, writer))
        except asyncio.CancelledError:
            pair.reset()
        finally:
            del self._pairs[pair]
            for end in (writer, back):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _carry(
        self,
        pair: _Pair,
        direction: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        try:
            while piece := await reader.read(_PIECE):
                await self._gates[direction].wait()
                if self._delay_s[1]:
                    await self._pace.pause(_between(self._chance, self._delay_s))
                if self._losing and direction == "down":
                    pair.reset()
                    return
                if pair.torn == direction:
                    writer.write(piece[: self._chance.below(len(piece))])
                    await writer.drain()
                    pair.reset()
                    return
                writer.write(piece)
                await writer.drain()
            await self._gates[direction].wait()
            writer.write_eof()
        except OSError:
            # What one side sees as broken, the other shall see as broken.
            pair.reset()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset."""
    transport = writer.transport
    if not transport.is_closing():
        one = transport.get_extra_info("socket")
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        transport.abort()


def _between(chance: Chance, bounds: tuple[float, float]) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * chance.below(1_000_000) / 1e6


def proxy_faults(nemesis: Nemesis, proxies: list[Proxy], *, weight: int = 1) -> None:
    """Add all that a proxy can do to what breaks."""

    async def lasting(chance: Chance) -> None:
        proxy = chance.choice(proxies)
        what = chance.choice(("cut", "blackhole up", "blackhole down", "delay", "lose replies"))
        nemesis.note(f"{proxy.name}: {what}")
        if what == "cut":
            proxy.cut()
        elif what == "delay":
            proxy.delay(0.0, 0.2)
        elif what == "lose replies":
            proxy.lose_replies()
        else:
            proxy.blackhole("up" if what.endswith("up") else "down")
        await nemesis.last()
        nemesis.note(f"{proxy.name}: heal")
        proxy.heal()

    async def reset(chance: Chance) -> None:
        proxy = chance.choice(proxies)
        nemesis.note(f"{proxy.name}: reset {proxy.reset()} connections")

    async def tear(chance: Chance) -> None:
        proxy, direction = chance.choice(proxies), chance.choice(_BOTH)
        nemesis.note(f"{proxy.name}: tear {proxy.tear(direction)} connections {direction}")

    for name, fault in (("lasting", lasting), ("reset", reset), ("tear", tear)):
        nemesis.add(f"proxy {name}", fault, weight=weight)
