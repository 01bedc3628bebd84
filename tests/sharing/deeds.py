"""What a client does all day, through the public API alone; it judges nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import Any, Final, Protocol

import msgspec
from tests.sharing.journal import (
    Author,
    Broken,
    Deed,
    Journal,
    SetBack,
    Watched,
    own_token,
    token,
)

import ate
from ate.dio.chain import Chain
from ate.dio.dio import Dio
from ate.errors import (
    AteError,
    BodyNotHeld,
    Compacted,
    Conflict,
    Forked,
    LoadError,
    NetworkError,
    Offline,
    StorageError,
)
from ate.ids import ObjectId
from ate.testing.chance import Chance
from ate.testing.history import Answer, Follower, Head

#: Objects that all clients change.
NOTES: Final = [ObjectId(bytes([1]) * 15 + bytes([n])) for n in range(6)]
PAGES: Final = [ObjectId(bytes([2]) * 15 + bytes([n])) for n in range(2)]
FULL, LOCAL, NONE = ate.Durability.FULL, ate.Durability.LOCAL, ate.Durability.NONE
#: A claim, a lease or a sync that takes longer is given up.
PATIENCE_S: Final = 3.0
LEASE_S: Final = 4.0
#: Errors after which nobody knows whether it happened.
_DOUBT: Final = (NetworkError, StorageError, Compacted)


class Note(msgspec.Struct):
    token: str


class Page(msgspec.Struct):
    """One part for each client, so that merging never fails."""

    parts: dict[str, str]


class Task(msgspec.Struct):
    token: str


class Done(msgspec.Struct):
    job: str
    token: str


class Pace(Protocol):
    async def pause(self, seconds: float) -> None: ...


class Worker:
    """Does deeds on one chain.

    Args:
        author: whose deeds they are.
        life: number of this start of the client.
        compacts, seals: now and then the client compacts its own copy; it writes a checkpoint,
            which lets the server compact as well.
        keeps: its copy and its outbox are on disk.
    """

    def __init__(
        self, chain: Chain, author: Author, chance: Chance, pace: Pace, *, life: int,
        number: int = 0, compacts: bool = False, seals: bool = False, keeps: bool = True,
    ) -> None:  # fmt: skip
        self.chain, self.author, self.chance, self.pace = chain, author, chance, pace
        self.journal: Journal = author.journal
        self.life, self._number, self.keeps = life, number, keeps
        self.queue = ate.Queue(chain, Task, lease_s=LEASE_S)
        self.acts: list[Callable[[], Awaitable[None]]] = [
            self.new, self.new, self.batch, self.edit, self.edit, self.last, self.merge, self.merge,
            self.at, self.leased, self.delete, self.push, self.claim, self.claim, self.read,
            self.sync, self.look, self.settle,
        ]  # fmt: skip
        if compacts:
            self.acts.append(self.compact)
        if seals:
            self.acts.append(self.seal)

    async def work(self, until: Callable[[], bool], *, most_pause_ms: int = 700) -> None:
        """Do one deed after the other."""
        while not until():
            await self.pace.pause(self.chance.below(most_pause_ms) / 1000)
            try:
                await self.chance.choice(self.acts)()
            except Forked as error:
                self.journal.note(Broken(f"{self.author.name}: {error!r}"))
                return
            except StorageError:
                raise
            except (AteError, TimeoutError):
                pass

    # --- noting ---

    def _deed(self, kind: str, durability: int = FULL, rows: int = 1) -> Deed:
        self._number += 1
        name = token(self.author.client, self.life, self._number)
        return Deed(name, str(self.chain.name), kind, int(durability), self.journal.clock(), rows)

    async def _do(self, deed: Deed, dio: Dio, **options: Any) -> None:
        await self._note(deed, lambda: self._commit(deed, dio, **options))

    async def _commit(self, deed: Deed, dio: Dio, **options: Any) -> Any:
        """Commit; when nobody knows what became of it, now and then simply do it again."""
        how = ate.Durability(deed.durability)
        for _ in range(self.chance.below(4)):
            with suppress(NetworkError):
                return await dio.commit(how, **options)
            await self.pace.pause(self.chance.below(2000) / 1000)
        return await dio.commit(how, **options)

    async def _note(self, deed: Deed, call: Callable[[], Awaitable[Any]]) -> Any:
        self.journal.note(deed)
        try:
            found = await call()
        except AteError as error:
            is_known = not isinstance(error, _DOUBT) or isinstance(error, Offline)
            self._told(deed, "fail" if is_known else "info", code=error.code)
            raise
        else:
            is_kept = getattr(found, "is_pending", False)
            seq = 0 if is_kept else getattr(found, "seq", 0)
            # What is kept in memory alone may be lost with the program.
            kept = "kept" if self.keeps else "info"
            self._told(deed, kept if is_kept else "ok", seq=seq)
            return found

    def _told(self, deed: Deed, outcome: Any, **answer: Any) -> None:
        if not self.author.is_dead:
            self.journal.done(deed, outcome, **answer)

    def _how(self) -> int:
        return int(self.chance.choice((FULL, FULL, LOCAL, LOCAL, NONE)))

    # --- writing ---

    async def new(self, how: ate.Durability | None = None) -> None:
        durability = self._how() if how is None else int(how)
        deed, dio = self._deed("new", durability), self.chain.dio()
        dio.store(Note(deed.token))
        await self._do(deed, dio)

    async def batch(self) -> None:
        rows = 2 + self.chance.below(3)
        deed, dio = self._deed("batch", self._how(), rows), self.chain.dio()
        for _ in range(rows):
            dio.store(Note(deed.token))
        await self._do(deed, dio)

    async def _shared(self, dio: Dio, deed: Deed) -> None:
        """Change an object that others change as well."""
        id = self.chance.choice(NOTES)
        try:
            dao = await dio.load(Note, id)
            dao.value = Note(deed.token)
        except LoadError:
            dio.store(Note(deed.token), id=id)

    async def edit(self) -> None:
        deed, dio = self._deed("edit", self._how()), self.chain.dio()
        await self._shared(dio, deed)
        if self.chance.happens(30):
            await self.pace.pause(self.chance.below(200) / 1000)
        await self._do(deed, dio)

    async def last(self) -> None:
        deed, dio = self._deed("last", self._how()), self.chain.dio()
        await self._shared(dio, deed)
        await self._do(deed, dio, on_conflict="last")

    async def merge(self) -> None:
        deed, dio = self._deed("merge", FULL), self.chain.dio()
        id = self.chance.choice(PAGES)
        try:
            dao = await dio.load(Page, id)
            dao.value = Page({**dao.value.parts, self.author.client: deed.token})
        except LoadError:
            dio.store(Page({self.author.client: deed.token}), id=id)
        await self._do(deed, dio, on_conflict="merge")

    async def at(self) -> None:
        deed, dio = self._deed("at"), self.chain.dio()
        dio.store(Note(deed.token))
        await self._do(deed, dio, at=self.chain.head)

    async def leased(self) -> None:
        async with self.chain.lease("pen", ttl_s=LEASE_S, wait_s=PATIENCE_S) as lease:
            for _ in range(1 + self.chance.below(3)):
                deed, dio = self._deed("leased"), self.chain.dio()
                deed.fence = lease.number
                dio.store(Note(deed.token))
                await self._do(deed, dio, lease=lease)
                await self.pace.pause(self.chance.below(1000) / 1000)

    async def delete(self) -> None:
        dio = self.chain.dio()
        dio.delete(self.chance.choice(NOTES))
        await dio.commit(ate.Durability(self._how()))

    async def push(self) -> None:
        deed, dio = self._deed("push", self._how()), self.chain.dio()
        await self.queue.push(Task(deed.token), dio=dio)
        await self._do(deed, dio)

    async def claim(self) -> None:
        """Take a job, and say in the commit that ends it that it was done."""
        if not len(self.queue):
            return
        async with asyncio.timeout(PATIENCE_S), self.queue.claim() as job:
            await self.pace.pause(self.chance.below(1000) / 1000)
            deed = self._deed("done")
            job.dio.store(Done(job.value.token.strip("<>"), deed.token))
            await self._do(deed, job.dio)

    # --- reading ---

    async def read(self) -> None:
        async for _ in self.chain.dio().all(Note):
            pass

    async def sync(self) -> None:
        """After it nothing that was acknowledged before may be missing."""
        operation = self.journal.history.invoke(self.author.name, Head(str(self.chain.name)))
        try:
            await self.chain.sync(PATIENCE_S)
        except AteError:
            if not self.author.is_dead:
                self.journal.history.info(operation)
            raise
        if not self.author.is_dead:
            self.journal.history.ok(operation, Answer(head=self.chain.head))

    async def look(self) -> None:
        call = Head(str(self.chain.name), fresh=False)
        operation = self.journal.history.invoke(self.author.name, call)
        self.journal.history.ok(operation, Answer(head=self.chain.head))

    async def settle(self) -> None:
        """Decide what becomes of work that the chain would not take."""
        for setback in self.chain.conflicts:
            if not self.author.is_dead:
                note_setback(self.journal, self.author.client, str(self.chain.name), setback)
            # The end of a job that somebody else has done by now is not to be forced.
            ends_a_job = any(b"job" in bytes(draft.body) for draft in setback._drafts)
            what = 0 if ends_a_job else self.chance.below(3)
            if what == 0:
                setback.drop()
            elif what == 1:
                await setback.overwrite(self.chain)
            else:
                with suppress(Conflict):
                    await setback.merge(self.chain, Note, Page, Task, Done)

    async def compact(self) -> None:
        await self.chain.compact()

    async def seal(self) -> None:
        await self.chain.checkpoint()


def note_setback(journal: Journal, client: str, chain: str, setback: Any) -> None:
    """Note that a program knows of work that was refused."""
    bodies = [bytes(draft.body) for draft in setback._drafts]
    mine = [own_token(client, body) for body in bodies]
    journal.note(SetBack(chain, [one for one in mine if one]))


async def watch(chain: Chain, author: Author, pace: Pace, since: int) -> None:
    """Note every change of the chain as it comes."""
    note = Watched(str(chain.name), f"{author.name}/{chain.name}", since, [])
    author.journal.note(note)
    seq = since
    while not chain._closed and not author.is_dead:
        try:
            async for event in chain.watch(since=seq):
                seq = event.seq
                if not author.is_dead:
                    note.seqs.append(seq)
        except BodyNotHeld:  # it is at the server: go on when that is there
            await pace.pause(0.3)


def follow(chain: Chain, author: Author) -> Follower:
    """Note of how many rows this program is told that they are there, as it is told."""
    journal, feed = author.journal, chain._ledger.feed
    name = f"{author.name}/{len(journal.followers)}"
    one = Follower(name, str(chain.name), journal.clock(), [(journal.clock(), chain.head)])

    def tell() -> None:
        if one.until == inf:
            one.told.append((journal.clock(), feed.head))

    feed.subscribe(tell)
    journal.followers.append(one)
    author.following.append(one)
    return one
