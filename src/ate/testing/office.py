"""`Office`: a centralized chain between a server's ledger and its copies; there is no wire.

It signs what it is told to sign, with the key that it is told to.
"""

from __future__ import annotations

from typing import Any

from ate.chain.genesis import Founding, prepare_genesis
from ate.chain.ledger import Ledger
from ate.chain.ordering import consider
from ate.crypto.entropy import SeededEntropy, system_entropy
from ate.crypto.sign import FastKey
from ate.event.access import Access, Only
from ate.event.access import Any as AnyOf
from ate.event.commit import Commit, Origin, SequencerPart
from ate.event.draft import Draft
from ate.event.row import Kind
from ate.ids import ROOT, ObjectId
from ate.log.memory import MemoryLog
from ate.session import Session
from ate.testing.forger import Forger, Line
from ate.testing.simclock import SimClock
from ate.testing.tamper import ordered
from ate.trust.sequence import NO_SEQUENCE, Proved, Sequencer, Vouch

UNORDERED = SequencerPart(0, 0, 0, bytes(32))


def sequencer(name: bytes = b"server") -> Sequencer:
    """Return the same sequencer for the same name in every run."""
    return Sequencer(FastKey.from_seed(SeededEntropy(b"sequencer " + name)(32)))


class Office:
    """The server's side; its frames are what replicas are sent."""

    def __init__(self, founder: Session, key: Sequencer) -> None:
        self.founder, self.key, self.clock = founder, key, SimClock(tick_us=1)
        self.ledger = self.blank()
        self.frames: list[bytes] = []

    @classmethod
    async def of(cls, *members: Session, **founding: Any) -> Office:
        """Found a chain that all members may read and write; the first one is its root."""
        made = cls(members[0], sequencer())
        keys = [one.public for one in members]
        told = {
            "access": Access(Only(*keys), AnyOf(*keys)), "mode": "centralized",
            "policy": {"sequencers": [made.key.public.raw]}, **founding,
        }  # fmt: skip
        origin = Origin(made.founder.device, 1, 1, 0)
        genesis, _ = await prepare_genesis(
            made.blank(made.founder), "play", Founding((members[0].public,), **told), origin
        )
        await made.take(genesis)
        return made

    def blank(self, who: Session | None = None) -> Ledger:
        """Return an empty ledger of somebody."""
        return Ledger(MemoryLog(), session=who, clock=self.clock, entropy=system_entropy)

    async def take(
        self, commit: Commit, over: Session | None = None, key: Sequencer | None = None
    ) -> bytes:
        """Let the server judge and order a commit.

        Args:
            over: whose key the connection has proved that it came over.
            key: signs instead of the server's own.
        """
        vouch = None
        if over is not None:
            vouch = Vouch(over.own.sign.public.raw, (key or self.key).sign)
        payload = memoryview(ordered(commit, UNORDERED))
        record, current = await consider(self.ledger, payload, vouch)
        frame = bytes(record.payload)
        self.ledger.accept(record, current)
        self.frames.append(frame)
        return frame

    async def copy(self, who: Session | None = None, frames: list[bytes] | None = None) -> Ledger:
        """Return the ledger of a client that was sent these frames, or all."""
        ledger = self.blank(who)
        for frame in self.frames if frames is None else frames:
            await ledger.receive(memoryview(frame))
        if who is not None:
            ledger.proved = Proved(who.public.key_id, self.key.public.key_id)
        return ledger

    async def made(self, who: Session, *drafts: Draft, session: int = 9) -> Commit:
        """Return what the product makes of drafts, as a client of this server."""
        ledger = await self.copy(who)
        last = ledger.view.origins.last(who.device, session)
        commit, _ = await ledger.preparer(who).prepare(
            drafts, origin=Origin(who.device, session, last + 1, last),
            seen_seq=ledger.view.head, now_us=ledger.now_us(),
        )  # fmt: skip
        return commit

    def forged(self, who: Session, *lines: Line, **fields: Any) -> Commit:
        """Return an unsigned commit in somebody's name, with anything in it."""
        view = self.ledger.view
        last = view.origins.last(who.device, 7)
        forger = Forger(
            view.trust.chain_id, None, Origin(who.device, 7, last + 1, last), seen_seq=view.head
        )
        told = {"key_id": who.public.key_id, "signature": NO_SEQUENCE, **fields}
        return forger.commit(*lines, **told)


def note(body: bytes = b"sealed, or noise", **fields: Any) -> Line:
    """Return a new object of the chain's read domain."""
    return Line(**{"id": bytes(ObjectId.random()), "body": body, "epoch": 1, **fields})


def draft(body: bytes = b"a value", **fields: Any) -> Draft:
    """Return a new object, before it is sealed."""
    told = {
        "kind": int(Kind.DATA),
        "id": bytes(ObjectId.random()),
        "parent": bytes(ROOT),
        "collection": 0,
        "base": 0,
        "created": 0,
        "schema": 0,
        "codec": 0,
        "body": body,
    }
    return Draft(**{**told, **fields})
