"""A whole server and its clients in one process, in virtual time: hosts crash, links break, disks
fill, clocks jump; then every promise of a shared chain is checked. A failing seed repeats.

The clients speak the protocol by hand, so that each answer of the server is seen as it is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from tests.effort import effort

import ate
from ate.crypto.entropy import SeededEntropy
from ate.errors import AteError, Disconnected
from ate.event.commit import AuthorPart, Origin, Record, SequencerPart
from ate.event.payload import encode_payload
from ate.log.local import LocalLog
from ate.mesh.attend import attend
from ate.mesh.completion import Completions
from ate.mesh.guest import Guest
from ate.mesh.hall import Hall
from ate.mesh.line import Line
from ate.mesh.root import Root
from ate.mesh.shelf import DiskShelf
from ate.mesh.url import Url
from ate.testing.checkers import check
from ate.testing.forger import Forger
from ate.testing.forger import Line as Row
from ate.testing.history import (
    Answer,
    Append,
    Case,
    Entry,
    FinalLog,
    Head,
    History,
    Lookup,
    Operation,
    Read,
    Stated,
)
from ate.testing.nemesis import Nemesis, clock_jumps, crashes, disk_faults, network_faults
from ate.testing.platter import STYLES, Style
from ate.testing.simdisk import SimDisk
from ate.testing.simlane import SimTransport
from ate.testing.simloop import SimLoop
from ate.testing.simnet import SimNetwork
from ate.wire.message import (
    Accepted,
    AnyMessage,
    Failed,
    Message,
    Open,
    Opened,
    Records,
    Refused,
    Submit,
)
from ate.wire.terms import PeerSession

#: More of them take the time: ATE_SEEDS=1000 pytest tests/simulation/test_server_and_clients.py
SEEDS = int(os.environ.get("ATE_SEEDS", effort(40, 400)))
CHAIN = "c"
CREDIT = 1 << 30
#: A killed process leaves all it wrote to the system.
KILLED = Style("killed", "all", "all")
#: A client that waits longer for an answer writes `info` and asks again.
PATIENCE_S = 5.0


class Server:
    """A host that runs a hall on a disk, and may lose either."""

    def __init__(self, loop: SimLoop, net: SimNetwork, make: type[Hall]) -> None:
        self.loop, self.net, self.clock, self.make = loop, net, loop.clock(), make
        self.disk = SimDisk(int(loop.chance("disk").below(1 << 30)))
        self.chance = loop.chance("power")
        self.lives = 0

    def entropy(self) -> SeededEntropy:
        self.lives += 1
        return SeededEntropy(f"{self.loop.seed} {self.lives}".encode())

    async def found(self) -> None:
        """Make the chain that all write to."""
        chain = await ate.open(
            CHAIN, path="/s", disk=self.disk, clock=self.clock, entropy=self.entropy()
        )
        await chain.close()

    def start(self) -> None:
        entropy = self.entropy()
        self.hall = hall = self.make(DiskShelf("/s", self.disk), clock=self.clock, entropy=entropy)

        async def accept(transport: SimTransport) -> None:
            await attend(transport, hall, server_id=hall.server_id, entropy=entropy)

        self.net.listen("server", accept)

    async def crash(self, host: str, power: bool) -> None:
        """Lose the process or the power; now and then the process is asked to end just before."""
        if self.chance.happens(30):
            await self.hall.close()
        style = self.chance.choice(STYLES) if power else KILLED
        self.disk = self.disk.cut(style)
        await asyncio.gather(*self.net.crash(host, silent=power), return_exceptions=True)

    async def restart(self, host: str) -> None:
        self.net.restart(host)
        self.start()

    def final(self, server: str, disk: SimDisk) -> FinalLog:
        log = LocalLog.open(f"/s/{CHAIN}", disk=disk, readonly=True)
        entries, leaves = [], []
        for _, payload in log.scan():
            record = Record(memoryview(bytes(payload)))
            author, place = record.author, record.sequencer
            # The first commit founds the chain: no client sent it.
            origin = author.origin[:3] if place.index else (0, 0, 0)
            entries.append(
                Entry(
                    place.first_seq, place.index, record.root.hex(), *origin,
                    rows=author.row_count,
                )
            )  # fmt: skip
            leaves.append(record.leaf)
        log.close()
        return FinalLog(server, CHAIN, entries, leaves=leaves)


@dataclass(eq=False)
class Client:
    """A device that appends, one commit after the other, and follows the chain."""

    device: int
    line: Line
    loop: SimLoop
    history: History
    stated: list[Stated]
    follows: bool
    forger: Forger = field(default_factory=lambda: Forger(b""))
    last: int = 0
    head: int = 0
    held: int = 0
    next: int = 1
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Future[Accepted | Refused] | None = None
    opening: tuple[Operation, int] | None = None

    def __post_init__(self) -> None:
        self.chance = self.loop.chance(f"client {self.device}")
        self.ch = self.line.attach(self)

    # --- what the line says ---

    def connected(self, peer: PeerSession) -> None:
        if self.opening is None:
            operation = self.history.invoke(f"client {self.device}", Head(CHAIN))
            self.opening = operation, 0
        mine, held = [(self.device, 1)], self.held
        opening = Open(self.ch, CHAIN, commits=held, sources=mine, follow=self.follows)
        self.line.send(msgspec.structs.replace(opening, credit=CREDIT))

    def disconnected(self, error: AteError) -> None:
        self.opened.clear()
        if self.opening is not None:
            self.history.info(self.opening[0])
            self.opening = None
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(error)

    def received(self, message: AnyMessage) -> None:
        match message:
            case Opened():
                assert self.opening is not None
                self.history.ok(self.opening[0], Answer(head=message.head))
                self.opening = None
                self.forger.chain_id = message.chain_id
                self.head = message.head
                self._told(*message.last[0])
                self.stated.append(Stated(CHAIN, message.commits, message.root, "opened"))
                self.opened.set()
            case Accepted() | Refused() if message.lsn == self.forger.origin.lsn - 1:
                # The answer to an attempt that was given up may come after that to the next one.
                if self.waiting is not None and not self.waiting.done():
                    self.waiting.set_result(message)
            case Records():
                self._read([Record(memoryview(frame)) for frame in message.frames])
            case Failed():
                self.disconnected(Disconnected(message.text))
                self.loop.call_later(1.0, self._again)

    def _told(self, lsn: int, seq: int) -> None:
        """What a server says of my commits when it opens the chain is an answer like any other."""
        self.last = lsn
        if lsn:
            lookup = Lookup(CHAIN, self.device, 1, lsn)
            self.history.ok(self.history.invoke(f"client {self.device}", lookup), Answer(seq=seq))

    def _again(self) -> None:
        if self.line.is_up:
            self.line.detach(self.ch)
            self.ch = self.line.attach(self)

    def _read(self, records: list[Record]) -> None:
        """What is streamed is a read that starts where the last one ended."""
        operation = self.history.invoke(f"client {self.device}", Read(CHAIN, self.next))
        entries = [(record.first_seq, record.root.hex()) for record in records]
        self.history.ok(operation, Answer(entries=entries))
        self.held, self.next = self.held + len(records), records[-1].last_seq + 1
        self.head = max(self.head, records[-1].last_seq)

    # --- what it does ---

    async def work(self, until: Callable[[], bool]) -> None:
        lsn = 0
        while not until():
            await self.opened.wait()
            await self.loop.pause(self.chance.below(1500) / 1000)
            lsn += 1
            await self._commit(lsn)

    async def _commit(self, lsn: int) -> None:
        """Send one commit until its fate is known, always the same bytes."""
        await self.opened.wait()
        self.forger.origin = Origin(self.device, 1, lsn, self.last)
        bodies = range(1 + self.chance.below(3))
        rows = [Row(self.chance.bytes(16), body=self.chance.bytes(50)) for _ in bodies]
        commit = self.forger.commit(*rows)
        parts = encode_payload(commit, SequencerPart(0, 0, 0, bytes(32)), [None] * len(rows))
        payload = b"".join(bytes(part) for part in parts)
        at = self.head if self.chance.happens(30) else None
        call = Append(CHAIN, self.device, 1, lsn, commit.root.hex(), at=at, rows=len(rows))
        while True:
            await self.opened.wait()
            if self.last == lsn and self.chance.happens(50):
                return  # and otherwise it asks again, which must change nothing
            operation = self.history.invoke(f"client {self.device}", call)
            self.waiting = self.loop.create_future()
            self.line.send(Submit(self.ch, payload, at=at))
            try:
                async with asyncio.timeout(PATIENCE_S):
                    answer = await self.waiting
            except (AteError, TimeoutError):
                self.history.info(operation)
                continue
            if isinstance(answer, Accepted):
                self.history.ok(operation, Answer(seq=answer.first_seq, index=answer.index))
                self.last = lsn
                return
            if answer.again:
                self.history.info(operation, Answer(code=answer.code))
                await self.loop.pause(answer.retry_ms / 1000)
                continue
            told = answer.theirs if answer.code == "conflict" else None
            self.history.fail(operation, Answer(code=answer.code, head=told))
            return


@dataclass
class Run:
    """One seed.

    Args:
        followers: so many of the six clients get what the others write.
        hall: makes the server's hall; one with a bug, maybe.
        flush_s: so long may a flush in a thread take.
    """

    seed: int
    seconds: float = 20.0
    followers: int = 6
    hall: type[Hall] = Hall
    flush_s: float = 0.001
    case: Case = field(default_factory=Case)
    log: list[str] = field(default_factory=list)
    digest: str = ""

    def run(self) -> list[str]:
        loop = SimLoop(self.seed, limit_s=3600, executor_s=self.flush_s)
        loop.run(self.main)
        self.digest = loop.digest
        return check(self.case)

    async def main(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        net = SimNetwork(loop)
        server = Server(loop, net, self.hall)
        await server.found()
        server.start()
        history, stated = History(loop.time), list[Stated]()
        lines = [
            Line(Url.parse("ws://server"), net.dial(f"host {n}"), entropy=SeededEntropy(n))
            for n in range(1, 4)
        ]
        clients = [
            Client(10 * n + k, line, loop, history, stated, 2 * n + k - 2 < self.followers)
            for n, line in enumerate(lines, 1)
            for k in range(2)
        ]
        nemesis = Nemesis(loop, every_s=(0.1, 1.0), lasts_s=(0.1, 4.0))
        network_faults(nemesis, net)
        crashes(nemesis, ["server"], server.crash, server.restart, weight=2)
        clock_jumps(nemesis, {"server": server.clock})
        disk_faults(nemesis, ["server"], lambda _: server.disk)
        ended = False
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.work(lambda: ended))
            await nemesis.run(self.seconds)
            net.heal()
            server.disk.heal()
            await loop.pause(10)
            ended = True
        for line in lines:
            await line.close()
        after_power_cut = server.disk.cut(STYLES[0])
        await server.hall.close()
        logs = [server.final("s", server.disk), server.final("after a power cut", after_power_cut)]
        self.case = Case(history.operations, logs, stated)
        self.log = nemesis.log

    def acknowledged(self) -> int:
        return sum(
            one.outcome == "ok" and isinstance(one.call, Append) for one in self.case.operations
        )


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_promise_holds_whatever_breaks(seed: int) -> None:
    run = Run(seed)
    broken = run.run()
    assert not broken, "\n".join([f"seed {seed}", *run.log, *broken])
    assert run.acknowledged() > 20


def test_equal_seeds_give_the_same_trace() -> None:
    runs = [Run(seed, followers=1) for seed in (1, 1, 2)]
    for run in runs:
        assert run.run() == []
    assert runs[0].digest == runs[1].digest != runs[2].digest
    assert runs[0].log == runs[1].log


class SlowDisk(Hall):
    """Its disk is one on which a flush takes so long that it runs in a thread."""

    def _opened(self, root: Root) -> None:
        super()._opened(root)
        root._flusher._usual_s += 1e9  # an attribute of that name must be there


def test_every_promise_holds_while_a_flush_takes_its_time() -> None:
    for seed in range(12):
        run = Run(seed, hall=SlowDisk, flush_s=0.5)
        broken = run.run()
        assert not broken, "\n".join([f"seed {seed}", *run.log, *broken])


class AcknowledgesBeforeSync(Hall):
    """What is written is in the page cache: good enough, says the bug."""

    def _opened(self, root: Root) -> None:
        super()._opened(root)
        root.__class__ = Unsynced


class Unsynced(Root):
    async def _flush(self) -> None:
        pass


class ForgetsAnswers(Hall):
    """It does not know a commit again that is sent again."""

    def _opened(self, root: Root) -> None:
        super()._opened(root)
        root.completions = Forgetful(root.ledger)


class Forgetful(Completions):
    def find(self, *origin: object) -> None:
        return None


class IgnoresConditions(Hall):
    """It appends wherever the head is."""

    async def handle(self, visitor: Guest, message: Message) -> None:
        if isinstance(message, Submit):
            message = msgspec.structs.replace(message, at=None)
        await super().handle(visitor, message)


class AnswersFirst(Hall):
    """It says that a commit is accepted as soon as it has been received."""

    async def handle(self, visitor: Guest, message: Message) -> None:
        if isinstance(message, Submit):
            view = self._channel(visitor, message.ch).root.ledger.view
            device, session, lsn, _ = AuthorPart.decode(message.commit).origin
            visitor.send(
                Accepted(message.ch, device, session, lsn, view.head + 1, view.frontier.size)
            )
        await super().handle(visitor, message)


class SwallowsTheLastBatch(SlowDisk):
    """It says that what waits is accepted when it is asked to end, and drops it."""

    def _opened(self, root: Root) -> None:
        super()._opened(root)
        root.__class__ = Swallowing


class Swallowing(Root):
    async def close(self) -> None:
        swallowed, self._inbox = self._inbox, []
        for guest, message in swallowed:
            origin = AuthorPart.decode(memoryview(message.commit)).origin[:3]
            place = self.ledger.view.head + 1, self.ledger.view.frontier.size
            guest.send(Accepted(message.ch, *origin, *place))
        await super().close()


class OldHead(Hall):
    """It tells those who come the head of a while ago."""

    def _enter(self, visitor: Guest, message: Open, root: Root, *more: Any) -> None:
        view = root.ledger.view
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(view, "head", max(view.head - 5, 0))
            super()._enter(visitor, message, root, *more)


@pytest.mark.parametrize(
    "bug, caught",
    [
        (AcknowledgesBeforeSync, {"C1", "C4", "C5", "C6", "C10"}),
        (ForgetsAnswers, {"C2", "C3"}),
        (IgnoresConditions, {"C8"}),
        (AnswersFirst, {"C1"}),
        (SwallowsTheLastBatch, {"C1"}),
        (OldHead, {"C6"}),
    ],
)
def test_a_planted_bug_is_caught(bug: type[Hall], caught: set[str]) -> None:
    found: set[str] = set()
    for seed in range(24):
        run = Run(seed, hall=bug, flush_s=0.5 if issubclass(bug, SlowDisk) else 0.001)
        found |= {line.split(":")[0] for line in run.run()}
        if found & caught:
            return
    pytest.fail(f"{bug.__name__} was not caught, only {found}")
