"""Commits made by hand and a visitor in memory, for the tests of the server's side of a chain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any, Final, TypeVar

from ate.chain.genesis import Founding, prepare_genesis
from ate.chain.ledger import Ledger
from ate.crypto.entropy import system_entropy
from ate.event.commit import Origin, Record, SequencerPart
from ate.event.row import Kind
from ate.ids import ObjectId
from ate.log.memory import MemoryLog
from ate.mesh.hall import Hall
from ate.mesh.root import Root
from ate.mesh.shelf import MemoryShelf
from ate.session import Session
from ate.testing.forger import Forger, Line, certificate_lines
from ate.testing.simclock import SimClock
from ate.testing.tamper import ordered
from ate.wire.codec import Addressed, Codec
from ate.wire.message import AnyMessage, Message, Open, Opened, Records, Submit

NAME: Final = "notes"
CREDIT: Final = 8 << 20
_UNORDERED: Final = SequencerPart(0, 0, 0, bytes(32))
_M = TypeVar("_M", bound=Message)


class Scribe:
    """Makes the commits of one session of one device; unsigned without keys."""

    def __init__(self, device: int = 1, session: int = 1, *, who: Session | None = None) -> None:
        self.who = who
        self.device = device if who is None else who.device
        self.session, self.clock = session, SimClock()
        self.forger = Forger(b"", origin=Origin(self.device, session, 1, 0))
        self.is_known = False

    async def founding(self, name: str = NAME, **founding: Any) -> bytes:
        """Return the first commit of a chain, and belong to it."""
        ledger = Ledger(MemoryLog(), session=self.who, clock=self.clock, entropy=system_entropy)
        roots = (self.who.public,) if self.who else ()
        made, _ = await prepare_genesis(
            ledger, name, Founding(roots, **founding), self.forger.origin
        )
        self.forger.origin = Origin(self.device, self.session, 2, 1)
        self.join(made.root)
        return ordered(made, _UNORDERED)

    def join(self, chain_id: bytes) -> None:
        """Belong to a chain that somebody else founded."""
        self.forger.chain_id = chain_id
        if self.who is not None:
            self.forger.key = self.who.fast(chain_id, self.clock.now_us()).key

    @property
    def lsn(self) -> int:
        """Number of the commit that comes next."""
        return self.forger.origin.lsn

    def commit(self, *lines: Line) -> bytes:
        """Return the next commit."""
        if self.who is not None and not self.is_known:
            introduced = certificate_lines(self.who, self.forger.chain_id, self.clock.now_us())
            lines, self.is_known = (*introduced, *lines), True
        return ordered(self.forger.commit(*lines), _UNORDERED)

    def note(self, body: bytes = b"a note", id: bytes = b"", **fields: Any) -> bytes:
        """Return a commit that stores one object."""
        return self.commit(Line(id or bytes(ObjectId.random()), body=body, **fields))

    def notes(self, number: int, size: int = 16) -> list[bytes]:
        return [self.note(n.to_bytes(4, "big") * (size // 4)) for n in range(number)]

    def deletion(self, id: bytes, base: int) -> bytes:
        return self.commit(Line(id, kind=Kind.TOMBSTONE, base=base, created=base))


class Proof:
    """What a visitor proved: nothing."""

    key_id = b""


class Envoy:
    """A visitor that keeps what it is told, as it would come off the wire."""

    address = "in memory"
    peer = Proof()

    def __init__(self, hall: Hall | None = None, bound: int = 0) -> None:
        self.hall, self.bound = hall, bound
        self.heard: list[AnyMessage] = []
        self.gone: tuple[str, str] | None = None
        self._codec = Codec("msgpack")
        self._changed = asyncio.Event()

    def send(self, *messages: Message | Addressed) -> None:
        plain = self._codec.encode(messages)
        if self.bound and len(plain) > self.bound:
            from ate.errors import LocalProtocolError

            raise LocalProtocolError(f"a message of {len(plain)} bytes is more than the peer takes")
        self.heard += self._codec.decode(plain)
        self._changed.set()

    def close(self, code: str, text: str) -> None:
        self.gone = code, text

    def of(self, kind: type[_M]) -> list[_M]:
        """Return what was said of this kind."""
        return [one for one in self.heard if isinstance(one, kind)]

    async def until(self, kind: type[_M], least: int = 1) -> list[_M]:
        """Wait until so many messages of a kind were said."""
        async with asyncio.timeout(20):
            while len(self.of(kind)) < least:
                self._changed.clear()
                await self._changed.wait()
        return self.of(kind)

    @property
    def frames(self) -> list[bytes]:
        """The log frames that came."""
        return [frame for message in self.of(Records) for frame in message.frames]

    async def until_frames(self, least: int) -> list[bytes]:
        async with asyncio.timeout(20):
            while len(self.frames) < least:
                self._changed.clear()
                await self._changed.wait()
        return self.frames

    @property
    def indexes(self) -> list[int]:
        """The places of the commits that came."""
        return [Record(memoryview(one)).sequencer.index for one in self.frames]

    async def say(self, *messages: Message) -> None:
        assert self.hall is not None
        for message in messages:
            await self.hall.handle(self, message)  # type: ignore[arg-type]

    async def arrive(self) -> Envoy:
        assert self.hall is not None
        await self.hall.arrived(self)
        return self

    async def open(self, name: str = NAME, ch: int = 1, **fields: Any) -> Opened:
        """Open a chain; returns the answer."""
        before = len(self.of(Opened))
        await self.say(Open(ch, name, **{"credit": CREDIT, **fields}))
        return self.of(Opened)[before]

    async def leave(self) -> None:
        assert self.hall is not None
        await self.hall.left(self)


async def visitor(hall: Hall) -> Envoy:
    return await Envoy(hall).arrive()


async def founded(hall: Hall | None = None, **founding: Any) -> tuple[Hall, Envoy, Scribe]:
    """Return a hall with one chain, who founded it, and who writes to it."""
    from ate.wire.message import Accepted

    hall = hall or Hall(MemoryShelf(), clock=SimClock(tick_us=1))
    envoy, scribe = await visitor(hall), Scribe()
    await envoy.open()
    await envoy.say(Submit(1, await scribe.founding(**founding)))
    await envoy.until(Accepted)
    return hall, envoy, scribe


async def rooted(**options: Any) -> tuple[Root, Scribe]:
    """Return a root by itself with a chain that was founded."""
    ledger = Ledger(options.pop("store", None) or MemoryLog(), clock=SimClock(tick_us=1),
                    entropy=system_entropy)  # fmt: skip
    root, scribe, guest = Root(NAME, ledger, **options), Scribe(), Envoy()
    from ate.wire.message import Accepted

    await root.submit(guest, Submit(1, await scribe.founding()))
    await guest.until(Accepted)
    return root, scribe


async def settled(is_so: Callable[[], object]) -> None:
    """Let others work until something is so."""
    async with asyncio.timeout(20):
        for _ in count():
            if is_so():
                return
            await asyncio.sleep(0)
