"""`Stage`: a play for several sessions on one chain, told in a runner's words; it mocks nothing.

    stage = Stage("notes")
    alice, bob = await stage.cast("alice", "bob")
    note = await stage.as_(alice).store("secret", access=Access(read=Only(alice.public)))
    with pytest.raises(NoReadKey):
        await stage.as_(bob).load(note)

Each word opens the chain from its files as that session, does one thing and closes it again: what
holds between two words holds on the disk. The disk is a `SimDisk`, the clock a `SimClock`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import ate
from ate.chain.admit import admit
from ate.chain.ledger import Ledger
from ate.chain.verify import Verification, verify
from ate.crypto.entropy import SeededEntropy, system_entropy
from ate.dio.chain import Chain
from ate.event.access import Access, Principal
from ate.event.commit import Commit, Origin, Record, SequencerPart
from ate.event.draft import Draft
from ate.event.row import Kind
from ate.event.system import PublicKeys, Role, encode, system_id
from ate.ids import ROOT, ObjectId
from ate.log.local import LocalLog
from ate.session import KeyPair, Session
from ate.testing.forger import Forger
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.tamper import Tamperer, copy_of, ordered

_HOME = "/chains"


class Stage:
    """One chain, its disk, its clock, and who plays.

    Args:
        name: of the chain.
        suite: 1 or 2; without a cast the chain has no keys and is of suite 0.
        access: the chain's own rule.
        plugins: given to every opening.
        policy: goes into the genesis.
    """

    def __init__(
        self,
        name: str = "play",
        *,
        suite: int = 2,
        access: Access | None = None,
        plugins: Sequence[Any] = (),
        policy: dict[str, Any] | None = None,
    ) -> None:
        self.name, self.suite, self.access = name, suite, access
        self.plugins, self.policy = tuple(plugins), policy
        self.disk = SimDisk()
        self.clock = SimClock(tick_us=1)

    async def cast(self, *names: str) -> list[Session]:
        """Return a new session for each name; the first one founds the chain."""
        sessions = [member(name) for name in names]
        async with self.open(sessions[0]):
            pass
        return sessions

    @asynccontextmanager
    async def open(self, who: Session | None, **options: Any) -> AsyncIterator[Chain]:
        """Open the chain as somebody; `options` go to `ate.open`."""
        given: dict[str, Any] = {
            "suite": self.suite, "access": self.access, "plugins": self.plugins,
            "policy": self.policy, **options,
        }  # fmt: skip
        chain = await ate.open(
            self.name, path=_HOME, disk=self.disk, clock=self.clock, session=who, **given
        )
        try:
            yield chain
        finally:
            await chain.close()

    def as_(self, who: Session | None) -> Actor:
        """Let somebody act."""
        return Actor(self, who)

    def tamperer(self) -> Tamperer:
        """Return whoever has the chain's files."""
        return Tamperer(self.disk, f"{_HOME}/{self.name}")

    def backup(self) -> SimDisk:
        """Return a copy of the disk; assign it to `stage.disk` to put it back."""
        return copy_of(self.disk)

    @property
    def directory(self) -> str:
        """The chain's own directory."""
        return f"{_HOME}/{self.name}"

    # --- judging --------------------------------------------------------------------------------

    def log(self) -> LocalLog:
        """Return the chain's log, open for reading."""
        return LocalLog.open(self.directory, disk=self.disk, readonly=True)

    async def ledger(self, who: Session | None = None) -> Ledger:
        """Return the chain read from its first byte, no snapshot used."""
        ledger = Ledger(
            self.log(), plugins=self.plugins, session=who, clock=self.clock, entropy=system_entropy
        )
        await ledger.replay(use_snapshot=False)
        return ledger

    async def judge(self, commit: Commit, *, time_us: int | None = None) -> None:
        """Let an honest sequencer judge a commit that came from elsewhere; nothing is written.

        Raises:
            AteError: what it refuses it with.
        """
        ledger = await self.ledger()
        view = ledger.view
        now = max(self.clock.now_us() if time_us is None else time_us, view.time_us)
        part = SequencerPart(view.head + 1, now, view.frontier.size, view.link)
        record = Record(memoryview(ordered(commit, part)))
        await admit(view, ledger.pipeline, record, time_us=now)

    async def forger(self, who: KeyPair | Session | None, **fields: Any) -> Forger:
        """Return a forger for this chain with somebody's keys.

        Composite of a pair, fast of a session.
        """
        view = (await self.ledger()).view
        key: Any = who
        told: dict[str, Any] = {"chain_id": view.trust.chain_id, "seen_seq": view.head}
        if isinstance(who, Session):
            key = who.fast(view.trust.chain_id, self.clock.now_us()).key
            told["origin"] = Origin(who.device, 7, 1, 0)
        told["key"] = key
        return Forger(**{**told, **fields})

    async def verify(self) -> Verification:
        """Recompute everything from the first byte."""
        return await verify(self.log(), plugins=self.plugins)


@dataclass(frozen=True, slots=True)
class Note:
    """What is stored in a play."""

    text: str


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody about to do one thing."""

    stage: Stage
    who: Session | None

    async def store(
        self,
        text: str,
        *,
        parent: ObjectId | None = None,
        access: Access | None = None,
        id: ObjectId | None = None,
    ) -> ObjectId:
        """Store one note and commit."""
        async with self.stage.open(self.who) as chain, chain.dio() as dio:
            return dio.store(Note(text), parent=parent, access=access, id=id).id

    async def store_many(
        self, texts: Sequence[str], parent: ObjectId | None = None
    ) -> list[ObjectId]:
        """Store notes in one commit."""
        async with self.stage.open(self.who) as chain, chain.dio() as dio:
            return [dio.store(Note(text), parent=parent).id for text in texts]

    async def load(self, id: ObjectId, *, at_seq: int | None = None) -> str:
        """Return the text of a note."""
        async with self.stage.open(self.who) as chain:
            return (await chain.dio().load(Note, id, at_seq=at_seq)).value.text

    async def change(self, id: ObjectId, text: str) -> None:
        """Give a note another text and commit."""
        async with self.stage.open(self.who) as chain, chain.dio() as dio:
            (await dio.load(Note, id)).value = Note(text)

    async def rule(self, id: ObjectId, access: Access) -> None:
        """Give a note another rule and commit."""
        async with self.stage.open(self.who) as chain, chain.dio() as dio:
            (await dio.load(Note, id)).access = access

    async def move(self, id: ObjectId, parent: ObjectId | None) -> None:
        """Put a note under another parent and commit."""
        async with self.stage.open(self.who) as chain, chain.dio() as dio:
            (await dio.load(Note, id)).move(parent)

    async def delete(self, id: ObjectId) -> None:
        """Delete a note and commit."""
        async with self.stage.open(self.who) as chain, chain.dio() as dio:
            (await dio.load(Note, id)).delete()

    async def texts(self) -> list[str]:
        """Return every note that this session can read."""
        async with self.stage.open(self.who) as chain:
            return [dao.value.text async for dao in chain.dio().all(Note)]

    async def set_role(self, name: str, generation: int, *keys: Principal) -> None:
        """Write a role's newest generation."""
        async with self.stage.open(self.who) as chain:
            await submit(chain, self.who, role_draft(name, generation, keys))

    async def open(self, **options: Any) -> int:
        """Only open the chain; returns its head."""
        async with self.stage.open(self.who, **options) as chain:
            return chain.head


def member(name: str) -> Session:
    """Return the same session for the same name in every run."""
    draw = SeededEntropy(b"member " + name.encode())
    return Session(name, KeyPair.from_seeds(name, draw(64), draw(32)))


def role_draft(name: str, generation: int, keys: Sequence[Principal]) -> Draft:
    """Return the row of a role."""
    role = Role(name, generation, tuple(PublicKeys.of(one) for one in keys))
    row_id = system_id("role", name.encode())
    return Draft(int(Kind.ROLE), row_id, bytes(ROOT), 0, 0, 0, 0, 0, encode(role))


async def submit(chain: Chain, who: Session | None, *drafts: Draft) -> None:
    """Commit rows that no unit of work makes, through the chain's own writer."""
    for draft in drafts:
        known = chain._ledger.view.stored(draft.id)
        if known is not None and not draft.base:
            draft.base = known.seq
    await chain._writer.submit(list(drafts), who, chain.durability, None)
