"""A town in one process and in virtual time: server hosts, and clients that use the library.

Hosts lose their processes or their power at any moment; it checks nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import Any, Final

from tests.sharing.deeds import Done, Task, Worker, follow, watch
from tests.sharing.journal import AUTHOR, Author, Broken, Journal
from tests.sharing.verdict import Truth

import ate
from ate.crypto.entropy import SeededEntropy
from ate.dio.chain import Chain
from ate.errors import AteError, Disconnected, Forked, OutOfSpace, StorageError, TrustError
from ate.log.local import LocalLog
from ate.mesh.attend import attend
from ate.mesh.hall import Hall
from ate.mesh.pins import Pins
from ate.mesh.registry import Registry
from ate.mesh.shelf import DiskShelf
from ate.mesh.transport import Transport
from ate.mesh.url import Url
from ate.session import KeyPair, Session
from ate.testing.chance import Chance
from ate.testing.history import Follower
from ate.testing.platter import STYLES, Style
from ate.testing.simdisk import SimDisk
from ate.testing.simlane import SimTransport
from ate.testing.simloop import SimLoop
from ate.testing.simnet import SimNetwork

#: A killed process leaves all it wrote to the system.
KILLED: Final = Style("killed", "all", "all")
MODES: Final = ("async", "readonly-async", "readonly-sync", "sync")
KEYS: Final = KeyPair.from_seeds("alice", b"\1" * 64, b"\2" * 32)


class Life:
    """What one start of a client runs, to be ended as a whole."""

    def __init__(self) -> None:
        self.is_over = False
        self.tasks: dict[asyncio.Task[Any], None] = {}


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


class TownLoop(SimLoop):
    """A simulated loop that knows which task belongs to which life."""

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = super().create_task(coro, **options)
        life = LIFE.get()
        if life is not None:
            life.tasks[task] = None
            task.add_done_callback(life.tasks.pop)
            if life.is_over:
                task.cancel()
        return task


class Server:
    """A host that runs a hall on a disk, and may lose either."""

    def __init__(self, name: str, loop: SimLoop, net: SimNetwork, make: type[Hall] = Hall) -> None:
        self.name, self.loop, self.net, self.make = name, loop, net, make
        self.clock = loop.clock()
        self.disk = SimDisk(int(loop.chance(f"disk of {name}").below(1 << 30)))
        self.chance = loop.chance(f"power of {name}")
        self.lives = 0
        self.truths: dict[str, Truth] = {}

    def start(self) -> None:
        self.lives += 1
        entropy = SeededEntropy(f"{self.loop.seed} {self.name} {self.lives}".encode())
        self.hall = hall = self.make(DiskShelf("/s", self.disk), clock=self.clock, entropy=entropy)

        async def accept(transport: SimTransport) -> None:
            await attend(transport, hall, server_id=hall.server_id, entropy=entropy)

        self.net.listen(self.name, accept)

    async def crash(self, power: bool) -> None:
        """Lose the process or the power; now and then the process is asked to end just before."""
        if self.chance.happens(30):
            await self.hall.close()
        style = self.chance.choice(STYLES) if power else KILLED
        self.disk = self.disk.cut(style)
        await asyncio.gather(*self.net.crash(self.name, silent=power), return_exceptions=True)

    async def restart(self) -> None:
        if self.chance.happens(25):
            await self.compact()
        self.net.restart(self.name)
        self.start()

    async def compact(self) -> None:
        """Compact the chains while the server is down, as `ate compact` does."""
        for name, truth in self.truths.items():
            try:
                chain = await ate.open(
                    name, path="/s", disk=self.disk, clock=self.clock, create=False,
                    entropy=self.chance.bytes,
                )  # fmt: skip
            except AteError:
                continue
            truth.read(chain._ledger.store)
            try:
                await chain.compact()
                truth.is_thinned = True
            except AteError:
                pass
            await chain.close()

    def lengths(self) -> dict[str, int]:
        """Return the seq of the last row of each chain that is in use."""
        return {name: root.ledger.view.head for name, root in self.hall.roots.items()}

    def read(self) -> None:
        """Take in what the logs have."""
        for name, truth in self.truths.items():
            log = LocalLog.open(f"/s/{name}", disk=self.disk, readonly=True)
            truth.read(log)
            log.close()


class Client:
    """A host whose program follows some chains and does deeds on them, life after life."""

    #: As whom it opens them.
    who = "alice"
    keys = KEYS

    def __init__(
        self, name: str, loop: TownLoop, net: SimNetwork, journal: Journal,
        chains: dict[str, str],
    ) -> None:  # fmt: skip
        self.name, self.loop, self.net, self.journal = name, loop, net, journal
        self.places = chains
        self.chance = loop.chance(f"client {name}")
        self.clock = loop.clock(self.chance.below(2000) / 1000 - 1, drift_ppm=self.chance.below(99))
        self.disk = SimDisk(int(self.chance.below(1 << 30)))
        self.keeps = not self.chance.happens(20)
        self.mode = self.chance.choice(MODES)
        self.sparse = 40 if self.chance.happens(20) else 0
        self.lives = self.numbers = 0
        self.chains: dict[str, Chain] = {}
        self.followers: dict[str, Follower] = {}
        self.is_ending = False
        self.life: Life | None = None
        self.author: Author | None = None

    def start(self) -> None:
        """Start the program."""
        self.lives += 1
        self.life = Life()
        self.author = Author(self.journal, f"{self.name}.{self.lives}")
        self.chains = {}
        context = copy_context()
        context.run(LIFE.set, self.life)
        context.run(AUTHOR.set, self.author)
        for place in self.places:
            context.run(self.loop.create_task, self._live(self.life, self.author, place))

    async def crash(self, power: bool) -> None:
        """Lose the program, or the machine's power."""
        life, author = self.life, self.author
        assert life is not None
        assert author is not None
        life.is_over = True
        author.die()
        style = self.chance.choice(STYLES) if power else KILLED
        self.disk = self.disk.cut(style)
        self.net.crash(self.name, silent=power)
        for task in tuple(life.tasks):
            task.cancel()

    async def restart(self) -> None:
        self.net.restart(self.name)
        self.start()

    # --- one life on one chain ---

    async def open(self, name: str, entropy: SeededEntropy, lines: Registry, **more: Any) -> Chain:
        session = Session(self.who, self.keys)
        options: dict[str, Any] = {"recovery": self.mode, "sparse": self.sparse, **more}
        if self.keeps:
            options |= {"path": "/c", "disk": self.disk}
        return await ate.open(
            name, url=f"ws://{self.places[name]}", session=session, clock=self.clock,
            entropy=entropy, durability=ate.Durability.FULL,
            connection={"lines": lines, "pins": Pins(None), "home": None, "timeout_s": 3.0},
            **options,
        )  # fmt: skip

    async def arrive(self, name: str) -> None:
        """Bring a chain up to date at the end of a run; one whose disk had failed is reopened."""
        chain = self.chains.get(name)
        if chain is not None:
            try:
                await chain.sync(20)
                return
            except AteError:
                assert chain._remote is not None
                if not isinstance(chain._remote.link.trouble, StorageError):
                    raise
                with suppress(AteError):
                    await chain.close()
                chain._ledger.store.close()
        assert self.life is not None
        entropy = SeededEntropy(f"{self.loop.seed} {self.name} {name} at the end".encode())
        AUTHOR.set(Author(self.journal, f"{self.name}.{self.lives + 1}"))
        self.chains[name] = await self.open(name, entropy, self.registry(self.life, entropy))
        await self.chains[name].sync(20)

    def stop_following_on_bad_disks(self) -> None:
        """Expect no news of a copy whose disk had failed: it has to be opened again."""
        for name, chain in self.chains.items():
            assert chain._remote is not None
            if isinstance(chain._remote.link.trouble, StorageError):
                self.followers[name].until = self.loop.time()

    def registry(self, life: Life, entropy: SeededEntropy) -> Registry:
        dial = self.net.dial(self.name)

        async def dial_while_alive(url: Url) -> Transport:
            if life.is_over:
                raise Disconnected("this life is over")
            here = LIFE.set(None)  # what the server does for us does not end with us
            try:
                return await dial(url)
            finally:
                LIFE.reset(here)

        return Registry(dial_while_alive, entropy=entropy, agent=self.name)

    async def _live(self, life: Life, author: Author, name: str) -> None:
        chance = Chance(f"{self.loop.seed}/{author.name}/{name}")
        tries = 0
        while not life.is_over and not self.is_ending:
            tries += 1
            entropy = SeededEntropy(f"{self.loop.seed} {author.name} {name} {tries}".encode())
            lines = self.registry(life, entropy)
            try:
                chain = await self.open(name, entropy, lines)
            except (Forked, TrustError) as error:
                self.journal.note(Broken(f"{author.name} cannot open {name}: {error!r}"))
                return
            except AteError as error:
                self.loop.note(f"{author.name}: {name}: {error.code}")
                await lines.close()
                await self.loop.pause(0.5)
                continue
            self.chains[name] = chain
            try:
                await self._use(chain, author, chance)
            except StorageError as error:
                # What a program does whose disk fails: it ends, and is started again.
                self.loop.note(f"{author.name}: {name}: {error.code}")
                if self.chains.get(name) is not chain:
                    return  # somebody has it in hand already
                del self.chains[name]
                try:
                    await chain.close()
                except AteError:
                    chain._ledger.store.close()
                await lines.close()
                await self.loop.pause(0.5)
            else:
                return

    async def _use(self, chain: Chain, author: Author, chance: Chance) -> None:
        def until() -> bool:
            return self.is_ending

        self.followers[str(chain.name)] = follower = follow(chain, author)
        watching = self.loop.create_task(watch(chain, author, self.loop, chain.head))
        compacts = chance.happens(20)
        self.numbers += 1
        workers = [
            Worker(
                chain, author, Chance(f"{chance.below(1 << 60)}"), self.loop, life=self.lives,
                number=100_000 * self.numbers + 1000 * n, compacts=compacts, seals=not n,
                keeps=self.keeps,
            )
            for n in range(1 + chance.below(2))
        ]  # fmt: skip
        try:
            async with asyncio.TaskGroup() as group:
                for worker in workers:
                    group.create_task(worker.work(until))
                group.create_task(end_with_the_disk(chain, until))
        except BaseExceptionGroup as errors:
            watching.cancel()
            follower.until = min(follower.until, self.loop.time())
            raise errors.exceptions[0] from None


async def end_with_the_disk(chain: Chain, until: Callable[[], bool]) -> None:
    """Raise when the copy here cannot be written any more, as a program finds in the status."""
    assert chain._remote is not None
    async for _ in chain.statuses():
        trouble = chain._remote.link.trouble
        if isinstance(trouble, StorageError) and not isinstance(trouble, OutOfSpace):
            raise trouble
        if until():
            return


async def state_of(chain: Chain) -> dict[str, object]:
    """Return every object of a chain by its id."""
    return {dao.id.hex(): dao.value async for dao in chain.dio().all(dict)}


async def jobs_of(chain: Chain) -> tuple[list[str], list[str]]:
    """Return the jobs that were done, and those that wait."""
    dio = chain.dio()
    done = [dao.value.job async for dao in dio.all(Done)]
    return done, [dao.value.token.strip("<>") async for dao in dio.all(Task)]
