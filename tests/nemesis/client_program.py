"""A client as a process of its own: it does deeds on some chains until it is told to end.

SIGUSR1: stop, and bring all that waits to the servers. SIGTERM: the same, then say how every chain
is in the end, and exit. It may be killed at any moment, and goes on from its outbox.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.sharing.deeds import Worker, note_setback, watch
from tests.sharing.journal import AUTHOR, Author, Broken, Facts, Journal, install
from tests.sharing.town import KEYS, end_with_the_disk, state_of

import ate
from ate.clock import SystemClock
from ate.crypto.hash import hasher
from ate.dio.chain import Chain
from ate.errors import AteError, Forked, StorageError, TrustError
from ate.mesh.pins import Pins
from ate.session import Session
from ate.testing.chance import Chance
from ate.testing.nemesis import RealPace

#: Commits of one task group: what tasks commit at one moment leaves together.
BURST = 24


class Config(msgspec.Struct):
    """What this client is to do.

    Args:
        name, life: of the client, and the number of this start.
        chains: where each chain is.
    """

    name: str
    life: int
    mode: str
    chains: dict[str, str]
    path: str
    journal: str


class Program:
    """One life of a client."""

    def __init__(self, config: Config, journal: Journal) -> None:
        self.config, self.journal = config, journal
        self.author = Author(journal, f"{config.name}.{config.life}")
        self.pace = RealPace(self.author.name)
        self.stopping, self.ending = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self.stopping.set)
        loop.add_signal_handler(signal.SIGTERM, self._end)
        self.journal.note(Facts("up", "", self.author.name))
        AUTHOR.set(self.author)
        async with asyncio.TaskGroup() as group:
            for at, name in enumerate(self.config.chains):
                group.create_task(self._follow(name, at))

    def _end(self) -> None:
        self.stopping.set()
        self.ending.set()

    async def _follow(self, name: str, at: int) -> None:
        tries = 0
        while True:
            tries += 1
            try:
                chain = await self._open(name)
            except (Forked, TrustError) as error:
                self.journal.note(Broken(f"{self.author.name} cannot open {name}: {error!r}"))
                return
            except AteError:
                await self.pace.pause(0.2)
                continue
            try:
                await self._use(chain, 1_000_000 * at + 10_000 * tries)
                await self._finish(chain)
                return
            except StorageError:
                await self.pace.pause(0.2)
            finally:
                try:
                    await chain.close()
                except AteError:
                    chain._ledger.store.close()

    async def _open(self, name: str) -> Chain:
        return await ate.open(
            name, path=self.config.path, url=self.config.chains[name],
            session=Session("alice", KEYS), recovery=self.config.mode,
            connection={"pins": Pins(None), "home": None, "timeout_s": 5.0},
        )  # fmt: skip

    async def _use(self, chain: Chain, number: int) -> None:
        watching = asyncio.create_task(watch(chain, self.author, self.pace, chain.head))
        chance = Chance(f"{self.author.name}/{chain.name}/{number}")
        workers = [
            Worker(
                chain, self.author, Chance(f"{chance.below(1 << 60)}"), self.pace,
                life=self.config.life, number=number + 4_000 * n,
            )
            for n in range(2)
        ]  # fmt: skip
        until = self.stopping.is_set
        disk = asyncio.create_task(end_with_the_disk(chain, until))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(workers[0].work(until, most_pause_ms=400))
                group.create_task(self._burst(workers[1]))
            if disk.done():
                disk.result()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            disk.cancel()
            watching.cancel()
            await asyncio.gather(disk, watching, return_exceptions=True)

    async def _burst(self, worker: Worker) -> None:
        """Commit at many tasks at once, as a server program does."""
        while not self.stopping.is_set():
            if not worker.chain.status.online or worker.chain.status.pending > BURST:
                # What is made offline is sent one by one: it must be sent before the end, too.
                await self.pace.pause(0.2)
                continue
            outcomes = await asyncio.gather(
                *(worker.new(ate.Durability.FULL) for _ in range(BURST)), return_exceptions=True
            )
            for one in outcomes:
                if isinstance(one, StorageError):
                    raise one
            failed = any(isinstance(one, BaseException) for one in outcomes)
            await self.pace.pause(0.2 if failed else 0.1)

    async def _finish(self, chain: Chain) -> None:
        """Bring what waits to the server; once more when all the others have done so."""
        for bell in (self.stopping, self.ending):
            await bell.wait()
            try:
                await chain.sync(80)
            except AteError as error:
                what = f"{self.author.name} cannot sync {chain.name}: {error!r} {chain.status}"
                self.journal.note(Broken(what))
                return
            if bell is self.stopping:
                self.journal.note(Facts("synced", str(chain.name), self.author.name))
        for setback in chain.conflicts:
            note_setback(self.journal, self.author.client, str(chain.name), setback)
        for watched in tuple(self.journal.watched):
            if watched.chain == chain.name:
                self.journal.watched.remove(watched)
                self.journal.note(watched)
        facts = await facts_of(chain)
        self.journal.note(Facts("end", str(chain.name), self.author.name, *facts))


async def facts_of(chain: Chain) -> tuple[int, str, str]:
    """Return commits, root and state of a chain."""
    state: Any = sorted((await state_of(chain)).items())
    digest = hasher()
    digest.update(msgspec.json.encode(state))
    return chain.commits, chain.root.hex(), digest.hexdigest(16)


def main(raw: str) -> None:
    config = msgspec.json.decode(raw, type=Config)
    with Path(config.journal).open("ab", buffering=0) as file:
        journal = Journal(SystemClock().monotonic_s, file.write)
        with pytest.MonkeyPatch.context() as patch:
            install(patch)
            asyncio.run(Program(config, journal).run())


if __name__ == "__main__":
    main(sys.argv[1])
